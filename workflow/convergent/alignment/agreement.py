"""How far mutual information and correlation agree on which units are similar (paper, supplement S.2).

A row for each layer and pair of nets, and for the mean over pairs: means and overlap by mutual information, as
``convergence`` has them by correlation; how many of the best pairs of units are the same by both; how many units have
the same partner by both; and Spearman's rank correlation of the two similarities over all pairs of live units, once
with the absolute correlation: units that are active where the other is not are informative of each other too.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from .. import store, tables
from ..commands import command, new_parser
from . import matching

KEY = ("layer", "pair", "similarity")
BEST = 8  # pairs of units, as many as figure S4 shows


def best_pairs(similarity: np.ndarray) -> set[tuple[int, int]]:
    """The units of highest greedy similarity with their partners, BEST at most. (units_a, units_b)"""
    partner = matching.greedy(similarity)
    height = matching.taken(similarity, partner)
    order = np.argsort(-height, kind="stable")
    return {(int(unit), int(partner[unit])) for unit in order[~np.isnan(height[order])][:BEST]}


def rank_agreement(one: np.ndarray, two: np.ndarray) -> float:
    """Spearman's rank correlation over the pairs of units that live in both. (units_a, units_b) each"""
    from scipy.stats import spearmanr

    live = np.isfinite(one) & np.isfinite(two)
    return float(spearmanr(one[live], two[live]).statistic) if live.sum() > 1 else np.nan


def agreement(information: np.ndarray, correlation: np.ndarray) -> dict[str, float | int]:
    """Cells of one row from the two similarities of a pair. (units_a, units_b) each"""
    greedy, assigned, overlap = matching.measures(information)
    partners = [(match(information), match(correlation)) for match in (matching.greedy, matching.assignment)]
    best = best_pairs(information)
    return {
        "units": len(information),
        "live": int((partners[0][0] != matching.UNMATCHED).sum()),
        "greedy": greedy,
        "assigned": assigned,
        "overlap": overlap,
        "best": len(best),
        "best_shared": len(best & best_pairs(correlation)),
        "same_greedy": matching.overlap(*partners[0]),
        "same_assigned": matching.overlap(*partners[1]),
        "rank_agreement": rank_agreement(information, correlation),
        "rank_agreement_absolute": rank_agreement(information, np.abs(correlation)),
    }


def with_means(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of each layer and their mean, whose counts of units are left empty."""
    counts = ("samples", "units", "live", "best", "best_shared")
    for layer, some in groupby(rows, key=lambda row: row["layer"]):
        found = list(some)
        yield from found
        means = {name: np.mean([row[name] for row in found]) for name in found[0] if name not in (*KEY, *counts)}
        yield {**found[0], **dict.fromkeys(counts, ""), "layer": layer, "pair": "mean", **means}


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("output", type=Path, help="table to write (.csv)")
    parser.add_argument("--information", nargs="+", required=True, type=Path, help="stores <layer>/<a>-<b>.zarr")
    parser.add_argument("--correlation", nargs="+", required=True, type=Path, help="stores of the same, in their order")
    args = parser.parse_args(argv)
    rows = []
    for one, two in zip(args.information, args.correlation, strict=True):
        about = {str(path): store.attributes(path) for path in (one, two)}
        for key in ("layer", "images", "nets"):
            store.require_equal(key, **{path: found[key] for path, found in about.items()})
        information = store.load(one, "mutual_information")["mutual_information"]
        correlation = store.load(two, "correlation")["correlation"]
        first = about[str(one)]
        key_cells = dict(zip(KEY, (first["layer"], one.parent.stem, "mutual_information"), strict=True))
        rows.append({**key_cells, "samples": first["samples"], **agreement(information, correlation)})
    tables.write(args.output, list(with_means(rows)), digits=4)


if __name__ == "__main__":
    main()
