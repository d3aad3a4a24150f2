"""Top patches: the search against brute force and planted patterns, pictures against the stored pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.patches.planted import outputs_of, stored
from tests.presets import one_layer, preset, recorded
from workflow.convergent import store
from workflow.convergent.commands import InputError
from workflow.convergent.nets.model import Net, build, load, save, weights_digest
from workflow.convergent.patches import pictures, receptive, search

LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]


def fields(net: Net) -> receptive.Fields:
    """Receptive fields of the net's first layer."""
    return receptive.fields(net, ["conv1"])["conv1"]


def test_detector_finds_the_planted_places(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pattern = rng.choice([-1, 1], (5, 5, 3))
    net = one_layer(2, 24, kernel=5, stride=2, padding=1)
    net.body.get_submodule("conv1").weight.data[0] = torch.from_numpy(pattern).permute(2, 0, 1)
    net.get_buffer("mean").fill_(128)
    images = rng.integers(118, 138, (30, 24, 24, 3), np.uint8)
    planted = {17: (3, 9, 100), 4: (8, 0, 115), 25: (10, 10, 80), 0: (1, 2, 70)}  # image: row, column, contrast
    for image, (row, column, contrast) in planted.items():
        top, left = 2 * row - 1, 2 * column - 1
        for i, j in np.ndindex(5, 5):
            if left + j >= 0:
                images[image, top + i, left + j] = 128 + contrast * pattern[i, j]
    rows = stored(tmp_path / "a.zarr", images)
    found = search.search(net, rows, 8, ["conv1"], top=4)["conv1"]
    assert found["image"][0].tolist() == list(planted)
    assert list(zip(found["row"][0], found["column"][0], strict=True)) == [(r, c) for r, c, _ in planted.values()]
    cut = pictures.patches(net, rows, "conv1", fields(net), found, np.arange(2), batch=3)
    for slot, (*_, contrast) in enumerate(planted.values()):
        top, left, bottom, right = cut["box"][0, slot]
        seen = cut["patch"][0, slot, top:bottom, left:right]
        np.testing.assert_array_equal(seen, 128 + contrast * pattern[top:bottom, left:right])
    assert cut["box"][0].tolist() == [[0, 0, 5, 5], [0, 1, 5, 5], [0, 0, 5, 5], [0, 0, 5, 5]]


def test_signals_are_shown_around_grey_by_their_own_size() -> None:
    signal = torch.zeros(3, 1, 2, 2)
    signal[0, 0] = torch.tensor([[1.0, -2.0], [0.0, 4.0]])
    signal[1] = 1e-6 * signal[0]
    shown = pictures.display(signal)
    assert shown[0, :, :, 0].tolist() == [[160, 64], [128, 255]]
    np.testing.assert_array_equal(shown[1], shown[0])
    assert (shown[2] == pictures.GREY).all()


def test_dead_and_rarely_active_units_leave_empty_slots(tmp_path: Path) -> None:
    net = one_layer(3, kernel=3, padding=1)
    conv = net.body.get_submodule("conv1")
    for unit, (weight, bias) in enumerate([(0.0, 0.0), (1.0, -27 * 150.0), (0.0, -1.0)]):
        conv.weight.data[unit], conv.bias.data[unit] = weight, bias
    net.body.get_submodule("fc2").bias.data -= 1e6  # logits count though negative
    images = np.full((12, 12, 12, 3), 100, np.uint8)
    images[[3, 8]] = 200  # the only ones that excite the second unit
    rows = stored(tmp_path / "a.zarr", images)
    found = search.search(net, rows, 5, ["conv1", "fc2"], top=9)
    cut = pictures.patches(net, rows, "conv1", fields(net), found["conv1"], np.arange(3), batch=5)
    assert found["conv1"]["image"].tolist() == [[-1] * 9, [3, 8] + [-1] * 7, [-1] * 9]
    empty = found["conv1"]["image"] == search.EMPTY
    assert (found["conv1"]["activation"][empty] == 0).all()
    for name, blank in {"patch": pictures.GREY, "deconv": pictures.GREY, "box": 0}.items():
        assert (cut[name][empty] == blank).all()
    assert (cut["patch"][1, :2] == 200).all()
    assert (found["fc2"]["image"] >= 0).all()
    assert (found["fc2"]["activation"] < 0).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, images: dict[str, Path], nets: dict[str, Path]) -> Path:
    """The stage's store of the first tiny net."""
    path = tmp_path_factory.mktemp("patches") / "net0.zarr" / "zarr.json"
    pictures.main([str(images["val"]), str(nets["net0"]), str(path), "--layers", *LAYERS, "--batch", "8"])
    return path


@pytest.mark.parametrize("layer", LAYERS)
def test_stored_maxima_are_found_again(run: Path, images: dict[str, Path], nets: dict[str, Path], layer: str) -> None:
    found = {name.split("/")[1]: array for name, array in store.load(run, f"{layer}/*").items()}
    output = outputs_of(load(nets["net0"]), store.load(images["val"], "images")["images"], layer)
    unit, slot = np.nonzero(found["image"] >= 0)
    image, row, column, activation = (found[name][unit, slot] for name in ("image", "row", "column", "activation"))
    assert len(image)
    close = {"rtol": 1e-5, "atol": 1e-6 * output.max()}  # an activation near zero is a difference of large sums
    np.testing.assert_allclose(output[image, unit, row, column], activation, **close)
    np.testing.assert_allclose(output.max((2, 3))[image, unit], activation, **close)


@pytest.mark.parametrize("layer", LAYERS)
def test_pictures_show_the_stored_pixels(run: Path, images: dict[str, Path], nets: dict[str, Path], layer: str) -> None:
    net, pixels = load(nets["net0"]), store.load(images["val"], "images")["images"][:, 2:18, 2:18]
    found = {name.split("/")[1]: array for name, array in store.load(run, f"{layer}/*").items()}
    seen = receptive.field(net.settings, layer)
    for unit, slot in np.argwhere(found["image"] >= 0):
        image = pixels[found["image"][unit, slot]]
        if layer.startswith("fc"):
            np.testing.assert_array_equal(found["thumbnail"][unit, slot], image)
            continue
        patch, (top, left, bottom, right) = found["patch"][unit, slot], found["box"][unit, slot]
        first = [seen.start + seen.stride * found[name][unit, slot] for name in ("row", "column")]
        rows, columns = (slice(max(i, 0), max(i + seen.size, 0)) for i in first)
        np.testing.assert_array_equal(patch[top:bottom, left:right], image[rows, columns])
        outside = np.ones(patch.shape[:2], bool)
        outside[top:bottom, left:right] = False
        assert (patch[outside] == pictures.GREY).all()
        assert (found["deconv"][unit, slot][outside] == pictures.GREY).all()


def test_store_says_what_it_depends_on(run: Path, images: dict[str, Path], nets: dict[str, Path]) -> None:
    about = store.attributes(run)
    assert about["images"] == store.attributes(images["val"])["sha256"]
    assert about["nets"] == {"net0": weights_digest(load(nets["net0"]))}
    assert (about["layers"], about["top"], about["per_group"]) == (LAYERS, 9, 1)


@pytest.mark.parametrize("per_group", [1, 3])
def test_a_unit_has_few_images_of_each_group(
    tmp_path: Path, images: dict[str, Path], nets: dict[str, Path], per_group: int
) -> None:
    path, group = tmp_path / "net0.zarr/zarr.json", np.arange(len(store.load(images["val"], "group")["group"])) % 4
    few = tmp_path / "val.zarr/zarr.json"
    store.save(few, store.load(images["val"]) | {"group": group}, kind="images")
    pictures.main([str(few), str(nets["net0"]), str(path), "--layers", "fc8", "--per-group", str(per_group)])
    image = store.load(path, "fc8/image")["fc8/image"]
    counts = [np.bincount(group[unit[unit != search.EMPTY]], minlength=4) for unit in image]
    assert np.max(counts) == per_group
    assert np.sum(counts, axis=1).tolist() == [min(9, 4 * per_group)] * len(image)  # a logit is never left out
    assert store.attributes(path)["per_group"] == per_group


def test_images_of_another_size_are_refused(tmp_path: Path, nets: dict[str, Path]) -> None:
    stored(tmp_path / "a.zarr", np.ones((3, 18, 18, 3), np.uint8))
    with pytest.raises(SystemExit, match="image shapes differ"):
        pictures.main([str(tmp_path / "a.zarr/zarr.json"), str(nets["net0"]), "unused", "--layers", "conv1"])


RESNET = {"first": "layer1.0.conv1", "whole": "layer2.0", "last": "fc"}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Paths of the stage's store, the images and the net; torchvision's, whose crops are larger than thumbnails."""
    folder = tmp_path_factory.mktemp("other")
    settings = {"crop": 80, "pixels": {"mean": [0.5] * 3, "deviation": [0.2] * 3}}
    net = build("torchvision:resnet18", settings, 3, 5, 84, seed=0)
    save(net, folder / "net0.pt", folder / "net0.json")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 84, 84, 3), np.uint8)
    stored(folder / "val.zarr", pixels)
    images, path = folder / "val.zarr/zarr.json", folder / "net0.zarr/zarr.json"
    named = ["--modules", json.dumps({"net0": RESNET}), "--layers", *RESNET, "--batch", "8", "--top", "3"]
    pictures.main([str(images), str(folder / "net0.json"), str(path), *named])
    return path, images, folder / "net0.json"


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["first", "whole"])
def test_pictures_of_any_net_hold_what_the_unit_depends_on(other: tuple[Path, Path, Path], layer: str) -> None:
    """Changing all pixels outside the box leaves the activation as it was; the box shows the field's pixels."""
    path, images, description = other
    net, found = load(description, {"net0": RESNET}), store.load(path, f"{layer}/*")
    pixels = store.load(images, "images")["images"]
    rows, columns = receptive.fields(net, [layer])[layer]
    for unit in range(0, 64, 16):
        image, row, column = (found[f"{layer}/{name}"][unit, 0] for name in ("image", "row", "column"))
        changed = pixels[[image]].copy()
        changed[:, 2:82, 2:82] = 255 - changed[:, 2:82, 2:82]
        inside = [slice(max(s.first[at], 0), s.last[at]) for s, at in ((rows, row), (columns, column))]
        crop = pixels[image, 2:82, 2:82][*inside]
        changed[0, 2:82, 2:82][*inside] = crop
        output = outputs_of(net, changed, layer)[0, unit, row, column]
        np.testing.assert_allclose(output, found[f"{layer}/activation"][unit, 0], rtol=1e-3)
        top, left, bottom, right = found[f"{layer}/box"][unit, 0]
        np.testing.assert_array_equal(found[f"{layer}/patch"][unit, 0][top:bottom, left:right], crop)
        assert found[f"{layer}/deconv"][unit, 0][top:bottom, left:right].std() > 1


@pytest.mark.slow
def test_thumbnails_are_means_of_areas(other: tuple[Path, Path, Path]) -> None:
    path, images, _ = other
    found, pixels = store.load(path, "last/*"), store.load(images, "images")["images"][:, 2:82, 2:82]
    assert "last/patch" not in found
    assert found["last/thumbnail"].shape == (5, 3, 64, 64, 3)
    shown = found["last/thumbnail"][3, 2]
    whole = pixels[found["last/image"][3, 2]]
    np.testing.assert_allclose(shown[0, 0], whole[:2, :2].mean((0, 1)), atol=0.5)
    np.testing.assert_allclose(shown[4, 8], whole[5:7, 10:12].mean((0, 1)), atol=0.5)
    small = pixels[:, :40, :40]
    assert pictures.reduced(small) is small


@pytest.mark.slow
def test_a_layer_that_is_written_in_parts_is_the_same(
    other: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, images, description = other
    whole = store.load(path, "first/*", "last/*")
    monkeypatch.setattr(store, "CHUNK_BYTES", 2**16)
    again = tmp_path / "net0.zarr/zarr.json"
    named = ["--modules", json.dumps({"net0": RESNET}), "--layers", "first", "last", "--batch", "8", "--top", "3"]
    pictures.main([str(images), str(description), str(again), *named])
    for name, part in store.load(again).items():
        close = 1 if name.endswith("deconv") else 0  # last bits depend on the batch
        np.testing.assert_allclose(part.astype(int), whole[name].astype(int), atol=close)


@pytest.mark.parametrize("alexnet", [True, False])
def test_a_deconvolution_that_is_not_finite_is_refused(tmp_path: Path, alexnet: bool) -> None:
    """Activations are finite, because these images are black."""
    settings = {"crop": 12, "conv": [{"units": 4, "kernel": 3}, {"units": 3, "kernel": 3}], "fc": [], "dropout": 0}
    net = preset(settings, 3, 2, 12, seed=0)
    with torch.no_grad():
        for name in ("conv1", "conv2"):
            net.body.get_submodule(name).weight.fill_(1e30)
            net.body.get_submodule(name).bias.fill_(0)
        net.body.get_submodule("conv2").bias[1] = 1
    if not alexnet:
        net.body = nn.Sequential(*net.body.children())
        net.layers = {"conv2": "3"}
    net.name = "net3"
    rows = stored(tmp_path / "a.zarr", np.zeros((4, 12, 12, 3), np.uint8))
    layer = "conv2"
    found = search.search(net, rows, 4, [layer], top=2)[layer]
    assert (found["image"] != search.EMPTY).any(1).tolist() == [False, True, False]
    fields = receptive.fields(net, [layer])[layer]
    with pytest.raises(InputError, match="net3: deconvolution of conv2 is not finite everywhere, first of unit 1"):
        pictures.patches(net, rows, layer, fields, found, np.arange(3), batch=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "layer", "projected"),
    [
        ("detached", "1", False),
        ("Inference", "inner.1", False),
        ("chosen", "1", True),
        ("wide", "2", True),
        ("Transformer", {"module": "block", "tokens": True, "class_tokens": 1}, True),
    ],
)
def test_any_net_has_pictures_and_deconvolutions_where_a_gradient_leads_back(
    tmp_path: Path, function: str, layer: object, projected: bool
) -> None:
    settings = {"crop": 16, "pixels": {"mean": [0.5] * 3, "deviation": [0.2] * 3}}
    net = build(f"tests.nets.odd:{function}", settings, 3, 2, 16, seed=0).eval()
    net.name, net.layers = "net0", {"first": layer}
    rows = stored(tmp_path / "a.zarr", np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8))
    found = search.search(net, rows, 4, ["first"], top=2)["first"]
    path = str(tmp_path / "p.zarr/zarr.json")
    store.create(path, {})
    fields = receptive.fields(net, ["first"])["first"]
    names = pictures.save_layer(path, net, rows, "first", fields, found, batch=5)
    store.finish(path, dict.fromkeys(names), kind="patches")
    assert ("first/deconv" in names) == projected
    arrays = store.load(path)
    at = [(unit, 0) for unit in np.flatnonzero(found["image"][:, 0] >= 0)]
    assert at
    for unit, slot in at:  # the highest activation is where it is said to be
        crop = net.centre_crop(torch.from_numpy(rows[[found["image"][unit, slot]]]))
        activation = recorded(net, crop, ["first"])["first"][0, unit].detach()
        row, column = found["row"][unit, slot], found["column"][unit, slot]
        assert activation[row, column] == pytest.approx(activation.max().item(), rel=1e-5)
        top, left, bottom, right = arrays["first/box"][unit, slot]
        assert bottom > top
        assert right > left
