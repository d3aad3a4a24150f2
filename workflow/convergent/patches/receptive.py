"""Receptive fields: the pixels of the crop that a unit sees from each position of its layer.

The fields of this project's AlexNet follow from the architecture. For other nets they are measured: set one line of
pixels to NaN; the positions whose output becomes NaN see that line. A NaN passes through sums and products whatever the
weights are, and through rectifications, maxima and normalisation, but not through a choice (``torch.where``). Therefore
a line of noise is exchanged for another too; the positions whose output changes see that line.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..nets.activations import probe, record
from ..nets.architecture import conv_units
from ..nets.model import Net
from ..nets.shapes import LayerShape, module_of

LINES = 16  # rows, or columns, of pixels that one forward pass measures


class Field(NamedTuple):
    """Receptive fields of a layer: along each axis, position i sees pixels [start + i * stride, ... + size).

    A field may reach over the border of the crop, into the padding.
    """

    size: int
    stride: int
    start: int


class Spans(NamedTuple):
    """Receptive fields along one axis: position i sees pixels [first[i], last[i]), also beyond the border."""

    first: np.ndarray  # (positions,)
    last: np.ndarray  # (positions,)

    def side(self, crop: int) -> int:
        """Side in pixels of pictures that can hold each of the fields; at most the crop's."""
        return min(int((self.last - self.first).max()), crop)


Fields = tuple[Spans, Spans]  # along a layer's rows and along its columns


def field(architecture: Mapping[str, Any], layer: str) -> Field:
    """Receptive field of a convolution of AlexNet.

    >>> field({"conv": [{"units": 8, "kernel": 7, "stride": 2, "padding": 3}, {"units": 8, "kernel": 5}]}, "conv2")
    Field(size=15, stride=2, start=-3)
    """
    size, stride, start = 1, 1, 0
    for name, conv in zip(conv_units(architecture), architecture["conv"], strict=True):
        start -= conv.get("padding", 0) * stride
        size += (conv["kernel"] - 1) * stride
        stride *= conv.get("stride", 1)
        if layer == name:
            break
        kernel, step = conv.get("pool", (1, 1))
        size += (kernel - 1) * stride
        stride *= step
    return Field(size, stride, start)


def regular_spans(field: Field, positions: int) -> Spans:
    """Spans of so many positions that repeat a field at its stride."""
    first = field.start + field.stride * np.arange(positions)
    return Spans(first, first + field.size)


def completed_spans(seen: np.ndarray) -> Spans:
    """Spans from measured dependences; what the border cuts off is put back, so that all are as wide as the widest.

    Where nothing depends on any pixel all spans are the whole crop.
    seen: (pixels, positions) bool, whether a position depends on a line of pixels
    """
    if not seen.any():
        seen = np.ones_like(seen)
    nothing = ~seen.any(axis=0)
    first = np.where(nothing, 0, seen.argmax(axis=0))
    last = np.where(nothing, 0, len(seen) - seen[::-1].argmax(axis=0))
    widest = (last - first).max()
    begin = np.where(first == 0, last - widest, first)
    return Spans(begin, np.where(last == len(seen), np.maximum(last, begin + widest), last))


@torch.no_grad()
def dependence(net: Net, layers: Mapping[str, LayerShape]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Which rows and which columns of pixels the rows and columns of each layer's grid depend on.

    layer -> two arrays (crop, positions) bool. The net must be on the CPU, where a convolution reads only the pixels
    under its kernel: torch asks oneDNN for direct convolutions, and NNPACK, whose transforms read more, is switched
    off here.
    """
    grey = torch.zeros(1, net.channels, net.crop_width, net.crop_width)
    one, other = torch.randn(2, *grey.shape, generator=torch.Generator().manual_seed(0))
    lost, moved = (changed(net, layers, *crops) for crops in ((grey, torch.full_like(grey, torch.nan)), (one, other)))
    return {layer: (lost[layer][0] | moved[layer][0], lost[layer][1] | moved[layer][1]) for layer in layers}


def changed(
    net: Net, layers: Mapping[str, LayerShape], crop: torch.Tensor, other: torch.Tensor
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of each layer's grid that change where a row, or a column, of a crop becomes that of another.

    crop, other: (1, C, crop, crop). What was finite and is not counts too. Returns as ``dependence``.
    """
    seen: dict[str, tuple[list, list]] = {layer: ([], []) for layer in layers}
    before: dict[int, dict[str, torch.Tensor]] = {}  # bits may depend on the number of crops
    with torch.backends.nnpack.flags(enabled=False):
        for axis in (0, 1):
            for lines in torch.arange(net.crop_width).split(LINES):
                x = crop.repeat(len(lines), 1, 1, 1)
                if len(lines) not in before:
                    before[len(lines)] = record(net, net.laid_out(x.clone()), layers)
                x.movedim(2 + axis, 1)[torch.arange(len(lines)), lines] = other[0].movedim(1 + axis, 0)[lines]
                for layer, output in record(net, net.laid_out(x), layers).items():
                    differs = output != before[len(lines)][layer]
                    seen[layer][axis].append(differs.any(1).any(2 - axis).numpy())
    return {layer: (np.concatenate(rows), np.concatenate(columns)) for layer, (rows, columns) in seen.items()}


def fields(net: Net, layers: Sequence[str]) -> dict[str, Fields]:
    """Receptive fields of those layers that have positions. The net must be on the CPU."""
    spatial = {layer: shape for layer, shape in probe(net, layers).items() if shape.grid}
    own_names = {layer: module_of(net.layers.get(layer, layer), layer) for layer in spatial}
    convolutions = conv_units(net.settings) if net.is_alexnet else {}
    spans: dict[str, Fields] = {}
    for layer, name in own_names.items():
        if name in convolutions:
            rows, columns = spatial[layer].grid
            known = field(net.settings, name)
            spans[layer] = regular_spans(known, rows), regular_spans(known, columns)
    if measured := {layer: shape for layer, shape in spatial.items() if layer not in spans}:
        for layer, (by_row, by_column) in dependence(net, measured).items():
            spans[layer] = completed_spans(by_row), completed_spans(by_column)
    return spans


def windows(fields: Fields, crop: int, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corner of each picture in the crop, and the valid box (top, left, bottom, right) inside it, in pixels.

    Along each axis: where the field is smaller than the crop, the picture is the field. The unit's position is then at
    its centre, and the box ends at the crop's border. Otherwise the picture is the whole crop, and the box is the part
    that the field covers.
    row, column: (N,) positions in the layer's grid -> (N, 2) and (N, 4) int32
    """
    begin, end, corner = [], [], []
    for axis, position in zip(fields, (row, column), strict=True):
        begin.append(axis.first[position])
        end.append(axis.last[position])
        corner.append(begin[-1] if axis.side(crop) < crop else np.zeros_like(begin[-1]))
    box = np.clip(np.stack([*begin, *end], axis=1), 0, crop) - np.stack([*corner, *corner], axis=1)
    return np.stack(corner, axis=1).astype(np.int32), box.astype(np.int32)
