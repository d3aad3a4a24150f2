"""Random crops of training images, batch by batch: which are drawn, and how they come onto a device."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numba import types

from .. import store
from ..kernels import compiled
from . import device

memcpy = types.ExternalFunction("memcpy", types.intp(types.intp, types.intp, types.intp))


class Split(NamedTuple):
    """Images (N, size, size, C) uint8 and their labels (N,)."""

    images: store.StoredArray
    labels: np.ndarray


def draws(count: int, batch: int, span: int, seed: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Batches of one epoch over ``count`` images: indices, rows and columns of the crops' corners, and mirrorings.

    All have shape (batch,). Corners are uniform from 0 to ``span`` pixels. An incomplete last batch is left out.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    for first in range(0, count - batch + 1, batch):
        rows, columns = rng.integers(0, span + 1, (2, batch))
        yield order[first : first + batch], rows, columns, rng.random(batch) < 0.5


@compiled(nogil=True)
def copy_crops(  # type: ignore[no-untyped-def]  # pragma: no cover, compiled
    images, size, rows, columns, crops
):
    """Copy crops (n, width, width, C) out of images that begin at some addresses (n,), ``size`` pixels wide each.

    One call copies a batch: threads that copy image by image spend their time waiting for Python's lock.
    """
    count, width, _, channels = crops.shape
    target = crops.ctypes.data
    for i in range(count):
        source = images[i] + (rows[i] * size + columns[i]) * channels
        for _ in range(width):
            memcpy(target, source, width * channels)
            target += width * channels
            source += size * channels


def cut(split: Split, drawn: tuple[np.ndarray, ...], width: int) -> list[np.ndarray]:
    """Crops (batch, width, width, C) uint8 of a draw, their labels, and the rest of the draw."""
    index, rows, columns, flip = drawn
    size, channels = split.images.shape[2:]
    corners = np.concatenate([rows, columns])
    if corners.min() < 0 or corners.max() + width > size:
        raise IndexError(f"crops of {width} pixels leave images of {size}")
    crops = device.empty((len(index), width, width, channels), torch.uint8).numpy()
    copy_crops(split.images.addresses(index), size, rows, columns, crops)
    return [crops, split.labels[index].astype(np.int64), rows, columns, flip]


def batches(
    split: Split, drawn: Iterable[tuple[np.ndarray, ...]], width: int, place: torch.device
) -> Iterator[list[torch.Tensor]]:
    """What ``cut`` gives for each draw, on a device. Later batches are loaded while earlier ones are used."""
    return device.load_ahead(lambda draw: cut(split, draw, width), drawn, place)
