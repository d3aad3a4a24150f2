"""Correlation of all pairs of units of all pairs of nets, from the same forward passes.

Beside this project's: activations that are stored, then ``np.corrcoef``; running sums for each pair of nets, as in
"Universal Neurons in GPT2 Language Models" (Gurnee et al. 2024); running sums of all nets together, as in "ZipIt!"
(Stoica et al. 2024). The methods are theirs, the lines are our own.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import numpy as np
import torch

from tests.presets import preset
from workflow.convergent.alignment import correlation
from workflow.convergent.moments import accumulate, covariance
from workflow.convergent.nets import batching
from workflow.convergent.nets.activations import Recorder
from workflow.convergent.nets.model import Net

from ..common import LAYERS, Photographs, section
from .contest import Contest, Run, Way

Correlations = dict[tuple[str, str, str], np.ndarray]  # layer, net, net -> (units, units)


class Stream(NamedTuple):
    """What all ways read: activations of layers of nets on the first so many images, batch by batch."""

    recorder: Recorder
    images: Any
    count: int
    batch: int

    def batches(self) -> Iterator[dict[str, dict[str, torch.Tensor]]]:
        """layer -> net -> (samples, units) of each batch"""
        for layers in self.recorder.stream(self.images, np.arange(self.count), self.batch):
            yield {layer: {net: x.flatten(0, 1) for net, x in nets.items()} for layer, nets in layers.items()}

    def samples(self, layer: str) -> int:
        """Positions of all images together."""
        return self.count * int(np.prod(self.recorder.common_grids[layer], dtype=int))


def from_sums(n: int, x: np.ndarray, y: np.ndarray, xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Correlation from sums of values, of squares and of products. (a,), (b,), (a,), (b,), (a, b) -> (a, b)"""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (xy - np.outer(x, y) / n) / np.sqrt(np.outer(xx - x**2 / n, yy - y**2 / n))


def forward_alone(stream: Stream) -> None:
    for _ in stream.batches():
        pass


def ours(stream: Stream, blocks: int) -> Correlations:
    """The moments pass and the correlation; of several blocks moments are kept and joined, as ``merge`` does it."""
    parts = np.array_split(np.arange(stream.count), blocks)
    kept: dict[str, dict[str, list[np.ndarray]]] = {}
    for moments in accumulate.block_moments(stream.recorder, stream.images, parts, stream.batch):
        for layer, arrays in moments.items():
            for name, array in arrays.items():
                kept.setdefault(layer, {}).setdefault(name, []).append(array.copy() if blocks > 1 else array)
    found: Correlations = {}
    for layer, lists in kept.items():
        arrays = {name: array for name, (array, *_) in lists.items()}
        if blocks > 1:
            arrays = covariance.total({name: np.array(each) for name, each in lists.items()})
        for a, b in combinations(stream.recorder.nets, 2):
            found[layer, a, b] = correlation.correlate(arrays, a, b)
    return found


def stored(stream: Stream) -> Correlations:
    """All activations are stored, then ``np.corrcoef`` of each pair of nets, in float64."""
    kept: dict[str, dict[str, list[np.ndarray]]] = {}
    for layers in stream.batches():
        for layer, nets in layers.items():
            for net, x in nets.items():
                kept.setdefault(layer, {}).setdefault(net, []).append(x.numpy().copy())
    found: Correlations = {}
    for layer, lists in kept.items():
        whole = {net: np.concatenate(parts) for net, parts in lists.items()}
        for a, b in combinations(whole, 2):
            units = whole[a].shape[1]
            with np.errstate(invalid="ignore", divide="ignore"):
                found[layer, a, b] = np.corrcoef(whole[a].T, whole[b].T)[:units, units:]
    return found


def sums_of_pairs(stream: Stream) -> Correlations:
    """Float64 sums over batches of float32 sums, squares and products, for each pair of nets apart."""
    sums: dict[tuple[str, str, str], list] = {}
    for layers in stream.batches():
        for layer, nets in layers.items():
            for a, b in combinations(nets, 2):
                x, y = nets[a], nets[b]
                batch = [len(x), x.sum(0), y.sum(0), (x**2).sum(0), (y**2).sum(0), x.T @ y]
                new = [np.asarray(part, np.float64) for part in batch]
                before = sums.get((layer, a, b))
                sums[layer, a, b] = [s + part for s, part in zip(before, new, strict=True)] if before else new
    return {key: from_sums(*each) for key, each in sums.items()}


def together(stream: Stream) -> Correlations:
    """Float32 means over batches of values and of products, of all nets side by side."""
    mean, outer, widths = {}, {}, {}
    for layers in stream.batches():
        for layer, nets in layers.items():
            x = torch.cat(list(nets.values()), dim=1)
            widths[layer] = {net: part.shape[1] for net, part in nets.items()}
            share = len(x) / stream.samples(layer)
            mean[layer] = mean.get(layer, 0) + x.mean(0) * share
            outer[layer] = outer.get(layer, 0) + x.T @ x / len(x) * share
    return {
        key: array
        for layer, products in outer.items()
        for key, array in split(layer, products - torch.outer(mean[layer], mean[layer]), widths[layer]).items()
    }


def split(layer: str, covariances: torch.Tensor, widths: Mapping[str, int]) -> Correlations:
    """Correlations of pairs of nets from the covariances of all units. (units of all nets, units of all nets)"""
    deviation = covariances.diagonal().sqrt()
    scaled = (covariances / torch.outer(deviation, deviation)).numpy()
    borders = np.cumsum([0, *widths.values()]).tolist()
    parts = {net: slice(*ends) for net, ends in zip(widths, pairwise(borders), strict=True)}
    return {(layer, a, b): scaled[parts[a], parts[b]] for a, b in combinations(widths, 2)}


def exact(stream: Stream) -> Correlations:
    """Float64 sums about the means of the first batch; NaN for units that are dead."""
    shifts: dict[str, torch.Tensor] = {}
    outer, total, widths = {}, {}, {}
    for layers in stream.batches():
        for layer, nets in layers.items():
            x = torch.cat(list(nets.values()), dim=1).double()
            widths[layer] = {net: part.shape[1] for net, part in nets.items()}
            x -= shifts.setdefault(layer, x.mean(0))
            total[layer] = total.get(layer, 0) + x.sum(0)
            outer[layer] = outer.get(layer, 0) + x.T @ x
    found: Correlations = {}
    for layer, products in outer.items():
        mean = total[layer] / stream.samples(layer)
        covariances = products / stream.samples(layer) - torch.outer(mean, mean)
        dead = covariance.dead(covariances.diagonal().numpy(), (shifts[layer] + mean).numpy())
        covariances[torch.from_numpy(dead)] = torch.nan
        covariances[:, torch.from_numpy(dead)] = torch.nan
        found |= split(layer, covariances, widths[layer])
    return found


def largest_error(found: Correlations, reference: Correlations) -> float:
    """Largest difference of a correlation between live units; NaN where one is missing."""
    differences = [np.abs(found[key] - of)[np.isfinite(of)].max(initial=0) for key, of in reference.items()]
    return float(np.max(differences))


def embedded() -> Stream:
    """The four nets of the embedded experiment before training, all layers and as many images as there."""
    images, size = Photographs(36), section("config.yaml", "data")["size"]
    nets = {f"net{seed}": preset(section("config.yaml", "architecture"), 3, 52, size, seed) for seed in range(4)}
    return of_nets(nets, LAYERS, images, len(images), batching.of_nets(nets.values()))


def paper() -> Stream:
    """Four nets of the paper's architecture before training, and the convolutions of few images."""
    architecture = copy.deepcopy(section("workflow/experiments/imagenet.yaml", "architecture")) | {"fc": []}
    nets = {f"net{seed}": preset(architecture, 3, 10, 256, seed) for seed in range(4)}
    return of_nets(nets, LAYERS[:5], Photographs(256), 64, 32)


def of_nets(nets: dict[str, Net], layers: Sequence[str], images: Photographs, count: int, batch: int) -> Stream:
    for net in nets.values():
        net.standardise_with(images.pool)
    return Stream(Recorder(nets, layers), images, count, batch)


def prepare(way: Callable[[Stream], Any], make: Callable[[], Stream]) -> Run:
    """The way on the stream, which is read once before."""
    stream = make()
    forward_alone(stream._replace(count=stream.batch))
    return partial(way, stream)


def contests() -> list[Contest]:
    ways = [  # name, function, largest error of a correlation
        ("this project", partial(ours, blocks=1), 2e-5),
        ("this project, 52 blocks", partial(ours, blocks=52), 2e-5),  # one a photograph of the embedded experiment
        ("forward passes alone", forward_alone, np.inf),
        ("activations stored, np.corrcoef", stored, 2e-5),
        ("running sums of each pair of nets (universal-neurons)", sums_of_pairs, 1e-2),
        ("running sums of all nets (ZipIt)", together, 1e-2),
    ]
    names = {
        "correlation: four nets, 32 to 192 units, 3,120 images": embedded,
        "correlation: four nets, 96 to 384 units, 64 images": paper,
    }
    return [
        Contest(
            name,
            [
                Way(title, partial(prepare, way), tolerance)
                for title, way, tolerance in ways
                if make is embedded or "52" not in title
            ],
            make,
            partial(prepare, exact),
            largest_error,
        )
        for name, make in names.items()
    ]
