"""Correlation from moments: that of numpy, within its bounds, exactly 1 with itself, undefined for the dead."""

import shutil
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pytest

from tests.alignment.planted import moments
from tests.figures.stores import resave
from workflow.convergent import store
from workflow.convergent.alignment import correlation
from workflow.convergent.moments import accumulate
from workflow.convergent.nets import activations
from workflow.convergent.nets.model import load

UNITS = {"net0": 6, "net1": 4}
DEAD = {"net0": 1, "net1": 3}
Arrays = dict[str, np.ndarray]


def activity(seed: int = 0, samples: int = 300) -> Arrays:
    """Correlated activations with a dead unit in each net. net -> (samples, units)"""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(samples, 10)) @ rng.normal(size=(10, 10)) + rng.normal(size=10) * 5
    mixed[:, [1, 9]] = 0.25
    return {"net0": mixed[:, :6], "net1": mixed[:, 6:]}


def moments_of(x: Arrays) -> Arrays:
    centred = {net: rows - rows.mean(0) for net, rows in x.items()}
    pairs = combinations_with_replacement(x, 2)
    products = {f"comoment/{a}-{b}": centred[a].T @ centred[b] for a, b in pairs}
    return {"count": np.int64(len(x["net0"])), **{f"mean/{net}": r.mean(0) for net, r in x.items()}, **products}


def live(net: str) -> np.ndarray:
    return np.arange(UNITS[net]) != DEAD[net]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("a", "b"), [("net0", "net0"), ("net0", "net1"), ("net1", "net0"), ("net1", "net1")])
def test_it_is_that_of_numpy(seed: int, a: str, b: str) -> None:
    x = activity(seed)
    found = correlation.correlate(moments_of(x), a, b)
    expected = np.corrcoef(x[a][:, live(a)].T, x[b][:, live(b)].T)[: live(a).sum(), live(a).sum() :]
    np.testing.assert_allclose(found[np.ix_(live(a), live(b))], expected, atol=1e-12)


@pytest.mark.parametrize(("a", "b"), [("net0", "net0"), ("net0", "net1"), ("net1", "net0")])
def test_it_is_undefined_for_the_dead_and_bounded_for_the_live(a: str, b: str) -> None:
    found = correlation.correlate(moments_of(activity()), a, b)
    assert (np.isnan(found) == ~np.outer(live(a), live(b))).all()
    assert np.nanmax(np.abs(found)) <= 1
    assert np.nanmin(found) < -0.1


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1 / 3, 1e6])
@pytest.mark.parametrize("seed", range(5))
def test_a_unit_with_itself_is_exactly_1(seed: int, scale: float) -> None:
    x = activity(seed)
    found = correlation.correlate(moments_of({net: rows * scale for net, rows in x.items()}), "net0", "net0")
    assert (np.diagonal(found)[live("net0")] == 1).all()


def test_rounding_does_not_leave_the_bounds() -> None:
    """Products a little above what the variances allow."""
    found = correlation.correlation(np.array([[1 + 1e-9, -1 - 1e-9]]), np.ones(1), np.ones(2))
    assert found.tolist() == [[1.0, -1.0]]


def test_it_does_not_see_positive_scales_and_offsets_but_signs() -> None:
    x, rng = activity(), np.random.default_rng(1)
    sign = np.array([1, 1, -1, 1, 1, -1])
    moved = {"net0": x["net0"] * sign * rng.uniform(0.01, 100, 6) + rng.normal(size=6), "net1": x["net1"] * 7 - 3}
    moved["net0"][:, 1] = -4
    found, before = (correlation.correlate(moments_of(y), "net0", "net1") for y in (moved, x))
    np.testing.assert_allclose(found, before * sign[:, None], atol=1e-12)


def test_either_direction_is_the_transpose() -> None:
    m = moments_of(activity())
    np.testing.assert_array_equal(correlation.correlate(m, "net0", "net1"), correlation.correlate(m, "net1", "net0").T)


def test_several_at_once() -> None:
    rng = np.random.default_rng(0)
    products, a, b = rng.uniform(-1, 1, (3, 6, 4)), rng.uniform(1, 2, (3, 6)), rng.uniform(1, 2, (3, 4))
    found = correlation.correlation(products, a, b)
    for k in range(3):
        np.testing.assert_array_equal(found[k], correlation.correlation(products[k], a[k], b[k]))


def test_joint_correlation_is_that_of_the_units_side_by_side() -> None:
    x = {net: values[:, live(net)] for net, values in activity().items()}
    joint = correlation.joint_correlation(moments(x, 4), "net0", "net1", np.ones(4))
    np.testing.assert_allclose(joint, np.corrcoef(np.hstack(list(x.values())).T), atol=1e-12)
    swapped = correlation.joint_correlation(moments(x, 4), "net1", "net0", np.ones(4))
    turned = np.roll(np.arange(8), -5)
    np.testing.assert_allclose(swapped, joint[np.ix_(turned, turned)], atol=1e-12)


def test_the_same_net_twice_is_found_and_another_is_not(images: dict[str, Path], nets: dict[str, Path]) -> None:
    """Through real activations: unit i of a net is unit i of the net in the other slot."""
    slots = {"net0": nets["net0"], "net1": nets["net0"], "net2": nets["net1"]}
    loaded = {slot: load(path) for slot, path in slots.items()}
    rows = store.StoredArray(images["val"], "images")
    (found,) = accumulate.block_moments(activations.Recorder(loaded, ["conv2", "fc6"]), rows, [np.arange(30)], 30)
    for arrays in found.values():
        same, other = (correlation.correlate(arrays, "net0", slot) for slot in ("net1", "net2"))
        alive = ~np.isnan(np.diagonal(same))
        assert alive.sum() > len(same) / 2
        np.testing.assert_allclose(np.diagonal(same)[alive], 1, atol=1e-6)
        assert np.nanmax(np.abs(other)) < 0.999


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A merged store, as the stage reads it."""
    path = tmp_path / "conv1.zarr" / "zarr.json"
    arrays = {f"total/{name}": array for name, array in moments_of(activity()).items()}
    about = {"kind": "moments", "layer": "conv1", "images": "i", "controls": []}
    store.save(path, arrays, nets={"net0": "x", "net1": "y"}, **about)
    return path


@pytest.mark.slow
def test_the_stage_writes_every_pair(tmp_path: Path, stored: Path) -> None:
    other = tmp_path / "fc6.zarr/zarr.json"
    shutil.copytree(stored.parent, other.parent)
    resave(other, layer="fc6")
    correlation.main([str(stored), str(other), str(tmp_path / "out")])
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["conv1", "fc6"]
    assert sorted(f.name for f in (tmp_path / "out/conv1").iterdir()) == [
        "net0-net0.zarr",
        "net0-net1.zarr",
        "net1-net1.zarr",
    ]
    for folder in (tmp_path / "out/conv1").iterdir():
        a, b = folder.stem.split("-")
        found = store.load(folder / "zarr.json")["correlation"]
        np.testing.assert_array_equal(found, correlation.correlate(moments_of(activity()), a, b))
        about = store.attributes(folder / "zarr.json")
        assert about["dead"] == {net: [DEAD[net]] for net in (a, b)}
        assert about["nets"] == {net: {"net0": "x", "net1": "y"}[net] for net in (a, b)}
        assert (about["moments"], about["samples"]) == (store.attributes(stored)["sha256"], 300)


def test_a_layer_given_twice_is_refused(tmp_path: Path, stored: Path) -> None:
    with pytest.raises(SystemExit, match="moments: conv1 is given twice"):
        correlation.main([str(stored), str(stored), str(tmp_path / "out")])
