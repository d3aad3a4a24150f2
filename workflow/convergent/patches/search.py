"""The images of highest activation of every unit, and where in them it is highest; one pass over the images."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from .. import store
from ..nets import activations, model

EMPTY = -1  # image, row and column of a slot that no image takes
LATEST = 2**31 - 1  # images are counted down from here in a rank, so that the earlier of two equals ranks higher

Found = Mapping[str, np.ndarray]  # image, row, column and activation of each unit's top images, (units, top) each


class Top(NamedTuple):
    """The images of highest activation of each unit so far, highest first."""

    rank: torch.Tensor  # (top, units) int64
    position: torch.Tensor  # (top, units) int64, row-major


def ordered(bits: torch.Tensor) -> torch.Tensor:
    """Bits of floats as whole numbers of the same order, and back: those of negative ones are flipped. int32"""
    return bits ^ (bits >> 31 & 0x7FFFFFFF)


def rank(activation: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Whole numbers that sort by activation and, where it is equal, by earlier image: no two images tie.

    The upper half is the float, the lower half the image. activation: float32; image: int64, broadcast with it -> int64
    """
    bits = activation.contiguous().view(torch.int32)
    return torch.add(LATEST - image, ordered(bits).long(), alpha=2**32)


def ranked(rank: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Activation (float32) and image (int64) of a rank."""
    return ordered((rank >> 32).int()).view(torch.float32), LATEST - (rank & 0xFFFFFFFF)


def nothing_yet(top: int, units: int, place: torch.device) -> Top:
    """Empty slots, which any activation takes."""
    empty = torch.full((top, units), EMPTY, device=place)
    return Top(rank(torch.full((top, units), -torch.inf, device=place), empty), empty)


def update(best: Top, activation: torch.Tensor, first: int) -> Top:
    """Take in the images first, first + 1, ...: one position each, the first of equals. (n, positions, units)

    The positions are looked for only in the images that enter, a few in a hundred.
    """
    images, top = len(activation), len(best.rank)
    image = torch.arange(first, first + images, device=activation.device)[:, None]
    found, order = torch.cat([best.rank, rank(activation.amax(1), image)]).topk(top, dim=0)
    position = best.position.gather(0, order.clamp_max(top - 1))  # (top, units)
    slot, unit = (order >= top).nonzero(as_tuple=True)
    position[slot, unit] = activation[order[slot, unit] - top, :, unit].argmax(1)
    return Top(found, position)


def search(
    net: model.Net, images: store.StoredArray, batch: int, layers: Sequence[str], top: int
) -> dict[str, dict[str, np.ndarray]]:
    """layer -> image, row, column (int32) and activation (float32) of each unit's top images. (units, top)

    Where a layer has no negative activation it is rectified, and only positive ones count.
    """
    best: dict[str, Top] = {}
    lowest: dict[str, torch.Tensor] = {}
    recorder, index = activations.Recorder({"net": net}, layers), np.arange(len(images))
    for number, outputs in enumerate(recorder.stream(images, index, batch)):
        for layer in layers:
            activation = outputs.pop(layer)["net"]  # memory is free for the next
            if layer not in best:
                best[layer] = nothing_yet(top, activation.shape[2], activation.device)
                lowest[layer] = activation.amin()
            best[layer] = update(best[layer], activation, number * batch)
            lowest[layer] = torch.minimum(lowest[layer], activation.amin())
    widths = {layer: (recorder.common_grids[layer] or (1, 1))[1] for layer in layers}
    return {layer: indices(best[layer], widths[layer], bool(lowest[layer] >= 0)) for layer in layers}


def indices(best: Top, width: int, rectified: bool) -> dict[str, np.ndarray]:
    """Named arrays of what the search found in a layer with so many columns. (units, top)"""
    activation, image = (x.T.cpu().numpy() for x in ranked(best.rank))
    row, column = np.divmod(best.position.T.cpu().numpy(), width)
    taken = (image != EMPTY) & ((activation > 0) | (not rectified))
    named = {"image": image, "row": row, "column": column}
    found = {name: np.where(taken, index, EMPTY).astype(np.int32) for name, index in named.items()}
    return {**found, "activation": np.where(taken, activation, np.float32(0))}
