"""Columns of units that belong together."""

from itertools import combinations

import numpy as np

from workflow.convergent.evidence.units import group_sizes
from workflow.convergent.figures import matched
from workflow.convergent.figures.inputs import Matches


def matches(other: str, assigned: list[int], similarity: list[float]) -> Matches:
    """A table of matches of net0 with another net."""
    columns = {"assigned": np.array(assigned), "assigned_similarity": np.array(similarity)}
    return Matches("correlation", "conv1", ("net0", other), {}, "v", columns)


def test_columns_of_assigned_partners_are_sorted_by_their_mean_similarity() -> None:
    tables = [
        matches("net1", [2, 0, -1, 1], [0.2, 0.9, np.nan, 0.5]),
        matches("net2", [0, -1, -1, 1], [0.4, np.nan, np.nan, 0.7]),
    ]
    columns = matched.assigned(tables)
    assert columns.units.tolist() == [[1, 3, 0, 2], [0, 1, 2, -1], [-1, 1, 0, -1]]  # a unit without any comes last
    np.testing.assert_allclose(columns.similarity, [0.9, 0.6, 0.3, np.nan])


def correlations(nets: int, units: int, seed: int) -> dict[tuple[str, str], np.ndarray]:
    """Correlations of each pair of nets; the last net has one unit more, and unit 1 of the first net is dead."""
    rng = np.random.default_rng(seed)
    sizes = {f"net{k}": units + (k == nets - 1) for k in range(nets)}
    found = {(a, b): rng.random((sizes[a], sizes[b])) for a, b in combinations(sizes, 2)}
    for (a, _), each in found.items():
        each[1 if a == "net0" else []] = np.nan
    return found


def test_planted_groups_come_first_the_most_similar_before_the_others() -> None:
    nets = ["net0", "net1", "net2", "net3"]
    found = correlations(4, 9, seed=0)
    planted = {0.95: [3, 7, 0, 9], 0.97: [5, 2, 2, 1]}  # similarity: the unit of each net
    for similarity, units in planted.items():
        of = dict(zip(nets, units, strict=True))
        for (a, b), each in found.items():
            each[of[a]], each[:, of[b]] = np.where(np.isnan(each[of[a]]), np.nan, 0), 0
            each[of[a], of[b]] = similarity
    for (a, _), each in found.items():
        each[1 if a == "net0" else []] = np.nan
    columns, agreed = matched.groups(found, nets, most=5)
    assert columns.units[:, :2].T.tolist() == [[5, 2, 2, 1], [3, 7, 0, 9]]
    np.testing.assert_allclose(columns.similarity[:2], [0.97, 0.95])
    assert agreed[:2].tolist() == [6, 6]
    assert (np.diff(agreed) <= 0).all()
    assert (agreed[2:] < 6).all()


def test_groups_hold_no_unit_twice_and_agree_as_those_of_the_evidence() -> None:
    for seed in range(5):
        found = correlations(3, 8, seed)
        columns, agreed = matched.groups(found, ["net0", "net1", "net2"], most=8)
        for units in columns.units:
            assert len(set(units.tolist())) == len(units)
        assert 1 not in columns.units[0]  # the dead unit
        best = {
            pair: np.where(np.isnan(each).all(1), -1, np.nan_to_num(each, nan=-1).argmax(1))
            for (a, b), own in found.items()
            for pair, each in (((a, b), own), ((b, a), own.T))
        }
        sizes = group_sizes(best)["net0"]
        whole = columns.units[0][agreed == 3]
        assert sorted(whole.tolist()) == np.flatnonzero(sizes == 3).tolist()


def test_of_two_nets_the_pairs_of_mutually_best_units_come_first() -> None:
    between = np.array([[0.9, 0.1, 0.2], [0.8, 0.3, 0.4], [0.1, 0.2, 0.7]])
    columns, agreed = matched.groups({("net0", "net1"): between}, ["net0", "net1"], most=8)
    assert columns.units.T.tolist() == [[0, 0], [2, 2], [1, 1]]
    assert agreed.tolist() == [1, 1, 0]
