"""The images of highest activation of every unit, and the position of the maximum in each; one pass over the images.

Crops of one photograph excite a unit alike. Therefore at most ``per_group`` images of a group are among its top images:
the best of the group. What a batch leaves out can never come back: of its group, or of all images, enough are better.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from .. import store
from ..nets import activations, culprits, model

EMPTY = -1  # image, row and column of a slot that no image takes
LATEST = 2**31 - 1  # a rank holds LATEST - image, so that of two equal activations the earlier image ranks higher

# Arrays image, row, column (int32) and activation (float32) of each unit's top images, (units, top) each.
TopImages = Mapping[str, np.ndarray]


class Ranking(NamedTuple):
    """The top images of each unit among the images seen so far, highest activation first."""

    rank: torch.Tensor  # (top, units) int64, as of ``to_rank``
    position: torch.Tensor  # (top, units) int64, row-major


def ordered(bits: torch.Tensor) -> torch.Tensor:
    """Integers in the order of the floats whose bits are given; applied twice it returns the bits. int32 -> int32"""
    return bits ^ (bits >> 31 & 0x7FFFFFFF)  # flips the bits of negative floats, whose order is reversed


def to_rank(activation: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Integers that sort by activation and, where it is equal, by earlier image; no two images of a unit tie.

    The upper half is the activation, the lower half the image.
    activation: float32; image: int64, broadcast with it -> int64
    """
    bits = activation.contiguous().view(torch.int32)
    return torch.add(LATEST - image, ordered(bits).long(), alpha=2**32)


def image_of(rank: torch.Tensor) -> torch.Tensor:
    """Image of ranks. int64 -> int64"""
    return LATEST - (rank & 0xFFFFFFFF)


def from_rank(rank: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Activation (float32) and image (int64) of ranks; the inverse of ``to_rank``."""
    return ordered((rank >> 32).int()).view(torch.float32), image_of(rank)


NONE = int(to_rank(torch.tensor(-torch.inf), torch.tensor(EMPTY)))  # the rank of a slot that no image takes


def empty_ranking(top: int, units: int, place: torch.device) -> Ranking:
    """A ranking of no images yet: any activation takes its slots."""
    return Ranking(*(torch.full((top, units), value, device=place) for value in (NONE, EMPTY)))


def leaves_out(group: np.ndarray, per_group: int, top: int) -> bool:
    """Whether a group has so many images that ``per_group`` may keep one from the top. group: (N,)"""
    return per_group < min(top, np.unique(group, return_counts=True)[1].max(initial=0))


def place_in_group(group: torch.Tensor) -> torch.Tensor:
    """How many rows above are of the same group. group: of each row of each unit (n, units) -> (n, units)"""
    run, order = group.sort(dim=0, stable=True)
    row = torch.arange(len(group), device=group.device)[:, None].expand(group.shape)
    begins = torch.where(run[1:] != run[:-1], row[1:], 0).cummax(0).values  # the row at which each run begins
    return torch.empty_like(order).scatter_(0, order, row - torch.cat([row[:1], begins]))


def contenders(best: Ranking, rank: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Ranks that may enter a ranking, of each unit those above its last, and their rows; few after the first batches.

    rank: of new images (n, units) -> (most of a unit, units) each, filled up with the rank and the row of no image
    """
    unit, row = (rank > best.rank[-1]).T.nonzero(as_tuple=True)
    count = torch.bincount(unit, minlength=rank.shape[1])
    place = torch.arange(len(unit), device=unit.device) - (count.cumsum(0) - count)[unit]
    found = empty_ranking(int(count.max()), rank.shape[1], rank.device)
    found.rank[place, unit], found.position[place, unit] = rank[row, unit], row
    return found


def update(
    best: Ranking, activation: torch.Tensor, first: int, group: torch.Tensor | None = None, per_group: int = 1
) -> Ranking:
    """The ranking after the images first, first + 1, ..., each at the first position of its maximum.

    activation: (n, positions, units); group: of every image (N,), None where each is one of its own. Positions are
    looked up only in images that enter, a few in a hundred.
    """
    images, top = len(activation), len(best.rank)
    image = torch.arange(first, first + images, device=activation.device)[:, None]
    new, row = contenders(best, to_rank(activation.amax(1), image))
    rank, order = torch.cat([best.rank, new]).sort(dim=0, descending=True)
    if group is not None:
        ranked = image_of(rank).clamp_min_(0)  # the group of an empty slot does not matter: it ranks last
        rank = rank.masked_fill(place_in_group(group[ranked]) >= per_group, NONE)
        rank, kept = rank.topk(top, dim=0)
        order = order.gather(0, kept)
    else:
        rank, order = rank[:top], order[:top]
    position = best.position.gather(0, order.clamp_max(top - 1))  # (top, units)
    slot, unit = (order >= top).nonzero(as_tuple=True)
    position[slot, unit] = activation[row[order[slot, unit] - top, unit], :, unit].argmax(1)
    return Ranking(rank, position)


def search(
    net: model.Net,
    images: store.StoredArray,
    batch: int,
    layers: Sequence[str],
    top: int,
    group: np.ndarray | None = None,
    per_group: int = 1,
) -> dict[str, TopImages]:
    """Top images of each unit by layer; ``batch`` images go through the net at a time.

    group: of each image (N,), of which at most ``per_group`` images are taken; None where each is one of its own
    In a layer without any negative activation only positive activations count: the layer is rectified, and a zero is
    no activation. Raises InputError where an activation is not finite.
    """
    best: dict[str, Ranking] = {}
    lowest: dict[str, torch.Tensor] = {}  # (units,): lowest activation, at most 0
    bound = group is not None and leaves_out(group, per_group, top)
    groups = torch.from_numpy(group).to(net.mean.device) if bound else None
    recorder, index = activations.Recorder({net.name: net}, layers), np.arange(len(images))
    for number, outputs in enumerate(recorder.stream(images, index, batch)):
        for layer in layers:
            activation = outputs.pop(layer)[net.name]  # popped, so that its memory is free for the next layer
            if layer not in best:
                best[layer] = empty_ranking(top, activation.shape[2], activation.device)
                lowest[layer] = torch.zeros(activation.shape[2], device=activation.device)
            best[layer] = update(best[layer], activation, number * batch, groups, per_group)
            lowest[layer] = torch.minimum(lowest[layer], activation.amin((0, 1)))
            highest, _ = from_rank(best[layer].rank[0])
            with culprits.named(recorder, images, index[number * batch :][:batch], batch):
                activations.require_finite(net.name, layer, torch.stack([lowest[layer], highest]).cpu().numpy())
    columns = {layer: (recorder.common_grids[layer] or (1, 1))[1] for layer in layers}
    return {layer: top_images(best[layer], columns[layer], bool((lowest[layer] >= 0).all())) for layer in layers}


def top_images(best: Ranking, columns: int, rectified: bool) -> TopImages:
    """Arrays of a ranking in a layer whose grid has so many columns; empty slots hold EMPTY and activation 0."""
    activation, image = (x.T.cpu().numpy() for x in from_rank(best.rank))
    row, column = np.divmod(best.position.T.cpu().numpy(), columns)
    taken = (image != EMPTY) & ((activation > 0) | (not rectified))
    indices = {"image": image, "row": row, "column": column}
    arrays = {name: np.where(taken, index, EMPTY).astype(np.int32) for name, index in indices.items()}
    return {**arrays, "activation": np.where(taken, activation, np.float32(0))}
