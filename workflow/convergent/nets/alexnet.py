"""AlexNet, from crops to logits. The configuration sets its widths, kernels, strides and sizes.

``net = AlexNet(architecture, channels, classes, seed)`` is a plain sequence of named modules (conv1, relu1, pool1,
lrn1, ...), so that it can be cut at any layer. ``architecture`` is the configuration's section of that name.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..seeds import derive
from .architecture import ModuleSpec, conv_sizes, modules
from .strided import StridedConv2d


class LocalResponseNorm(nn.Module):
    """x / (k + alpha / n * sum of squares over a window of n channels) ** beta, as ``torch.nn.LocalResponseNorm``.

    The window is a sum of shifted slices. Unlike torch's pooling it is deterministic on every device.
    """

    def __init__(self, n: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.n, self.alpha, self.beta, self.k = n, alpha, beta, k

    def denominator(self, x: torch.Tensor) -> torch.Tensor:
        """Divisor of every activation, in float32. (N, C, H, W) -> (N, C, H, W)"""
        channels, x = x.shape[1], x.float()  # float32 even where the net computes in bfloat16
        squares = functional.pad(x * x, (0, 0, 0, 0, self.n // 2, (self.n - 1) // 2))
        window = squares[:, :channels].clone()
        for shift in range(1, self.n):
            window += squares[:, shift : shift + channels]
        return (window * (self.alpha / self.n) + self.k) ** self.beta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / self.denominator(x)


class AlexNet(nn.Sequential):
    """The convolutions and fully connected layers of the configuration; the last layer gives the logits.

    ``recorded`` maps each layer but the last to its ReLU, whose output is the layer's activation. The activation of the
    last layer is the logits.
    Raises InputError where nothing is left of a crop after a convolution.
    """

    def __init__(self, architecture: Mapping[str, Any], channels: int, classes: int, seed: int) -> None:
        walk, sizes = modules(architecture), conv_sizes(architecture)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        inputs = channels
        for spec in walk:
            if spec.kind == "conv":
                conv, outputs = spec.entry, spec.entry["units"]
                geometry = conv["kernel"], conv.get("stride", 1), conv.get("padding", 0)
                layers[spec.name] = StridedConv2d(inputs, outputs, *geometry)
                inputs = outputs
            elif spec.kind == "flatten":
                layers[spec.name] = nn.Flatten()
                inputs *= sizes[-1][1] ** 2
            elif spec.kind == "fc":
                outputs = classes if spec is walk[-1] else spec.entry["units"]
                layers[spec.name] = nn.Linear(inputs, outputs)
                inputs = outputs
            else:
                layers[spec.name] = unweighted(spec, architecture)
        super().__init__(layers)
        weighted = [spec for spec in walk if spec.kind in ("conv", "fc")]
        self.recorded = {spec.name: f"relu{spec.number}" for spec in weighted[:-1]}
        self._initialise(weighted, derive(seed, "initialisation"))

    def _initialise(self, weighted: Iterable[ModuleSpec], seed: int) -> None:
        """Draw Gaussian weights with the configured ``std``, or He's; set biases to the configured constants."""
        generator = torch.Generator().manual_seed(seed)
        for spec in weighted:
            module = self.get_submodule(spec.name)
            assert isinstance(module, nn.Conv2d | nn.Linear)
            assert module.bias is not None
            fan_in = module.weight[0].numel()
            with torch.no_grad():
                module.weight.normal_(0, spec.entry.get("std", (2 / fan_in) ** 0.5), generator=generator)
                module.bias.fill_(spec.entry.get("bias", 0.0))


def unweighted(spec: ModuleSpec, architecture: Mapping[str, Any]) -> nn.Module:
    """A rectification, pooling, normalisation or dropout as the configuration describes it."""
    if spec.kind == "pool":
        return nn.MaxPool2d(*spec.entry["pool"])
    if spec.kind == "drop":
        return nn.Dropout(architecture["dropout"])
    return LocalResponseNorm() if spec.kind == "lrn" else nn.ReLU(inplace=True)
