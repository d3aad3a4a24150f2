"""How far mutual information and correlation agree on which units are similar (paper, supplement S.2).

One row for each layer and pair of nets, and one for each layer's mean over pairs. Columns:
- means and overlap by mutual information, of the first net's units;
- how many of the best pairs of units by mutual information are among the best by correlation;
- the share of units whose partner is equal by both, for greedy and for assigned partners;
- Spearman's rank correlation of the two similarities over all pairs of live units, also with the absolute correlation:
  a unit that is active where another is not informs about it too.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from .. import store, tables
from ..commands import InputError, command, new_parser
from . import matching

KEY = ("layer", "pair", "similarity")
COUNTS = ("samples", "units", "live", "best", "best_shared")  # empty in the row of means
BEST = 8  # pairs of units, as many as figure S4 shows

Row = dict[str, Any]


def best_pairs(similarity: np.ndarray) -> set[tuple[int, int]]:
    """At most BEST pairs of units: those with the highest greedy similarity. (units_a, units_b)"""
    partner = matching.greedy(similarity)
    height = matching.partner_similarity(similarity, partner)
    order = np.argsort(-height, kind="stable")
    return {(int(unit), int(partner[unit])) for unit in order[~np.isnan(height[order])][:BEST]}


def rank_agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two similarities over pairs of live units. (units_a, units_b) each

    NaN with fewer than two pairs.
    """
    from scipy.stats import spearmanr

    live = np.isfinite(first) & np.isfinite(second)
    return float(spearmanr(first[live], second[live]).statistic) if live.sum() > 1 else np.nan


def agreement(information: np.ndarray, correlation: np.ndarray) -> dict[str, float | int]:
    """Cells of one row from both similarities of a pair of nets. (units_a, units_b) each"""
    greedy, assigned, overlap = matching.measures(information)
    greedy_partners, assigned_partners = (
        (match(information), match(correlation)) for match in (matching.greedy, matching.assignment)
    )
    best = best_pairs(information)
    return {
        "units": len(information),
        "live": int((greedy_partners[0] != matching.UNMATCHED).sum()),
        "greedy": greedy,
        "assigned": assigned,
        "overlap": overlap,
        "best": len(best),
        "best_shared": len(best & best_pairs(correlation)),
        "same_greedy": matching.overlap(*greedy_partners),
        "same_assigned": matching.overlap(*assigned_partners),
        "rank_agreement": rank_agreement(information, correlation),
        "rank_agreement_absolute": rank_agreement(information, np.abs(correlation)),
    }


def with_means(rows: list[Row]) -> Iterator[Row]:
    """The rows of each layer, followed by their mean; COUNTS are empty in it."""
    for layer, layer_rows in groupby(rows, key=lambda row: row["layer"]):
        pairs = list(layer_rows)
        yield from pairs
        means = {name: np.mean([row[name] for row in pairs]) for name in pairs[0] if name not in (*KEY, *COUNTS)}
        yield {**pairs[0], **dict.fromkeys(COUNTS, ""), "layer": layer, "pair": "mean", **means}


def pair_row(information: Path, correlation: Path) -> Row:
    """Row of one pair of nets from its stores. Raises InputError where their layers, images or nets differ."""
    ours, other = store.attributes(information, "mutual_information"), store.attributes(correlation, "correlation")
    for key in ("layer", "images", "nets"):
        store.require_equal(key, **{str(information): ours[key], str(correlation): other[key]})
    pair = "-".join(store.pair_of(information, ours))
    key_cells = dict(zip(KEY, (ours["layer"], pair, "mutual_information"), strict=True))
    similarities = (
        store.load(path, name)[name]
        for path, name in ((information, "mutual_information"), (correlation, "correlation"))
    )
    return {**key_cells, "samples": ours["samples"], **agreement(*similarities)}


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("output", type=Path, help="table to write (.csv)")
    parser.add_argument(
        "--information",
        nargs="+",
        required=True,
        type=Path,
        help="stores <layer>/<a>-<b>.zarr/zarr.json of mutual information, sorted by layer",
    )
    parser.add_argument(
        "--correlation",
        nargs="+",
        required=True,
        type=Path,
        help="stores of correlation of these layers and pairs, in the order of --information",
    )
    args = parser.parse_args(argv)
    if len(args.information) != len(args.correlation):
        counts = len(args.correlation), len(args.information)
        raise InputError("--correlation: {} stores are not possible; as many as --information, {}".format(*counts))
    rows = [pair_row(*paths) for paths in zip(args.information, args.correlation, strict=True)]
    attributes = {str(path): store.attributes(path) for path in args.information}
    nets = store.same_nets({path: own["nets"] for path, own in attributes.items()})
    store.require_equal("images", **{path: own["images"] for path, own in attributes.items()})
    store.require_distinct("--information", [(row["layer"], row["pair"]) for row in rows])
    images = next(iter(attributes.values()))["images"]
    tables.write(args.output, list(with_means(rows)), digits=4, kind="agreement", nets=nets, images=images)


if __name__ == "__main__":
    main()
