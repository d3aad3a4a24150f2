"""A net behind its crops: any architecture, its weights, and the mean and deviation that it standardises pixels with.

An architecture is ``alexnet`` (this project's own), ``torchvision:<name>`` or ``<package.module>:<function>``. The
function returns a torch module; it is passed the number of classes where it takes ``num_classes``.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..commands import InputError
from ..files import damaged, read_json, write_atomically, write_json
from . import own
from .alexnet import AlexNet
from .building import tried_body
from .shapes import Entry, module_of

BUILT_FROM = ("architecture", "settings", "channels", "classes", "size")  # arguments of ``build`` that a .json keeps


class Net(nn.Module):
    """A torch module (``body``) with its preprocessing: raw pixels are cropped, standardised and passed to the body.

    ``settings`` is the part of the configuration's section ``architecture`` that this net needs: ``crop``, the width of
    a crop in pixels, and ``pixels``, how pixels are standardised; for AlexNet the whole section. ``size`` is the width
    of a stored image in pixels. ``crop`` subtracts the buffer ``mean`` (size, size, C) and divides by ``deviation``
    (() or (C,)), so weights carry their own preprocessing. ``layers`` maps a layer's name to the module that it is in
    this net, or to an entry of the configuration that says more (``shapes.Entry``). ``layout`` is the memory layout of
    weights and crops: channels last, which is faster, or contiguous for a body that does not run so.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(
        self,
        body: nn.Module,
        architecture: str,
        settings: dict[str, Any],
        channels: int,
        classes: int,
        size: int,
        layout: torch.memory_format = torch.channels_last,
    ) -> None:
        super().__init__()
        self.body = body
        self.architecture, self.settings = architecture, settings
        self.channels, self.classes, self.size = channels, classes, size
        self.layers: Mapping[str, Entry] = {}
        self.name = "net"  # in messages
        self.register_buffer("mean", torch.zeros(size, size, channels))
        self.register_buffer("deviation", torch.ones(()))
        self.layout = layout
        self.to(memory_format=layout)

    @property
    def crop_width(self) -> int:
        """Width and height of a crop in pixels."""
        return self.settings["crop"]

    @property
    def is_alexnet(self) -> bool:
        """Whether the body is this project's AlexNet."""
        return isinstance(self.body, AlexNet)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of standardised crops. (N, C, crop, crop) -> (N, classes)"""
        return self.body(x)

    def module_name(self, layer: str) -> str:
        """Name of the module whose output is a layer's activation; for a layer of AlexNet that is its ReLU."""
        name = module_of(self.layers.get(layer, layer), layer)
        return self.body.recorded.get(name, name) if isinstance(self.body, AlexNet) else name

    def laid_out(self, x: torch.Tensor) -> torch.Tensor:
        """Crops, or activations, in the net's memory layout; other than four axes have one alone."""
        return x.contiguous(memory_format=self.layout) if x.dim() == 4 else x.contiguous()

    def standardise_with(self, images: np.ndarray) -> None:
        """Set mean and deviation as ``settings["pixels"]`` says.

        Either both are given for each channel (of pixels from 0 to 1), or they are taken from images (N, size, size,
        C): the mean of each pixel or of each channel, and with ``scale: unit`` one deviation over all pixels. The
        deviation is 1 with ``scale: bytes`` and for images that do not vary.
        Raises InputError where given means or deviations are not one for each channel.
        """
        pixels = self.settings["pixels"]
        if "deviation" in pixels:
            for name in ("mean", "deviation"):
                if len(pixels[name]) != self.channels:
                    raise InputError(f"pixels.{name}: {pixels[name]}, but images have {self.channels} channels")
            self.mean.copy_(255 * torch.tensor(pixels["mean"]).expand_as(self.mean))
            self.deviation = 255 * torch.tensor(pixels["deviation"])
            return
        mean = images.mean(axis=0, dtype=np.float64)  # (size, size, C)
        if pixels["mean"] == "channel":
            mean = np.broadcast_to(mean.mean(axis=(0, 1)), mean.shape)
        self.mean.copy_(torch.from_numpy(np.ascontiguousarray(mean)))
        if pixels["scale"] == "unit":
            variance = sum(float(((image - mean) ** 2).mean()) for image in images) / len(images)
            self.deviation.fill_(variance**0.5 or 1.0)

    def crop(self, pixels: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
        """Standardised crops from those that were cut out, mirrored where ``flip`` is true.

        pixels: (N, crop, crop, C) uint8; rows, columns: (N,) their upper left corners in the images; flip: (N,) bool
        -> (N, C, crop, crop) float32
        """
        width = self.crop_width
        means = torch.stack([self.mean, self.mean.flip(1)])  # of images and of their mirror images
        windows = means.unfold(1, width, 1).unfold(2, width, 1).permute(0, 1, 2, 4, 5, 3)  # by corner; a view
        column = torch.where(flip, self.size - width - columns, columns)
        mirrored = torch.where(flip[:, None, None, None], pixels.flip(2), pixels)
        x = (mirrored.float() - windows[flip.long(), rows, column]) / self.deviation
        return self.laid_out(x.permute(0, 3, 1, 2))

    def centre_crop(self, images: torch.Tensor) -> torch.Tensor:
        """Standardised centre crops. (N, size, size, C) uint8 -> (N, C, crop, crop) float32"""
        corner = (self.size - self.crop_width) // 2
        window = slice(corner, corner + self.crop_width)
        x = (images[:, window, window].float() - self.mean[window, window]) / self.deviation
        return self.laid_out(x.permute(0, 3, 1, 2))


def build(architecture: str, settings: dict[str, Any], channels: int, classes: int, size: int, seed: int) -> Net:
    """A net before training.

    ``classes`` is passed to the architecture; ``Net.classes`` is the number of outputs that it really has.
    Raises InputError where the architecture cannot be made, cannot take the crops, or does not return logits
    (images, classes).
    """
    body, outputs, layout = tried_body(architecture, settings, channels, classes, seed)
    return Net(body, architecture, settings, channels, outputs, size, layout)


def weights_digest(net: Net) -> str:
    """sha256 over names, shapes and bytes of all weights and buffers."""
    sha = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        sha.update(f"{name}{tuple(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def save(net: Net, weights: str | Path, description: str | Path, **attributes: Any) -> None:
    """Write weights to a ``.pt``, and their digest and architecture to the small ``.json`` that the workflow tracks."""
    with write_atomically(weights) as temporary:
        torch.save(net.state_dict(), temporary)
    described = {"sha256": weights_digest(net), **{name: getattr(net, name) for name in BUILT_FROM}, **attributes}
    if made_by := own.digests(net.architecture):
        described["code"] = made_by
    write_json(description, described)


def load(description: str | Path, layers: Mapping[str, Mapping[str, str]] | None = None) -> Net:
    """The net of a ``.json`` and the ``.pt`` beside it, in evaluation mode.

    ``layers``: net -> layer -> module, for layers that have another name in a net. A net before training, or at a step
    of it, takes the names of the net that it becomes.
    Raises InputError where weights are missing, damaged or of another digest than the description's, and where the
    user's code that makes the net is no longer that which made it.
    """
    description = Path(description)
    file = description.with_suffix(".pt")
    remove = [file, description] if description.suffix == ".json" and file.exists() else []
    described = read_json(description, "description of a net", ("sha256", *BUILT_FROM), *remove)
    if changed := own.changed(described.get("code", {})):
        raise damaged(description, f"{changed[0]} has changed since this net was made", description)
    net = build(**{name: described[name] for name in BUILT_FROM}, seed=0)
    if not file.exists():
        raise damaged(file, f"no such file, {description} describes weights that are gone", description)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        net.deviation = state["deviation"]  # of shape () or (C,)
        net.load_state_dict(state)
    except Exception:  # of a damaged file torch raises RuntimeError, OSError, IndexError, UnicodeDecodeError and others
        raise damaged(file, f"damaged, or not the weights of {description}", file, description) from None
    if weights_digest(net) != described["sha256"]:
        raise damaged(file, f"its weights do not match the digest in {description}", file, description)
    net.name = description.stem
    becomes = described.get("control_of") or described.get("snapshot_of") or description.stem
    net.layers = (layers or {}).get(becomes, {})
    return net.eval()


def load_all(descriptions: Iterable[Path], layers: Mapping[str, Mapping[str, str]] | None = None) -> dict[str, Net]:
    """The nets of several ``.json`` by name, each as ``load`` returns it. Raises InputError where two have one name."""
    nets: dict[str, Net] = {}
    for path in descriptions:
        if path.stem in nets:
            raise InputError(f"--nets: {path}, but there is another net of the name {path.stem}; names must differ")
        nets[path.stem] = load(path, layers)
    return nets
