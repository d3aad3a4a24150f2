"""Samples of one layer of several nets: bins of their units, and planes to count, in chunks.

A sample is one position of one image. Every net is sampled at the same positions. Images are dealt into few folds of
whole photographs, so that information can be measured without each of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .. import store
from ..moments.blocks import assign_blocks, runs_of
from ..moments.covariance import ROUNDING, dead
from ..nets import activations, culprits
from ..seeds import derive
from .counters import pick_counter
from .histograms import Chunk

EDGE_POSITIONS = 16  # of an image whose activations fix the bins, at most
FOLDS = 8  # at most: the counts of all pairs are kept for each
CHUNK_SAMPLES = 16384  # that are counted at a time, so that the planes of a few units stay in the cache


@dataclass(frozen=True)
class SamplingSettings:
    """Which samples of a layer are counted, and in which bins."""

    layer: str
    bins: int  # of a unit
    positions: int | None  # of an image, drawn by seed; None for all
    edge_images: int  # that the bins are fixed from, at most
    batch: int  # images in one forward pass
    seed: int  # of the draws of images and positions


def extremes(values: torch.Tensor) -> np.ndarray:
    """Lowest and highest value of each unit, NaN where one is NaN. (samples, units) -> (2, units)"""
    return torch.stack([values.amin(0), values.amax(0)]).cpu().numpy()  # torch.aminmax is five times as slow


def bin_edges(sample: np.ndarray, bins: int) -> np.ndarray:
    """Inner edges of each unit's bins. (samples, units) -> (units, bins - 1) float32

    A value belongs to bin k if it exceeds exactly k of the edges. Edges are values of the sample: a strictly monotone
    transformation that keeps 0 moves no value to another bin. If a unit has fewer different values than bins, some of
    its edges are equal, and the bins between these are empty. All values of a unit that is dead in the sample, and what
    lies as near to them as rounding, belong to one bin.
    """
    ordered = np.sort(sample, axis=0)
    constant = dead(sample.var(axis=0, dtype=np.float64), sample.mean(axis=0, dtype=np.float64))
    ordered[:, constant] = ordered[-1, constant] + np.float32(ROUNDING) * np.abs(ordered[-1, constant])
    if (ordered < 0).any():
        first, inner = np.zeros(ordered.shape[1], int), bins - 1
    else:
        first, inner = (ordered <= 0).sum(axis=0), bins - 2  # (units,): the positive values begin there
    count = len(ordered) - first
    below = -(-np.arange(1, inner + 1)[:, None] * count // (inner + 1))  # (inner, units), rounded up
    borders = np.take_along_axis(ordered, np.clip(first + below - 1, 0, len(ordered) - 1), axis=0)
    zero = np.zeros((bins - 1 - inner, ordered.shape[1]), np.float32)
    return np.ascontiguousarray(np.vstack([zero, np.where(count, borders, 0)]).T, np.float32)


def deal_folds(group: np.ndarray, blocks: int, seed: int) -> list[np.ndarray]:
    """The images of each fold, in ascending order: at most FOLDS unions of consecutive blocks of moments. (N,)

    group, blocks, seed: as of ``assign_blocks``
    """
    dealt = assign_blocks(group, blocks, seed)
    return [np.sort(np.concatenate(dealt[run.start : run.stop])) for run in runs_of(blocks, min(FOLDS, blocks))]


class Sampler:
    """Samples of one layer of several nets: the activations at positions of images, the same ones in all nets.

    folds: numbers of the images of each fold
    """

    def __init__(
        self,
        recorder: activations.Recorder,
        images: store.StoredArray,
        settings: SamplingSettings,
        folds: Sequence[np.ndarray],
    ) -> None:
        self.recorder, self.images, self.settings, self.folds = recorder, images, settings, folds
        self.nets = recorder.nets
        self.counter = pick_counter(next(iter(self.nets.values())).mean.device)

    def batches(self, index: np.ndarray, positions: int | None, purpose: str) -> Iterator[dict[str, torch.Tensor]]:
        """Activations of each batch of images: net -> (samples, units) float32. index: numbers of the images

        Each image gives so many positions, drawn by seed and purpose, or all of them.
        """
        layer, seed = self.settings.layer, self.settings.seed
        for number, layers in enumerate(self.recorder.stream(self.images, index, self.settings.batch)):
            outputs = layers[layer]
            count, grid, _ = next(iter(outputs.values())).shape
            if positions is None or positions >= grid:
                yield {net: x.flatten(0, 1) for net, x in outputs.items()}
                continue
            draw = np.random.default_rng(derive(seed, "positions", layer, purpose, number)).random((count, grid))
            chosen = torch.from_numpy(draw.argpartition(positions, axis=1)[:, :positions])
            image = torch.arange(count)[:, None]
            yield {net: x[image.to(x.device), chosen.to(x.device)].flatten(0, 1) for net, x in outputs.items()}

    def require_finite(self, values: Mapping[str, torch.Tensor], index: np.ndarray) -> None:
        """Raise InputError for samples that are not finite. values: net -> (samples, units), of images of an index"""
        with culprits.named(self.recorder, self.images, index, self.settings.batch):
            for net, x in values.items():
                activations.require_finite(net, self.settings.layer, extremes(x))

    def edges(self) -> dict[str, np.ndarray]:
        """Inner edges of the bins of each net's units, from images drawn by seed. net -> (units, bins - 1)

        Raises InputError where an activation is not finite.
        """
        settings = self.settings
        drawn = np.random.default_rng(derive(settings.seed, "edges")).permutation(len(self.images))
        parts: dict[str, list[np.ndarray]] = {net: [] for net in self.nets}
        index = np.sort(drawn[: settings.edge_images])
        for batch in self.batches(index, EDGE_POSITIONS, "edges"):
            self.require_finite(batch, index)
            for net, x in batch.items():
                parts[net].append(x.cpu().numpy())
        samples = {net: np.concatenate(arrays) for net, arrays in parts.items()}
        return {net: bin_edges(sample, settings.bins) for net, sample in samples.items()}

    def samples_of(self, fold: int) -> Iterator[dict[str, torch.Tensor]]:
        """Activations of a fold, CHUNK_SAMPLES samples at a time; the last may be fewer. net -> (samples, units)"""
        parts: dict[str, list[torch.Tensor]] = {net: [] for net in self.nets}
        filled = 0
        for batch in self.batches(self.folds[fold], self.settings.positions, f"fold {fold}"):
            count, first = len(next(iter(batch.values()))), 0
            while first < count:
                size = min(count - first, CHUNK_SAMPLES - filled)
                for net, x in batch.items():
                    parts[net].append(x[first : first + size])
                first, filled = first + size, filled + size
                if filled == CHUNK_SAMPLES:
                    yield {net: torch.cat(tensors) for net, tensors in parts.items()}
                    filled, parts = 0, {net: [] for net in self.nets}
        if filled:
            yield {net: torch.cat(tensors) for net, tensors in parts.items()}

    def chunks(self, edges: Mapping[str, np.ndarray]) -> Iterator[Chunk]:
        """Planes of all nets, fold by fold. Raises InputError where an activation is not finite."""
        for fold in range(len(self.folds)):
            for values in self.samples_of(fold):
                self.require_finite(values, self.folds[fold])
                samples = len(next(iter(values.values())))
                yield Chunk(fold, samples, {net: self.counter.planes(x, edges[net]) for net, x in values.items()})
