"""Numbers of pairs: planted nets, invariances, and agreement with raw activations."""

from itertools import combinations

import numpy as np
import pytest

from tests.evidence.planted import SIZES, Arrays, correlated, moments, photographs, split
from workflow.convergent.alignment import matching
from workflow.convergent.alignment.rotation import random_rotation
from workflow.convergent.evidence import pairs
from workflow.convergent.evidence.crossfit import Between, between, partners_without, rotated
from workflow.convergent.evidence.inference import Interval, interval
from workflow.convergent.evidence.pairs import PairNumbers, Rotations, numbers, pair_numbers
from workflow.convergent.seeds import derive

NAMES = {"greedy", "assigned", "overlap", "mutual", "greedy_crossfit", "assigned_crossfit", "stability"}
WIDTHS = [(7, 7), (9, 6), (5, 8)]


def of(nets: Arrays, sizes: list[int], rotations: Rotations | None = None) -> PairNumbers:
    """Numbers of net0 and net1."""
    blocks = moments(nets, sizes)
    return pair_numbers(between(blocks, "net0", "net1"), between(blocks, "net1", "net1").products, rotations)


@pytest.mark.slow
def test_unrelated_nets_are_alike_only_on_the_same_images() -> None:
    rng = np.random.default_rng(0)
    blocks = moments({f"net{i}": photographs(50, 6, 48, rng) for i in range(4)}, [6] * 50)
    found = [numbers(between(blocks, f"net{i}", f"net{j}")) for i, j in combinations(range(4), 2)]
    for name in ("greedy", "assigned"):
        assert min(x[name].value for x in found) > 0.1
        assert abs(np.mean([x[f"{name}_crossfit"].value for x in found])) < 0.02


@pytest.mark.parametrize("blocks", [2, 4, 12])
@pytest.mark.parametrize("permuted", [False, True])
def test_a_copy_of_a_net_gives_exactly_one(blocks: int, permuted: bool) -> None:
    """Also where units are permuted, one is dead, and products are rounded as those of float32 are."""
    rng = np.random.default_rng(1)
    x = photographs(blocks, 8, 12, rng)
    x[..., 3] = 0.5
    stored = moments({"net0": x, "net1": x[..., rng.permutation(12)] if permuted else x}, [8] * blocks)
    for name in stored:
        if name.startswith("comoment"):
            stored[name] = stored[name] * (1 + 1e-7 * rng.uniform(-1, 1, size=stored[name].shape))
    pair, own = between(stored, "net0", "net1"), between(stored, "net1", "net1").products
    found = pair_numbers(pair, own, Rotations(0, greedy=2, assigned=2))
    for name, number in [*found.measured.items(), *found.excess.items()]:
        assert number.value == 1
        if name != "stability" or blocks > 2:  # of two blocks one half would be empty
            assert (number.without == 1).all()
    assert found.measured.keys() == NAMES
    assert all(number.value < 1 for number in found.rotated.values())


@pytest.mark.parametrize("blocks", [2, 4])
@pytest.mark.parametrize("widths", WIDTHS)
def test_numbers_exist_with_few_blocks_unequal_widths_and_dead_units(blocks: int, widths: tuple[int, int]) -> None:
    nets = correlated(8 * blocks, 2, widths, seed=2)
    found = of(nets, [8] * blocks, Rotations(0, greedy=2, assigned=1))
    for part, names in ((found.measured, NAMES), (found.rotated, NAMES), (found.excess, set(found.excess))):
        assert part.keys() == names
        for name, number in part.items():
            assert np.isfinite(number.value)
            assert number.without.shape == (blocks,)
            assert np.isfinite(number.without).all() == (name != "stability" or blocks > 2)
    assert found.excess.keys() == {"greedy_crossfit", "assigned_crossfit"}


@pytest.mark.parametrize("widths", WIDTHS)
def test_both_directions_give_equal_numbers(widths: tuple[int, int]) -> None:
    pair = between(moments(correlated(sum(SIZES), 3, widths, seed=3), SIZES), "net0", "net1")
    there, back = numbers(pair), numbers(pair.reversed())
    for name in NAMES:
        assert there[name].value == pytest.approx(back[name].value, abs=1e-12)
        np.testing.assert_allclose(there[name].without, back[name].without, atol=1e-12)


def by_definition(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Numbers on the same images in loops over units; no unit is dead. (samples, Ua), (samples, Ub)"""
    similarity = np.corrcoef(x.T, y.T)[: x.shape[1], x.shape[1] :]
    greedy = [[int(np.argmax(row)) for row in similarity], [int(np.argmax(row)) for row in similarity.T]]
    forward = {i: int(j) for i, j in enumerate(matching.assignment(similarity)) if j >= 0}
    assigned = [forward, {j: i for i, j in forward.items()}]
    both = [
        {
            "greedy": np.mean([max(row) for row in matrix]),
            "assigned": np.mean([matrix[i, j] for i, j in one.items()]),
            "overlap": np.mean([one.get(i) == j for i, j in enumerate(best)]),
            "mutual": np.mean([other[j] == i for i, j in enumerate(best)]),
        }
        for matrix, best, other, one in zip((similarity, similarity.T), greedy, greedy[::-1], assigned, strict=True)
    ]
    return {name: (both[0][name] + both[1][name]) / 2 for name in both[0]}


@pytest.mark.parametrize("widths", WIDTHS)
def test_numbers_on_the_same_images_are_those_of_activations_on_all_and_without_each_block(
    widths: tuple[int, int],
) -> None:
    nets = correlated(sum(SIZES), 3, widths, seed=4)
    live = {"net0": nets["net0"][..., np.arange(widths[0]) != 1], "net1": nets["net1"][..., 1:]}
    found = of(nets, SIZES).measured
    for k in [None, 0, 1, 2, 3]:
        rows = [
            np.concatenate([b.reshape(-1, b.shape[-1]) for i, b in enumerate(split(x, SIZES)) if i != k])
            for x in live.values()
        ]
        for name, expected in by_definition(*rows).items():
            value = found[name].value if k is None else found[name].without[k]
            assert value == pytest.approx(expected, abs=1e-9)


def test_a_unit_counts_by_the_share_of_blocks_in_which_it_has_a_partner() -> None:
    pair = between(moments(correlated(sum(SIZES), 3, (9, 6), seed=13), SIZES), "net0", "net1")
    partners = partners_without(pair, matching.assignment)
    shares = (partners != matching.UNMATCHED).mean(0)
    assert ((shares > 0) & (shares < 1)).any()
    values, _ = pairs.crossfit(pair, partners)
    back = pairs.inverse(partners, 6)
    known = shares > 0
    there = np.average(values[known], weights=shares[known])
    back_mean = np.nanmean(pairs.crossfit(pair.reversed(), back)[0])
    assert pairs.mean_crossfit(pair, (partners, back)).value == pytest.approx((there + back_mean) / 2)


def test_rotated_numbers_are_means_over_seeded_rotations() -> None:
    blocks = moments(correlated(sum(SIZES), 3, (7, 7), seed=6), SIZES)
    pair, own = between(blocks, "net0", "net1"), between(blocks, "net1", "net1").products
    found = pair_numbers(pair, own, Rotations(5, greedy=3, assigned=2))
    turns = [random_rotation(6, np.random.default_rng(derive(5, k))) for k in range(3)]
    each = [numbers(rotated(pair, own, turn)) for turn in turns]  # in float64
    for name, number in found.rotated.items():
        used = each if name in ("greedy", "greedy_crossfit", "mutual") else each[:2]
        assert number.value == pytest.approx(np.mean([x[name].value for x in used]), abs=1e-6)
        np.testing.assert_allclose(number.without, np.mean([x[name].without for x in used], axis=0), atol=1e-6)
    for name, excess in found.excess.items():
        r, rho = found.measured[name], found.rotated[name]
        assert excess.value == pytest.approx((r.value - rho.value) / (1 - rho.value))
        np.testing.assert_allclose(excess.without, (r.without - rho.without) / (1 - rho.without))


def excesses(nets: list[np.ndarray], sizes: list[int]) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Excess of all pairs: values, values without each block, pairs."""
    blocks = moments({f"net{i}": x for i, x in enumerate(nets)}, sizes)
    of_pairs = list(combinations(range(len(nets)), 2))
    found = [
        pair_numbers(
            between(blocks, f"net{i}", f"net{j}"), between(blocks, f"net{j}", f"net{j}").products, Rotations(i + 7 * j)
        ).excess["greedy_crossfit"]
        for i, j in of_pairs
    ]
    return np.array([x.value for x in found]), np.array([x.without for x in found]), of_pairs


@pytest.mark.slow
def test_random_relu_features_are_in_excess_and_alike_to_their_twins() -> None:
    """ReLUs give axes for free: the excess alone is no learning, the difference from twins is."""
    rng = np.random.default_rng(7)
    x = photographs(16, 12, 8, rng)
    one, two = ([(x @ rng.normal(size=(8, 24))).clip(0) for _ in range(4)] for _ in range(2))
    value, without, of_pairs = excesses(one, [12] * 16)
    twins, twins_without, _ = excesses(two, [12] * 16)
    assert interval(value, without, of_pairs).low > 0.05
    difference: Interval = interval(value - twins, without - twins_without, of_pairs)
    assert difference.low < 0 < difference.high


@pytest.mark.slow
def test_mixed_axes_are_in_no_excess() -> None:
    """The same nets after a random rotation of each."""
    rng = np.random.default_rng(1)
    x = photographs(16, 12, 12, rng)
    nets = [(x @ rng.normal(size=(12, 48))).clip(0) for _ in range(4)]
    turned = [(y - y.mean((0, 1))) / y.std((0, 1)) @ random_rotation(48, rng) for y in nets]
    value, without, of_pairs = excesses(turned, [12] * 16)
    found = interval(value, without, of_pairs)
    assert found.low < 0 < found.high
    assert abs(found.estimate) < 0.03
    assert excesses(nets, [12] * 16)[0].mean() > 0.1


def test_a_layer_that_died_gives_empty_numbers() -> None:
    nets = correlated(sum(SIZES), 2, (5, 5), seed=9)
    nets["net1"][:] = 2.0
    found = of(nets, SIZES)
    assert all(np.isnan(number.value) for number in found.measured.values())
    assert found.rotated == found.excess == {}


def test_moments_of_any_layout_give_equal_numbers() -> None:
    """Reversed moments are a view."""
    pair = between(moments(correlated(sum(SIZES), 2, (6, 6), seed=10), SIZES), "net0", "net1").reversed()
    copied = Between(**{name: np.ascontiguousarray(x) for name, x in vars(pair).items()})
    assert {n: x.value for n, x in numbers(pair).items()} == {n: x.value for n, x in numbers(copied).items()}
