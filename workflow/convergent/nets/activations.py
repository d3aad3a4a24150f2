"""Activations of the layers of nets on images."""

import argparse
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .. import store
from ..commands import InputError
from . import device
from .building import TRIED
from .hooks import AllRecorded, hooked, recorded_module
from .model import Net
from .shapes import Grid, LayerShape, as_returned, layer_shape, units_first

LARGER = 32  # pixels by which a second crop is wider that tells units from positions


class NotFiniteError(InputError):
    """Activations of a layer of a net are not finite."""

    def __init__(self, text: str, net: str, layer: str) -> None:
        super().__init__(text)
        self.net, self.layer = net, layer


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options about layers that every command which runs nets takes."""
    parser.add_argument(
        "--modules",
        type=json.loads,
        default={},
        help='JSON object, net -> layer -> name of the module in that net: {"net1": {"first": "features.1"}}, or '
        '{"module": "encoder.ln", "tokens": true, "class_tokens": 1}; other layers are modules of their own name',
    )
    parser.add_argument(
        "--resample",
        default="none",
        choices=["none", "area"],
        help="what to do with a layer whose grid of positions differs between nets: none refuses it, area averages "
        "every net to the coarsest grid",
    )


def first_outputs(net: Net, layers: Sequence[str], width: int) -> dict[str, torch.Size]:
    """Sizes of the output of each layer for one crop of another width, as far as the net goes before it fails."""
    sizes: dict[str, torch.Size] = {}

    def note(layer: str, output: Any) -> None:
        sizes.setdefault(layer, output.shape if isinstance(output, torch.Tensor) else torch.Size())
        if len(sizes) == len(layers):
            raise AllRecorded

    with hooked(net, layers, note), suppress(Exception):  # code that is not ours, and need not take this width
        net(net.laid_out(torch.zeros(1, net.channels, width, width)))
    return sizes


def sizes_of_larger_crops(net: Net, layers: Sequence[str]) -> dict[str, torch.Size]:
    """``first_outputs`` for larger crops; empty for this project's AlexNet, whose units are known to be first.

    It runs on the CPU: on CUDA an index out of bounds would end the process.
    """
    if net.is_alexnet:
        return {}
    place = net.mean.device
    try:
        return first_outputs(net.cpu(), layers, net.crop_width + LARGER)
    finally:
        net.to(place)


@torch.no_grad()
def calls_of(net: Net, layers: Sequence[str]) -> dict[str, list[tuple[Any, bool]]]:
    """What the module of each layer returns in a pass of grey images: each output, and whether it is overwritten.

    Layers are in the order in which their modules first return; those that are not called come last.
    """
    calls: dict[str, list[tuple[Any, int]]] = {}

    def note(layer: str, output: Any) -> None:
        calls.setdefault(layer, []).append((output, writes(output)))

    grey = torch.zeros(TRIED, net.channels, net.crop_width, net.crop_width, device=net.mean.device)
    with hooked(net, layers, note):
        net(net.laid_out(grey))
    every = calls | {layer: [] for layer in layers if layer not in calls}
    return {layer: [(output, writes(output) != count) for output, count in each] for layer, each in every.items()}


def writes(output: Any) -> int:
    """Torch's count of writes to a tensor."""
    return output._version if isinstance(output, torch.Tensor) and not output.is_inference() else 0


@torch.no_grad()
def probe(net: Net, layers: Sequence[str], name: str = "the net") -> dict[str, LayerShape]:
    """Shape of each layer, seen in forward passes of grey images.

    Raises InputError where a module is not called exactly once, and as ``shapes.layer_shape`` does.
    """
    calls, larger, found = calls_of(net, layers), sizes_of_larger_crops(net, layers), {}
    for layer in layers:
        module, outputs = f"{net.module_name(layer)} of {name}", calls[layer]
        if len(outputs) != 1:
            raise InputError(f"layers: {module} is called {len(outputs)} times in a forward pass, it must be once")
        ((output, overwritten),) = outputs
        shape = layer_shape(output, larger.get(layer), net.layers.get(layer, layer), module, TRIED)
        found[layer] = shape._replace(overwritten=overwritten)
    return found


def record(net: Net, x: torch.Tensor, layers: Mapping[str, LayerShape]) -> dict[str, torch.Tensor]:
    """Activation of each layer for a batch of crops (N, C, width, width): (N, units, rows, columns) or (N, units).

    The pass ends with the last of the layers. An output that a later module overwrites in place is copied first.
    """
    outputs: dict[str, torch.Tensor] = {}

    def keep(layer: str, output: torch.Tensor) -> None:
        outputs[layer] = units_first(output.clone() if layers[layer].overwritten else output, layers[layer])
        if len(outputs) == len(layers):
            raise AllRecorded

    with hooked(net, list(layers), keep), suppress(AllRecorded):
        net(x)
    return outputs


def tail(net: Net, layer: str, shape: LayerShape) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The part of a net behind a layer, as a function of crops and of the activation that replaces the layer's.

    A sequence of modules is cut behind the layer, where its output is the activation as it is. Any other net runs whole
    on the crops, and a hook replaces the layer's output. Modules that work in place change copies: crops and activation
    stay as they are.
    """
    recorded = recorded_module(net, layer)
    children = list(net.body.named_children())
    position = [i for i, (_, module) in enumerate(children) if module is recorded]
    if isinstance(net.body, nn.Sequential) and position and shape.is_plain:
        rest = nn.Sequential(OrderedDict(children[position[0] + 1 :]))
        return lambda crops, activation: rest(net.laid_out(activation.clone()))

    def replaced(crops: torch.Tensor, activation: torch.Tensor) -> torch.Tensor:
        def replace(layer: str, output: torch.Tensor) -> torch.Tensor:
            return net.laid_out(as_returned(activation.clone(), output, shape))

        with hooked(net, [layer], replace):
            return net(crops.clone())

    return replaced


def regrid(activation: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Activation on another grid: means over areas on a coarser grid, repeated values on a finer one.

    (N, units, rows, columns) or (N, units) -> (N, units, *grid)
    """
    if activation.shape[2:] == torch.Size(grid):
        return activation
    spatial = activation if activation.dim() == 4 else activation[:, :, None, None]
    averaged = functional.adaptive_avg_pool2d(spatial, grid or (1, 1))  # type: ignore[arg-type]
    return averaged if grid else averaged.flatten(1)


def samples(activation: torch.Tensor) -> torch.Tensor:
    """One row for every position of every image. (N, units, H, W) or (N, units) -> (N, H * W, units)"""
    if activation.dim() == 2:
        return activation[:, None, :]
    return activation.permute(0, 2, 3, 1).flatten(1, 2)


def require_finite(net: str, layer: str, values: np.ndarray) -> None:
    """Raise NotFiniteError that names the first unit with a value that is not finite.

    values: (..., units), numbers in which activations that are not finite show: their means or extremes
    """
    finite = np.isfinite(values.reshape(-1, values.shape[-1]))
    if not finite.all():
        unit = int(finite.all(0).argmin())
        kind = "NaN" if np.isnan(values[..., unit]).any() else "infinite"
        raise NotFiniteError(
            f"{net}: activations of {layer} are not all finite, unit {unit} is {kind}; "
            "train the net again, or take other weights",
            net,
            layer,
        )


def common_grid(layer: str, grids: Mapping[str, Grid], resample: str) -> Grid:
    """The grid on which nets are compared at a layer: their own where all agree, else the coarsest one.

    grids: net -> its grid at the layer. Raises InputError where grids differ and ``resample`` is not ``area``.
    """
    if len(set(grids.values())) == 1:
        return next(iter(grids.values()))
    if resample != "area":
        listed = ", ".join(f"{'x'.join(map(str, grid)) or 'none'} in {net}" for net, grid in grids.items())
        raise InputError(f"layers: {layer} has positions {listed}; set resample: area, or name other layers")
    sizes = [grid or (1, 1) for grid in grids.values()]
    return min(rows for rows, _ in sizes), min(columns for _, columns in sizes)


def batches(images: store.StoredArray, index: np.ndarray, batch: int, place: torch.device) -> Iterator[torch.Tensor]:
    """Pixels of the images of an index, batch by batch on a device; the next is read meanwhile. (n, H, W, C) uint8"""
    parts = (index[first : first + batch] for first in range(0, len(index), batch))
    for (pixels,) in device.load_ahead(lambda part: [images[part]], parts, place):
        yield pixels


class Recorder:
    """Records layers of several nets side by side: all nets see the same crops, and a layer has one grid in all nets.

    ``layers_of`` lists the layers of a net that takes part in only some of them; the other nets take part in all.
    ``shapes`` is net -> layer -> shape, ``net_grids`` layer -> net -> the net's own grid, and ``common_grids``
    layer -> the grid that activations are brought to.
    Raises InputError where a layer cannot be recorded, or where grids differ and ``resample`` is ``none``.
    """

    def __init__(
        self,
        nets: Mapping[str, Net],
        layers: Sequence[str],
        layers_of: Mapping[str, Sequence[str]] | None = None,
        resample: str = "none",
    ) -> None:
        self.nets, self.layers = nets, layers
        self.shapes = {name: probe(net, (layers_of or {}).get(name, layers), name) for name, net in nets.items()}
        self.net_grids = {
            layer: {name: shapes[layer].grid for name, shapes in self.shapes.items() if layer in shapes}
            for layer in layers
        }
        self.common_grids = {layer: common_grid(layer, grids, resample) for layer, grids in self.net_grids.items()}

    @property
    def place(self) -> torch.device:
        """The device of the nets."""
        return next(iter(self.nets.values())).mean.device

    def layer_attributes(self, layer: str) -> dict[str, Any]:
        """Attributes for a store about a layer: its module in each net, its grid, and the grids of resampled nets."""
        common, grids = self.common_grids[layer], self.net_grids[layer]
        return {
            "modules": {name: self.nets[name].module_name(layer) for name in grids},
            "grid": common,
            "resampled": {name: grid for name, grid in grids.items() if grid != common},
        }

    @torch.no_grad()
    def stream(
        self, images: store.StoredArray, index: np.ndarray, batch: int
    ) -> Iterator[dict[str, dict[str, torch.Tensor]]]:
        """Activations of the images of an index, batch by batch: layer -> net -> (n, positions, units)."""
        for pixels in batches(images, index, batch, self.place):
            activations: dict[str, dict[str, torch.Tensor]] = {layer: {} for layer in self.layers}
            for name, net in self.nets.items():
                for layer, output in record(net, net.centre_crop(pixels), self.shapes[name]).items():
                    activations[layer][name] = samples(regrid(output, self.common_grids[layer]))
            yield activations
