"""Matching: planted partners, brute force on few units, networkx, and orders that put matches where they are shown."""

from itertools import permutations
from pathlib import Path

import networkx
import numpy as np
import pytest

from workflow.convergent import store
from workflow.convergent import tables as csv
from workflow.convergent.alignment import matching
from workflow.convergent.alignment.matching import UNMATCHED
from workflow.convergent.commands import InputError

NAN = np.nan


def similarity(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (rows, columns))


def with_dead(array: np.ndarray, rows: list[int], columns: list[int]) -> np.ndarray:
    """The array with NaN for units that have no variance."""
    array = array.copy()
    array[rows] = np.nan
    array[:, columns] = np.nan
    return array


def total(array: np.ndarray, partner: np.ndarray) -> float:
    return float(np.nansum(matching.partner_similarity(array, partner)))


def assert_one_to_one(partner: np.ndarray, units: int) -> None:
    given = partner[partner != UNMATCHED]
    assert len(set(given)) == len(given)
    assert ((given >= 0) & (given < units)).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("units", [1, 2, 7, 60])
def test_a_planted_permutation_is_found_by_both(units: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    planted = rng.permutation(units)
    array = rng.uniform(-1, 0.5, (units, units))
    array[np.arange(units), planted] = rng.uniform(0.6, 1, units)
    assert matching.greedy(array).tolist() == matching.assignment(array).tolist() == planted.tolist()
    assert matching.overlap(matching.greedy(array), matching.assignment(array)) == 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("units", range(1, 7))
def test_assignment_is_the_best_of_all_permutations(units: int, seed: int) -> None:
    array = similarity(units, units, seed)
    best = max(permutations(range(units)), key=lambda p: array[np.arange(units), list(p)].sum())
    assert matching.assignment(array).tolist() == list(best)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("rows", "columns"), [(2, 5), (5, 2), (1, 4), (4, 1), (3, 6)])
def test_assignment_of_unequal_sides_is_the_best_of_all(rows: int, columns: int, seed: int) -> None:
    """Every unit of the smaller side gets a partner, also where that costs."""
    array = similarity(rows, columns, seed) - 0.5
    low, high = sorted((rows, columns))
    small = array if rows <= columns else array.T
    best = max(small[np.arange(low), list(p)].sum() for p in permutations(range(high), low))
    partner = matching.assignment(array)
    assert (partner != UNMATCHED).sum() == low
    assert_one_to_one(partner, columns)
    assert total(array, partner) == pytest.approx(best)


@pytest.mark.parametrize(("rows", "columns"), [(12, 12), (9, 14), (14, 9)])
@pytest.mark.parametrize("dead", [([], []), ([3], [0, 8])])
def test_networkx_finds_the_same_total(rows: int, columns: int, dead: tuple[list[int], list[int]]) -> None:
    """The original's algorithm."""
    array = with_dead(similarity(rows, columns), *dead)
    graph = networkx.Graph()
    for i, j in np.argwhere(~np.isnan(array)):
        graph.add_edge(("row", i), ("column", j), weight=array[i, j])
    edges = networkx.max_weight_matching(graph, maxcardinality=True)
    expected = sum(graph.edges[edge]["weight"] for edge in edges)
    partner = matching.assignment(array)
    assert (partner != UNMATCHED).sum() == len(edges)
    assert total(array, partner) == pytest.approx(expected)


@pytest.mark.parametrize("dead", [([], []), ([3, 8], [0, 9])])
@pytest.mark.parametrize("units", [12, 150])
@pytest.mark.parametrize("seed", range(3))
def test_prices_leave_most_rows_a_column_of_their_own_and_change_no_assignment(
    units: int, seed: int, dead: tuple[list[int], list[int]]
) -> None:
    array, other = (with_dead(similarity(units, units, s), *dead) for s in (seed, seed + 9))
    prices = matching.prices(array)
    assert prices.any()
    live = matching.live_units(array)[0]
    alone = [len(np.unique(matching.greedy(x)[live])) for x in (array, array - prices)]
    assert alone[1] > 1.05 * alone[0]
    for each in (array, other):
        np.testing.assert_array_equal(matching.assignment(each, prices), matching.assignment(each))


def test_there_are_no_prices_where_a_live_unit_has_no_partner_and_where_all_columns_are_equal() -> None:
    for array in (similarity(5, 7), similarity(7, 5), with_dead(similarity(5, 5), [1], []), np.ones((4, 4))):
        assert not matching.prices(array).any()
    assert not matching.prices(np.full((3, 4), NAN)).any()


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_prices_are_finite_and_change_no_assignment_of_values_that_lie_far_apart(scale: float) -> None:
    """Rows and columns that are nobody's choice have none of the weight of a soft assignment."""
    array = similarity(40, 40)
    array[:5] -= 30
    array[:, :5] -= 50
    assert np.isfinite(matching.prices(scale * array)).all()
    np.testing.assert_array_equal(
        matching.assignment(scale * array, matching.prices(scale * array)), matching.assignment(array)
    )


@pytest.mark.parametrize("dead", [([], []), ([3, 8], [0, 9]), ([0], [])])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_wide_arrays_that_are_transposed_have_the_same_greedy_partners(
    kind: type, dead: tuple[list[int], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the first of several equal ones, and where single values are NaN."""
    array = with_dead(np.round(similarity(60, 50), 1), *dead).astype(kind)
    array[[5, 9], [0, 7]] = NAN
    expected = matching.greedy(array.T.copy())
    monkeypatch.setattr(matching, "WIDE", 10)
    np.testing.assert_array_equal(matching.greedy(array.T), expected)


@pytest.mark.parametrize("units", [8, 96, 400])
def test_float32_similarities_have_the_same_assigned_partners(units: int) -> None:
    array = similarity(units, units) / 5
    single = array.astype(np.float32)
    prices = matching.prices(single)
    np.testing.assert_array_equal(matching.assignment(single, prices), matching.assignment(array))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [(8, 8), (6, 9), (9, 6)])
def test_greedy_is_an_upper_bound_of_assignment(shape: tuple[int, int], seed: int) -> None:
    array = similarity(*shape, seed)
    chosen, assigned = (
        matching.partner_similarity(array, match(array)) for match in (matching.greedy, matching.assignment)
    )
    np.testing.assert_array_equal(chosen, array.max(1))
    assert (assigned[~np.isnan(assigned)] <= chosen[~np.isnan(assigned)]).all()


@pytest.mark.parametrize("match", [matching.greedy, matching.assignment])
def test_matching_is_signed(match) -> None:
    """A strong negative similarity is worse than a weak positive one."""
    assert match(np.array([[-0.9, 0.1], [0.1, -0.9]])).tolist() == [1, 0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("match", [matching.greedy, matching.assignment])
def test_renumbered_units_keep_their_partners(match, seed: int) -> None:
    array, rng = similarity(8, 9, seed), np.random.default_rng(seed)
    rows, columns = rng.permutation(8), rng.permutation(9)
    assert columns[match(array[np.ix_(rows, columns)])].tolist() == match(array)[rows].tolist()


@pytest.mark.parametrize(
    ("rows", "columns"), [([], [2]), ([0], []), ([1, 4], [0, 5]), ([5], [0, 1, 2, 3]), ([0, 1, 2, 3, 4], [])]
)
@pytest.mark.parametrize("match", [matching.greedy, matching.assignment])
def test_dead_units_take_no_part(match, rows: list[int], columns: list[int]) -> None:
    """The others are matched as if the dead were not there."""
    array = with_dead(similarity(6, 6), rows, columns)
    partner = match(array)
    alive, there = (np.setdiff1d(np.arange(6), dead) for dead in (rows, columns))
    reduced = match(similarity(6, 6)[np.ix_(alive, there)])
    assert (partner[rows] == UNMATCHED).all()
    assert partner[alive].tolist() == np.where(reduced == UNMATCHED, UNMATCHED, there[reduced]).tolist()
    assert not set(columns) & set(partner)
    assert np.isnan(matching.partner_similarity(array, partner)).tolist() == (partner == UNMATCHED).tolist()


@pytest.mark.parametrize("match", [matching.greedy, matching.assignment])
def test_nobody_is_matched_where_all_are_dead(match) -> None:
    assert match(np.full((3, 4), np.nan)).tolist() == [UNMATCHED] * 3


def test_ties_resolve_to_the_first() -> None:
    array = np.array([[0.5, 0.5, 0.1], [0.2, 0.7, 0.7], [0.0, 0.0, 0.0], [NAN, 0.3, 0.3]])
    assert matching.greedy(array).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("one", "two", "share"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3], 1.0),
        ([0, 1, 2, 3], [0, 2, 1, 3], 0.5),
        ([0, 0, 0, 0], [0, 1, 2, 3], 0.25),
        ([1, 0], [0, 1], 0.0),
        ([0, UNMATCHED, 1, UNMATCHED], [0, UNMATCHED, 2, 3], 0.5),  # of the two that have one
        ([0, 1], [0, UNMATCHED], 0.5),
        ([UNMATCHED], [UNMATCHED], NAN),
    ],
)
def test_overlap_compares_partners(one: list[int], two: list[int], share: float) -> None:
    assert matching.overlap(np.array(one), np.array(two)) == pytest.approx(share, nan_ok=True)


def test_overlap_is_not_of_values() -> None:
    """Equal similarities with other partners do not count, as they did in the notebook."""
    array = np.array([[0.7, 0.7], [0.7, 0.7]])
    assert matching.overlap(matching.greedy(array), matching.assignment(array)) == 0.5


@pytest.mark.parametrize("shape", [(5, 5), (5, 8), (8, 5), (1, 3), (3, 1)])
@pytest.mark.parametrize("dead", [([], []), ([0], [0])])
def test_diagonal_order_puts_matches_on_the_diagonal(shape: tuple[int, int], dead: tuple[list, list]) -> None:
    array = with_dead(similarity(*shape), *dead)
    partner = matching.assignment(array)
    rows, columns = matching.diagonal_order(partner, shape[1])
    assert sorted(rows) == list(range(shape[0]))
    assert sorted(columns) == list(range(shape[1]))
    matched = int((partner != UNMATCHED).sum())
    assert matched == min(shape[0] - len(dead[0]), shape[1] - len(dead[1]))
    assert partner[rows[:matched]].tolist() == columns[:matched].tolist()
    assert (partner[rows[matched:]] == UNMATCHED).all()
    permuted = array[np.ix_(rows, columns)]
    np.testing.assert_array_equal(
        np.diagonal(permuted)[:matched], matching.partner_similarity(array, partner)[rows[:matched]]
    )


TABLES = {
    "net0-net1": similarity(6, 6),
    "net0-net2": with_dead(similarity(5, 3), [4], [1]),
    "net1-net2": similarity(1, 1) / 3,
    "net2-net3": np.full((2, 2), NAN),
}


def save(path: Path, name: str, array: np.ndarray, **attributes: object) -> None:
    """Write a store of the similarity of the nets that its name gives."""
    about = {"layer": "conv1", "images": "i", "nets": {net: f"of {net}" for net in path.parent.stem.split("-")}}
    store.save(path, {name: array}, **{"kind": name, **about, **attributes})


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    """What the stage writes for a few stores."""
    paths = [tmp_path / "correlation" / f"{pair}.zarr" / "zarr.json" for pair in TABLES]
    for path, array in zip(paths, TABLES.values(), strict=True):
        save(path, "correlation", array)
    matching.main([str(tmp_path / "new" / "tables"), *map(str, paths)])
    return {pair: tmp_path / "new" / "tables" / f"{pair}.csv" for pair in TABLES}


@pytest.mark.parametrize("pair", TABLES)
def test_tables_come_back_to_the_bit(tables: dict[str, Path], pair: str) -> None:
    found, array = matching.read(tables[pair]), TABLES[pair]
    assert list(found) == ["unit", "greedy", "greedy_similarity", "assigned", "assigned_similarity"]
    np.testing.assert_array_equal(found["unit"], np.arange(len(array)))
    for name, match in (("greedy", matching.greedy), ("assigned", matching.assignment)):
        np.testing.assert_array_equal(found[name], match(array))
        np.testing.assert_array_equal(found[f"{name}_similarity"], matching.partner_similarity(array, match(array)))


def test_cells_of_units_without_a_partner_are_empty(tables: dict[str, Path]) -> None:
    lines = tables["net0-net2"].read_text().splitlines()
    assert len(lines) == 6
    assert lines[5] == "4,,,,"
    assert sum(line.endswith(",,") for line in lines) == 3  # two columns live, for four rows


def test_a_table_says_what_it_is_of_and_where_it_lies_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "net0-net1.zarr" / "zarr.json"
    save(path, "mutual_information", np.eye(3)[::-1], layer="conv7")
    path = path.parent.rename(tmp_path / "moved.zarr") / "zarr.json"
    matching.main([str(tmp_path), str(path)])
    assert matching.read(tmp_path / "net0-net1.csv")["greedy"].tolist() == [2, 1, 0]
    about = csv.about(tmp_path / "net0-net1.csv", "matches")
    assert [about[key] for key in ("similarity", "layer", "pair")] == ["mutual_information", "conv7", "net0-net1"]
    assert (about["images"], about["nets"]) == ("i", {"net0": "of net0", "net1": "of net1"})


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"layer": "conv2"}, "layers differ"),
        ({"nets": {"net0": "", "net1": ""}}, "similarities: net0-net1 is given twice"),
        ({"nets": {"net0": ""}}, "store of net0; must be of two nets"),
        ({"kind": "patches"}, "a store of patches; must be one of correlation or mutual_information"),
    ],
)
def test_stores_of_other_layers_pairs_and_kinds_are_refused(tmp_path: Path, other: dict, said: str) -> None:
    paths = [tmp_path / f"{pair}.zarr" / "zarr.json" for pair in ("net0-net1", "net0-net2")]
    save(paths[0], "correlation", np.eye(3))
    save(paths[1], "correlation", np.eye(3), **other)
    with pytest.raises(SystemExit, match=said):
        matching.main([str(tmp_path / "out"), *map(str, paths)])
    assert not (tmp_path / "out").exists()


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    csv.write(tmp_path / "t.csv", [{"unit": 0, "greedy": 1}])
    with pytest.raises(
        InputError, match=r"t\.csv: no column greedy_similarity, assigned, assigned_similarity; there are"
    ):
        matching.read(tmp_path / "t.csv")


def test_tables_have_the_shortest_text_of_each_number(tmp_path: Path) -> None:
    path = tmp_path / "net0-net1.zarr" / "zarr.json"
    save(path, "correlation", np.array([[1 / 3, -1.0], [np.nan, np.nan], [0.1, 1.0]]))
    matching.main([str(tmp_path), str(path)])
    expected = "unit,greedy,greedy_similarity,assigned,assigned_similarity\n"
    expected += "0,0,0.3333333333333333,0,0.3333333333333333\n1,,,,\n2,1,1.0,1,1.0\n"
    assert (tmp_path / "net0-net1.csv").read_bytes() == expected.encode()
