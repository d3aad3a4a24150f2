"""Moments on rotated axes in float32: those of float64, on the CPU, by torch and on a GPU; assignments agree."""

import numpy as np
import pytest
import torch

from tests.evidence.planted import SIZES, correlated, moments
from workflow.convergent.alignment import matching
from workflow.convergent.commands import InputError
from workflow.convergent.evidence import crossfit, turning
from workflow.convergent.evidence.crossfit import Between, all_blocks, between, without_each_block
from workflow.convergent.evidence.pairs import Rotations, numbers, pair_numbers

PLACES = [None, "cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def made(widths: tuple[int, int], seed: int = 3, scale: float = 1) -> tuple[Between, np.ndarray]:
    """Moments of two nets, and those of the second with itself; a unit of each is dead."""
    nets = correlated(sum(SIZES), 3, widths, seed)
    nets["net0"][..., 1] = nets["net1"][..., 0] = 0.5
    blocks = moments({net: scale * x for net, x in nets.items()}, SIZES)
    return between(blocks, "net0", "net1"), between(blocks, "net1", "net1").products


def device_of(place: str | None) -> torch.device | None:
    return torch.device(place) if place else None


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("panel", [2, 512])
@pytest.mark.parametrize("scale", [1e-12, 1, 1e12])
def test_correlations_are_those_of_float64_at_any_scale(
    place: str | None, panel: int, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the function that rotates in float64, on all blocks and without each."""
    monkeypatch.setattr(turning, "PANEL", panel)
    pair, own = made((7, 8), scale=scale)
    rotation = turning.nth_rotation(1, 7, seed=2)
    prepared = turning.standardised(pair, own, device_of(place))
    found = turning.turned(prepared, turning.nth_rotation(1, 7, 2, device_of(place)))
    expected = crossfit.rotated(pair, own, rotation.astype(float))
    assert found.products.dtype == all_blocks(found).dtype == np.float32
    np.testing.assert_allclose(all_blocks(found), all_blocks(expected), atol=2e-6)
    for one, other in zip(without_each_block(found), without_each_block(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)
    assert np.isnan(all_blocks(found)[1]).all()


def test_a_net_that_varies_in_one_block_alone_is_constant_without_it_on_any_axes() -> None:
    """Means of the other blocks are equal, so that nothing but rounding is left: that is no similarity."""
    rng = np.random.default_rng(0)
    nets = correlated(sum(SIZES), 3, (5, 6), 1)
    nets["net1"][:] = rng.uniform(size=6)
    nets["net1"][: SIZES[0]] += rng.uniform(size=(SIZES[0], 3, 6))
    blocks = moments(nets, SIZES)
    pair, own = between(blocks, "net0", "net1"), between(blocks, "net1", "net1").products
    found = turning.turned(turning.standardised(pair, own), turning.nth_rotation(0, 6, seed=0))
    first, *others = (correlation.copy() for correlation in without_each_block(found))
    live = [0, 2, 3, 4]
    assert (first[live] == 0).all()
    assert all((other[live] != 0).all() for other in others)


@pytest.mark.slow
@pytest.mark.parametrize("units", [96, 500])
def test_numbers_agree_with_those_of_float64_in_three_digits(units: int) -> None:
    """Also the partners: of float32 similarities the assigned ones are those of float64."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(24, 20))
    nets = {
        net: (rng.normal(size=(sum(SIZES) * 40, 24)) @ shared @ rng.normal(size=(20, units))).clip(0)[:, None]
        for net in ("net0", "net1")
    }
    nets["net1"] = nets["net1"] + nets["net0"]
    sizes = [40 * size for size in SIZES]
    blocks = moments(nets, sizes)
    pair, own = between(blocks, "net0", "net1"), between(blocks, "net1", "net1").products
    rotation = turning.nth_rotation(0, units, seed=4)
    expected = crossfit.rotated(pair, own, rotation.astype(float))
    found = turning.turned(turning.standardised(pair, own), rotation)
    single, double = all_blocks(found), all_blocks(expected)
    np.testing.assert_array_equal(matching.greedy(single), matching.greedy(double))
    np.testing.assert_array_equal(
        matching.assignment(single, matching.prices(single)), matching.assignment(double, matching.prices(double))
    )
    for name, number in numbers(expected).items():
        assert numbers(found)[name].value == pytest.approx(number.value, rel=5e-4)


@pytest.mark.parametrize("where", ["products", "own"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(where: str, value: float) -> None:
    pair, own = made((5, 6))
    (pair.products if where == "products" else own)[2, 3, 4] = value
    prepared = turning.standardised(pair, own)
    with pytest.raises(InputError, match="moments of block 2 on rotated axes are not finite"):
        turning.turned(prepared, turning.nth_rotation(0, 5, seed=0))


def test_rotations_are_derived_from_the_seed_and_their_number() -> None:
    pair, own = made((5, 6))
    prepared = turning.standardised(pair, own)
    few, more = (list(turning.turns(prepared, 9, count)) for count in (2, 3))
    for one, other in zip(few, more, strict=False):
        np.testing.assert_array_equal(one.products, other.products)
    by_number = turning.turned(prepared, turning.nth_rotation(2, 5, 9))
    np.testing.assert_array_equal(more[2].products, by_number.products)
    assert not np.allclose(more[1].products, more[2].products)


@pytest.mark.gpu
def test_wide_nets_are_rotated_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pair, own = made((40, 41))
    expected = pair_numbers(pair, own, Rotations(3, 2, 1))
    assert turning.gpu_of(40) is None
    monkeypatch.setattr(turning, "WIDEST", 30)
    assert turning.gpu_of(40).type == "cuda"
    found = pair_numbers(pair, own, Rotations(3, 2, 1))
    np.testing.assert_allclose(found.best, expected.best, atol=1e-5)
    for name, number in expected.rotated.items():
        assert found.rotated[name].value == pytest.approx(number.value, abs=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("units", [1024, 1025])
def test_without_a_gpu_numpy_rotates(units: int) -> None:
    assert turning.gpu_of(units) is None
