"""Deconvolution against filters and autograd, and its two implementations against each other."""

import pytest
import torch
from torch import nn

from tests.presets import one_layer, preset, recorded
from workflow.convergent.nets import alexnet
from workflow.convergent.nets.model import Net, build
from workflow.convergent.patches import deconvolution

CONVOLUTIONS = ["conv1", "conv2", "conv3", "conv4", "conv5"]
SETTINGS = {"crop": 32, "pixels": {"mean": [0.5] * 3, "deviation": [0.2] * 3}}


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 0), (3, 1, 1), (5, 2, 2), (4, 3, 1), (1, 1, 0)])
def test_deconvolution_of_one_layer_is_its_filter(kernel: int, stride: int, padding: int) -> None:
    net = one_layer(4, 12, kernel=kernel, stride=stride, padding=padding)
    last = (12 + 2 * padding - kernel) // stride
    unit, row, column = torch.tensor([0, 3, 1, 2]), torch.tensor([0, last, 1, 0]), torch.tensor([0, last, 0, last])
    found = deconvolution.deconvolve(net, "conv1", torch.zeros(4, 3, 12, 12), unit, row, column)
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
    """Gradient of a net in which rectifications rectify the signal and denominators are constant."""
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


@pytest.mark.parametrize("layer", CONVOLUTIONS)
def test_deconvolution_is_autograd_with_fixed_denominators(architecture: dict, layer: str) -> None:
    net = preset(architecture, 3, 4, 20, seed=0).eval()
    norms = [module for module in net.body.children() if isinstance(module, alexnet.LocalResponseNorm)]
    for norm in norms:
        norm.alpha = 2.0  # of the size of the activations, so that the denominators matter
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((20, 3, 16, 16), generator=generator)
    width = recorded(net, x, [layer])[layer].shape[2]
    at = [torch.randint(0, high, (20,), generator=generator) for high in (6, width, width)]
    found = deconvolution.deconvolve(net, layer, x, *at)
    expected = deconvolved_by_autograd(net, layer, x, *at)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    for norm in norms:
        norm.alpha = 0.0
    same = torch.allclose(found, deconvolution.deconvolve(net, layer, x, *at), rtol=1e-2)
    assert same == (layer == "conv1")  # the only one without a norm before it


def places(count: int, units: int, width: int, seed: int = 1) -> list[torch.Tensor]:
    """Units, rows and columns drawn for so many crops."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, high, (count,), generator=generator) for high in (units, width, width)]


@pytest.mark.parametrize("layer", CONVOLUTIONS)
def test_the_gradient_is_the_walk_back_where_nothing_is_normalised(architecture: dict, layer: str) -> None:
    for conv in architecture["conv"]:
        conv.pop("lrn", None)
    net = preset(architecture, 3, 4, 20, seed=0)
    x = torch.randn((20, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    at = places(20, 6, recorded(net, x, [layer])[layer].shape[2])
    found = deconvolution.by_gradient(net, layer, x, *at)
    assert found.any()
    torch.testing.assert_close(found, deconvolution.walked_back(net, layer, x, *at), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("layer", ["relu1", "pool1", "lrn2", "pool2"])
def test_the_preset_is_walked_back_from_any_of_its_modules(architecture: dict, layer: str) -> None:
    net = preset(architecture, 3, 4, 20, seed=0)
    net.layers = {"first": layer}
    x = torch.randn((20, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    at = places(20, 6, recorded(net, x, [layer])[layer].shape[2])
    found = deconvolution.deconvolve(net, "first", x, *at)
    torch.testing.assert_close(found, deconvolved_by_autograd(net, layer, x, *at), rtol=1e-4, atol=1e-6)


class Rectifications(nn.Module):
    """A net that rectifies in one of many ways, between two convolutions."""

    def __init__(self, rectify: nn.Module) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.one, self.two = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 5, 3, padding=1)
        for weights in self.parameters():
            weights.data = torch.randn(weights.shape, generator=generator)
        self.rectify = rectify

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(self.rectify(self.one(x))).mean((2, 3))


class Calls(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def ignored(x: torch.Tensor) -> torch.Tensor:
    torch.relu_(x)
    return x


RECTIFIES = {
    "module": nn.ReLU(),
    "in place": nn.ReLU(inplace=True),
    "function": Calls(nn.functional.relu),
    "function in place": Calls(lambda x: nn.functional.relu(x, inplace=True)),
    "method": Calls(lambda x: x.relu()),
    "method in place": Calls(lambda x: x.relu_()),
    "its return ignored": Calls(ignored),
}


@pytest.mark.parametrize("rectify", RECTIFIES.values(), ids=RECTIFIES)
def test_every_way_to_rectify_has_the_rule(rectify: nn.Module) -> None:
    net = Net(Rectifications(rectify).eval(), "tests:Rectifications", SETTINGS, 3, 5, 32)
    x = torch.randn((8, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    unit, row, column = places(8, 5, 32)
    signal = torch.zeros(8, 5, 32, 32)
    signal[torch.arange(8), unit, row, column] = 1
    for module, inputs in ((net.body.two, 6), (net.body.one, 3)):
        signal = nn.grad.conv2d_input((8, inputs, 32, 32), module.weight, signal, padding=1)
        signal = signal.clamp_min(0) if module is net.body.two else signal
    found = deconvolution.deconvolve(net, "two", x, unit, row, column)
    torch.testing.assert_close(found, signal)


def gated(net: Net, layer: str, x: torch.Tensor, *at: torch.Tensor) -> torch.Tensor:
    """The plain gradient, gated by the activations."""
    x = x.clone().requires_grad_()
    output = recorded(net, x * 1, [layer])[layer]
    return torch.autograd.grad(output[torch.arange(len(x)), *at].sum(), x)[0]


@pytest.mark.parametrize(
    ("activation", "plain"),
    [(nn.ReLU6(), False), (nn.Hardtanh(0, 2), False), (nn.Hardtanh(), True), (nn.Hardswish(), True), (nn.GELU(), True)],
    ids=str,
)
def test_where_there_is_no_rule_the_gradient_is_plain(activation: nn.Module, plain: bool) -> None:
    net = Net(Rectifications(activation).eval(), "tests:Rectifications", SETTINGS, 3, 5, 32)
    x = torch.randn((8, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    at = places(8, 5, 32)
    assert torch.allclose(deconvolution.deconvolve(net, "two", x, *at), gated(net, "two", x, *at)) == plain


INSIDE = {"resnet18": "layer2.0.bn1", "mobilenet_v2": "features.3", "shufflenet_v2_x0_5": "stage2.1.branch2.4"}


@pytest.fixture(params=INSIDE.items(), ids=INSIDE)
def other(request: pytest.FixtureRequest) -> tuple[Net, str]:
    """A net and a layer; the nets overwrite in place, add, concatenate, and call a module twice."""
    name, layer = request.param
    return build(f"torchvision:{name}", SETTINGS, 3, 3, 32, seed=0), layer


@pytest.mark.slow
def test_each_crop_is_projected_by_itself_and_the_net_left_as_it_was(other: tuple[Net, str]) -> None:
    net, layer = other
    x = torch.randn((4, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, activation = net(x), recorded(net, x, [layer])[layer]
    at = places(4, *activation.shape[1:3])
    kept = x.clone()
    found = deconvolution.deconvolve(net, layer, x, *at)
    assert found.isfinite().all()
    assert found.flatten(1).any(1).all()
    assert torch.equal(found, deconvolution.deconvolve(net, layer, x, *at))
    for k in range(4):
        one = deconvolution.deconvolve(net, layer, x[[k]], *(index[[k]] for index in at))[0]
        torch.testing.assert_close(found[k], one, rtol=1e-3, atol=1e-5 * float(one.abs().max()))
    assert torch.equal(x, kept)
    with torch.no_grad():
        torch.testing.assert_close(net(x), before, rtol=0, atol=0)
    assert all(weights.grad is None for weights in net.parameters())
