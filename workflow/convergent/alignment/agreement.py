"""How far mutual information and correlation agree on which units are similar (paper, supplement S.2).

One row for each layer and pair of nets, and one for each layer's mean over pairs. Numbers are means over both
directions of a pair. Columns:
- mean information with the greedy and with the assigned partner by information, chosen and measured on the same images,
  with 95 % intervals over photographs and, in the row of means, over nets; and the overlap of both;
- how many of the best pairs of units by mutual information are among the best by correlation;
- the share of units whose partner is equal by both, for greedy and for assigned partners;
- Spearman's rank correlation of the two similarities over all pairs of live units, also with the absolute correlation:
  a unit that is active where another is not informs about it too.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import store, tables
from ..commands import InputError, command, new_parser
from ..evidence.crossfit import Ways
from ..evidence.inference import ends, interval
from ..evidence.pairs import both_ways
from ..evidence.partners import shared
from . import matching

KEY = ("layer", "pair", "similarity")
COUNTS = ("samples", "units", "live", "best", "best_shared")  # empty in the row of means
MEANS = ("greedy", "assigned")  # numbers with intervals
BEST = 8  # pairs of units, as many as figure S4 shows

Row = dict[str, Any]


class Measured(NamedTuple):
    """A row without intervals, and MEANS without each fold of photographs."""

    row: Row
    without: np.ndarray  # (MEANS, folds)


def best_pairs(similarity: np.ndarray) -> set[tuple[int, int]]:
    """At most BEST pairs of units: the most similar ones of which one is the other's greedy partner.

    similarity: (units_a, units_b)
    """
    found = set()
    for turned, values in ((False, similarity), (True, similarity.T)):
        for unit, partner in enumerate(matching.greedy(values).tolist()):
            if partner != matching.UNMATCHED:
                found.add((partner, unit) if turned else (unit, partner))
    return set(sorted(found, key=lambda pair: (-similarity[pair], pair))[:BEST])


def rank_agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two similarities over pairs of live units. (units_a, units_b) each

    NaN with fewer than two pairs.
    """
    from scipy.stats import spearmanr

    live = np.isfinite(first) & np.isfinite(second)
    return float(spearmanr(first[live], second[live]).statistic) if live.sum() > 1 else np.nan


def means(information: np.ndarray, chosen: dict[str, Ways]) -> dict[str, float]:
    """MEANS over live units and both directions. (units_a, units_b); chosen: partners by name, as of ``both_ways``"""
    sides = (information, information.T)
    return {
        name: float(
            np.mean([matching.live_mean(matching.partner_similarity(*x)) for x in zip(sides, ways, strict=True)])
        )
        for name, ways in chosen.items()
    }


def agreement(information: np.ndarray, correlation: np.ndarray) -> dict[str, float | int]:
    """Cells of one row from both similarities of a pair of nets. (units_a, units_b) each"""
    chosen, correlated = both_ways(information, True), both_ways(correlation, True)
    best = best_pairs(information)
    return {
        "units": len(information),
        "live": int((chosen["greedy"][0] != matching.UNMATCHED).sum()),
        **means(information, chosen),
        "overlap": shared(chosen["greedy"], chosen["assigned"]),
        "best": len(best),
        "best_shared": len(best & best_pairs(correlation)),
        **{f"same_{name}": shared(chosen[name], correlated[name]) for name in MEANS},
        "rank_agreement": rank_agreement(information, correlation),
        "rank_agreement_absolute": rank_agreement(information, np.abs(correlation)),
    }


def with_intervals(row: Row, several: Sequence[Measured]) -> Row:
    """A row whose MEANS are those of some pairs of nets, each with the ends of its interval behind it."""
    nets = [tuple(one.row["pair"].split("-")) for one in several]
    cells: Row = {}
    for name, cell in row.items():
        cells[name] = cell
        if name in MEANS:
            values = np.array([one.row[name] for one in several])
            found = interval(values, np.array([one.without[MEANS.index(name)] for one in several]), nets)
            cells |= ends(name, found)
    return cells


def all_rows(measured: Sequence[Measured]) -> Iterator[Row]:
    """The rows of each layer, followed by their mean; COUNTS are empty in it.

    Partners are chosen again without each fold. Intervals of a single pair are over photographs alone.
    """
    for layer, of_layer in groupby(measured, key=lambda one: one.row["layer"]):
        pairs = list(of_layer)
        yield from (with_intervals(one.row, [one]) for one in pairs)
        names = [name for name in pairs[0].row if name not in (*KEY, *COUNTS)]
        mean = {name: np.mean([one.row[name] for one in pairs]) for name in names}
        row = {**pairs[0].row, **dict.fromkeys(COUNTS, ""), "layer": layer, "pair": "mean", **mean}
        yield with_intervals(row, pairs)


def measured_pair(information: Path, correlation: Path) -> Measured:
    """One pair of nets from its stores. Raises InputError where their layers, images or nets differ."""
    ours, other = store.attributes(information, "mutual_information"), store.attributes(correlation, "correlation")
    for key in ("layer", "images", "nets"):
        store.require_equal(key, **{str(information): ours[key], str(correlation): other[key]})
    pair = "-".join(store.pair_of(information, ours))
    key_cells = dict(zip(KEY, (ours["layer"], pair, "mutual_information"), strict=True))
    arrays = store.load(information, "mutual_information", "without")
    cells = agreement(arrays["mutual_information"], store.load(correlation, "correlation")["correlation"])
    folds = [means(fold, both_ways(fold, True)) for fold in arrays["without"]]
    without = np.array([[fold[name] for fold in folds] for name in MEANS])
    return Measured({**key_cells, "samples": ours["samples"], **cells}, without)


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
    measured = [measured_pair(*paths) for paths in zip(args.information, args.correlation, strict=True)]
    attributes = {str(path): store.attributes(path) for path in args.information}
    nets = store.same_nets({path: own["nets"] for path, own in attributes.items()})
    store.require_equal("images", **{path: own["images"] for path, own in attributes.items()})
    store.require_distinct("--information", [(one.row["layer"], one.row["pair"]) for one in measured])
    images = next(iter(attributes.values()))["images"]
    tables.write(args.output, list(all_rows(measured)), digits=4, kind="agreement", nets=nets, images=images)


if __name__ == "__main__":
    main()
