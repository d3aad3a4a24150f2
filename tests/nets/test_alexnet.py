"""AlexNet: sizes of the paper, and activations that vary over images at initialisation."""

import copy

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests import ROOT
from tests.presets import preset, recorded
from workflow.convergent.commands import InputError
from workflow.convergent.images import listing
from workflow.convergent.nets import alexnet
from workflow.convergent.nets.architecture import conv_sizes
from workflow.convergent.nets.model import Net, weights_digest

SHAPES = {  # the paper's table
    "conv1": (96, 55, 55),
    "conv2": (256, 27, 27),
    "conv3": (384, 13, 13),
    "conv4": (384, 13, 13),
    "conv5": (256, 13, 13),
    "fc6": (4096,),
    "fc7": (4096,),
    "fc8": (1000,),
}
LAYERS = list(SHAPES)
# Deviation over images of the activations at initialisation, root mean square over units and positions, conv1 to fc8.
DEVIATIONS = {
    "config.yaml": [0.06, 0.054, 0.05, 0.041, 0.035, 0.044, 0.043, 0.061],
    "workflow/experiments/imagenet.yaml": [6.0, 2.4, 0.83, 0.41, 0.21, 0.094, 0.03, 0.019],
}


def section(experiment: str, name: str) -> dict:
    return yaml.safe_load((ROOT / experiment).read_text())[name]


def photographs(size: int) -> np.ndarray:
    """Every fifth embedded photograph. (11, size, size, 3)"""
    files = listing.image_files(ROOT / "workflow/resources/scenes")[::5]
    return np.stack([np.asarray(Image.open(file).convert("RGB").resize((size, size))) for file in files])


def made(architecture: dict, classes: int, size: int, seed: int = 0) -> Net:
    """A net with fresh weights, standardised with the photographs."""
    net = preset(architecture, 3, classes, size, seed).eval()
    net.standardise_with(photographs(size))
    return net


def outputs(net: Net) -> dict[str, torch.Tensor]:
    """Activations of each layer on the photographs."""
    with torch.no_grad():
        return recorded(net, net.centre_crop(torch.from_numpy(photographs(net.size))), LAYERS)


def deviation(activation: torch.Tensor) -> float:
    """Deviation over images, as the root mean square over units and positions."""
    return activation.double().var(0).mean().sqrt().item()


def within_factor_2(found: dict[str, torch.Tensor], expected: list[float]) -> bool:
    """Whether the deviation of every layer is within a factor of 2 of the expected one."""
    return all(0.5 < deviation(found[layer]) / there < 2 for layer, there in zip(LAYERS, expected, strict=True))


def gain(net: Net, found: dict[str, torch.Tensor]) -> float:
    """Mean factor that the first local response normalisation multiplies by."""
    norm = net.body.get_submodule("lrn1")
    assert isinstance(norm, alexnet.LocalResponseNorm)
    return (1 / norm.denominator(net.body.get_submodule("pool1")(found["conv1"]))).mean().item()


@pytest.fixture(scope="module")
def paper() -> tuple[Net, dict[str, torch.Tensor]]:
    """The paper's net at initialisation and its activations."""
    net = made(section("workflow/experiments/imagenet.yaml", "architecture"), 1000, 256)
    return net, outputs(net)


@pytest.mark.slow
def test_the_paper_has_62_million_parameters(paper: tuple) -> None:
    assert sum(p.numel() for p in paper[0].parameters()) == 62_378_344


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_layers_of_the_paper_have_its_shapes(paper: tuple, layer: str) -> None:
    assert tuple(paper[1][layer].shape[1:]) == SHAPES[layer]


@pytest.mark.slow
def test_modules_of_the_paper_are_in_its_order(paper: tuple) -> None:
    first = "conv1 relu1 pool1 lrn1 conv2 relu2 pool2 lrn2 conv3 relu3 conv4 relu4 conv5 relu5 pool5"
    last = "flatten fc6 relu6 drop6 fc7 relu7 drop7 fc8"
    assert [name for name, _ in paper[0].body.named_children()] == f"{first} {last}".split()


@pytest.mark.slow
def test_signals_of_the_paper_live_at_initialisation(paper: tuple) -> None:
    assert within_factor_2(paper[1], DEVIATIONS["workflow/experiments/imagenet.yaml"])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_signals_of_the_scenes_live_at_initialisation(seed: int) -> None:
    found = outputs(made(section("config.yaml", "architecture"), 52, 36, seed))
    assert within_factor_2(found, DEVIATIONS["config.yaml"])


@pytest.mark.slow
def test_signals_of_the_paper_need_its_bytes_and_biases(paper: tuple) -> None:
    """With pixels of unit variance and no biases, signals vanish on the way and the normalisation changes nothing."""
    architecture = copy.deepcopy(paper[0].settings)
    architecture["pixels"]["scale"] = "unit"
    for layer in architecture["conv"] + architecture["fc"]:
        layer.pop("bias", None)
    net = made(architecture, 1000, 256)
    found = outputs(net)
    assert deviation(found["fc8"]) < 1e-3 < 10 * 1e-3 < deviation(paper[1]["fc8"])
    assert abs(gain(net, found) - 1) < 1e-3 < 5e-3 < 1 - gain(*paper)


@pytest.mark.slow
def test_weights_and_biases_are_drawn_as_configured(paper: tuple) -> None:
    architecture = paper[0].settings
    settings = [*architecture["conv"], *architecture["fc"], architecture["logits"]]
    for layer, setting in zip(LAYERS, settings, strict=True):
        module = paper[0].body.get_submodule(layer)
        assert module.weight.std().item() == pytest.approx(setting["std"], rel=0.02)
        assert abs(module.weight.mean().item()) < 0.02 * setting["std"]
        assert (module.bias == setting.get("bias", 0)).all()


@pytest.mark.parametrize("layer", ["conv2", "conv5", "fc6", "fc8"])
def test_he_initialisation_is_the_default(layer: str) -> None:
    weight = preset(section("config.yaml", "architecture"), 3, 52, 36, 0).body.get_submodule(layer).weight
    assert weight.std().item() == pytest.approx((2 / weight[0].numel()) ** 0.5, rel=0.03)


def test_the_seed_decides_the_weights(architecture: dict) -> None:
    """Earlier draws from torch's global generator change nothing."""
    digests = []
    for seed in (0, 0, 1):
        torch.rand(3)
        digests.append(weights_digest(preset(architecture, 3, 4, 20, seed)))
    assert digests[0] == digests[1] != digests[2]


NORMS = [(5, 1e-4, 0.75, 1.0), (5, 2.0, 0.75, 1.0), (3, 0.5, 0.75, 2.0), (4, 1.0, 0.75, 1.0), (1, 1.0, 1.0, 1.0)]


@pytest.mark.parametrize("settings", NORMS)
@pytest.mark.parametrize("shape", [(2, 9, 5, 4), (3, 2, 1, 1), (1, 1, 3, 3)])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_local_response_norm_is_that_of_torch(settings: tuple, shape: tuple, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(shape, generator=generator) * scale, torch.randn(shape, generator=generator)
    found = []
    for norm in (alexnet.LocalResponseNorm(*settings), torch.nn.LocalResponseNorm(*settings)):
        entry = x.clone().requires_grad_()
        value = norm(entry)
        (value * weight).sum().backward()
        assert entry.grad is not None
        found.append((value.detach(), entry.grad))
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).norm() <= 1e-6 * theirs.norm()


@pytest.mark.parametrize(
    ("crop", "changed", "layer"),
    [
        (1, {}, "conv1"),  # pooling 3/2 of one pixel
        (7, {}, "conv5"),  # 7 -> 3 -> 1, and pooling 3/2 of that
        (16, {0: {"kernel": 19}}, "conv1"),
        (16, {2: {"kernel": 9, "padding": 0}}, "conv3"),
        (16, {1: {"stride": 7}}, "conv2"),
        (16, {3: {"pool": [4, 2]}}, "conv4"),
    ],
)
def test_too_small_a_crop_is_refused_with_its_layer(architecture: dict, crop: int, changed: dict, layer: str) -> None:
    architecture["crop"] = crop
    for index, settings in changed.items():
        architecture["conv"][index] |= settings
    with pytest.raises(InputError) as refusal:
        preset(architecture, 3, 4, 20, 0)
    message = str(refusal.value)
    assert "\n" not in message
    assert f"after {layer};" in message


@pytest.mark.parametrize("crop", range(14, 21))
def test_sizes_are_those_of_torch(architecture: dict, crop: int) -> None:
    architecture["crop"] = crop
    net = preset(architecture, 3, 4, 20, 0).eval()
    x = torch.rand(1, 3, crop, crop)
    with torch.no_grad():
        assert net(x).shape == (1, 4)
        found = recorded(net, x, LAYERS[:5])
    assert [tuple(found[layer].shape[2:]) for layer in LAYERS[:5]] == [
        (made, made) for made, _ in conv_sizes(architecture)
    ]
