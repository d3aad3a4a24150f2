"""Partners in both directions, and groups over all nets."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tests.atlas import runs
from workflow.convergent import store
from workflow.convergent.alignment import matching
from workflow.convergent.atlas import partners
from workflow.convergent.atlas.partners import Partners


def both_ways(similarity: np.ndarray) -> tuple[Partners, Partners]:
    """Partners by a matrix, from what the stage of matches stores of it."""
    rows = matching.table_rows(similarity)
    stored = {name: np.array([row[name] if row[name] != "" else -1 for row in rows]) for name in matching.HEADER}
    return partners.both_ways(similarity, stored)


def test_partners_of_the_other_direction_are_those_of_the_turned_matrix() -> None:
    similarity = np.random.default_rng(0).normal(size=(6, 9))
    similarity[2], similarity[:, 4] = np.nan, np.nan
    _, back = both_ways(similarity)
    np.testing.assert_array_equal(back.greedy, matching.greedy(similarity.T))
    np.testing.assert_array_equal(back.assigned, matching.assignment(similarity.T))
    for partner, found in ((back.greedy, back.greedy_similarity), (back.assigned, back.assigned_similarity)):
        np.testing.assert_array_equal(found, matching.partner_similarity(similarity.T, partner))


def planted(orders: dict[str, np.ndarray]) -> dict[tuple[str, str], Partners]:
    """Partners of nets whose unit k is the feature orders[k]; similarity falls with the feature's number."""
    found = {}
    for a, b in combinations(orders, 2):
        same = orders[a][:, None] == orders[b]
        found[a, b], found[b, a] = both_ways(np.where(same, 0.9 - 0.1 * orders[a][:, None], -0.5))
    return found


def test_planted_groups_are_found_in_every_net() -> None:
    rng = np.random.default_rng(0)
    orders = {net: rng.permutation(5) for net in ("net0", "net1", "net2", "net3")}
    found = partners.groups(planted(orders))
    for (net, unit), group in found.items():
        assert [each for each, _ in group] == list(orders)
        assert {orders[each][number] for each, number in group} == {orders[net][unit]}
    best = partners.best_group(planted(orders), found)
    assert {orders[net][unit] for net, unit in best.group} == {0}
    assert (best.groups, best.similarity) == (5, np.mean([0.9]))


def test_a_unit_that_one_net_lacks_is_in_a_smaller_group() -> None:
    nets = {"net0": np.array([0, 1]), "net1": np.array([0, 1]), "net2": np.array([0])}
    found = partners.groups(planted(nets))
    assert found["net0", 1] == [("net0", 1), ("net1", 1)]
    assert found["net0", 0] == [("net0", 0), ("net1", 0), ("net2", 0)]
    assert partners.best_group({}, {}).group == []


@pytest.mark.slow
def test_stored_partners_are_read_as_they_are(run: Path) -> None:
    found = partners.read(runs.NETS, run / "correlation/conv1", run / "matching/correlation/conv1", "correlation")
    assert len(found) == 6
    for a, b in combinations(runs.NETS, 2):
        stored = matching.read(run / f"matching/correlation/conv1/{a}-{b}.csv")
        for name in Partners._fields:
            np.testing.assert_array_equal(getattr(found[a, b], name), stored[name])
        similarity = store.load(run / f"correlation/conv1/{a}-{b}.zarr/zarr.json")["correlation"]
        np.testing.assert_array_equal(found[b, a].greedy, matching.greedy(similarity.T))
