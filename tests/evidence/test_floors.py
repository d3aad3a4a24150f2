"""Layout, content and shuffled photographs from maps of blocks are those of raw activations."""

import numpy as np
import pytest

from tests.evidence.planted import SIZES, Arrays, correlated, maps, moments, split
from workflow.convergent.alignment import matching
from workflow.convergent.evidence import floors
from workflow.convergent.evidence.crossfit import Between, all_blocks, between, partners_without
from workflow.convergent.evidence.pairs import numbers


def stored(nets: Arrays, sizes: list[int]) -> tuple[Between, np.ndarray, np.ndarray]:
    """Moments of net0 and net1 and the maps of both."""
    return between(moments(nets, sizes), "net0", "net1"), *(maps(nets[net], sizes) for net in ("net0", "net1"))


def centred(x: np.ndarray) -> np.ndarray:
    """Activations about the mean of their position. (images, positions, units)"""
    return x - x.mean(axis=0)


def sums(nets: Arrays, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Sums of products of each block, and of squares of net0's units. (B, Ua, Ub), (B, Ua)"""
    x, y = (split(nets[net], sizes) for net in ("net0", "net1"))
    products = [np.einsum("npi,npj->ij", a, b) for a, b in zip(x, y, strict=True)]
    return np.array(products), np.array([(a**2).sum((0, 1)) for a in x])


def test_layout_is_what_position_alone_gives() -> None:
    nets = correlated(sum(SIZES), 5, (4, 6), seed=0)
    by_layout = floors.layout(*stored(nets, SIZES))
    of_a, of_b = (np.tile(x.mean(0), (len(x), 1)) for x in nets.values())
    full = [np.sqrt(((x - x.mean((0, 1))) ** 2).sum((0, 1))).clip(1e-9) for x in nets.values()]
    expected = (of_a - of_a.mean(0)).T @ (of_b - of_b.mean(0)) / np.outer(*full)
    live = np.ix_(np.arange(4) != 1, np.arange(6) != 0)
    np.testing.assert_allclose(by_layout[live], expected[live], atol=1e-6)
    assert np.isnan(by_layout[1]).all()
    assert np.isnan(by_layout[:, 0]).all()
    floor = (by_layout[live].max(0).mean() + by_layout[live].max(1).mean()) / 2
    assert floors.layout_floor(*stored(nets, SIZES)) == pytest.approx(floor)


def test_content_is_what_is_left_of_activations_centred_by_position() -> None:
    nets = correlated(sum(SIZES), 5, (4, 6), seed=1)
    content = floors.content(*stored(nets, SIZES))
    products, squares = sums({net: centred(x) for net, x in nets.items()}, SIZES)
    np.testing.assert_allclose(content.products, products, atol=1e-4)
    np.testing.assert_allclose(content.squares_a, squares, atol=1e-4)
    means = [block.mean(0) for block in split(centred(nets["net1"]), SIZES)]
    np.testing.assert_allclose(content.shift_b, means, atol=1e-6)


def test_partners_by_content_know_nothing_of_the_left_out_block() -> None:
    """Its images change the mean of each position, too."""
    rng = np.random.default_rng(2)
    nets = {net: rng.normal(size=(sum(SIZES), 4, 9)) + rng.normal(size=(1, 4, 9)) for net in ("net0", "net1")}
    found = partners_without(floors.content(*stored(nets, SIZES)), matching.greedy)
    for k in range(len(SIZES)):
        left = [np.concatenate([b for i, b in enumerate(split(x, SIZES)) if i != k]) for x in nets.values()]
        x, y = (centred(rows).reshape(-1, 9) for rows in left)
        expected = matching.greedy(x.T @ y / np.sqrt(np.outer((x**2).sum(0), (y**2).sum(0))))
        np.testing.assert_array_equal(found[k], expected)


def test_units_of_position_only_have_no_content() -> None:
    rng = np.random.default_rng(3)
    place = rng.gamma(1, 10, size=(1, 9, 6))
    nets = {net: np.tile(place[..., rng.permutation(6)], (sum(SIZES), 1, 1)) for net in ("net0", "net1")}
    pair, of_a, of_b = stored(nets, SIZES)
    content = floors.content(pair, of_a, of_b)
    assert numbers(pair)["greedy_crossfit"].value == floors.layout_floor(pair, of_a, of_b) == 1
    assert (content.squares_a == 0).all()
    assert (np.abs(content.products) < 1e-5 * pair.squares_a.sum()).all()
    assert np.isnan(all_blocks(content)).all()


def test_what_position_makes_alike_is_not_alike_by_content() -> None:
    rng = np.random.default_rng(4)
    place, sizes = rng.normal(size=(1, 9, 6)), [10] * 20
    nets = {net: place + rng.normal(size=(200, 9, 6)) for net in ("net0", "net1")}
    pair, of_a, of_b = stored(nets, sizes)
    full, content = (numbers(x)["greedy_crossfit"].value for x in (pair, floors.content(pair, of_a, of_b)))
    orders = floors.derangements(20, 10, rng)
    assert full == pytest.approx(0.5, abs=0.1)
    assert full == pytest.approx(floors.layout_floor(pair, of_a, of_b), abs=0.02)
    assert full == pytest.approx(floors.shuffled_floor(pair, of_a, of_b, orders), abs=0.02)
    assert abs(content) < 0.02


def test_shuffled_moments_are_means_over_all_images_that_may_meet() -> None:
    nets = correlated(sum(SIZES), 3, (4, 6), seed=5)
    order = np.array([2, 0, 3, 1])
    found = floors.shuffled(*stored(nets, SIZES), order)
    of_a, of_b = split(nets["net0"], SIZES), split(nets["net1"], SIZES)
    mean_a = nets["net0"].mean((0, 1))
    mean_b = np.average([of_b[j].mean((0, 1)) for j in order], axis=0, weights=SIZES)
    for k, j in enumerate(order):
        met = [(x - mean_a, y - mean_b) for x in of_a[k] for y in of_b[j]]
        weight = SIZES[k] / len(met)
        np.testing.assert_allclose(found.products[k], weight * sum(x.T @ y for x, y in met), atol=1e-4)
        np.testing.assert_allclose(found.squares_b[k, 1:], weight * sum((y**2).sum(0) for _, y in met)[1:], rtol=1e-5)
        np.testing.assert_allclose(found.shift_b[k], of_b[j].mean((0, 1)) - mean_b, atol=1e-6)
    assert (found.squares_b[:, 0] == 0).all()


def test_nets_of_equal_photographs_are_not_alike_when_these_are_shuffled() -> None:
    rng = np.random.default_rng(6)
    shared = rng.normal(size=(30, 1, 8)).repeat(4, 0) + 0.5 * rng.normal(size=(120, 2, 8))
    pair, of_a, of_b = stored({"net0": shared, "net1": shared[..., ::-1]}, [4] * 30)
    assert numbers(pair)["greedy_crossfit"].value == 1
    floor = floors.shuffled_floor(pair, of_a, of_b, floors.derangements(30, 40, rng))
    assert abs(floor) < 0.05


@pytest.mark.parametrize(("blocks", "all_of_them"), [(2, 1), (3, 2), (4, 9), (5, 44)])
def test_all_derangements_of_few_blocks(blocks: int, all_of_them: int) -> None:
    found = floors.derangements(blocks, 50, np.random.default_rng(0))
    assert len(np.unique(found, axis=0)) == len(found) == all_of_them
    assert (found != np.arange(blocks)).all()
    assert (np.sort(found, axis=1) == np.arange(blocks)).all()


@pytest.mark.parametrize("blocks", [6, 12])
def test_random_derangements_are_uniform(blocks: int) -> None:
    wanted = 200 if blocks == 6 else 3000
    found = floors.derangements(blocks, wanted, np.random.default_rng(1))
    assert found.shape == (wanted, blocks)
    assert (found != np.arange(blocks)).all()
    assert (np.sort(found, axis=1) == np.arange(blocks)).all()
    share = (found == (np.arange(blocks) + 1) % blocks).mean()
    assert share == pytest.approx(1 / (blocks - 1), abs=0.02)
