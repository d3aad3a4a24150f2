"""Receptive fields: which pixels of the crop a unit of a layer can see from a position.

Of this project's AlexNet they follow from the architecture. Of any other net they are found by what becomes NaN where a
line of pixels is NaN: it passes through sums and products whatever the weights are, and through rectifications, maxima
and normalisation.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..nets.activations import LayerShape, probe, record
from ..nets.architecture import conv_units
from ..nets.model import Net

LINES = 16  # rows, or columns, of pixels that are probed in one forward pass


class Field(NamedTuple):
    """In rows and in columns, position i sees the pixels [start + i * stride, start + i * stride + size).

    A field may reach over the border of the crop, into the padding.
    """

    size: int
    stride: int
    start: int


class Spans(NamedTuple):
    """Along one axis, position i sees the pixels [first[i], last[i]), over the border as far as is known."""

    first: np.ndarray  # (positions,)
    last: np.ndarray  # (positions,)

    def side(self, crop: int) -> int:
        """Of the pictures that hold any of the fields, in pixels."""
        return min(int((self.last - self.first).max()), crop)


Fields = tuple[Spans, Spans]  # of a layer's rows and columns


def field(architecture: dict[str, Any], layer: str) -> Field:
    """Receptive field of the units of one of the preset's convolutions.

    >>> field({"crop": 32, "conv": [{"kernel": 7, "stride": 2, "padding": 3, "pool": [2, 2]}, {"kernel": 5}]}, "conv2")
    Field(size=25, stride=4, start=-3)
    """
    size, stride, start = 1, 1, 0
    for i, conv in enumerate(architecture["conv"], 1):
        start -= conv.get("padding", 0) * stride
        size += (conv["kernel"] - 1) * stride
        stride *= conv.get("stride", 1)
        if layer == f"conv{i}":
            break
        kernel, step = conv.get("pool", (1, 1))
        size += (kernel - 1) * stride
        stride *= step
    return Field(size, stride, start)


def spread(seen: Field, positions: int) -> Spans:
    """The same field at each position."""
    first = seen.start + seen.stride * np.arange(positions)
    return Spans(first, first + seen.size)


def completed(seen: np.ndarray) -> Spans:
    """Fields from the pixels that positions depend on, what the border cuts off put back: as wide as the widest.

    seen: (pixels, positions) bool
    """
    nothing = ~seen.any(axis=0)
    first = np.where(nothing, 0, seen.argmax(axis=0))
    last = np.where(nothing, 0, len(seen) - seen[::-1].argmax(axis=0))
    widest = (last - first).max()
    begun = np.where(first == 0, last - widest, first)
    return Spans(begun, np.where(last == len(seen), np.maximum(last, begun + widest), last))


@torch.no_grad()
def dependence(net: Net, layers: Mapping[str, LayerShape]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Which rows and columns of pixels each row and column of a layer's grid depends on. (crop, positions) bool, each

    Of a net on the CPU, where a convolution touches its kernel's pixels alone: oneDNN is asked for direct ones, and
    NNPACK, whose transforms reach further, is kept out.
    """
    found: dict[str, tuple[list, list]] = {layer: ([], []) for layer in layers}
    with torch.backends.nnpack.flags(enabled=False):
        for axis in (0, 1):
            for lines in torch.arange(net.crop_width).split(LINES):
                x = torch.zeros(len(lines), net.channels, net.crop_width, net.crop_width)
                x.movedim(2 + axis, 1)[torch.arange(len(lines)), lines] = torch.nan
                for layer, output in record(net, x, layers).items():
                    found[layer][axis].append(output.isnan().any(1).any(2 - axis).numpy())
    return {layer: (np.concatenate(rows), np.concatenate(columns)) for layer, (rows, columns) in found.items()}


def fields(net: Net, layers: Sequence[str]) -> dict[str, Fields]:
    """Fields of those of the layers that have positions."""
    spatial = {layer: recorded for layer, recorded in probe(net, layers).items() if recorded.grid}
    own = {layer: net.layers.get(layer, layer) for layer in spatial}
    convolutions = conv_units(net.settings) if net.is_alexnet else {}
    known = {layer: name for layer, name in own.items() if name in convolutions}
    found: dict[str, Fields] = {}
    for layer, name in known.items():
        seen = field(net.settings, name)
        height, width = spatial[layer].grid
        found[layer] = spread(seen, height), spread(seen, width)
    if others := {layer: recorded for layer, recorded in spatial.items() if layer not in known}:
        for layer, (rows, columns) in dependence(net, others).items():
            found[layer] = completed(rows), completed(columns)
    return found


def windows(seen: Fields, crop: int, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the pictures in the crop, and the valid box (top, left, bottom, right) inside each of them.

    A picture is the field where that is smaller than the crop, so that the unit's position is its centre, with a box
    that ends at the crop's border. A larger field's picture is the whole crop, with the box that the field covers of
    it; rows and columns each by themselves.
    row, column: (N,) positions in the layer's grid -> (N, 2) and (N, 4) int32
    """
    begin, end, corner = [], [], []
    for axis, position in zip(seen, (row, column), strict=True):
        begin.append(axis.first[position])
        end.append(axis.last[position])
        corner.append(begin[-1] if axis.side(crop) < crop else np.zeros_like(begin[-1]))
    box = np.clip(np.stack([*begin, *end], axis=1), 0, crop) - np.stack([*corner, *corner], axis=1)
    return np.stack(corner, axis=1).astype(np.int32), box.astype(np.int32)
