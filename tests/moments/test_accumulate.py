"""Moments: one pass in float32 products against two passes in float64, whatever batch, buffer, offset and scale."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from workflow.convergent import store
from workflow.convergent.commands import InputError
from workflow.convergent.moments import accumulate, blocks, covariance, merge
from workflow.convergent.nets import activations, device
from workflow.convergent.nets.model import load

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PLACES = pytest.mark.parametrize("place", [CPU, pytest.param(CUDA, marks=pytest.mark.gpu)], ids=str)
WIDTHS = {"net0": 5, "net1": 3}
Arrays = dict[str, np.ndarray]


def activity(count: int, offset: float = 0.0, scale: float = 1.0, seed: int = 0) -> Arrays:
    """Correlated activations, in float32, whose mean is so many deviations; the last unit of net0 is dead."""
    rng = np.random.default_rng(seed)
    units = sum(WIDTHS.values())
    x = (rng.normal(size=(count, units)) @ rng.normal(size=(units, units)) / units**0.5 + offset) * scale
    x[:, WIDTHS["net0"] - 1] = 0.3 * scale
    return dict(zip(WIDTHS, np.split(x.astype(np.float32), [WIDTHS["net0"]], axis=1), strict=True))


def live(rows: np.ndarray) -> np.ndarray:
    """Units that vary. (n, units) -> (units,)"""
    return np.ptp(rows, axis=0) > 0


def accumulated(x: Arrays, batch: int, positions: int = 1, place: torch.device = CPU) -> Arrays:
    """One block of activations (n, units) through the accumulator, n / positions images in batches."""
    accumulator = accumulate.CoMoments({net: rows.shape[1] for net, rows in x.items()}, place)
    feed(accumulator, x, batch, positions)
    return {name: np.array(array) for name, array in accumulator.finish().items()}


def feed(accumulator: accumulate.CoMoments, x: Arrays, batch: int, positions: int = 1) -> None:
    place = accumulator.buffer.device
    images = {net: torch.from_numpy(rows.reshape(-1, positions, rows.shape[1])).to(place) for net, rows in x.items()}
    for first in range(0, len(next(iter(images.values()))), batch):
        accumulator.update({net: rows[first : first + batch] for net, rows in images.items()})


def two_passes(x: Arrays) -> Arrays:
    """The definition, in float64."""
    wide = {net: rows.astype(float) for net, rows in x.items()}
    found: Arrays = {"count": np.int64(len(wide["net0"]))}
    found |= {f"mean/{net}": rows.mean(0) for net, rows in wide.items()}
    centred = {net: rows - rows.mean(0) for net, rows in wide.items()}
    pairs = [(a, b) for a in wide for b in wide if a <= b]
    return found | {f"comoment/{a}-{b}": centred[a].T @ centred[b] for a, b in pairs}


def worst_correlation_error(found: Arrays, x: Arrays) -> float:
    """Largest difference of a correlation from that of numpy in float64, over the live units of all nets together."""
    whole = np.concatenate(list(x.values()), axis=1).astype(float)
    expected = np.corrcoef(whole[:, live(whole)].T)
    products = np.block([[covariance.comoment(found, a, b) for b in x] for a in x])[np.ix_(live(whole), live(whole))]
    deviations = np.sqrt(np.diagonal(products))
    return float(np.abs(products / np.outer(deviations, deviations) - expected).max())


def assert_moments(found: Arrays, expected: Arrays, tolerance: float) -> None:
    """Means within a part of the units' deviations, co-moments within a part of their products."""
    count = expected["count"]
    sums = {
        name[5:]: np.sqrt(np.diagonal(expected[f"comoment/{name[5:]}-{name[5:]}"]))
        for name in expected
        if "mean" in name
    }
    assert set(found) == set(expected)
    assert found["count"] == count
    for net, deviation in sums.items():
        assert (np.abs(found[f"mean/{net}"] - expected[f"mean/{net}"]) <= tolerance * deviation / count**0.5).all()
    for name in expected:
        if name.startswith("comoment/"):
            a, b = name.removeprefix("comoment/").split("-")
            assert (np.abs(found[name] - expected[name]) <= tolerance * np.outer(sums[a], sums[b])).all()


@PLACES
@pytest.mark.parametrize("buffer", [16, 100, 16384])
@pytest.mark.parametrize("batch", [1, 13, 600])
@pytest.mark.parametrize("offset", [0, 1, 1e4])
@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_one_pass_equals_two(
    monkeypatch: pytest.MonkeyPatch, buffer: int, batch: int, offset: float, scale: float, place: torch.device
) -> None:
    monkeypatch.setattr(accumulate, "BUFFER_ROWS", buffer)
    x = activity(600, offset, scale)
    found = accumulated(x, batch, place=place)
    assert_moments(found, two_passes(x), 1e-5)
    assert worst_correlation_error(found, x) < 1e-5


@PLACES
@pytest.mark.parametrize("offset", [0, 1, 1e4])
def test_many_samples(offset: float, place: torch.device) -> None:
    """Buffers of full size, several of them, of images with many positions."""
    x = activity(60_000, offset)
    found = accumulated(x, batch=7, positions=250, place=place)
    assert_moments(found, two_passes(x), 1e-5)
    assert worst_correlation_error(found, x) < 1e-5


@pytest.mark.parametrize(("offset", "right"), [(0, True), (1e4, False)])
def test_the_naive_formula_fails_far_from_zero(offset: float, right: bool) -> None:
    """Sum of products minus n times the means, in float32."""
    x = activity(600, offset)
    mean = {net: rows.mean(0) for net, rows in x.items()}
    pairs = [("net0", "net0"), ("net0", "net1"), ("net1", "net1")]
    naive = {f"comoment/{a}-{b}": x[a].T @ x[b] - 600 * np.outer(mean[a], mean[b]) for a, b in pairs}
    scale = max(np.abs(naive[name] - expected).max() for name, expected in two_passes(x).items() if name in naive)
    assert (scale / 600 < 1e-5) == right
    assert (scale / 600 > 1) == (not right)


def odd_start(far: float) -> Arrays:
    """Live units of the first 8 of 20,000 samples are so many deviations away."""
    x = activity(20_000)
    for rows in x.values():
        rows[:8] += np.float32(far) * live(rows)
    return x


@PLACES
@pytest.mark.parametrize("buffer", [64, 1000, 16384])
@pytest.mark.parametrize("far", [10, 30, 100, 1e3, 1e4])
def test_an_odd_first_batch_moves_the_shift(
    monkeypatch: pytest.MonkeyPatch, far: float, buffer: int, place: torch.device
) -> None:
    monkeypatch.setattr(accumulate, "BUFFER_ROWS", buffer)
    x = odd_start(far)
    found = accumulated(x, batch=8, place=place)
    assert worst_correlation_error(found, x) < 1e-5
    assert (found["comoment/net0-net0"][4] == 0).all()


@pytest.mark.parametrize("far", [30, 100, 1e3])
def test_an_odd_first_batch_would_spoil_the_sums(monkeypatch: pytest.MonkeyPatch, far: float) -> None:
    """The same without moving the shift: what the test above would find if nothing were done."""
    monkeypatch.setattr(accumulate, "DRIFT", np.inf)
    assert worst_correlation_error(accumulated(odd_start(far), batch=8), odd_start(far)) > 1e-4


@pytest.mark.parametrize("period", [3000, 16384])
@pytest.mark.parametrize("step", [-50.0, 8.0, 1e3])
def test_a_mean_that_wanders_is_followed(monkeypatch: pytest.MonkeyPatch, step: float, period: int) -> None:
    """Up to several moves of the shift in one block."""
    monkeypatch.setattr(accumulate, "BUFFER_ROWS", 2048)
    x = activity(40_000)
    for rows in x.values():
        rows += (step * (np.arange(40_000) // period % 3))[:, None].astype(np.float32) * live(rows)
    found = accumulated(x, batch=100)
    assert_moments(found, two_passes(x), 1e-5)
    assert worst_correlation_error(found, x) < 1e-5


@pytest.mark.parametrize("value", [0.0, 0.3, -1 / 3, 1e4 / 7, 3e-9])
@pytest.mark.parametrize("batch", [1, 7, 500])
@pytest.mark.parametrize("start", [activity(2000), odd_start(100)], ids=["even", "odd"])
def test_a_dead_unit_has_exactly_no_comoment(
    monkeypatch: pytest.MonkeyPatch, value: float, batch: int, start: Arrays
) -> None:
    monkeypatch.setattr(accumulate, "BUFFER_ROWS", 300)
    x = {net: rows[:1500].copy() for net, rows in start.items()}
    x["net0"][:, 2] = x["net1"][:, 0] = value
    found = accumulated(x, batch)
    assert (found["mean/net0"][2], found["mean/net1"][0]) == (np.float32(value),) * 2
    assert not found["comoment/net0-net0"][2].any()
    assert not found["comoment/net0-net0"][:, 2].any()
    assert not found["comoment/net0-net1"][2].any()
    assert not found["comoment/net0-net1"][:, 0].any()
    assert not found["comoment/net1-net1"][0].any()
    assert found["comoment/net0-net0"][0, 0] > 0


@pytest.mark.parametrize("far", [0.0, 100.0])
def test_comoments_of_a_net_with_itself_are_symmetric(far: float) -> None:
    for name, array in accumulated(odd_start(far), batch=100).items():
        if name in ("comoment/net0-net0", "comoment/net1-net1"):
            np.testing.assert_array_equal(array, array.T)


@pytest.mark.parametrize("far", [0.0, 100.0])
def test_the_product_for_wide_layers_gives_the_same(monkeypatch: pytest.MonkeyPatch, far: float) -> None:
    x = odd_start(far)
    narrow = accumulated(x, batch=100)
    monkeypatch.setattr(accumulate, "TOGETHER", 0)
    assert_moments(accumulated(x, batch=100), narrow, 1e-5)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (5, 3), (3, 5), (70, 70)])
def test_product_and_squares(a: int, b: int) -> None:
    """Also of columns of a wider array, and where an older product was written before."""
    for seed in (0, 1):
        x = np.random.default_rng(seed).normal(size=(2000, a + b)).astype(np.float32)
        left, right = (torch.from_numpy(x)[:, columns] for columns in (slice(a), slice(a, None)))
        for one, two in ((left, right), (left, left)):
            exact = one.double().T @ two.double()
            np.testing.assert_allclose(accumulate.product(one, two), exact, atol=2e-3)
        np.testing.assert_allclose(accumulate.square_sums(left), left.double().square().sum(0), rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 5, 7, 64, 65])
@pytest.mark.parametrize("band", [1, 3, 64, 512])
def test_mirror(size: int, band: int) -> None:
    square = np.random.default_rng(0).normal(size=(size, size))
    found = torch.from_numpy(square.copy())
    accumulate.mirror(found, band)
    np.testing.assert_array_equal(found.numpy(), np.triu(square) + np.triu(square, 1).T)


@pytest.mark.parametrize("before", [activity(500, seed=1), odd_start(1e3)], ids=["even", "odd"])
def test_a_new_block_forgets_the_one_before_to_the_bit(before: Arrays) -> None:
    x = activity(400)
    accumulator = accumulate.CoMoments(WIDTHS, CPU)
    feed(accumulator, before, 8)
    accumulator.finish()
    accumulator.start()
    feed(accumulator, x, 50)
    found, fresh = accumulator.finish(), accumulated(x, 50)
    for name, array in fresh.items():
        np.testing.assert_array_equal(found[name], array)


GROUPS = [np.arange(10), np.repeat(np.arange(12), 5), np.array([3, 3, 8, 8, 8, 1, 0, 3, 1, 77, 5])]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_blocks_are_a_partition_into_whole_groups(group: np.ndarray, count: int) -> None:
    found = accumulate.assign_blocks(group, count, seed=0)
    assert len(found) == count
    assert sorted(np.concatenate(found)) == list(range(len(group)))
    assert all((np.diff(block) > 0).all() for block in found)
    counts = [len(set(group[block])) for block in found]
    assert sum(counts) == len(set(group))
    assert max(counts) - min(counts) <= 1


def test_blocks_depend_on_the_seed_and_not_on_the_order_of_groups() -> None:
    group = np.repeat(np.arange(20), 3)
    one, again, two = (accumulate.assign_blocks(group, 4, seed) for seed in (0, 0, 1))
    assert [b.tolist() for b in one] == [b.tolist() for b in again] != [b.tolist() for b in two]
    mixed = np.random.default_rng(0).permutation(group)
    for block, other in zip(one, accumulate.assign_blocks(mixed, 4, 0), strict=True):
        assert set(group[block]) == set(mixed[other])
    assert all(np.ptp(group[block]) > 4 for block in one)  # not contiguous


def test_more_blocks_than_groups_are_refused() -> None:
    with pytest.raises(InputError, match=r"stitching\.blocks: 6, but the images come from 5 independent groups"):
        accumulate.assign_blocks(np.repeat(np.arange(5), 4), 6, seed=0)


LAYERS = ["conv1", "fc6", "fc8"]


WIDE = ["--wide-units", "20", "--wide-blocks", "2"]  # fc6 alone


def passed(
    folder: Path,
    images: Path,
    nets: dict[str, Path],
    shards: int,
    blocks: int = 7,
    batch: int = 3,
    wide: Sequence[str] = WIDE,
) -> dict[str, Path]:
    """The stages moments and merge by their command lines; the merged store of each layer."""
    given = ["--nets", *map(str, nets.values()), "--layers", *LAYERS]
    given += ["--blocks", str(blocks), "--shards", str(shards), *wide]
    parts: dict[str, list[str]] = {layer: [] for layer in LAYERS}
    for shard in range(shards):
        made = [str(folder / f"{shards}/{shard}/{layer}.zarr/zarr.json") for layer in LAYERS]
        accumulate.main([str(images), *made, *given, "--shard", str(shard), "--batch", str(batch), "--threads", "1"])
        for layer, path in zip(LAYERS, made, strict=True):
            parts[layer].append(path)
    merged = {layer: folder / f"{shards}/{layer}.zarr/zarr.json" for layer in LAYERS}
    for layer, path in merged.items():
        merge.main([*parts[layer], str(path)])
    return merged


def test_any_number_of_shards_gives_the_same_bits(
    tmp_path: Path, images: dict[str, Path], nets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And equal declared files: attributes do not tell how the work was shared. Sums wait in memory or on disk."""
    one = passed(tmp_path, images["val"], nets, shards=1)
    monkeypatch.setattr(blocks, "WAITING_BYTES", 0)
    for shards in (2, 3, 5, 7):
        other = passed(tmp_path, images["val"], nets, shards)
        for layer in LAYERS:
            assert one[layer].read_bytes() == other[layer].read_bytes()


def test_wide_layers_keep_few_blocks_and_leave_the_others_as_they_are(
    tmp_path: Path, images: dict[str, Path], nets: dict[str, Path]
) -> None:
    some = passed(tmp_path / "some", images["val"], nets, shards=2)
    none = passed(tmp_path / "none", images["val"], nets, shards=2, wide=["--wide-units", "1000"])
    about = {layer: store.attributes(path) for layer, path in some.items()}
    assert {layer: x["blocks"] for layer, x in about.items()} == {"conv1": 7, "fc6": 2, "fc8": 7}
    assert {x["fine_blocks"] for x in about.values()} == {7}
    assert [some[layer].read_bytes() == none[layer].read_bytes() for layer in LAYERS] == [True, False, True]
    shards = [store.attributes(tmp_path / f"some/2/{shard}/fc6.zarr/zarr.json") for shard in (0, 1)]
    assert [shard["nodes"] for shard in shards] == [[[0, 2, 0]], [[1, 2, 0]]]


def test_nodes_tell_what_a_shard_holds(tmp_path: Path, images: dict[str, Path], nets: dict[str, Path]) -> None:
    passed(tmp_path, images["val"], nets, shards=3)
    found = {
        layer: [store.attributes(tmp_path / f"3/{shard}/{layer}.zarr/zarr.json")["nodes"] for shard in range(3)]
        for layer in LAYERS
    }
    assert found["fc8"] == [[[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[3, 0, 0], [4, 0, 0]], [[5, 0, 0], [6, 0, 0]]]
    assert found["fc6"] == [[[0, 1, 0], [0, 0, 2]], [[0, 0, 3], [1, 0, 0]], [[1, 0, 1], [1, 1, 1]]]


@torch.no_grad()
@pytest.mark.parametrize("shards", [2, 5])
def test_the_stage_gives_the_moments_of_all_images(
    tmp_path: Path, images: dict[str, Path], nets: dict[str, Path], shards: int
) -> None:
    """Total and blocks against two passes over activations of the same batches and device, which round alike."""
    merged = passed(tmp_path, images["val"], nets, shards, batch=3)
    loaded, found = {net: load(path).to(device.pick()) for net, path in nets.items()}, store.load(images["val"])
    parts = accumulate.assign_blocks(found["group"], 7, accumulate.derive(0, "blocks"))
    stored = store.StoredArray(images["val"], "images")
    x: dict[str, list[Arrays]] = {layer: [] for layer in LAYERS}  # of each fine block, net -> (n, units)
    for part in parts:
        batches = list(activations.Recorder(loaded, LAYERS).stream(stored, part, 3))
        for layer, kept in x.items():
            outputs = {net: torch.cat([b[layer][net].flatten(0, 1) for b in batches]) for net in loaded}
            kept.append({net: rows.cpu().numpy() for net, rows in outputs.items()})
    for layer, path in merged.items():
        arrays = store.load(path)
        for block, run in enumerate(blocks.runs(7, 2 if layer == "fc6" else 7)):
            here = {name: array[block] for name, array in arrays.items() if not name.startswith("total/")}
            assert_moments(here, two_passes(together([x[layer][number] for number in run])), 1e-5)
        total = {name.removeprefix("total/"): array for name, array in arrays.items() if name.startswith("total/")}
        assert_moments(total, two_passes(together(x[layer])), 1e-5)


def together(parts: Sequence[Arrays]) -> Arrays:
    return {net: np.concatenate([part[net] for part in parts]) for net in parts[0]}


def test_controls_take_part_in_some_layers_only(tmp_path: Path, images: dict[str, Path], nets: dict[str, Path]) -> None:
    """And leave the others as they are."""
    alone, other = nets.values()
    paths = {}
    for name, more in {"alone": [], "together": ["--controls", str(other), "--control-layers", "fc6", "conv5"]}.items():
        paths[name] = [str(tmp_path / name / f"{layer}.zarr/zarr.json") for layer in LAYERS]
        given = ["--nets", str(alone), "--layers", *LAYERS, "--blocks", "2", "--threads", "1", *more]
        accumulate.main([str(images["val"]), *paths[name], *given])
    for layer, one, two in zip(LAYERS, paths["alone"], paths["together"], strict=True):
        before, after = store.load(one), store.load(two)
        assert list(store.attributes(two)["nets"]) == (["net0", "net1"] if layer == "fc6" else ["net0"])
        assert ("comoment/net0-net1" in after) == (layer == "fc6")
        np.testing.assert_allclose(after["mean/net0"], before["mean/net0"], rtol=1e-6)


def test_more_shards_than_blocks_are_refused(tmp_path: Path, images: dict[str, Path], nets: dict[str, Path]) -> None:
    with pytest.raises(SystemExit, match=r"moments\.shards: 3, but there are only 2 blocks"):
        passed(tmp_path, images["val"], nets, shards=3, blocks=2)


@pytest.mark.parametrize("shape", [(4, 26, 26, 3), (4, 20, 26, 3), (4, 20, 20, 1)])
def test_images_of_another_size_than_the_nets_are_refused(
    tmp_path: Path, nets: dict[str, Path], shape: tuple[int, ...]
) -> None:
    path = tmp_path / "other.zarr" / "zarr.json"
    store.save(path, {"images": np.ones(shape, np.uint8), "group": np.arange(4)})
    sizes = f"{path}: {shape[1:]}, net0: (20, 20, 3), net1: (20, 20, 3)"
    with pytest.raises(SystemExit, match=re.escape(f"image sizes differ: {sizes}")):
        passed(tmp_path, path, nets, shards=1, blocks=2)


@pytest.mark.gpu
def test_moments_on_cuda_are_those_of_the_cpu(nets: dict[str, Path], images: dict[str, Path]) -> None:
    rows = store.StoredArray(images["val"], "images")
    found = []
    for place in (torch.device("cpu"), device.pick()):
        loaded = {net: load(path).to(place) for net, path in nets.items()}
        (block,) = accumulate.block_moments(activations.Recorder(loaded, LAYERS), rows, [np.arange(30)], 7)
        found.append({layer: {name: np.array(x) for name, x in arrays.items()} for layer, arrays in block.items()})
    for layer, arrays in found[0].items():
        for name, expected in arrays.items():
            close = {"rtol": 1e-4, "atol": 1e-5 * float(np.abs(expected).max())}
            np.testing.assert_allclose(found[1][layer][name], expected, **close)
