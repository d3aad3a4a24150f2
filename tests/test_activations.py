"""Activations: what hooks record is what the modules give when they are called one after another."""

from pathlib import Path

import numpy as np
import pytest
import torch

from workflow.convergent import activations, alexnet, store

LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
UNITS = dict(zip(LAYERS, [6, 7, 8, 8, 6, 12, 10, 4], strict=True))


def eager(net: alexnet.AlexNet, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """The net by hand: the output of every module by its name."""
    found = {}
    for name, module in net.named_children():
        x = module(x)
        found[name] = x.clone()
    return found


def hooks(net: alexnet.AlexNet) -> int:
    return sum(len(module._forward_hooks) for module in net.modules())


@pytest.fixture
def net(nets: dict[str, Path]) -> alexnet.AlexNet:
    return alexnet.load(nets["net0"])


@pytest.fixture
def pixels(images: dict[str, Path]) -> np.ndarray:
    return store.load(images["val"], "images")["images"]


@pytest.mark.parametrize("layer", LAYERS)
@torch.no_grad()
def test_recorded_activations_are_those_after_the_relu(net: alexnet.AlexNet, pixels: np.ndarray, layer: str) -> None:
    x = net.centre_crop(torch.from_numpy(pixels))
    with activations.recording(net, LAYERS) as outputs:
        logits = net(x)
    expected = eager(net, x)
    torch.testing.assert_close(
        outputs[layer], expected[f"relu{layer[-1]}" if layer != "fc8" else "fc8"], rtol=0, atol=0
    )
    assert (outputs[layer] < 0).any() == (layer == "fc8")
    assert (outputs[layer] > 0).any()
    assert torch.equal(outputs["fc8"], logits)


def test_only_the_asked_layers_are_recorded_and_hooks_are_removed(net: alexnet.AlexNet) -> None:
    with activations.recording(net, ["conv2", "fc7"]) as outputs:
        assert hooks(net) == 2
        net(torch.rand(1, 3, 16, 16))
    assert list(outputs) == ["conv2", "fc7"]
    assert hooks(net) == 0


def test_hooks_are_removed_after_an_error(net: alexnet.AlexNet) -> None:
    with pytest.raises(RuntimeError), activations.recording(net, LAYERS):
        net(torch.rand(1, 5, 16, 16))
    assert hooks(net) == 0


def test_an_unknown_layer_is_refused(net: alexnet.AlexNet) -> None:
    with (
        pytest.raises(SystemExit, match=r"layers: the net has no conv6, it has conv1, relu1, .*, fc8"),
        activations.recording(net, ["conv1", "conv6"]),
    ):
        pass


@pytest.mark.parametrize("layer", ["conv10", "conv11", "fc12", "fc13"])
def test_the_relu_of_layers_with_two_digits(architecture: dict, layer: str) -> None:
    architecture["conv"] = [{"units": 3, "kernel": 3, "padding": 1}] * 11
    net = alexnet.AlexNet(architecture, 3, 4, 20, 0)
    assert activations.recorded_module(net, layer) is net.get_submodule(
        layer.replace("conv", "relu").replace("fc", "relu")
    )


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
    loaded = {name: alexnet.load(path) for name, path in nets.items()}
    index = np.array([4, 29, 0, 1, 17, 17, 3, 8, 9, 20, 21])
    parts = list(activations.stream(loaded, store.Rows(images["val"], "images"), index, batch, LAYERS))
    assert len(parts) == -(-len(index) // batch)
    for name, net in loaded.items():
        expected = eager(net, net.centre_crop(torch.from_numpy(pixels[index])))
        for layer in LAYERS:
            found = torch.cat([part[layer][name] for part in parts])
            rows = activations.samples(expected["fc8" if layer == "fc8" else f"relu{layer[-1]}"])
            assert found.shape[2] == UNITS[layer]
            # float32 sums in another order, as large as the layer's largest activation lets them be
            torch.testing.assert_close(found, rows, rtol=1e-5, atol=1e-6 * max(1.0, float(rows.abs().max())))
