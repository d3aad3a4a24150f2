"""Facts of single units against brute force and planted cases, and the order of verdicts."""

import itertools

import numpy as np
import pytest

from tests.evidence.sums import between, correlations, edges
from workflow.convergent.alignment.matching import UNMATCHED, greedy
from workflow.convergent.alignment.rotation import random_rotation
from workflow.convergent.evidence import partners as partners_of
from workflow.convergent.evidence import units
from workflow.convergent.evidence.pairs import Rotations, pair_numbers
from workflow.convergent.seeds import derive

NOTHING = units.Units(**{name: np.zeros(1) for name in units.Units._fields} | {"mutual": np.zeros(1, bool)})


def nets(seed: int, samples: int = 90, count: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Two nets of unequal widths, with drifting means and a dead unit each."""
    rng = np.random.default_rng(seed)
    drift = np.linspace(0, 2, samples)[:, None]
    x = rng.normal(size=(samples, count)) + drift * rng.normal(size=count)
    y = x @ rng.normal(size=(count, count + 2)) + rng.normal(size=(samples, count + 2)) + 30
    x[:, 2], y[:, 4] = 3.7, -1.1
    return x, y


@pytest.mark.parametrize("blocks", [2, 4, 7])
def test_similarity_without_a_block_is_that_of_the_other_samples(blocks: int) -> None:
    x, y = nets(blocks)
    parts = edges(len(x), blocks)
    pairs = np.arange(7), np.array([0, 1, 2, 4, 3, 8, 5])
    expected = np.array(
        [np.diagonal(correlations(np.delete(x, part, 0), np.delete(y, part, 0))[:, pairs[1]]) for part in parts]
    )
    np.testing.assert_allclose(units.similarity_without(between(x, y, parts), *pairs), expected, atol=1e-12)
    assert np.isnan(expected[:, 2:4]).all()


@pytest.mark.parametrize("scales", [(1e-8, 1), (1, 1e-8)])
def test_similarity_without_a_block_is_the_same_at_any_scale_of_either_net(scales: tuple[float, float]) -> None:
    x, y = nets(3)
    parts, pairs = edges(len(x), 4), (np.arange(7), np.arange(7))
    expected = units.similarity_without(between(x, y, parts), *pairs)
    found = units.similarity_without(between(scales[0] * x, scales[1] * y, parts), *pairs)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_match_in_one_block_alone_has_an_influence_of_one() -> None:
    rng, parts = np.random.default_rng(0), edges(200, 5)
    x, y = np.zeros((200, 4)), np.zeros((200, 4))
    x[:, 1:], y[:, 1:] = rng.normal(size=(2, 200, 3))
    y[:, 3] = x[:, 3] + 0.1 * y[:, 3]
    photograph = rng.normal(size=(len(parts[1]), 1)) + 2
    x[parts[1], :2] += [1, 30] * photograph
    y[parts[1], :2] += [2, 50] * photograph
    x[:, 2] = -y[:, 2]
    own = np.arange(4)
    similarity = np.diagonal(correlations(x, y))
    found = units.influence(similarity, units.similarity_without(between(x, y, parts), own, own))
    assert (similarity[[0, 1, 3]] > 0.9).all()
    assert found[0] == 1  # constant elsewhere
    assert found[1] > 0.9
    assert found[2] == 0  # no similarity to lose
    assert 0 <= found[3] < 0.05
    assert np.isnan(units.influence(np.full(1, np.nan), np.full((5, 1), np.nan))).all()


def test_mutual_units_are_each_others_partners() -> None:
    similarity = np.random.default_rng(1).normal(size=(9, 12))
    similarity[3] = np.nan
    similarity[:, 5] = np.nan
    best = np.nanmax(np.where(np.isnan(similarity), -np.inf, similarity), axis=0)
    expected = [bool((row == best)[row == np.nanmax(row)].any()) if unit != 3 else False
                for unit, row in enumerate(np.where(np.isnan(similarity), -np.inf, similarity))]  # fmt: skip
    found = partners_of.mutually_best(greedy(similarity), greedy(similarity.T))
    assert found.tolist() == expected
    assert 0 < sum(expected) < 9
    assert partners_of.mutually_best(np.full(2, UNMATCHED), np.zeros(0, int)).tolist() == [False, False]


def test_stable_is_the_share_of_blocks_that_leave_the_partner() -> None:
    partner = np.array([3, 1, UNMATCHED])
    chosen = np.array([[3, 0, UNMATCHED], [3, 1, UNMATCHED], [3, 2, UNMATCHED], [3, 1, UNMATCHED]])
    np.testing.assert_array_equal(units.stable(partner, chosen), [1, 0.5, np.nan])


def test_groups_are_the_largest_sets_of_units_that_are_mutual_in_pairs() -> None:
    rng, names = np.random.default_rng(2), ["a", "b", "c", "d"]
    shared = rng.normal(size=(300, 8)) * (np.arange(8) < 5)  # three of eight units share nothing
    x = {net: shared + 1.5 * rng.normal(size=shared.shape) for net in names}
    partners = {pair: greedy(correlations(x[pair[0]], x[pair[1]])) for pair in itertools.permutations(names, 2)}
    best = {pair: partners_of.mutually_best(partners[pair], partners[pair[::-1]]) for pair in partners}
    expected = {net: np.ones(8, int) for net in names}
    for size in (2, 3, 4):
        for chosen in itertools.combinations(names, size):
            for group in itertools.product(range(8), repeat=size):
                members = dict(zip(chosen, group, strict=True))
                if all(best[a, b][members[a]] and partners[a, b][members[a]] == members[b]
                       for a, b in itertools.combinations(chosen, 2)):  # fmt: skip
                    for net, unit in members.items():
                        expected[net][unit] = size
    found = units.group_sizes(partners)
    assert {net: sizes.tolist() for net, sizes in found.items()} == {net: e.tolist() for net, e in expected.items()}
    assert set(np.concatenate(list(found.values()))) >= {1, 4}


def test_a_chain_of_mutual_pairs_is_no_group() -> None:
    """a0 and b0, b0 and c0, but not a0 and c0."""
    one = np.array([0, 1])
    partners = {("a", "b"): one, ("b", "a"): one, ("b", "c"): one, ("c", "b"): one}
    partners |= {("a", "c"): np.array([1, 1]), ("c", "a"): np.array([UNMATCHED, 1])}
    found = units.group_sizes(partners)
    assert {net: sizes.tolist() for net, sizes in found.items()} == {"a": [2, 3], "b": [2, 3], "c": [2, 3]}


def test_best_similarity_on_rotated_axes_is_that_of_rotated_activations() -> None:
    x, y = nets(3)
    parts, live = edges(len(x), 4), [k for k in range(9) if k != 4]
    pair, own = between(x, y, parts), between(y, y, parts).products
    found = units.best_on_rotated_axes(pair, own, seed=7, rotations=4)
    standard = (y[:, live] - y[:, live].mean(0)) / y[:, live].std(0)
    for k, row in enumerate(found):
        turn = random_rotation(8, np.random.default_rng(derive(7, k)))
        expected = correlations(x, standard @ turn.T)
        np.testing.assert_allclose(np.delete(row, 2), np.delete(expected, 2, axis=0).max(1), atol=1e-6)
    assert np.isnan(found[:, 2]).all()
    np.testing.assert_allclose(found, pair_numbers(pair, own, Rotations(7, 4, 1)).best, atol=1e-6)
    dead = units.best_on_rotated_axes(between(x, 0 * y, parts), between(0 * y, 0 * y, parts).products, 7, 2)
    assert dead.shape == (2, len(x.T))
    assert np.isnan(dead).all()


def test_units_survive_their_store() -> None:
    x, y = nets(3)
    parts = edges(len(x), 4)
    found = units.describe(between(x, y, parts), between(y, y, parts).products, np.zeros((2, 7)))
    again = units.unpacked(np.array(found))
    for name, column in found._asdict().items():
        np.testing.assert_array_equal(again._asdict()[name], column)
    np.testing.assert_array_equal(units.verdicts(again), units.verdicts(found))


def test_groups_of_all_pairs_are_filled_in() -> None:
    x, _ = nets(1)
    x[:, 2] = np.random.default_rng(4).normal(size=len(x))
    parts, names = edges(len(x), 4), ("net0", "net1", "net2")
    own = between(x, x, parts)
    described = {pair: units.describe(own, own.products, np.zeros((1, 7))) for pair in itertools.permutations(names, 2)}
    for of in units.with_groups(described).values():
        assert of.nets.tolist() == [3] * 7
        assert (of.similarity == 1).all()
        assert (of.crossfit == 1).all()


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"partner": UNMATCHED, "influence": np.nan, "q": np.nan, "r2": np.nan}, "dead"),
        ({"partner": UNMATCHED, "influence": np.nan, "q": np.nan, "crossfit": np.nan}, "unmatched"),
        ({"influence": 0.51, "q": 0.01, "mutual": True, "r2": 0.9}, "one photograph"),
        ({"influence": 0.5, "q": 0.05, "mutual": True, "r2": 0.9}, "matched"),
        ({"q": 0.01, "mutual": False, "r2": 0.47, "crossfit": 0.6}, "several"),
        ({"q": 0.06, "mutual": True, "r2": 0.45, "crossfit": 0.6}, "unmatched"),
        ({"q": 0.06, "r2": 0.11, "crossfit": -0.6}, "several"),
        ({"q": 0.06, "r2": np.nan, "crossfit": np.nan}, "unmatched"),
        ({"q": np.nan, "mutual": True, "r2": 0.9}, ""),
        ({"q": np.nan, "influence": 0.8}, "one photograph"),
    ],
)
def test_the_first_verdict_that_is_true_counts(changes: dict, verdict: str) -> None:
    unit = NOTHING._replace(**{name: np.array([value]) for name, value in changes.items()})
    assert units.verdicts(unit).tolist() == [verdict]
    (row,) = units.rows(unit)
    assert row["verdict"] == verdict
    assert (row["unit"], row["partner"]) == (0, "" if "partner" in changes else 0)


def test_shares_are_of_all_units_and_none_where_a_verdict_is_missing() -> None:
    verdict = np.array(["dead", "matched", "matched", "unmatched"])
    np.testing.assert_array_equal(units.shares(verdict), [0.25, 0, 0.5, 0, 0.25])
    for missing in (np.array(["", "dead"]), np.zeros(0, str)):
        np.testing.assert_array_equal(units.shares(missing), np.full(5, np.nan))


def test_units_of_a_planted_pair_get_the_verdicts_that_they_deserve() -> None:
    """One matched unit, one of a single photograph, one that two units make up, one alone and a dead one."""
    rng, parts = np.random.default_rng(0), edges(1200, 4)
    y = rng.normal(size=(1200, 8))
    x = rng.normal(size=(1200, 5))
    x[:, 0] += 3 * y[:, 3]
    photograph = 6 * rng.normal(size=len(parts[3]))
    x[parts[3], 1] += photograph
    y[parts[3], 0] += photograph
    x[:, 2] = y[:, 4] + y[:, 5] - y[:, 6] + 0.3 * x[:, 2]
    x[:, 4], y[:, 7] = 1.5, 0
    moments = between(x, y, parts), between(y, y, parts).products
    found = units.describe(*moments, units.best_on_rotated_axes(*moments, seed=0, rotations=5))
    assert units.verdicts(found).tolist() == ["matched", "one photograph", "several", "unmatched", "dead"]
    assert found.partner[[0, 1, 4]].tolist() == [3, 0, UNMATCHED]
    best = np.nanmax(correlations(x, y)[:4], axis=1)
    np.testing.assert_allclose(found.similarity, [*best, np.nan], atol=1e-12)
    assert found.crossfit[0] == pytest.approx(found.similarity[0], abs=0.001)
    assert (found.crossfit[:4] <= found.similarity[:4] + 1e-12).all()
    assert found.p[0] < 1e-9
    assert found.influence[1] > 0.9
    assert found.influence[0] < 0.05
    assert found.stable[0] == 1
    assert found.r2[2] > 0.9
    assert (found.rotated_median[:4] > 0).all()
    assert (found.rotated_median[:4] < 0.8).all()
    dead = units.rows(found)[4]
    assert (dead["unit"], dead["partner"], dead["mutual"], dead["verdict"]) == (4, "", 0, "dead")
    assert all(np.isnan(dead[name]) for name in ("similarity", "crossfit", "p", "q", "influence", "stable", "r2"))
