"""Greedy and assigned partner of each unit (paper, section 3.1: semi-matching and bipartite matching).

The greedy partner of a unit is its most similar unit in the other net; several units may share one. Assigned partners
are one to one and have the largest total similarity. Similarities are signed.

Each store of similarities gives one table with a row for each unit of the first net. Both cells of a unit without
partner are empty.
"""

from pathlib import Path

import numpy as np

from .. import store, tables
from ..commands import command, new_parser

UNMATCHED = -1  # partner of a unit that has none
WIDE = 1024  # rows from which a transposed array is read in its own order
ROUNDS, SHARPNESS, TINY = 10, 32, np.float32(1e-30)  # of a soft assignment, by trial
MEASURES = ["greedy", "assigned", "overlap"]
SIMILARITIES = ("correlation", "mutual_information")  # kinds of stores, and the array that each has
HEADER = ["unit", "greedy", "greedy_similarity", "assigned", "assigned_similarity"]


def greedy(similarity: np.ndarray) -> np.ndarray:
    """Most similar column of each row, the first of several equal ones. (units_a, units_b) -> (units_a,)

    A dead unit, whose similarities are all NaN, is UNMATCHED.
    """
    if not similarity.size:
        return np.full(len(similarity), UNMATCHED)
    best = largest(similarity)  # or a NaN of the row, if it has one
    if np.isnan(similarity[np.arange(len(best)), best]).any():
        filled = np.where(np.isnan(similarity), -np.inf, similarity)
        best = np.where(np.isneginf(filled.max(axis=1)), UNMATCHED, filled.argmax(axis=1))
    return best


def largest(similarity: np.ndarray) -> np.ndarray:
    """First largest column of each row, or one of NaN. Wide arrays that are transposed are read as they lie in memory.

    numpy would copy them, which takes eight times as long.
    """
    if len(similarity) < WIDE or similarity.flags.c_contiguous:
        return similarity.argmax(axis=1)
    best, value = np.zeros(len(similarity), int), similarity[:, 0].copy()
    for number, column in enumerate(similarity.T[1:], 1):
        larger = column > value
        np.copyto(value, column, where=larger)
        best[larger] = number
    return best


def live_units(similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns that are not all NaN. (units_a, units_b) -> (live,), (live,)"""
    known = ~np.isnan(similarity)
    return np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))


def assignment(similarity: np.ndarray, prices: np.ndarray | float = 0) -> np.ndarray:
    """One-to-one partners with the largest total similarity. (units_a, units_b) -> (units_a,)

    Dead units are UNMATCHED. Where live rows outnumber live columns, some live rows are UNMATCHED too.
    prices: of columns, as of the function of this name, of these or of similar values
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = live_units(similarity)
    partner = np.full(len(similarity), UNMATCHED)
    cost = np.subtract(prices, similarity, dtype=float)
    if cost.shape != (len(rows), len(columns)):
        cost = cost[np.ix_(rows, columns)]
    row, column = linear_sum_assignment(cost)
    partner[rows[row]] = columns[column]
    return partner


def prices(similarity: np.ndarray) -> np.ndarray:
    """Prices of columns at which nearly every row has another best column. (units_a, units_b) -> (units_b,)

    Taken off these similarities, or off similar ones, they do not change which assignment is best, and make the search
    for it up to seven times as fast. They are those of a soft assignment (Sinkhorn and Knopp 1967). They are 0 where a
    live unit has no partner: prices of units without partner would matter.
    """
    rows, columns = live_units(similarity)
    price = np.zeros(similarity.shape[1])
    if not len(rows) == len(columns) > 1:
        return price
    gain = similarity[np.ix_(rows, columns)].astype(np.float32)
    best = gain.max(axis=0)
    softness = (best.mean() - gain.mean()) / SHARPNESS
    if softness > 0:
        gain -= best
        gain -= gain.max(axis=1, keepdims=True)
        gain /= softness
        np.exp(gain, out=gain)
        of_column = np.ones(len(columns), np.float32)
        for _ in range(ROUNDS):
            of_row = 1 / np.maximum(gain @ of_column, TINY)
            of_column = 1 / np.maximum(of_row @ gain, TINY)
        price[columns] = best - softness * np.log(of_column)
    return price


def partner_similarity(similarity: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """Similarity of each row with its partner; NaN without one. (units_a, units_b), (units_a,) -> (units_a,)"""
    chosen = np.full(len(partner), np.nan)
    matched = np.flatnonzero(partner != UNMATCHED)
    chosen[matched] = similarity[matched, partner[matched]]
    return chosen


def live_mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN (those of live units); NaN where there are none."""
    live = values[~np.isnan(values)]
    return float(live.mean()) if live.size else np.nan


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Share of units whose partner is equal in both matchings, among those with a partner in the first. (units,) each

    NaN where no unit has a partner in the first.
    """
    matched = first != UNMATCHED
    return float((first[matched] == second[matched]).mean()) if matched.any() else np.nan


def measures(similarity: np.ndarray) -> np.ndarray:
    """MEASURES of one pair of nets: mean greedy and assigned similarity, and overlap. (units_a, units_b) -> (3,)"""
    chosen, assigned = greedy(similarity), assignment(similarity)
    means = [live_mean(partner_similarity(similarity, partner)) for partner in (chosen, assigned)]
    return np.array([*means, overlap(chosen, assigned)])


def diagonal_order(partner: np.ndarray, units_b: int) -> tuple[np.ndarray, np.ndarray]:
    """Orders of rows and columns that put every match on the diagonal. (units_a,) -> (units_a,), (units_b,)

    Units without partner come last.
    """
    matched = partner != UNMATCHED
    rows = np.concatenate([np.flatnonzero(matched), np.flatnonzero(~matched)])
    return rows, np.concatenate([partner[matched], np.setdiff1d(np.arange(units_b), partner)])


def table_rows(similarity: np.ndarray) -> list[dict[str, object]]:
    """Rows of the matching table, one for each unit of the first net. (units_a, units_b)"""
    columns: dict[str, list] = {"unit": list(range(len(similarity)))}
    for name, partner in (("greedy", greedy(similarity)), ("assigned", assignment(similarity))):
        columns[name] = ["" if unit == UNMATCHED else unit for unit in partner.tolist()]
        columns[f"{name}_similarity"] = partner_similarity(similarity, partner).tolist()
    return [dict(zip(HEADER, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Columns of a matching table: partners as integers with UNMATCHED, similarities with NaN. name -> (units_a,)

    Raises InputError for a file that is no table of matches, is damaged or has no rows.
    """
    columns = tables.columns(path, HEADER)
    similarities = {name: columns[name].astype(float) for name in HEADER}
    partners = {
        name: np.nan_to_num(similarities[name], nan=UNMATCHED).astype(int) for name in ("unit", "greedy", "assigned")
    }
    return similarities | partners


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("folder", type=Path, help="folder to write <a>-<b>.csv to, one table for each store")
    parser.add_argument(
        "similarities",
        nargs="+",
        type=Path,
        help="stores of the correlation or the mutual information of two nets each, all of one layer (zarr.json)",
    )
    args = parser.parse_args(argv)
    attributes = {path: store.attributes(path, *SIMILARITIES) for path in args.similarities}
    for key in ("layer", "kind"):
        store.require_equal(f"{key}s", **{str(path): own[key] for path, own in attributes.items()})
    pairs = {path: "-".join(store.pair_of(path, own)) for path, own in attributes.items()}
    store.require_distinct("similarities", pairs.values())
    for path, own in attributes.items():
        rows = table_rows(store.load(path, own["kind"])[own["kind"]])
        of = {"pair": pairs[path], **{key: own[key] for key in ("layer", "images", "nets")}}
        tables.write(args.folder / f"{pairs[path]}.csv", rows, kind="matches", similarity=own["kind"], **of)


if __name__ == "__main__":
    main()
