"""Any net behind the same crops: its architecture, its weights, and the mean and deviation that it sees pixels with.

An architecture is ``alexnet`` (the preset of this project), ``torchvision:<name>`` or ``<package.module>:<function>``,
a function that returns a module; where it takes ``num_classes`` it is told the number of classes.
"""

import hashlib
import importlib
import inspect
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..commands import InputError
from ..seeds import derive
from .alexnet import AlexNet

ALEXNET = "alexnet"
DESCRIBED = ("architecture", "settings", "channels", "classes", "size")  # what a net is built from, beside its weights


class Net(nn.Module):
    """A module with what stands before it: from raw pixels to crops, standardised, to its output.

    ``settings`` is the configuration's section ``architecture`` as far as the net has to do with it: ``crop``, the
    width of a crop, and ``pixels``. Buffers ``mean`` (size, size, C) and ``deviation`` (() or (C,)) are what ``crop``
    standardises pixels with, so that the weights carry their own preprocessing. ``layers`` names modules by the layers
    that they are compared as.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(
        self, body: nn.Module, architecture: str, settings: dict[str, Any], channels: int, classes: int, size: int
    ) -> None:
        super().__init__()
        self.body = body
        self.architecture, self.settings = architecture, settings
        self.channels, self.classes, self.size = channels, classes, size
        self.layers: Mapping[str, str] = {}
        self.register_buffer("mean", torch.zeros(size, size, channels))
        self.register_buffer("deviation", torch.ones(()))
        self.to(memory_format=torch.channels_last)

    @property
    def width(self) -> int:
        """Of a crop, in pixels."""
        return self.settings["crop"]

    @property
    def preset(self) -> bool:
        """Whether it is this project's AlexNet."""
        return isinstance(self.body, AlexNet)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)

    def module_name(self, layer: str) -> str:
        """Name of the module that a layer stands for: of the preset's layers their ReLU, else as it is called."""
        name = self.layers.get(layer, layer)
        return self.body.recorded.get(name, name) if isinstance(self.body, AlexNet) else name

    def standardise_with(self, images: np.ndarray) -> None:
        """Take mean and deviation as ``settings`` says: given for each channel (of 0..1), or those of images.

        Of images (N, size, size, C): the mean of each pixel or channel; the deviation is 1 where it is not asked for,
        and of images that do not vary.
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

    def crop(
        self, images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, flip: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Standardised crops whose upper left corners are rows and columns, some mirrored.

        images: (N, size, size, C) uint8; rows, columns: (N,); flip: (N,) bool -> (N, C, width, width) float32
        """
        span = torch.arange(self.width, device=images.device)
        across = span if flip is None else torch.where(flip[:, None], span.flip(0), span)
        window = (rows[:, None] + span)[:, :, None], (columns[:, None] + across)[:, None, :]
        image = torch.arange(len(images), device=images.device)[:, None, None]
        x = (images[image, *window].float() - self.mean[window]) / self.deviation
        return x.permute(0, 3, 1, 2)

    def centre_crop(self, images: torch.Tensor) -> torch.Tensor:
        """Standardised centre crops. (N, size, size, C) uint8 -> (N, C, width, width) float32"""
        corner = (self.size - self.width) // 2
        window = slice(corner, corner + self.width)
        x = (images[:, window, window].float() - self.mean[window, window]) / self.deviation
        return x.permute(0, 3, 1, 2)


def builder(architecture: str) -> Any:
    """The function that makes an architecture's module; one line where there is none of that name."""
    place, name = architecture.split(":")
    if place == "torchvision":
        from torchvision import models

        if name not in (known := models.list_models(models)):
            raise InputError(f"architecture: torchvision has no model {name!r}, it has {', '.join(known)}")
        return models.get_model_builder(name)
    try:
        return getattr(importlib.import_module(place), name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"architecture: {architecture}: {error}; modules are looked for where snakemake runs"
        ) from None
    except AttributeError:
        raise InputError(f"architecture: {architecture}: module {place} has no {name}") from None


def source_file(architecture: str) -> Path | None:
    """Where the code of a user's own architecture is."""
    if architecture == ALEXNET or architecture.startswith("torchvision:"):
        return None
    return Path(inspect.getfile(builder(architecture)))


def body(architecture: str, settings: dict[str, Any], channels: int, classes: int, seed: int) -> nn.Module:
    """The module of an architecture with initial weights of a seed."""
    if architecture == ALEXNET:
        return AlexNet(settings, channels, classes, seed)
    make = builder(architecture)
    takes = inspect.signature(make).parameters
    told = "num_classes" in takes or any(kind.kind is inspect.Parameter.VAR_KEYWORD for kind in takes.values())
    with torch.random.fork_rng():
        torch.manual_seed(derive(seed, "initialisation"))
        made = make(**({"num_classes": classes} if told else {}))
    if not isinstance(made, nn.Module):
        raise InputError(f"architecture: {architecture} returns a {type(made).__name__}, it must be a torch module")
    return made


@torch.no_grad()
def build(architecture: str, settings: dict[str, Any], channels: int, classes: int, size: int, seed: int) -> Net:
    """A net before training. ``classes`` is what the architecture is told; the net knows what it really puts out."""
    made = body(architecture, settings, channels, classes, seed).eval()
    crop = torch.zeros(1, channels, settings["crop"], settings["crop"])
    try:
        output = made(crop)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        shape = f"{crop.shape[2]}x{crop.shape[3]}x{channels}"
        raise InputError(f"architecture: {architecture} cannot take crops of {shape}: {reason}") from None
    if not isinstance(output, torch.Tensor) or output.dim() != 2:
        what = f"a tensor of {output.dim()} axes" if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
        raise InputError(f"architecture: {architecture} puts out {what}, it must be logits (images, classes)")
    return Net(made, architecture, settings, channels, output.shape[1], size)


def weights_digest(net: Net) -> str:
    """sha256 over names, shapes and bytes of all weights and buffers."""
    sha = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        sha.update(f"{name}{tuple(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def save(net: Net, weights: str | Path, description: str | Path, **attributes: Any) -> None:
    """Weights to ``.pt``, digest and architecture to the small ``.json`` that the workflow tracks."""
    torch.save(net.state_dict(), weights)
    about = {"sha256": weights_digest(net), **{name: getattr(net, name) for name in DESCRIBED}, **attributes}
    if code := source_file(net.architecture):
        about["code"] = hashlib.sha256(code.read_bytes()).hexdigest()
    Path(description).write_text(json.dumps(about, indent=1) + "\n")


def load(description: str | Path, layers: Mapping[str, Mapping[str, str]] | None = None) -> Net:
    """The net of a ``.json`` and the ``.pt`` beside it, in evaluation mode; refused where torn or of another digest.

    ``layers``: net -> layer -> module, for layers that a net has under another name; a net before training has those
    of the net that it became.
    """
    description = Path(description)
    about = json.loads(description.read_text())
    net = build(**{name: about[name] for name in DESCRIBED}, seed=0)
    file = description.with_suffix(".pt")
    if not file.exists():
        raise InputError(f"{file}: no such file; {description} describes weights that are gone, make the net again")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        net.deviation = state["deviation"]  # its shape is that of one number, or of one a channel
        net.load_state_dict(state)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError, TypeError):
        raise InputError(f"{file}: damaged, or not the weights of {description}; make the net again") from None
    if (found := weights_digest(net)) != about["sha256"]:
        raise InputError(f"{file}: digest of the weights is {found[:12]}, {description} says {about['sha256'][:12]}")
    net.layers = (layers or {}).get(about.get("control_of", description.stem), {})
    return net.eval()
