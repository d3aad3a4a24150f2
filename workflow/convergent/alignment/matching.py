"""Greedy and assigned partner of each unit (paper, section 3.1: semi-matching and bipartite matching)."""

from pathlib import Path

import numpy as np

from .. import store
from ..commands import command, new_parser

UNMATCHED = -1
MEASURES = ["greedy", "assigned", "overlap"]


def greedy(similarity: np.ndarray) -> np.ndarray:
    """Most similar column of each row, the first of equals; UNMATCHED if dead. (units_a, units_b) -> (units_a,)"""
    if not similarity.size:
        return np.full(len(similarity), UNMATCHED)
    filled = np.where(np.isnan(similarity), -np.inf, similarity)
    best = filled.argmax(axis=1)
    return np.where(np.isneginf(filled.max(axis=1)), UNMATCHED, best)


def assignment(similarity: np.ndarray) -> np.ndarray:
    """One-to-one partners of the largest total similarity; dead units take no part. (units_a, units_b) -> (units_a,)

    With more rows than columns some rows stay UNMATCHED.
    """
    from scipy.optimize import linear_sum_assignment

    rows = np.flatnonzero(~np.isnan(similarity).all(axis=1))
    columns = np.flatnonzero(~np.isnan(similarity).all(axis=0))
    partner = np.full(len(similarity), UNMATCHED)
    row, column = linear_sum_assignment(similarity[np.ix_(rows, columns)], maximize=True)
    partner[rows[row]] = columns[column]
    return partner


def taken(similarity: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """Similarity of each row with its partner, NaN without one. (units_a,)"""
    found = np.full(len(partner), np.nan)
    matched = np.flatnonzero(partner != UNMATCHED)
    found[matched] = similarity[matched, partner[matched]]
    return found


def live_mean(values: np.ndarray) -> float:
    """Mean without the NaN of dead units; NaN where no unit lives."""
    live = values[~np.isnan(values)]
    return float(live.mean()) if live.size else np.nan


def overlap(one: np.ndarray, two: np.ndarray) -> float:
    """Share of units with the same partner in both, among those that have one in the first."""
    live = one != UNMATCHED
    return float((one[live] == two[live]).mean()) if live.any() else np.nan


def measures(similarity: np.ndarray) -> np.ndarray:
    """Mean greedy and assigned similarity and their overlap, of one pair. (units_a, units_b) -> (3,)"""
    chosen, assigned = greedy(similarity), assignment(similarity)
    means = [live_mean(taken(similarity, partner)) for partner in (chosen, assigned)]
    return np.array([*means, overlap(chosen, assigned)])


def loop_order(partner: np.ndarray) -> np.ndarray:
    """Units in the order of the assignment's loops 0 -> partner[0] -> ...: in a matrix whose rows and columns are both
    permuted by it a match lies one right of the diagonal. Chains that do not close (they end at a dead unit, or in
    a wider second net) come first. (units,)

    >>> loop_order(np.array([2, 1, 0]))
    array([0, 2, 1])
    """
    starts = [*np.setdiff1d(np.arange(len(partner)), partner), *np.arange(len(partner))]
    order: list[int] = []
    seen = np.zeros(len(partner), bool)
    for start in starts:
        unit = int(start)
        while UNMATCHED < unit < len(partner) and not seen[unit]:
            seen[unit] = True
            order.append(unit)
            unit = int(partner[unit])
    return np.array(order)


def diagonal_order(partner: np.ndarray, units_b: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns in an order that puts every match on the diagonal; what has no match comes last."""
    matched = partner != UNMATCHED
    rows = np.concatenate([np.flatnonzero(matched), np.flatnonzero(~matched)])
    return rows, np.concatenate([partner[matched], np.setdiff1d(np.arange(units_b), partner)])


def table(similarity: np.ndarray) -> list[list[object]]:
    """Rows of the matching table; cells of a unit without partner are empty."""
    chosen, assigned = greedy(similarity), assignment(similarity)
    found, given = taken(similarity, chosen), taken(similarity, assigned)

    def cells(partner: int, value: float) -> list[object]:
        return ["", ""] if partner == UNMATCHED else [int(partner), repr(float(value))]

    rows = zip(chosen, found, assigned, given, strict=True)
    return [[unit, *cells(g, gs), *cells(a, s)] for unit, (g, gs, a, s) in enumerate(rows)]


HEADER = ["unit", "greedy", "greedy_similarity", "assigned", "assigned_similarity"]


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Columns of a matching table; partners as integers with UNMATCHED, similarities with NaN."""
    found = np.genfromtxt(path, delimiter=",", names=True, filling_values=np.nan, ndmin=1)
    partners = {name: np.nan_to_num(found[name], nan=UNMATCHED).astype(int) for name in ("unit", "greedy", "assigned")}
    return {**{name: found[name] for name in HEADER}, **partners}


@command
def main(argv: list[str] | None = None) -> None:
    import csv

    parser = new_parser(__doc__)
    parser.add_argument("folder", type=Path, help="folder for <a>-<b>.csv, one for each store of similarities")
    parser.add_argument("similarities", nargs="+", type=Path, help="stores <a>-<b>.zarr (zarr.json)")
    parser.add_argument("--array", default="correlation", help="array to match on")
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    for path in args.similarities:
        with (args.folder / f"{path.parent.stem}.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(HEADER)
            writer.writerows(table(store.load(path, args.array)[args.array]))


if __name__ == "__main__":
    main()
