"""One pass in float32 products against two passes in float64, whatever the batch, buffer, offset and scale."""

import numpy as np
import pytest
import torch

from tests.moments.exact import Arrays, assert_moments, two_passes
from tests.moments.singles import SINGLES, Singles
from workflow.convergent.alignment import correlation
from workflow.convergent.moments import comoments, covariance

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PLACES = pytest.mark.parametrize("place", [CPU, pytest.param(CUDA, marks=pytest.mark.gpu)], ids=str)
WIDTHS = {"net0": 5, "net1": 3}


def activity(count: int, offset: float = 0.0, scale: float = 1.0, seed: int = 0) -> Arrays:
    """Correlated activations in float32, their mean ``offset`` deviations from 0; the last unit of net0 is dead."""
    rng = np.random.default_rng(seed)
    units = sum(WIDTHS.values())
    x = (rng.normal(size=(count, units)) @ rng.normal(size=(units, units)) / units**0.5 + offset) * scale
    x[:, WIDTHS["net0"] - 1] = 0.3 * scale
    return dict(zip(WIDTHS, np.split(x.astype(np.float32), [WIDTHS["net0"]], axis=1), strict=True))


def live(rows: np.ndarray) -> np.ndarray:
    """Which units vary. (n, units) -> (units,)"""
    return np.ptp(rows, axis=0) > 0


def accumulated(x: Arrays, batch: int, positions: int = 1, place: torch.device = CPU) -> Arrays:
    """Moments of one block of activations (n, units), taken as n / positions images in batches."""
    accumulator = comoments.CoMoments({net: rows.shape[1] for net, rows in x.items()}, place)
    feed(accumulator, x, batch, positions)
    return {name: np.array(array) for name, array in accumulator.finish().items()}


def feed(accumulator: comoments.CoMoments, x: Arrays, batch: int, positions: int = 1) -> None:
    place = accumulator.buffer.device
    images = {net: torch.from_numpy(rows.reshape(-1, positions, rows.shape[1])).to(place) for net, rows in x.items()}
    for first in range(0, len(next(iter(images.values()))), batch):
        accumulator.update({net: rows[first : first + batch] for net, rows in images.items()})


def worst_correlation_error(moments: Arrays, x: Arrays) -> float:
    """Largest difference of a correlation from that of numpy in float64, over the live units of all nets together."""
    whole = np.concatenate(list(x.values()), axis=1).astype(float)
    expected = np.corrcoef(whole[:, live(whole)].T)
    products = np.block([[covariance.comoment(moments, a, b) for b in x] for a in x])[np.ix_(live(whole), live(whole))]
    deviations = np.sqrt(np.diagonal(products))
    return float(np.abs(products / np.outer(deviations, deviations) - expected).max())


@PLACES
@pytest.mark.parametrize("buffer", [16, 100, 16384])
@pytest.mark.parametrize("batch", [1, 13, 600])
@pytest.mark.parametrize("offset", [0, 1, 1e4])
@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_one_pass_equals_two(
    monkeypatch: pytest.MonkeyPatch, buffer: int, batch: int, offset: float, scale: float, place: torch.device
) -> None:
    monkeypatch.setattr(comoments, "BUFFER_ROWS", buffer)
    x = activity(600, offset, scale)
    moments = accumulated(x, batch, place=place)
    assert_moments(moments, two_passes(x), 1e-5)
    assert worst_correlation_error(moments, x) < 1e-5


@PLACES
@pytest.mark.parametrize("offset", [0, 1, 1e4])
def test_many_samples(offset: float, place: torch.device) -> None:
    """Buffers of full size, several of them, of images with many positions."""
    x = activity(60_000, offset)
    moments = accumulated(x, batch=7, positions=250, place=place)
    assert_moments(moments, two_passes(x), 1e-5)
    assert worst_correlation_error(moments, x) < 1e-5


@pytest.mark.parametrize(("offset", "right"), [(0, True), (1e4, False)])
def test_the_naive_formula_fails_far_from_zero(offset: float, right: bool) -> None:
    """In float32, the sum of products minus n times the product of the means."""
    x = activity(600, offset)
    mean = {net: rows.mean(0) for net, rows in x.items()}
    pairs = [("net0", "net0"), ("net0", "net1"), ("net1", "net1")]
    naive = {f"comoment/{a}-{b}": x[a].T @ x[b] - 600 * np.outer(mean[a], mean[b]) for a, b in pairs}
    scale = max(np.abs(naive[name] - expected).max() for name, expected in two_passes(x).items() if name in naive)
    assert (scale / 600 < 1e-5) == right
    assert (scale / 600 > 1) == (not right)


def odd_start(far: float) -> Arrays:
    """Activations whose live units lie ``far`` deviations off in the first 8 of 20,000 samples."""
    x = activity(20_000)
    for rows in x.values():
        rows[:8] += np.float32(far) * live(rows)
    return x


SLOW = [pytest.param(far, marks=pytest.mark.slow) for far in (30, 100, 1e3)]  # between those that are quick


@pytest.mark.slow
@PLACES
@pytest.mark.parametrize("buffer", [64, 1000, 16384])
@pytest.mark.parametrize("far", [10, *SLOW, 1e4])
def test_an_odd_first_batch_moves_the_shift(
    monkeypatch: pytest.MonkeyPatch, far: float, buffer: int, place: torch.device
) -> None:
    monkeypatch.setattr(comoments, "BUFFER_ROWS", buffer)
    x = odd_start(far)
    moments = accumulated(x, batch=8, place=place)
    assert worst_correlation_error(moments, x) < 1e-5
    assert (moments["comoment/net0-net0"][4] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("far", [30, 100, 1e3])
def test_an_odd_first_batch_would_spoil_the_sums(monkeypatch: pytest.MonkeyPatch, far: float) -> None:
    """Without moving the shift the test above would fail."""
    monkeypatch.setattr(comoments, "DRIFT", np.inf)
    assert worst_correlation_error(accumulated(odd_start(far), batch=8), odd_start(far)) > 1e-4


@pytest.mark.parametrize("period", [3000, 16384])
@pytest.mark.parametrize("step", [-50.0, 8.0, 1e3])
def test_a_mean_that_wanders_is_followed(monkeypatch: pytest.MonkeyPatch, step: float, period: int) -> None:
    """The shift moves up to several times in one block."""
    monkeypatch.setattr(comoments, "BUFFER_ROWS", 2048)
    x = activity(40_000)
    for rows in x.values():
        rows += (step * (np.arange(40_000) // period % 3))[:, None].astype(np.float32) * live(rows)
    moments = accumulated(x, batch=100)
    assert_moments(moments, two_passes(x), 1e-5)
    assert worst_correlation_error(moments, x) < 1e-5


@pytest.mark.parametrize("value", [0.0, 0.3, -1 / 3, 1e4 / 7, 3e-9])
@pytest.mark.parametrize("batch", [1, 7, 500])
@pytest.mark.parametrize("start", [activity(2000), odd_start(100)], ids=["even", "odd"])
def test_a_dead_unit_has_exactly_no_comoment(
    monkeypatch: pytest.MonkeyPatch, value: float, batch: int, start: Arrays
) -> None:
    monkeypatch.setattr(comoments, "BUFFER_ROWS", 300)
    x = {net: rows[:1500].copy() for net, rows in start.items()}
    x["net0"][:, 2] = x["net1"][:, 0] = value
    moments = accumulated(x, batch)
    assert (moments["mean/net0"][2], moments["mean/net1"][0]) == (np.float32(value),) * 2
    assert not moments["comoment/net0-net0"][2].any()
    assert not moments["comoment/net0-net0"][:, 2].any()
    assert not moments["comoment/net0-net1"][2].any()
    assert not moments["comoment/net0-net1"][:, 0].any()
    assert not moments["comoment/net1-net1"][0].any()
    assert moments["comoment/net0-net0"][0, 0] > 0


@pytest.mark.parametrize("far", [0.0, 100.0])
def test_comoments_of_a_net_with_itself_are_symmetric(far: float) -> None:
    for name, array in accumulated(odd_start(far), batch=100).items():
        if name in ("comoment/net0-net0", "comoment/net1-net1"):
            np.testing.assert_array_equal(array, array.T)


@pytest.mark.parametrize("far", [0.0, 100.0])
def test_the_product_for_wide_layers_gives_the_same(monkeypatch: pytest.MonkeyPatch, far: float) -> None:
    x = odd_start(far)
    narrow = accumulated(x, batch=100)
    monkeypatch.setattr(comoments, "TOGETHER", 0)
    assert_moments(accumulated(x, batch=100), narrow, 1e-5)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (5, 3), (3, 5), (70, 70)])
def test_product_and_squares(a: int, b: int) -> None:
    """Also of columns of a wider array, and in memory that an older product has used."""
    for seed in (0, 1):
        x = np.random.default_rng(seed).normal(size=(2000, a + b)).astype(np.float32)
        left, right = (torch.from_numpy(x)[:, columns] for columns in (slice(a), slice(a, None)))
        for one, two in ((left, right), (left, left)):
            exact = one.double().T @ two.double()
            np.testing.assert_allclose(comoments.product(one, two), exact, atol=2e-3)
        np.testing.assert_allclose(comoments.square_sums(left), left.double().square().sum(0), rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 5, 7, 64, 65])
@pytest.mark.parametrize("band", [1, 3, 64, 512])
def test_mirror(size: int, band: int) -> None:
    square = np.random.default_rng(0).normal(size=(size, size))
    mirrored = torch.from_numpy(square.copy())
    comoments.mirror(mirrored, band)
    np.testing.assert_array_equal(mirrored.numpy(), np.triu(square) + np.triu(square, 1).T)


@pytest.mark.parametrize("before", [activity(500, seed=1), odd_start(1e3)], ids=["even", "odd"])
def test_a_new_block_forgets_the_one_before_to_the_bit(before: Arrays) -> None:
    x = activity(400)
    accumulator = comoments.CoMoments(WIDTHS, CPU)
    feed(accumulator, before, 8)
    accumulator.finish()
    accumulator.start()
    feed(accumulator, x, 50)
    again, fresh = accumulator.finish(), accumulated(x, 50)
    for name, array in fresh.items():
        np.testing.assert_array_equal(again[name], array)


@pytest.mark.slow
@pytest.mark.parametrize(
    "x", [activity(600, 1e4, 1e3), activity(600, scale=1e-30), odd_start(1e3)], ids=["far", "small", "odd"]
)
def test_a_device_without_float64_gives_the_moments_of_the_cpu(monkeypatch: pytest.MonkeyPatch, x: Arrays) -> None:
    """Its sums live on the CPU: also where the shift moves, and where products are scaled."""
    monkeypatch.setattr(comoments, "BUFFER_ROWS", 2048)
    monkeypatch.setattr(comoments, "NARROWEST", 0)  # the stand-in multiplies as torch does, and so must the CPU
    expected = accumulated(x, batch=200)
    with Singles():
        moments = accumulated(x, batch=200, place=SINGLES)
    assert_moments(moments, expected, 1e-6)


def correlation_of(x: Arrays, batch: int, place: torch.device = CPU) -> np.ndarray:
    """Correlation of the units of net0 in one block."""
    return correlation.correlate(accumulated(x, batch, place=place), "net0", "net0")


def mixture(count: int, units: int, seed: int) -> np.ndarray:
    """Correlated activations in float32 with means of their own, some of them rectified. (count, units)"""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, units)) @ rng.normal(size=(units, units)) + rng.normal(size=units) * 3
    x[:, ::3] = x[:, ::3].clip(0)
    return x.astype(np.float32)


@PLACES
@pytest.mark.parametrize("seed", range(8))
def test_units_times_powers_of_two_have_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, seed: int, place: torch.device
) -> None:
    """Where nothing leaves the normal range of float32, whatever the buffer and the batch."""
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(comoments, "BUFFER_ROWS", int(rng.integers(20, 700)))
    x, batch = mixture(600, 9, seed), int(rng.integers(1, 300))
    power = rng.integers(-100, 100, 9)
    found = correlation_of({"net0": np.ldexp(x, power)}, batch, place)
    np.testing.assert_array_equal(found, correlation_of({"net0": x}, batch, place))


@PLACES
@pytest.mark.parametrize("seed", range(8))
def test_units_of_any_scale_are_right(monkeypatch: pytest.MonkeyPatch, seed: int, place: torch.device) -> None:
    """Scales from 1e-30 to 1e30 within one net, against two passes in float64."""
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(comoments, "BUFFER_ROWS", int(rng.integers(20, 700)))
    scaled = (mixture(600, 9, seed) * 10 ** rng.uniform(-30, 30, 9)).astype(np.float32)
    x = {"net0": scaled[:, :5], "net1": scaled[:, 5:]}
    moments = accumulated(x, int(rng.integers(1, 300)), place=place)
    assert_moments(moments, two_passes(x), 1e-5)
    assert worst_correlation_error(moments, x) < 1e-5


@pytest.mark.parametrize("size", [1e-44, 3e-38, 3e-24, 3e-23, 1e-20, 1e-6, 1e6, 1e19, 1e20, 1e37])
def test_a_unit_of_any_size_is_right(size: float) -> None:
    """Also where it is so small that float32 has few digits for it: those that it has are used."""
    x = mixture(500, 4, seed=1)
    x[:, 2] *= np.float32(size)
    assert worst_correlation_error(accumulated({"net0": x}, 60), {"net0": x}) < 1e-6


@pytest.mark.parametrize("size", [1e-23, 1.0, 1e20])
@pytest.mark.parametrize("first", [0.0, 1.0])
@pytest.mark.parametrize("buffer", [30, 250, 16384])
def test_a_unit_that_comes_alive_late_is_right(
    monkeypatch: pytest.MonkeyPatch, size: float, first: float, buffer: int
) -> None:
    """It is 0, or constant, in the first batches."""
    monkeypatch.setattr(comoments, "BUFFER_ROWS", buffer)
    x = mixture(600, 4, seed=2)
    x[:100, 2] = first
    x[:, 2] *= np.float32(size)
    assert worst_correlation_error(accumulated({"net0": x}, 50), {"net0": x}) < 1e-5


@pytest.mark.parametrize("change", [1e-20, 1e-10, 1e10, 1e20])
@pytest.mark.parametrize("buffer", [50, 130, 16384])
def test_a_unit_whose_scale_changes_between_batches_is_right(
    monkeypatch: pytest.MonkeyPatch, change: float, buffer: int
) -> None:
    monkeypatch.setattr(comoments, "BUFFER_ROWS", buffer)
    x = mixture(600, 5, seed=3)
    x[300:, 1] *= np.float32(change)
    x[::100, 3] *= np.float32(change)
    x[:50, 4] *= np.float32(change)
    assert worst_correlation_error(accumulated({"net0": x}, 50), {"net0": x}) < 1e-5


@pytest.mark.slow
@PLACES
@pytest.mark.parametrize("scale", [1e-25, 1e25])
@pytest.mark.parametrize("far", [30, 1e4])
def test_the_shift_moves_at_any_scale(
    monkeypatch: pytest.MonkeyPatch, far: float, scale: float, place: torch.device
) -> None:
    monkeypatch.setattr(comoments, "BUFFER_ROWS", 1000)
    x = {net: rows * np.float32(scale) for net, rows in odd_start(far).items()}
    assert worst_correlation_error(accumulated(x, batch=8, place=place), x) < 1e-5


def test_small_products_would_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a scale the tests above would fail."""
    monkeypatch.setattr(comoments, "column_scale", lambda rows, squares: torch.ones_like(squares))
    x = {"net0": mixture(500, 4, seed=1) * np.float32(3e-23)}
    assert worst_correlation_error(accumulated(x, 60), x) > 1e-2


@PLACES
@pytest.mark.parametrize("exponent", [-126, -60, -1, 0, 1, 60, 127])
def test_powers_of_two_are_exact(exponent: int, place: torch.device) -> None:
    found = comoments.power_of_two(torch.tensor([exponent], dtype=torch.int32, device=place))
    assert found.item() == 2.0**exponent


@PLACES
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sample", [0, 1, 49, 50, 299, 300, 598, 599])
def test_the_mean_tells_that_an_activation_is_not_finite(
    monkeypatch: pytest.MonkeyPatch, value: float, sample: int, place: torch.device
) -> None:
    """Wherever it is in batches and buffers; the other units stay as they are."""
    monkeypatch.setattr(comoments, "BUFFER_ROWS", 170)
    x = activity(600)
    x["net1"][sample, 1] = value
    moments = accumulated(x, batch=50, place=place)
    np.testing.assert_equal(moments["mean/net1"][1], value)
    assert np.isfinite(moments["mean/net0"]).all()
    assert np.isfinite(moments["mean/net1"][[0, 2]]).all()
