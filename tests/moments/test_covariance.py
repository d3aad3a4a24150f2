"""Moments of blocks taken together are those of one pass over all of their data, each as often as it counts."""

import numpy as np
import pytest

from tests.moments.planted import (
    BLOCKS,
    COUNTS,
    DEAD,
    PAIRS,
    WIDTHS,
    Arrays,
    assert_near,
    data,
    moments,
    repeated,
    stacked,
)
from workflow.convergent.alignment import correlation
from workflow.convergent.evidence import crossfit
from workflow.convergent.moments import covariance
from workflow.convergent.stitching import standardised


@pytest.fixture
def blocks() -> Arrays:
    return stacked([moments(x) for x in BLOCKS])


def test_total_is_that_of_all_data_together(blocks: Arrays) -> None:
    total, expected = covariance.total(blocks), repeated(np.ones(5, int))
    assert set(total) == set(expected)
    for name, array in expected.items():
        assert_near(total[name], array)


WEIGHTS = np.array([[1, 1, 1, 1, 1], [3, 0, 2, 0, 1], [0, 0, 1, 0, 0], [0, 2, 0, 1, 5]])


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(("a", "b"), [*PAIRS, ("net1", "net0"), ("net10", "net1")])
def test_weights_repeat_blocks(blocks: Arrays, weights: np.ndarray, a: str, b: str) -> None:
    products = covariance.pooled(blocks, a, b, weights)
    assert products.shape == (WIDTHS[a], WIDTHS[b])
    np.testing.assert_allclose(products, covariance.comoment(repeated(weights), a, b), rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize(("a", "b"), [("net0", "net0"), ("net0", "net1"), ("net10", "net0")])
def test_many_resamples_at_once(blocks: Arrays, a: str, b: str) -> None:
    products = covariance.pooled(blocks, a, b, WEIGHTS)
    assert products.shape == (len(WEIGHTS), WIDTHS[a], WIDTHS[b])
    for together, weights in zip(products, WEIGHTS, strict=True):
        np.testing.assert_allclose(together, covariance.pooled(blocks, a, b, weights), rtol=1e-12, atol=1e-10)


def test_joined_blocks_are_those_of_all_their_data(blocks: Arrays) -> None:
    found = covariance.joined(blocks, [range(2), range(2, 3), range(3, 5)])
    assert found.keys() == {name for name in blocks if not name.startswith("positions/")}
    for row, weights in enumerate(([1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 1])):
        for name, array in repeated(np.array(weights)).items():
            if name in found:
                assert_near(found[name][row], array)


@pytest.mark.parametrize("weights", [WEIGHTS, WEIGHTS[1]])
def test_variance_is_the_diagonal(blocks: Arrays, weights: np.ndarray) -> None:
    for net in WIDTHS:
        expected = np.diagonal(covariance.pooled(blocks, net, net, weights), axis1=-2, axis2=-1)
        np.testing.assert_allclose(covariance.variance(blocks, net, weights), expected, rtol=1e-12, atol=1e-10)


def test_scaled_weights_scale_comoments(blocks: Arrays) -> None:
    """Weights need not be integers: half of every block has half of the co-moment."""
    half, whole = (covariance.pooled(blocks, "net0", "net1", weight * np.ones(5)) for weight in (0.5, 1))
    np.testing.assert_allclose(half, whole / 2, rtol=1e-12)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_dead_unit_has_exactly_no_comoment(blocks: Arrays, weights: np.ndarray) -> None:
    """Also where blocks differ much in size."""
    for b in WIDTHS:
        assert not covariance.pooled(blocks, "net0", b, weights)[DEAD].any()
        assert not covariance.pooled(blocks, b, "net0", weights)[:, DEAD].any()
    assert covariance.variance(blocks, "net0", weights)[DEAD] == 0
    total = covariance.total(blocks)
    assert total["mean/net0"][DEAD] == 0.1
    assert (total["positions/net0"][:, DEAD] == np.float32(0.1)).all()


def test_a_unit_that_lives_in_left_out_blocks_only_is_dead() -> None:
    """Such as a unit with a ReLU that only one photograph excites."""
    parts = [data(count, seed) for seed, count in enumerate(COUNTS)]
    for x in parts[1:]:
        x["net1"][:, 1] = 0
    weights = np.array([[0, 1, 3, 1, 1], [0, 2, 0, 1, 7], [0, 1, 1, 1, 1]])
    blocks = stacked([moments(x) for x in parts])
    assert (covariance.variance(blocks, "net1", weights)[:, 1] == 0).all()
    assert all(covariance.variance(blocks, "net1", row)[1] == 0 for row in weights)
    assert not covariance.pooled(blocks, "net0", "net1", weights)[..., 1].any()


def test_comoment_of_either_direction(blocks: Arrays) -> None:
    one, two = covariance.comoment(blocks, "net0", "net1"), covariance.comoment(blocks, "net1", "net0")
    assert one.shape == (5, 5, 3)
    np.testing.assert_array_equal(one, np.swapaxes(two, 1, 2))


NOISY = 1  # unit of net1
SCALES = pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])


def noisy_blocks(deviation: float, scale: float) -> Arrays:
    """Blocks in which a unit of net1 has this deviation, as a share of its mean."""
    parts = [data(count, seed) for seed, count in enumerate(COUNTS)]
    for seed, x in enumerate(parts):
        rounding = np.random.default_rng(seed).normal(size=len(x["net1"]))
        x["net1"][:, NOISY] = 3 * (1 + deviation * rounding)
        for rows in x.values():
            rows *= scale
    return stacked([moments(x) for x in parts])


@SCALES
@pytest.mark.parametrize(("deviation", "alive"), [(4e-8, False), (3e-6, False), (5e-6, True), (1e-4, True)])
def test_a_unit_that_varies_by_rounding_alone_is_dead(scale: float, deviation: float, alive: bool) -> None:
    """32 spacings of float32, 3.8e-6 of the mean, are the bound, whatever the scale and the weights."""
    blocks = noisy_blocks(deviation, scale)
    for weights in WEIGHTS[[0, 1, 3]]:
        assert (covariance.variance(blocks, "net1", weights)[NOISY] > 0) == alive
        assert (np.delete(covariance.variance(blocks, "net1", weights), NOISY) > 0).all()
    assert ((covariance.variance(blocks, "net1", WEIGHTS)[:, NOISY] > 0) == alive)[[0, 1, 3]].all()
    total = covariance.total(blocks)
    assert (covariance.own_variance(total, "net1")[NOISY] > 0) == alive
    assert correlation.dead_units(total, "net1") == ([] if alive else [NOISY])
    r = correlation.correlate(total, "net0", "net1")
    assert np.isfinite(np.delete(r[:, NOISY], DEAD)).all() == alive
    assert np.isnan(r[:, NOISY]).all() == (not alive)
    assert np.isnan(standardised.scale_of(total, "net1").deviation[NOISY]) == (not alive)
    assert np.isnan(correlation.joint_correlation(blocks, "net0", "net1", WEIGHTS[0])[5 + NOISY, 0]) == (not alive)


@SCALES
def test_rotations_leave_out_units_that_vary_by_rounding_alone(scale: float) -> None:
    blocks = noisy_blocks(4e-8, scale)
    pair, own = crossfit.between(blocks, "net0", "net1"), crossfit.between(blocks, "net1", "net1").products
    live = int((covariance.variance(blocks, "net1", np.ones(5)) > 0).sum())
    found = crossfit.all_blocks(crossfit.rotated(pair, own, np.eye(live)))
    expected = correlation.correlate(covariance.total(blocks), "net0", "net1")
    np.testing.assert_allclose(found, np.delete(expected, NOISY, 1), atol=1e-12)


def test_the_scale_of_one_block_does_not_decide_on_others() -> None:
    """Resamples without a block in which a unit is 1e20 times as large are right about it."""
    blocks = stacked([moments(x) for x in BLOCKS])
    blocks["mean/net1"][0, 0] = 1e20
    without = np.array([0, 1, 2, 1, 1])
    np.testing.assert_allclose(
        covariance.variance(blocks, "net1", without)[0], np.diag(repeated(without)["comoment/net1-net1"])[0], rtol=1e-11
    )
