"""The stage of the moments: any number of shards gives equal bits, and they are the moments of all images."""

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.moments.exact import Arrays, assert_moments, two_passes
from tests.presets import preset
from workflow.convergent import store
from workflow.convergent.alignment.correlation import correlate
from workflow.convergent.commands import InputError
from workflow.convergent.moments import accumulate, blocks, merge
from workflow.convergent.moments.covariance import load_pair
from workflow.convergent.nets import activations, device
from workflow.convergent.nets.model import load, save

LAYERS = ["conv1", "fc6", "fc8"]
UNITS = {"net0": 4, "net1": 3}


WIDE = ["--wide-units", "20", "--wide-blocks", "2"]  # fc6 alone


def staged(
    folder: Path,
    images: Path,
    nets: dict[str, Path],
    shards: int,
    blocks: int = 7,
    batch: int = 3,
    wide: Sequence[str] = WIDE,
) -> dict[str, Path]:
    """The merged store of each layer, after runs of the stages accumulate and merge."""
    options = ["--nets", *map(str, nets.values()), "--layers", *LAYERS]
    options += ["--blocks", str(blocks), "--shards", str(shards), *wide]
    parts: dict[str, list[str]] = {layer: [] for layer in LAYERS}
    for shard in range(shards):
        made = [str(folder / f"{shards}/{shard}/{layer}.zarr/zarr.json") for layer in LAYERS]
        accumulate.main([str(images), *made, *options, "--shard", str(shard), "--batch", str(batch), "--threads", "1"])
        for layer, path in zip(LAYERS, made, strict=True):
            parts[layer].append(path)
    merged = {layer: folder / f"{shards}/{layer}.zarr/zarr.json" for layer in LAYERS}
    for layer, path in merged.items():
        merge.main([*parts[layer], str(path)])
    return merged


@pytest.mark.slow
def test_any_number_of_shards_gives_the_same_bits(
    tmp_path: Path, images: dict[str, Path], nets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And equal declared files: attributes do not depend on the shards. Sums wait in memory or on disk."""
    one = staged(tmp_path, images["val"], nets, shards=1)
    monkeypatch.setattr(blocks, "WAITING_BYTES", 0)
    for shards in (2, 3, 5, 7):
        other = staged(tmp_path, images["val"], nets, shards)
        for layer in LAYERS:
            assert one[layer].read_bytes() == other[layer].read_bytes()


@pytest.mark.slow
def test_wide_layers_keep_few_blocks_and_leave_the_others_as_they_are(
    tmp_path: Path, images: dict[str, Path], nets: dict[str, Path]
) -> None:
    few = staged(tmp_path / "few", images["val"], nets, shards=2)
    every = staged(tmp_path / "every", images["val"], nets, shards=2, wide=["--wide-units", "1000"])
    attributes = {layer: store.attributes(path) for layer, path in few.items()}
    assert {layer: x["blocks"] for layer, x in attributes.items()} == {"conv1": 7, "fc6": 2, "fc8": 7}
    assert {x["fine_blocks"] for x in attributes.values()} == {7}
    assert [few[layer].read_bytes() == every[layer].read_bytes() for layer in LAYERS] == [True, False, True]
    shards = [store.attributes(tmp_path / f"few/2/{shard}/fc6.zarr/zarr.json") for shard in (0, 1)]
    assert [shard["nodes"] for shard in shards] == [[[0, 2, 0]], [[1, 2, 0]]]


@pytest.mark.slow
def test_nets_of_different_sets_have_no_comoments(
    tmp_path: Path, images: dict[str, Path], nets: dict[str, Path]
) -> None:
    """All else has the bits of a pass of each set alone, and a layer is wide where one of a set is."""
    for number, path in enumerate(nets.values()):
        for end in (".json", ".pt"):
            shutil.copy(path.with_suffix(end), tmp_path / f"net{number + 2}{end}")
    more = {net: tmp_path / f"{net}.json" for net in ("net2", "net3")}
    both = staged(tmp_path / "both", images["val"], nets | more, shards=2, wide=[*WIDE, "--sets", "2"])
    alone = {layer: [] for layer in LAYERS}
    for name, of in (("first", nets), ("second", more)):
        for layer, path in staged(tmp_path / name, images["val"], of, shards=2).items():
            alone[layer].append(store.load(path))
    for layer, path in both.items():
        first, second = alone[layer]
        found = store.load(path)
        assert found.keys() == first.keys() | second.keys()
        assert {name.split("/")[-1] for name in found if "comoment/" in name} == {
            *("net0-net0", "net0-net1", "net1-net1", "net2-net2", "net2-net3", "net3-net3")
        }
        for name, array in found.items():
            np.testing.assert_array_equal(array, (first if name in first else second)[name])


def test_sets_of_different_size_are_refused(tmp_path: Path, images: dict[str, Path], nets: dict[str, Path]) -> None:
    with pytest.raises(SystemExit, match="--sets: 3, but there are 2 nets; sets must be of equal size"):
        staged(tmp_path, images["val"], nets, shards=1, wide=["--sets", "3"])


@pytest.mark.slow
def test_nodes_say_which_blocks_a_shard_holds(tmp_path: Path, images: dict[str, Path], nets: dict[str, Path]) -> None:
    staged(tmp_path, images["val"], nets, shards=3)
    nodes = {
        layer: [store.attributes(tmp_path / f"3/{shard}/{layer}.zarr/zarr.json")["nodes"] for shard in range(3)]
        for layer in LAYERS
    }
    assert nodes["fc8"] == [[[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[3, 0, 0], [4, 0, 0]], [[5, 0, 0], [6, 0, 0]]]
    assert nodes["fc6"] == [[[0, 1, 0], [0, 0, 2]], [[0, 0, 3], [1, 0, 0]], [[1, 0, 1], [1, 1, 1]]]


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize("shards", [2, 5])
def test_the_stage_gives_the_moments_of_all_images(
    tmp_path: Path, images: dict[str, Path], nets: dict[str, Path], shards: int
) -> None:
    """Total and blocks against two passes over activations of equal batches on the same device, which round alike."""
    merged = staged(tmp_path, images["val"], nets, shards, batch=3)
    loaded = {net: load(path).to(device.pick()) for net, path in nets.items()}
    parts = blocks.assign_blocks(store.load(images["val"], "group")["group"], 7, seed=0)
    stored = store.StoredArray(images["val"], "images")
    x: dict[str, list[Arrays]] = {layer: [] for layer in LAYERS}  # of each fine block: net -> (n, positions, units)
    for part in parts:
        batches = list(activations.Recorder(loaded, LAYERS).stream(stored, part, 3))
        for layer, kept in x.items():
            kept.append({net: torch.cat([b[layer][net] for b in batches]).cpu().numpy() for net in loaded})
    for layer, path in merged.items():
        arrays = store.load(path)
        for block, run in enumerate(blocks.runs_of(7, 2 if layer == "fc6" else 7)):
            here = {name: array[block] for name, array in arrays.items() if not name.startswith("total/")}
            assert_exact(here, together([x[layer][number] for number in run]))
        total = {name.removeprefix("total/"): array for name, array in arrays.items() if name.startswith("total/")}
        assert_exact(total, together(x[layer]))


def assert_exact(found: Arrays, x: Arrays) -> None:
    """Moments of activations net -> (n, positions, units), and their means at each position."""
    maps = {f"positions/{net}": outputs.mean(0, dtype=float) for net, outputs in x.items()}
    assert_moments(
        {name: array for name, array in found.items() if name not in maps},
        two_passes({net: outputs.reshape(-1, outputs.shape[2]) for net, outputs in x.items()}),
        1e-5,
    )
    for name, expected in maps.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def together(parts: Sequence[Arrays]) -> Arrays:
    return {net: np.concatenate([part[net] for part in parts]) for net in parts[0]}


@pytest.mark.slow
def test_controls_take_part_in_some_layers_only(tmp_path: Path, images: dict[str, Path], nets: dict[str, Path]) -> None:
    """The other layers do not change."""
    alone, other = nets.values()
    paths = {}
    for name, more in {"alone": [], "together": ["--controls", str(other), "--control-layers", "fc6", "conv5"]}.items():
        paths[name] = [str(tmp_path / name / f"{layer}.zarr/zarr.json") for layer in LAYERS]
        options = ["--nets", str(alone), "--layers", *LAYERS, "--blocks", "2", "--threads", "1", *more]
        accumulate.main([str(images["val"]), *paths[name], *options])
    for layer, one, two in zip(LAYERS, paths["alone"], paths["together"], strict=True):
        before, after = store.load(one), store.load(two)
        assert list(store.attributes(two)["nets"]) == (["net0", "net1"] if layer == "fc6" else ["net0"])
        assert ("comoment/net0-net1" in after) == (layer == "fc6")
        np.testing.assert_allclose(after["mean/net0"], before["mean/net0"], rtol=1e-6)


def test_more_shards_than_blocks_are_refused(tmp_path: Path, images: dict[str, Path], nets: dict[str, Path]) -> None:
    with pytest.raises(SystemExit, match=r"moments\.shards: 3, but there are only 2 blocks"):
        staged(tmp_path, images["val"], nets, shards=3, blocks=2)


def test_every_layer_needs_an_output(tmp_path: Path, images: dict[str, Path], nets: dict[str, Path]) -> None:
    options = ["--nets", *map(str, nets.values()), "--layers", "fc6", "fc8", "--blocks", "2"]
    with pytest.raises(SystemExit, match="outputs: 1, but 2 layers"):
        accumulate.main([str(images["val"]), str(tmp_path / "fc6.zarr/zarr.json"), *options])


@pytest.mark.parametrize(("blocks", "shards"), [(7, 1), (7, 3), (5, 5), (64, 7)])
def test_shards_share_all_fine_blocks_in_order(blocks: int, shards: int) -> None:
    settings = [accumulate.MomentsSettings(["fc6"], blocks, shard, shards) for shard in range(shards)]
    assert [number for shard in settings for number in shard.fine_blocks()] == list(range(blocks))


@pytest.mark.parametrize("shape", [(4, 26, 26, 3), (4, 20, 26, 3), (4, 20, 20, 1)])
def test_images_of_another_size_than_the_nets_are_refused(
    tmp_path: Path, nets: dict[str, Path], shape: tuple[int, ...]
) -> None:
    path = tmp_path / "other.zarr" / "zarr.json"
    store.save(path, {"images": np.ones(shape, np.uint8), "group": np.arange(4)}, kind="images")
    sizes = f"{path}: {shape[1:]}, net0: (20, 20, 3), net1: (20, 20, 3)"
    with pytest.raises(SystemExit, match=re.escape(f"image sizes differ: {sizes}")):
        staged(tmp_path, path, nets, shards=1, blocks=2)


@pytest.mark.gpu
def test_moments_on_cuda_are_those_of_the_cpu(nets: dict[str, Path], images: dict[str, Path]) -> None:
    rows = store.StoredArray(images["val"], "images")
    results = []
    for place in (torch.device("cpu"), device.pick()):
        loaded = {net: load(path).to(place) for net, path in nets.items()}
        (block,) = accumulate.block_moments(activations.Recorder(loaded, LAYERS), rows, [np.arange(30)], 7)
        results.append({layer: {name: np.array(x) for name, x in arrays.items()} for layer, arrays in block.items()})
    for layer, arrays in results[0].items():
        for name, expected in arrays.items():
            close = {"rtol": 1e-4, "atol": 1e-5 * float(np.abs(expected).max())}
            np.testing.assert_allclose(results[1][layer][name], expected, **close)


def changed(nets: dict[str, Path], folder: Path, change: Callable[[torch.nn.Module], object]) -> dict[str, Path]:
    """The nets, of which net1 is changed by a function of its modules."""
    net = load(nets["net1"])
    with torch.no_grad():
        change(net.body)
    save(net, folder / "net1.pt", folder / "net1.json")
    return nets | {"net1": folder / "net1.json"}


@pytest.mark.parametrize(
    ("module", "parameter", "value", "said"),
    [
        ("fc8", "bias", np.nan, "net1: activations of fc8 are not all finite, unit 2 is NaN"),
        ("fc8", "bias", -np.inf, "net1: activations of fc8 are not all finite, unit 2 is infinite"),
        ("conv1", "weight", 3e38, "net1: activations of conv1 are not all finite, unit 2 is infinite"),
    ],
)
def test_activations_that_are_not_finite_are_refused(
    tmp_path: Path, images: dict[str, Path], nets: dict[str, Path], module: str, parameter: str, value: float, said: str
) -> None:
    """Also where they come of finite weights. The line names net, layer and unit."""

    def change(body: torch.nn.Module) -> None:
        body.get_submodule(module).get_parameter(parameter)[2] = value

    with pytest.raises(SystemExit, match=said) as stopped:
        staged(tmp_path, images["val"], changed(nets, tmp_path, change), shards=1)
    assert "\n" not in str(stopped.value)


@pytest.mark.parametrize("make", accumulate.ACCUMULATORS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("image", range(7))
def test_each_accumulator_tells_that_an_activation_is_not_finite(make: Callable, value: float, image: int) -> None:
    """In any image of a block, also in one whose later blocks are finite."""
    accumulator = make({"net0": 4, "net1": 3}, torch.device("cpu"))
    rng = np.random.default_rng(image)
    for planted in (True, False):
        accumulator.start()
        for first in range(0, 7, 3):
            x = {net: torch.from_numpy(rng.normal(size=(3, 5, n)).astype(np.float32)) for net, n in UNITS.items()}
            if planted and first <= image < first + 3:
                x["net1"][image - first, 2, 1] = value
            accumulator.update(x)
        if planted:
            with pytest.raises(InputError, match=f"net1: .* conv1 .* unit 1 is {'NaN' if np.isnan(value) else 'inf'}"):
                accumulate.finished("conv1", [accumulator])
    assert accumulate.finished("conv1", [accumulator])


@pytest.mark.slow
def test_huge_activations_are_right(tmp_path: Path, images: dict[str, Path], nets: dict[str, Path]) -> None:
    """Logits of 1e20, whose products exceed float32, correlate as those of the net itself."""

    def change(body: torch.nn.Module) -> None:
        for parameter in body.get_submodule("fc8").parameters():
            parameter *= 2.0**67

    huge = staged(tmp_path / "huge", images["val"], changed(nets, tmp_path, change), shards=1)
    merged = staged(tmp_path / "same", images["val"], nets, shards=1)
    pair = ("net0", "net1")
    found, expected = (correlate(load_pair(str(paths["fc8"]), *pair, "total/"), *pair) for paths in (huge, merged))
    np.testing.assert_array_equal(found, expected)
    assert np.abs(store.load(huge["fc8"])["total/mean/net1"]).max() > 1e17


@pytest.mark.slow
def test_units_of_equal_images_are_dead(tmp_path: Path, architecture: dict) -> None:
    """Although batches of 60 and of 4 images round in other ways; but for units whose mean almost cancels out."""
    image = np.random.default_rng(0).integers(0, 256, (1, 20, 20, 3), np.uint8)
    path = tmp_path / "images.zarr" / "zarr.json"
    store.save(path, {"images": image.repeat(64, 0)})
    wide = architecture | {"fc": [{"units": 500}, {"units": 500}]}
    nets = {f"net{seed}": preset(wide, 3, 4, 20, seed).to(device.pick()) for seed in (0, 1)}
    rows, recorder = store.StoredArray(path, "images"), activations.Recorder(nets, ["fc6", "fc7"])
    (block,) = accumulate.block_moments(recorder, rows, [np.arange(64)], 60)
    for moments in block.values():
        assert np.isnan(correlate(moments, "net0", "net1")).mean() > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_a_shard_says_what_its_bits_depend_on(
    tmp_path: Path, images: dict[str, Path], nets: dict[str, Path], threads: int
) -> None:
    path = str(tmp_path / "fc8.zarr/zarr.json")
    options = ["--nets", *map(str, nets.values()), "--layers", "fc8", "--blocks", "2", "--threads", str(threads)]
    accumulate.main([str(images["val"]), path, *options])
    device.deterministic(1)
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    products = str(device.product_kind(device.pick())).removeprefix("torch.")
    expected = {"device": device.pick().type, "products": products, "threads": threads, **versions}
    assert {key: store.attributes(path)[key] for key in expected} == expected
    assert accumulate.origin_of_bits(torch.device("mps")).items() >= {"device": "mps", "products": "float32"}.items()


@pytest.mark.parametrize("missing", ["split", "sha256"])
def test_images_that_do_not_say_what_they_are_are_refused_before_the_pass(
    tmp_path: Path, images: dict[str, Path], nets: dict[str, Path], capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    path = tmp_path / "unnamed.zarr" / "zarr.json"
    arrays, about = dict(store.load(images["val"])), dict(store.attributes(images["val"]))
    kept = {key: about[key] for key in ("kind", "classes", "split") if key in about and key != missing}
    store.save(path, arrays, **kept)
    if missing == "sha256":
        path.write_text(path.read_text().replace('"sha256"', '"digest"'))
    with pytest.raises(SystemExit, match=missing if missing == "split" else "unfinished store"):
        staged(tmp_path, path, nets, shards=1)
    assert "block" not in capsys.readouterr().out
