"""AlexNet whose widths, kernels, strides and sizes are configuration, from raw pixels to logits.

``net = AlexNet(architecture, channels, classes, size, seed)`` is a plain sequence of named modules (conv1, relu1,
pool1, lrn1, ...), so that it can be cut at any layer. ``architecture`` is the configuration's section of that name.
"""

import hashlib
import json
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .geometry import conv_sizes
from .seeds import derive


class LocalResponseNorm(nn.Module):
    """x / (k + alpha / n * sum of squares over a window of n channels) ** beta, as ``torch.nn.LocalResponseNorm``.

    The window is a sum of shifted slices: deterministic on every device, where torch's pooling is not.
    """

    def __init__(self, n: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.n, self.alpha, self.beta, self.k = n, alpha, beta, k

    def denominator(self, x: torch.Tensor) -> torch.Tensor:
        """The divisor of every activation. (N, C, H, W)"""
        channels = x.shape[1]
        squares = functional.pad(x * x, (0, 0, 0, 0, self.n // 2, (self.n - 1) // 2))
        window = squares[:, :channels].clone()
        for shift in range(1, self.n):
            window += squares[:, shift : shift + channels]
        return (window * (self.alpha / self.n) + self.k) ** self.beta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / self.denominator(x)


class AlexNet(nn.Sequential):
    """Convolutions and fully connected layers of the configuration; the last layer gives the logits.

    Buffers ``mean`` (size, size, C) and ``deviation`` () are what ``crop`` standardises pixels with, so that the
    weights carry their own preprocessing.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, architecture: dict[str, Any], channels: int, classes: int, size: int, seed: int) -> None:
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
        self.architecture, self.channels, self.classes, self.size = architecture, channels, classes, size
        self.register_buffer("mean", torch.zeros(size, size, channels))
        self.register_buffer("deviation", torch.ones(()))
        self._initialise(seed)
        self.to(memory_format=torch.channels_last)

    def _initialise(self, seed: int) -> None:
        """Gaussian weights: the configured ``std``, or He's; biases are the configured constants."""
        generator = torch.Generator().manual_seed(derive(seed, "initialisation"))
        settings = [*self.architecture["conv"], *self.architecture["fc"], self.architecture.get("logits", {})]
        weighted = [m for m in self.children() if isinstance(m, nn.Conv2d | nn.Linear)]
        for module, setting in zip(weighted, settings, strict=True):
            fan_in = module.weight[0].numel()
            with torch.no_grad():
                module.weight.normal_(0, setting.get("std", (2 / fan_in) ** 0.5), generator=generator)
                assert module.bias is not None
                module.bias.fill_(setting.get("bias", 0.0))

    def standardise_with(self, images: np.ndarray) -> None:
        """Take the mean (per pixel or channel) and deviation of images as configured. (N, size, size, C)

        The deviation is 1 where it is not asked for, and of images that do not vary.
        """
        pixels = self.architecture["pixels"]
        mean = images.mean(axis=0, dtype=np.float64)  # (size, size, C)
        if pixels["mean"] == "channel":
            mean = np.broadcast_to(mean.mean(axis=(0, 1)), mean.shape)
        self.mean.copy_(torch.from_numpy(np.ascontiguousarray(mean)))
        if pixels["scale"] == "unit":
            variance = sum(float(((image - mean) ** 2).mean()) for image in images) / len(images)
            self.deviation.fill_(variance**0.5 or 1.0)

    def crop(
        self, images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, flip: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Standardised crops whose upper left corners are rows and columns, some mirrored.

        images: (N, size, size, C) uint8; rows, columns: (N,); flip: (N,) bool -> (N, C, crop, crop) float32
        """
        span = torch.arange(self.architecture["crop"], device=images.device)
        across = span if flip is None else torch.where(flip[:, None], span.flip(0), span)
        window = (rows[:, None] + span)[:, :, None], (columns[:, None] + across)[:, None, :]
        image = torch.arange(len(images), device=images.device)[:, None, None]
        x = (images[image, *window].float() - self.mean[window]) / self.deviation
        return x.permute(0, 3, 1, 2)

    def centre_crop(self, images: torch.Tensor) -> torch.Tensor:
        """Standardised centre crops. (N, size, size, C) uint8 -> (N, C, crop, crop) float32"""
        corner = (self.size - self.architecture["crop"]) // 2
        window = slice(corner, corner + self.architecture["crop"])
        x = (images[:, window, window].float() - self.mean[window, window]) / self.deviation
        return x.permute(0, 3, 1, 2)


def weights_digest(net: nn.Module) -> str:
    """sha256 over names, shapes and bytes of all weights and buffers."""
    sha = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        sha.update(f"{name}{tuple(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def save(net: AlexNet, weights: str | Path, description: str | Path, **attributes: Any) -> None:
    """Weights to ``.pt``, digest and architecture to the small ``.json`` that the workflow tracks."""
    torch.save(net.state_dict(), weights)
    shape = {"architecture": net.architecture, "channels": net.channels, "classes": net.classes, "size": net.size}
    Path(description).write_text(json.dumps({"sha256": weights_digest(net), **shape, **attributes}, indent=1) + "\n")


def load(description: str | Path, weights: str | Path | None = None) -> AlexNet:
    """The net of a ``.json`` and the ``.pt`` beside it, in evaluation mode; refused where torn or of another digest."""
    about = json.loads(Path(description).read_text())
    net = AlexNet(about["architecture"], about["channels"], about["classes"], about["size"], seed=0)
    file = Path(weights or Path(description).with_suffix(".pt"))
    if not file.exists():
        raise SystemExit(f"{file}: no such file; {description} describes weights that are gone, train the net again")
    try:
        net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError):
        raise SystemExit(f"{file}: damaged, or not the weights of {description}; train the net again") from None
    if (found := weights_digest(net)) != about["sha256"]:
        raise SystemExit(f"{file}: digest of the weights is {found[:12]}, {description} says {about['sha256'][:12]}")
    return net.eval()
