"""Activations: hooks record the outputs that the modules return when they are called one after another."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.fx
from torch import nn

from tests.presets import preset, recorded
from workflow.convergent import store
from workflow.convergent.commands import InputError
from workflow.convergent.nets import activations
from workflow.convergent.nets import hooks as hooks_of_nets
from workflow.convergent.nets.model import Net, build, load

LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
UNITS = dict(zip(LAYERS, [6, 7, 8, 8, 6, 12, 10, 4], strict=True))


def eager(net: Net, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Output of every module by its name, from calling the modules one after another."""
    found = {}
    for name, module in net.body.named_children():
        x = module(x)
        found[name] = x.clone()
    return found


def hooks(net: Net) -> int:
    return sum(len(module._forward_hooks) for module in net.modules())


@pytest.fixture
def net(nets: dict[str, Path]) -> Net:
    return load(nets["net0"])


@pytest.fixture
def pixels(images: dict[str, Path]) -> np.ndarray:
    return store.load(images["val"], "images")["images"]


@pytest.mark.parametrize("layer", LAYERS)
@torch.no_grad()
def test_recorded_activations_are_those_after_the_relu(net: Net, pixels: np.ndarray, layer: str) -> None:
    x = net.centre_crop(torch.from_numpy(pixels))
    outputs, expected = recorded(net, x, LAYERS), eager(net, x)
    torch.testing.assert_close(
        outputs[layer], expected[f"relu{layer[-1]}" if layer != "fc8" else "fc8"], rtol=0, atol=0
    )
    assert (outputs[layer] < 0).any() == (layer == "fc8")
    assert (outputs[layer] > 0).any()


def test_hooks_are_removed_and_the_pass_ends_with_the_last_layer(net: Net) -> None:
    passed = []
    for name in ("relu7", "fc8"):
        net.body.get_submodule(name).register_forward_hook(lambda m, i, o, name=name: passed.append(name))
    outputs = activations.record(net, torch.rand(1, 3, 16, 16), activations.probe(net, ["fc7", "conv2"]))
    assert list(outputs) == ["conv2", "fc7"]
    assert passed == ["relu7", "fc8", "relu7"]  # the probe goes through the whole net
    assert hooks(net) == 2


def test_hooks_are_removed_after_an_error(net: Net) -> None:
    layers = activations.probe(net, LAYERS)
    with pytest.raises(RuntimeError):
        activations.record(net, torch.rand(1, 5, 16, 16), layers)
    assert hooks(net) == 0


def test_an_unknown_layer_is_refused(net: Net) -> None:
    said = r"layers: a net of architecture alexnet has no module 'conv6'; conv1, relu1, .*, fc8"
    with pytest.raises(InputError, match=said):
        activations.probe(net, ["conv1", "conv6"])
    assert hooks(net) == 0


@pytest.mark.parametrize("layer", ["conv10", "conv11", "fc12", "fc13"])
def test_the_relu_of_layers_with_two_digits(architecture: dict, layer: str) -> None:
    architecture["conv"] = [{"units": 3, "kernel": 3, "padding": 1}] * 11
    net = preset(architecture, 3, 4, 20, 0)
    name = layer.replace("conv", "relu").replace("fc", "relu")
    assert net.module_name(layer) == name
    assert hooks_of_nets.recorded_module(net, layer) is net.body.get_submodule(name)


MODELS = ["alexnet", "resnet18", "vgg11", "mobilenet_v3_small"]
SETTINGS = {"crop": 64, "pixels": {"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}}


class Eager(torch.fx.Interpreter):
    """Runs a traced net node by node; keeps the output of every module as it returns, and counts its calls."""

    def __init__(self, net: torch.fx.GraphModule) -> None:
        super().__init__(net)
        self.outputs: dict[str, torch.Tensor] = {}
        self.calls: Counter[str] = Counter()

    def call_module(self, target, args, kwargs):
        output = super().call_module(target, args, kwargs)
        self.outputs[target] = output.clone()
        self.calls[target] += 1
        return output


@pytest.mark.parametrize("model", MODELS)
@torch.no_grad()
@pytest.mark.slow
def test_every_module_of_any_net_is_recorded_as_it_returns(model: str) -> None:
    """Against the net recomputed node by node; later modules may overwrite an output in place."""
    net = build(f"torchvision:{model}", SETTINGS, 3, 10, 64, seed=0)
    net.standardise_with(np.empty(0))
    x = net.centre_crop(torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)))
    eager = Eager(torch.fx.symbolic_trace(net.body.eval()))
    eager.run(x)
    once = [name for name, calls in eager.calls.items() if calls == 1]
    found = recorded(net, x, once)
    assert set(found) == set(once)
    assert len(once) > 20
    for name in once:
        assert torch.equal(found[name], eager.outputs[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("model", ["alexnet", "vgg11"])
def test_a_probe_tells_which_outputs_are_overwritten_in_place(model: str) -> None:
    """The convolution is: a rectification in place follows it. The ReLU before a pooling and the logits are not."""
    net = build(f"torchvision:{model}", SETTINGS, 3, 10, 64, seed=0)
    found = activations.probe(net, ["features.0", "features.1", "classifier.6"])
    assert [layer.overwritten for layer in found.values()] == [True, False, False]


@pytest.mark.slow
def test_a_module_that_is_called_twice_is_refused() -> None:
    net = build("torchvision:resnet18", SETTINGS, 3, 10, 64, seed=0)
    with pytest.raises(
        InputError, match=r"^layers: layer1\.0\.relu of net3 is called 2 times in a forward pass, it must"
    ):
        activations.probe(net, ["layer1.0.relu"], "net3")


class Odd(nn.Module):
    """Two modules whose output cannot be recorded, one that is never called, and one whose output is overwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.pair, self.tokens, self.unused, self.same = Returns(0), Returns(1), nn.Identity(), nn.Identity()
        self.last = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.pair(x), self.tokens(x)
        y = self.same(x * 1)
        y.mul_(0).add_(7)  # through another name of the same memory
        return self.last(y.mean((2, 3)))


class Returns(nn.Module):
    def __init__(self, kind: int) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: torch.Tensor):
        return (x, x) if self.kind == 0 else x.flatten(2)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("pair", "pair of the net returns tuple for 3 images; allowed are"),
        (
            "tokens",
            r"tokens of the net returns \(3, 3, 256\) for 3 images; if these are \(images, tokens, ",
        ),
        ("unused", "unused of the net is called 0 times"),
    ],
)
def test_what_cannot_be_recorded_is_refused(layer: str, said: str) -> None:
    net = Net(Odd(), "tests:Odd", SETTINGS | {"crop": 16}, 3, 2, 16)
    with pytest.raises(InputError, match=said) as stopped:
        activations.probe(net, [layer])
    assert "\n" not in str(stopped.value)


def test_an_alias_that_is_overwritten_is_recorded_as_it_was() -> None:
    net = Net(Odd(), "tests:Odd", SETTINGS | {"crop": 16}, 3, 2, 16)
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(recorded(net, x, ["same"])["same"], x)


def test_samples_are_positions_of_images() -> None:
    activation = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)  # (N, units, H, W)
    rows = activations.samples(activation)
    assert rows.shape == (2, 20, 3)
    for image, unit, row, column in np.ndindex(2, 3, 4, 5):
        assert rows[image, 5 * row + column, unit] == activation[image, unit, row, column]


def test_samples_of_fully_connected_layers_have_one_position() -> None:
    activation = torch.rand(7, 3)
    assert torch.equal(activations.samples(activation), activation.reshape(7, 1, 3))


@pytest.mark.parametrize("batch", [1, 7, 30, 64])
@torch.no_grad()
def test_stream_gives_every_image_of_the_index_in_order(
    nets: dict[str, Path], images: dict[str, Path], pixels: np.ndarray, batch: int
) -> None:
    loaded = {name: load(path) for name, path in nets.items()}
    index = np.array([4, 29, 0, 1, 17, 17, 3, 8, 9, 20, 21])
    parts = list(activations.Recorder(loaded, LAYERS).stream(store.StoredArray(images["val"], "images"), index, batch))
    assert len(parts) == -(-len(index) // batch)
    for name, net in loaded.items():
        expected = eager(net, net.centre_crop(torch.from_numpy(pixels[index])))
        for layer in LAYERS:
            found = torch.cat([part[layer][name] for part in parts])
            rows = activations.samples(expected["fc8" if layer == "fc8" else f"relu{layer[-1]}"])
            assert found.shape[2] == UNITS[layer]
            # float32 sums in another order, as large as the layer's largest activation lets them be
            torch.testing.assert_close(found, rows, rtol=1e-5, atol=1e-6 * max(1.0, float(rows.abs().max())))


@pytest.mark.parametrize(("rows", "columns", "grid"), [(6, 4, (3, 2)), (5, 7, (3, 3)), (4, 4, (1, 1)), (3, 2, (6, 4))])
def test_regrid_averages_areas_and_repeats(rows: int, columns: int, grid: tuple[int, int]) -> None:
    """Position i of n is the mean of the pixels from floor(i * size / n) to ceil((i + 1) * size / n)."""
    x = torch.rand(2, 3, rows, columns)
    found = activations.regrid(x, grid)
    for i, j in np.ndindex(grid):
        area = [
            slice(k * size // n, -(-(k + 1) * size // n)) for k, size, n in zip((i, j), x.shape[2:], grid, strict=True)
        ]
        torch.testing.assert_close(found[:, :, i, j], x[:, :, area[0], area[1]].mean((2, 3)))


def test_regrid_goes_between_positions_and_none() -> None:
    x = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(activations.regrid(x, ()), x.mean((2, 3)))
    assert torch.equal(activations.regrid(x[:, :, 0, 0], (2, 5)), x[:, :, :1, :1].expand(2, 3, 2, 5))
    assert activations.regrid(x, (4, 4)) is x


@pytest.fixture(scope="module")
def two() -> dict[str, Net]:
    """Nets of two architectures, whose first layers have 15x15 and 32x32 positions."""
    nets = {
        "net0": build("torchvision:alexnet", SETTINGS, 3, 10, 72, seed=0),
        "net1": build("torchvision:resnet18", SETTINGS, 3, 10, 72, seed=1),
    }
    for net in nets.values():
        net.standardise_with(np.empty(0))
    nets["net0"].layers, nets["net1"].layers = (
        {"first": "features.1", "last": "classifier.6"},
        {"first": "bn1", "last": "fc"},
    )
    return nets


@pytest.mark.slow
def test_other_grids_are_refused_with_both_sizes(two: dict[str, Net]) -> None:
    said = "^layers: first has positions 15x15 in net0, 32x32 in net1; set resample: area, or name other layers$"
    with pytest.raises(InputError, match=said):
        activations.Recorder(two, ["first", "last"])


@pytest.mark.slow
@torch.no_grad()
def test_other_grids_are_averaged_to_the_coarser_one(two: dict[str, Net], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 72, 72, 3), np.uint8)
    store.save(tmp_path / "a.zarr/zarr.json", {"images": pixels})
    recorder = activations.Recorder(two, ["first", "last"], resample="area")
    assert recorder.common_grids == {"first": (15, 15), "last": ()}
    assert recorder.layer_attributes("first") == {
        "modules": {"net0": "features.1", "net1": "bn1"},
        "grid": (15, 15),
        "resampled": {"net1": (32, 32)},
    }
    (found,) = recorder.stream(store.StoredArray(tmp_path / "a.zarr/zarr.json", "images"), np.arange(4), 4)
    assert {net: x.shape for net, x in found["first"].items()} == {"net0": (4, 225, 64), "net1": (4, 225, 64)}
    assert {net: x.shape for net, x in found["last"].items()} == {"net0": (4, 1, 10), "net1": (4, 1, 10)}
    body = two["net1"].body.eval()
    x = two["net1"].centre_crop(torch.from_numpy(pixels))
    expected = activations.samples(nn.functional.adaptive_avg_pool2d(body.bn1(body.conv1(x)), 15))
    torch.testing.assert_close(found["first"]["net1"], expected, rtol=0, atol=0)
    torch.testing.assert_close(found["last"]["net1"][:, 0], body(x), rtol=0, atol=0)
