"""AlexNet whose widths, kernels, strides and sizes are configuration, from crops to logits.

``net = AlexNet(architecture, channels, classes, seed)`` is a plain sequence of named modules (conv1, relu1, pool1,
lrn1, ...), so that it can be cut at any layer. ``architecture`` is the configuration's section of that name.
"""

from collections import OrderedDict
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..seeds import derive
from .architecture import conv_sizes


class LocalResponseNorm(nn.Module):
    """x / (k + alpha / n * sum of squares over a window of n channels) ** beta, as ``torch.nn.LocalResponseNorm``.

    The window is a sum of shifted slices: deterministic on every device, where torch's pooling is not.
    """

    def __init__(self, n: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.n, self.alpha, self.beta, self.k = n, alpha, beta, k

    def denominator(self, x: torch.Tensor) -> torch.Tensor:
        """The divisor of every activation. (N, C, H, W)"""
        channels, x = x.shape[1], x.float()  # also where the net computes with fewer digits
        squares = functional.pad(x * x, (0, 0, 0, 0, self.n // 2, (self.n - 1) // 2))
        window = squares[:, :channels].clone()
        for shift in range(1, self.n):
            window += squares[:, shift : shift + channels]
        return (window * (self.alpha / self.n) + self.k) ** self.beta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / self.denominator(x)


class AlexNet(nn.Sequential):
    """Convolutions and fully connected layers of the configuration; the last layer gives the logits.

    ``recorded`` names the module whose output is a layer's activation: its ReLU, and of the last layer the logits.
    """

    def __init__(self, architecture: dict[str, Any], channels: int, classes: int, seed: int) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width, inputs = 1, channels
        sizes = conv_sizes(architecture)
        for i, conv in enumerate(architecture["conv"], 1):
            kernel, stride, padding = conv["kernel"], conv.get("stride", 1), conv.get("padding", 0)
            layers[f"conv{i}"] = nn.Conv2d(inputs, conv["units"], kernel, stride, padding)
            layers[f"relu{i}"] = nn.ReLU()
            if "pool" in conv:
                layers[f"pool{i}"] = nn.MaxPool2d(*conv["pool"])
            if conv.get("lrn"):
                layers[f"lrn{i}"] = LocalResponseNorm()
            inputs, width = conv["units"], sizes[i - 1][1]
        layers["flatten"] = nn.Flatten()
        inputs *= width * width
        first = len(architecture["conv"]) + 1
        for i, units in enumerate([*(fc["units"] for fc in architecture["fc"]), classes], first):
            layers[f"fc{i}"] = nn.Linear(inputs, units)
            if i < first + len(architecture["fc"]):
                layers[f"relu{i}"] = nn.ReLU()
                layers[f"drop{i}"] = nn.Dropout(architecture["dropout"])
            inputs = units
        super().__init__(layers)
        names = (name for name in layers if name.startswith(("conv", "fc")))
        rectified = {name: name.replace("conv", "relu").replace("fc", "relu") for name in names}
        self.recorded = {name: relu for name, relu in rectified.items() if relu in layers}
        self._initialise(architecture, seed)

    def _initialise(self, architecture: dict[str, Any], seed: int) -> None:
        """Gaussian weights: the configured ``std``, or He's; biases are the configured constants."""
        generator = torch.Generator().manual_seed(derive(seed, "initialisation"))
        settings = [*architecture["conv"], *architecture["fc"], architecture.get("logits", {})]
        weighted = [m for m in self.children() if isinstance(m, nn.Conv2d | nn.Linear)]
        for module, setting in zip(weighted, settings, strict=True):
            fan_in = module.weight[0].numel()
            with torch.no_grad():
                module.weight.normal_(0, setting.get("std", (2 / fan_in) ** 0.5), generator=generator)
                assert module.bias is not None
                module.bias.fill_(setting.get("bias", 0.0))
