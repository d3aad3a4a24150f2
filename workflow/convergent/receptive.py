"""Receptive fields from the architecture: which pixels of the crop a unit of a layer can see from a position."""

from typing import Any, NamedTuple

import numpy as np


class Field(NamedTuple):
    """In rows and in columns, position i sees the pixels [start + i * stride, start + i * stride + size).

    A field may reach over the border of the crop, into the padding.
    """

    size: int
    stride: int
    start: int


def field(architecture: dict[str, Any], layer: str) -> Field:
    """Receptive field of a layer's units; of a fully connected layer the whole crop, from its only position.

    >>> field({"crop": 32, "conv": [{"kernel": 7, "stride": 2, "padding": 3, "pool": [2, 2]}, {"kernel": 5}]}, "conv2")
    Field(size=25, stride=4, start=-3)
    """
    size, stride, start = 1, 1, 0
    for i, conv in enumerate(architecture["conv"], 1):
        start -= conv.get("padding", 0) * stride
        size += (conv["kernel"] - 1) * stride
        stride *= conv.get("stride", 1)
        if layer == f"conv{i}":
            return Field(size, stride, start)
        kernel, step = conv.get("pool", (1, 1))
        size += (kernel - 1) * stride
        stride *= step
    return Field(architecture["crop"], 1, 0)


def side(seen: Field, crop: int) -> int:
    """Width and height of the pictures that hold any of the fields, in pixels."""
    return min(seen.size, crop)


def windows(seen: Field, crop: int, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the pictures in the crop, and the valid box (top, left, bottom, right) inside each of them.

    A picture is the field where that fits into the crop, so that the unit's position is its centre, with a box that
    ends at the crop's border. A larger field's picture is the whole crop, with the box that the field covers of it.
    row, column: (N,) positions in the layer's grid -> (N, 2) and (N, 4) int32
    """
    begin = seen.start + seen.stride * np.stack([row, column], axis=1)  # (N, 2)
    corner = begin if seen.size <= crop else np.zeros_like(begin)
    low = np.clip(begin, 0, crop)
    high = np.clip(begin + seen.size, 0, crop)
    return corner.astype(np.int32), (np.hstack([low, high]) - np.hstack([corner, corner])).astype(np.int32)
