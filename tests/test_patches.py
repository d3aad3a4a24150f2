"""Top patches: the search against brute force and planted patterns, deconvolution against filters and autograd."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.presets import preset, recorded
from workflow.convergent import alexnet, patches, receptive, store
from workflow.convergent.nets import Net, load, weights_digest

LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
SMALL = {
    "crop": 12,
    "conv": [{"units": 5, "kernel": 3, "padding": 1, "pool": [3, 2]}, {"units": 6, "kernel": 3, "stride": 2}],
    "fc": [{"units": 7}],
    "dropout": 0.5,
}
SMALL_LAYERS = ["conv1", "conv2", "fc3", "fc4"]


def one_layer(units: int, crop: int = 12, **conv: object) -> Net:
    """A net whose first layer is this convolution, on images of its crop, with pixels as they are."""
    architecture = {"crop": crop, "conv": [{"units": units, **conv}], "fc": [], "dropout": 0}
    return preset(architecture, 3, 2, crop, seed=0).eval()


def whole_numbered(seed: int) -> Net:
    """A net whose sums are exact in any order and often equal, given images of small whole numbers."""
    net = preset(SMALL, 1, 4, 14, seed).eval()
    generator = torch.Generator().manual_seed(seed)
    for weights in net.parameters():
        weights.data = torch.randint(-1, 2, weights.shape, generator=generator).float()
    return net


def stored(path: Path, images: np.ndarray) -> store.Rows:
    """Images as a store's rows. (N, H, W, C) uint8"""
    store.save(path / "zarr.json", {"images": images})
    return store.Rows(path / "zarr.json", "images")


@torch.no_grad()
def outputs_of(net: Net, images: np.ndarray, layer: str) -> np.ndarray:
    """A layer's activations. (N, units, H, W); (N, units, 1, 1) where it is fully connected"""
    output = recorded(net, net.centre_crop(torch.from_numpy(images)), [layer])[layer]
    return (output if output.dim() == 4 else output[..., None, None]).numpy()


def top_of(output: np.ndarray, top: int, rectified: bool) -> list[tuple[int, int, int, float]]:
    """Image, row, column and activation of one unit's best images, by sorting all of them. (N, H, W)"""
    maxima = output.max((1, 2))
    order = sorted(range(len(output)), key=lambda image: (-maxima[image], image))
    best = []
    for image in [image for image in order if maxima[image] > 0 or not rectified][:top]:
        row, column = np.unravel_index(output[image].argmax(), output[image].shape)
        best.append((image, int(row), int(column), float(maxima[image])))
    return best + [(-1, -1, -1, 0.0)] * (top - len(best))


@pytest.mark.parametrize(("count", "batch"), [(40, 1), (40, 7), (40, 39), (40, 64), (5, 2)])
def test_search_is_brute_force_ties_included(tmp_path: Path, count: int, batch: int) -> None:
    different = np.random.default_rng(0).integers(0, 3, (count // 2, 14, 14, 1), np.uint8)
    images = np.resize(different, (count, 14, 14, 1))  # each of them again and again: every maximum is a tie
    net = whole_numbered(seed=3)
    found = patches.search(net, stored(tmp_path / "a.zarr", images), batch, SMALL_LAYERS, top=9)
    for layer in SMALL_LAYERS:
        output = outputs_of(net, images, layer)
        expected = [top_of(output[:, unit], 9, layer != "fc4") for unit in range(output.shape[1])]
        for number, name in enumerate(["image", "row", "column", "activation"]):
            wanted = [[slot[number] for slot in unit] for unit in expected]
            np.testing.assert_array_equal(found[layer][name], wanted, err_msg=f"{layer} {name}")


def test_ties_resolve_by_image_order(tmp_path: Path) -> None:
    net = whole_numbered(seed=0)
    images = np.full((20, 14, 14, 1), 2, np.uint8)
    for found in patches.search(net, stored(tmp_path / "a.zarr", images), 6, SMALL_LAYERS, top=9).values():
        live = found["image"][:, 0] != patches.EMPTY
        assert live.any()
        assert (found["image"][live] == np.arange(9)).all()
        assert (found["row"][live] == found["row"][live, :1]).all()


def test_ranks_order_as_activation_then_earlier_image() -> None:
    values = torch.tensor([-np.inf, -3.5, -1.0, -1e-40, 0.0, 1e-40, 1.0, 3.5, 1e38, np.inf], dtype=torch.float32)
    activation, image = values.repeat_interleave(4), torch.tensor([2**31 - 1, 7, 0, -1]).repeat(len(values))
    rank = patches.rank(activation, image)
    assert (rank.diff() > 0).all()
    back = patches.ranked(rank)
    assert torch.equal(back[0], activation)
    assert torch.equal(back[1], image)


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
    found = patches.search(net, rows, 8, ["conv1"], top=4)["conv1"]
    assert found["image"][0].tolist() == list(planted)
    assert list(zip(found["row"][0], found["column"][0], strict=True)) == [(r, c) for r, c, _ in planted.values()]
    pictures = patches.fields(net, rows, "conv1", found, batch=3)
    for slot, (*_, contrast) in enumerate(planted.values()):
        top, left, bottom, right = pictures["box"][0, slot]
        seen = pictures["patch"][0, slot, top:bottom, left:right]
        np.testing.assert_array_equal(seen, 128 + contrast * pattern[top:bottom, left:right])
    assert pictures["box"][0].tolist() == [[0, 0, 5, 5], [0, 1, 5, 5], [0, 0, 5, 5], [0, 0, 5, 5]]


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 0), (3, 1, 1), (5, 2, 2), (4, 3, 1), (1, 1, 0)])
def test_deconvolution_of_one_layer_is_its_filter(kernel: int, stride: int, padding: int) -> None:
    net = one_layer(4, 12, kernel=kernel, stride=stride, padding=padding)
    last = (12 + 2 * padding - kernel) // stride
    unit, row, column = torch.tensor([0, 3, 1, 2]), torch.tensor([0, last, 1, 0]), torch.tensor([0, last, 0, last])
    found = patches.deconvolve(net, "conv1", torch.zeros(4, 3, 12, 12), unit, row, column)
    weight = net.body.get_submodule("conv1").weight.detach()
    expected = torch.zeros(4, 3, 12 + 2 * padding, 12 + 2 * padding)
    for item in range(4):
        top, left = int(row[item]) * stride, int(column[item]) * stride
        expected[item, :, top : top + kernel, left : left + kernel] = weight[unit[item]]
    torch.testing.assert_close(found, expected[:, :, padding : padding + 12, padding : padding + 12], rtol=0, atol=0)


class RectifiedBack(torch.autograd.Function):
    """A rectification whose gradient is rectified instead of gated."""

    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        return x.clamp_min(0)

    @staticmethod
    def backward(ctx: object, signal: torch.Tensor) -> torch.Tensor:
        return signal.clamp_min(0)


def deconvolved_by_autograd(net: Net, layer: str, x: torch.Tensor, *at: torch.Tensor) -> torch.Tensor:
    """The gradient of the net with other rectifications and constant denominators."""
    x = x.clone().requires_grad_()
    y = x
    for name, module in net.body.named_children():
        if isinstance(module, nn.ReLU):
            y = RectifiedBack.apply(y)
        elif isinstance(module, alexnet.LocalResponseNorm):
            y = y / module.denominator(y).detach()
        else:
            y = module(y)
        if name == layer:
            break
    return torch.autograd.grad(y[torch.arange(len(x)), *at].sum(), x)[0]


@pytest.mark.parametrize("layer", LAYERS[:5])
def test_deconvolution_is_autograd_with_fixed_denominators(architecture: dict, layer: str) -> None:
    net = preset(architecture, 3, 4, 20, seed=0).eval()
    norms = [module for module in net.body.children() if isinstance(module, alexnet.LocalResponseNorm)]
    for norm in norms:
        norm.alpha = 2.0  # of the size of the activations, so that the denominators matter
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((20, 3, 16, 16), generator=generator)
    width = outputs_of(net, np.zeros((1, 20, 20, 3), np.uint8), layer).shape[2]
    at = [torch.randint(0, high, (20,), generator=generator) for high in (6, width, width)]
    found = patches.deconvolve(net, layer, x, *at)
    expected = deconvolved_by_autograd(net, layer, x, *at)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    for norm in norms:
        norm.alpha = 0.0
    same = torch.allclose(found, patches.deconvolve(net, layer, x, *at), rtol=1e-2)
    assert same == (layer == "conv1")  # the only one without a norm before it


def test_signals_are_shown_around_grey_by_their_own_size() -> None:
    signal = torch.zeros(3, 1, 2, 2)
    signal[0, 0] = torch.tensor([[1.0, -2.0], [0.0, 4.0]])
    signal[1] = 1e-6 * signal[0]
    shown = patches.display(signal)
    assert shown[0, :, :, 0].tolist() == [[160, 64], [128, 255]]
    np.testing.assert_array_equal(shown[1], shown[0])
    assert (shown[2] == patches.GREY).all()


def test_dead_and_rarely_active_units_leave_empty_slots(tmp_path: Path) -> None:
    net = one_layer(3, kernel=3, padding=1)
    conv = net.body.get_submodule("conv1")
    for unit, (weight, bias) in enumerate([(0.0, 0.0), (1.0, -27 * 150.0), (0.0, -1.0)]):
        conv.weight.data[unit], conv.bias.data[unit] = weight, bias
    net.body.get_submodule("fc2").bias.data -= 1e6  # logits count though negative
    images = np.full((12, 12, 12, 3), 100, np.uint8)
    images[[3, 8]] = 200  # the only ones that excite the second unit
    rows = stored(tmp_path / "a.zarr", images)
    found = patches.search(net, rows, 5, ["conv1", "fc2"], top=9)
    pictures = patches.fields(net, rows, "conv1", found["conv1"], batch=5)
    assert found["conv1"]["image"].tolist() == [[-1] * 9, [3, 8] + [-1] * 7, [-1] * 9]
    empty = found["conv1"]["image"] == patches.EMPTY
    assert (found["conv1"]["activation"][empty] == 0).all()
    for name, blank in {"patch": patches.GREY, "deconv": patches.GREY, "box": 0}.items():
        assert (pictures[name][empty] == blank).all()
    assert (pictures["patch"][1, :2] == 200).all()
    assert (found["fc2"]["image"] >= 0).all()
    assert (found["fc2"]["activation"] < 0).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, images: dict[str, Path], nets: dict[str, Path]) -> Path:
    """The stage's store of the first tiny net."""
    path = tmp_path_factory.mktemp("patches") / "net0.zarr" / "zarr.json"
    patches.main([str(images["val"]), str(nets["net0"]), str(path), "--layers", *LAYERS, "--batch", "8"])
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
        assert (patch[outside] == patches.GREY).all()
        assert (found["deconv"][unit, slot][outside] == patches.GREY).all()


def test_store_says_what_it_depends_on(run: Path, images: dict[str, Path], nets: dict[str, Path]) -> None:
    about = store.attributes(run)
    assert about["images"] == store.attributes(images["val"])["sha256"]
    assert about["net"] == weights_digest(load(nets["net0"]))
    assert (about["layers"], about["top"]) == (LAYERS, 9)


def test_images_of_another_size_are_refused(tmp_path: Path, nets: dict[str, Path]) -> None:
    stored(tmp_path / "a.zarr", np.ones((3, 18, 18, 3), np.uint8))
    with pytest.raises(SystemExit, match="image shapes differ"):
        patches.main([str(tmp_path / "a.zarr/zarr.json"), str(nets["net0"]), "unused", "--layers", "conv1"])
