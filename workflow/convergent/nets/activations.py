"""Nets and images to the activations of each layer; the only place with hooks."""

import argparse
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .. import store
from ..commands import InputError
from . import device
from .model import Net

Grid = tuple[int, ...]  # rows and columns of a layer's positions; () of a fully connected layer


class Recorded(NamedTuple):
    """A layer of a net as one forward pass showed it."""

    units: int
    grid: Grid
    overwritten: bool  # whether what comes after the layer works in place on its output


class Enough(Exception):  # noqa: N818
    """Raised within a forward pass when nothing more of it is wanted."""


def recorded_module(net: Net, layer: str) -> nn.Module:
    """The module whose output is a layer's activation."""
    modules = dict(net.body.named_modules())
    name = net.module_name(layer)
    if not name or name not in modules:
        inner = [known for known, module in modules.items() if known and not list(module.children())]
        raise InputError(f"layers: a net of architecture {net.architecture} has no module {name!r}; {', '.join(inner)}")
    return modules[name]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every stage that runs nets has to be told of their layers."""
    parser.add_argument("--modules", type=json.loads, default={}, help="JSON: net -> layer -> its module there")
    parser.add_argument(
        "--resample", default="none", choices=["none", "area"], help="what to do where nets have other grids"
    )


@contextmanager
def hooked(net: Net, layers: Sequence[str], hook: Callable[[str, torch.Tensor], Any]) -> Iterator[None]:
    """Within the block ``hook(layer, output)`` is called for each layer; what it returns replaces the output."""

    def attach(layer: str) -> torch.utils.hooks.RemovableHandle:
        return recorded_module(net, layer).register_forward_hook(lambda module, inputs, output: hook(layer, output))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    try:
        for layer in layers:
            handles.append(attach(layer))
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def probe(net: Net, layers: Sequence[str], name: str = "the net") -> dict[str, Recorded]:
    """What each layer puts out, from a forward pass of a grey image; one line where it cannot be recorded."""
    outputs: dict[str, list] = {layer: [] for layer in layers}

    def look(layer: str, output: Any) -> None:
        version = output._version if isinstance(output, torch.Tensor) else 0
        outputs[layer].append((output, version))

    with hooked(net, layers, look):
        net(torch.zeros(1, net.channels, net.width, net.width, device=net.mean.device))
    found = {}
    for layer, calls in outputs.items():
        module = f"{net.module_name(layer)} of {name}"
        if len(calls) != 1:
            raise InputError(f"layers: {module} is called {len(calls)} times in a forward pass, it must be once")
        output, version = calls[0]
        if not isinstance(output, torch.Tensor) or output.dim() not in (2, 4):
            what = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise InputError(
                f"layers: {module} returns {what}; allowed are (images, units) and (images, units, rows, columns)"
            )
        found[layer] = Recorded(output.shape[1], tuple(output.shape[2:]), output._version != version)
    return found


def record(net: Net, x: torch.Tensor, layers: Mapping[str, Recorded]) -> dict[str, torch.Tensor]:
    """Output of each layer for a batch of crops; the pass ends with the last of them.

    What is worked on in place afterwards is copied before that happens.
    """
    outputs: dict[str, torch.Tensor] = {}

    def keep(layer: str, output: torch.Tensor) -> None:
        outputs[layer] = output.clone() if layers[layer].overwritten else output
        if len(outputs) == len(layers):
            raise Enough

    with hooked(net, list(layers), keep), suppress(Enough):
        net(x)
    return outputs


def tail(net: Net, layer: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The net from a layer on: a function of a batch of crops and of what stands in place of the layer's output.

    A sequence of modules is cut there; any other net is run as a whole, and the layer's output replaced on the way.
    """
    recorded = recorded_module(net, layer)
    children = list(net.body.named_children())
    at = [i for i, (_, module) in enumerate(children) if module is recorded]
    if isinstance(net.body, nn.Sequential) and at:
        rest = nn.Sequential(OrderedDict(children[at[0] + 1 :]))
        return lambda crops, activation: rest(activation)

    def replaced(crops: torch.Tensor, activation: torch.Tensor) -> torch.Tensor:
        with hooked(net, [layer], lambda layer, output: activation.clone()):
            return net(crops)

    return replaced


def regrid(activation: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Means over the areas of a coarser grid, or values repeated over those of a finer one.

    (N, units, rows, columns) or (N, units) -> (N, units, *grid)
    """
    if activation.shape[2:] == torch.Size(grid):
        return activation
    spread = activation if activation.dim() == 4 else activation[:, :, None, None]
    averaged = functional.adaptive_avg_pool2d(spread, grid or (1, 1))  # type: ignore[arg-type]
    return averaged if grid else averaged.flatten(1)


def samples(activation: torch.Tensor) -> torch.Tensor:
    """Every position of every image as a row. (N, units, H, W) or (N, units) -> (N, H * W, units)"""
    if activation.dim() == 2:
        return activation[:, None, :]
    return activation.permute(0, 2, 3, 1).flatten(1, 2)


def common_grid(layer: str, grids: Mapping[str, Grid], resample: str) -> Grid:
    """The grid that a layer is compared on: that of all nets, or by ``resample: area`` the coarsest of them."""
    if len(set(grids.values())) == 1:
        return next(iter(grids.values()))
    if resample != "area":
        listed = ", ".join(f"{'x'.join(map(str, grid)) or 'none'} in {net}" for net, grid in grids.items())
        raise InputError(f"layers: {layer} has positions {listed}; set resample: area, or name other layers")
    sizes = [grid or (1, 1) for grid in grids.values()]
    return min(rows for rows, _ in sizes), min(columns for _, columns in sizes)


def batches(images: store.StoredArray, index: np.ndarray, batch: int, place: torch.device) -> Iterator[torch.Tensor]:
    """Pixels of the images of an index on a device, a batch at a time; loaded while it computes. (n, H, W, C) uint8"""
    parts = (index[first : first + batch] for first in range(0, len(index), batch))
    for (pixels,) in device.loaded(lambda part: [images[part]], parts, place):
        yield pixels


class Recorder:
    """Some layers of several nets side by side, the nets seeing the same crops, the layers on the same grid.

    ``some`` names nets of which only some of the layers are wanted.
    """

    def __init__(
        self,
        nets: Mapping[str, Net],
        layers: Sequence[str],
        some: Mapping[str, Sequence[str]] | None = None,
        resample: str = "none",
    ) -> None:
        self.nets, self.layers = nets, layers
        self.found = {name: probe(net, (some or {}).get(name, layers), name) for name, net in nets.items()}
        self.own = {
            layer: {name: found[layer].grid for name, found in self.found.items() if layer in found} for layer in layers
        }
        self.grids = {layer: common_grid(layer, own, resample) for layer, own in self.own.items()}

    def about(self, layer: str) -> dict[str, Any]:
        """For the attributes of a store: a layer's modules, its grid, and the own grids of those resampled to it."""
        grid, own = self.grids[layer], self.own[layer]
        return {
            "modules": {name: self.nets[name].module_name(layer) for name in own},
            "grid": grid,
            "resampled": {name: theirs for name, theirs in own.items() if theirs != grid},
        }

    @torch.no_grad()
    def stream(
        self, images: store.StoredArray, index: np.ndarray, batch: int
    ) -> Iterator[dict[str, dict[str, torch.Tensor]]]:
        """Batches of the images of an index: layer -> net -> (n, positions, units)."""
        place = next(iter(self.nets.values())).mean.device
        for pixels in batches(images, index, batch, place):
            found: dict[str, dict[str, torch.Tensor]] = {layer: {} for layer in self.layers}
            for name, net in self.nets.items():
                for layer, output in record(net, net.centre_crop(pixels), self.found[name]).items():
                    found[layer][name] = samples(regrid(output, self.grids[layer]))
            yield found
