"""Mean of each unit at each position of a block, against the definition on plain arrays."""

import math

import numpy as np
import pytest
import torch

from tests.moments.singles import SINGLES, Singles
from workflow.convergent.moments.comoments import CoMoments
from workflow.convergent.moments.positions import PositionMeans, image_sum
from workflow.convergent.nets import device
from workflow.convergent.nets.activations import samples

WIDTHS = {"net0": 4, "net1": 3}
Arrays = dict[str, np.ndarray]
CPU = torch.device("cpu")


def maps(images: int, grid: tuple[int, ...], seed: int = 0) -> Arrays:
    """Outputs of a layer, each unit and position with a mean of its own. net -> (images, units, *grid) float32"""
    rng = np.random.default_rng(seed)
    return {
        net: (rng.normal(size=(images, units, *grid)) + rng.normal(0, 5, (units, *grid))).astype(np.float32)
        for net, units in WIDTHS.items()
    }


def batches(x: Arrays, batch: int) -> list[dict[str, torch.Tensor]]:
    """Batches as a recorder hands them on: views with units last."""
    count = len(next(iter(x.values())))
    starts = range(0, count, batch)
    return [{net: samples(torch.from_numpy(y[i : i + batch])) for net, y in x.items()} for i in starts]


def accumulated(x: Arrays, batch: int, accumulator: PositionMeans | CoMoments) -> Arrays:
    accumulator.start()
    for part in batches(x, batch):
        accumulator.update(part)
    return accumulator.finish()


def by_definition(x: Arrays) -> Arrays:
    """Means in float64, rounded once. (positions, units)"""
    flat = {net: y.reshape(*y.shape[:2], -1).astype(float) for net, y in x.items()}
    return {f"positions/{net}": y.mean(0).T.astype(np.float32) for net, y in flat.items()}


@pytest.mark.parametrize("batch", [1, 4, 13])
@pytest.mark.parametrize("grid", [(3, 5), (1, 1), ()])
def test_means_are_those_of_all_images_at_each_position(grid: tuple[int, ...], batch: int) -> None:
    """A layer without positions has one. A block forgets the one before it."""
    accumulator = PositionMeans(WIDTHS, CPU)
    accumulated(maps(7, (2, 2), seed=1), 3, accumulator)
    x = maps(13, grid)
    found, expected = accumulated(x, batch, accumulator), by_definition(x)
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == np.float32
        assert found[name].shape == (math.prod(grid), WIDTHS[name.removeprefix("positions/")])
        np.testing.assert_allclose(found[name], array, rtol=2e-7, atol=0)


def test_sums_do_not_round_as_those_of_float32_do() -> None:
    x = {net: y + np.float32(1000) for net, y in maps(4000, (2, 2)).items()}
    found = accumulated(x, 100, PositionMeans(WIDTHS, CPU))
    for net, y in x.items():
        expected = by_definition(x)[f"positions/{net}"]
        np.testing.assert_array_equal(found[f"positions/{net}"], expected)
        running = np.add.accumulate(y, axis=0)[-1] / np.float32(len(y))
        assert np.abs(running.reshape(len(running), -1).T - expected).max() > 1e-3


def test_over_all_positions_they_are_the_means_of_the_units() -> None:
    x = maps(20, (3, 3))
    found, means = (accumulated(x, 6, make(WIDTHS, CPU)) for make in (PositionMeans, CoMoments))
    for net in WIDTHS:
        over_all = found[f"positions/{net}"].mean(0, dtype=float)
        np.testing.assert_allclose(over_all, means[f"mean/{net}"], rtol=0, atol=1e-6)


def test_units_that_follow_the_layout_alone_are_their_own_means() -> None:
    pattern = maps(1, (4, 2))
    found = accumulated({net: y.repeat(9, 0) for net, y in pattern.items()}, 4, PositionMeans(WIDTHS, CPU))
    for name, array in by_definition(pattern).items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("value", [3.4e38, -3.4e38])
def test_the_largest_activations_do_not_overflow(value: float) -> None:
    x = {net: np.full_like(y, value) for net, y in maps(50, (2, 2)).items()}
    for array in accumulated(x, 10, PositionMeans(WIDTHS, CPU)).values():
        np.testing.assert_array_equal(array, np.float32(value))


def test_a_device_without_float64_gives_the_means_of_the_cpu() -> None:
    x = maps(13, (3, 5))
    with Singles():
        accumulator = PositionMeans(WIDTHS, SINGLES)
        for part in batches(x, 4):
            accumulator.update({net: y.to(SINGLES) for net, y in part.items()})
        found = accumulator.finish()
    for name, array in accumulated(x, 4, PositionMeans(WIDTHS, CPU)).items():
        np.testing.assert_array_equal(found[name], array)


def test_sums_are_taken_where_the_activations_are() -> None:
    """A device whose tensors numpy cannot read, as those of a GPU."""
    found = image_sum(torch.empty(13, 15, 4, device="meta"))
    assert (found.device.type, found.dtype, found.shape) == ("meta", torch.float64, (15, 4))


@pytest.mark.gpu
def test_sums_stay_on_the_gpu_until_the_block_ends() -> None:
    accumulator, x = PositionMeans(WIDTHS, device.pick()), maps(13, (3, 5))
    for part in batches(x, 4):
        accumulator.update({net: y.to(device.pick()) for net, y in part.items()})
    assert {total.device.type for total in accumulator.sums.values()} == {"cuda"}
    for name, array in accumulator.finish().items():
        np.testing.assert_allclose(array, by_definition(x)[name], rtol=2e-7, atol=0)
