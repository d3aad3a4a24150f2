"""Joint histograms of every unit of one net with every unit of another, counted in chunks of samples.

Inner ``edges`` define the bins of a unit: a value belongs to bin k if it exceeds exactly k of the edges. An
*exceedance* is the number of samples in which both units exceed an edge. Differences of exceedances are the cells of
the histogram. Samples belong to folds, which are counted apart.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .counters import Counter

TILE_BYTES = 2 * 2**30  # of exceedances that are counted in one pass over the images
KEPT_BYTES = 2 * 2**30  # of planes that are kept for further passes; if there are more, each pass computes them anew


def cells(joint: np.ndarray, above_a: np.ndarray, above_b: np.ndarray, samples: int) -> np.ndarray:
    """Histogram of each pair of units from exceedances. (units_a, units_b, bins, bins) with E + 1 bins

    joint: (units_a, units_b, E, E); above_a: (units_a, E); above_b: (units_b, E)
    """
    edges = joint.shape[3]
    exceed = np.zeros((*joint.shape[:2], edges + 2, edges + 2), joint.dtype)
    exceed[..., 0, 0] = samples
    exceed[..., 1:-1, 0] = above_a[:, None]
    exceed[..., 0, 1:-1] = above_b[None]
    exceed[..., 1:-1, 1:-1] = joint
    return np.diff(np.diff(exceed, axis=2), axis=3)


Pairs = Sequence[tuple[str, str]]  # of nets


class Chunk(NamedTuple):
    """Some of the samples of a fold, and their planes in a counter's format. planes: net -> (units, E, ...)"""

    fold: int
    samples: int
    planes: dict[str, Any]


class Tile(NamedTuple):
    """Units ``first`` to ``last`` (excluded) of net a, counted together with all units of net b."""

    a: str
    b: str
    first: int
    last: int


class Marginals(NamedTuple):
    """Number of samples of each fold, and how many of them lie above each edge of each unit."""

    samples: np.ndarray  # (folds,)
    above: dict[str, np.ndarray]  # net -> (folds, units, E)


def tile_groups(widths: Mapping[str, int], pairs: Pairs, edges: int, folds: int) -> list[list[Tile]]:
    """Tiles of all pairs in groups, each counted in one pass over the images.

    There are as few groups as ``TILE_BYTES`` of exceedances allow. widths: net -> units
    """
    groups: list[list[Tile]] = [[]]
    left = TILE_BYTES
    for a, b in pairs:
        size = 8 * folds * widths[b] * edges**2  # of one unit
        first = 0
        while first < widths[a]:
            if left < size and groups[-1]:
                groups.append([])
                left = TILE_BYTES
            last = min(widths[a], first + max(1, left // size))
            groups[-1].append(Tile(a, b, first, last))
            left -= size * (last - first)
            first = last
    return groups


class CachedChunks:
    """The chunks that ``make`` yields, to be iterated several times.

    They are kept if they fit into ``KEPT_BYTES``; otherwise each iteration calls ``make`` again.
    """

    def __init__(self, make: Callable[[], Iterable[Chunk]]) -> None:
        self.make = make
        self.kept: list[Chunk] = []
        self.complete = False

    def __iter__(self) -> Iterator[Chunk]:
        if self.complete:
            yield from self.kept
            return
        size = 0
        for chunk in self.make():
            size += sum(planes.nbytes for planes in chunk.planes.values())
            if size <= KEPT_BYTES:
                self.kept.append(chunk)
            yield chunk
        self.complete = size <= KEPT_BYTES
        self.kept = self.kept if self.complete else []


def joint_exceedances(
    make: Callable[[], Iterable[Chunk]], edges: Mapping[str, np.ndarray], pairs: Pairs, counter: Counter, folds: int
) -> Iterator[tuple[Tile, np.ndarray, Marginals]]:
    """Each tile of all pairs with its exceedances (folds, units of the tile, units_b, E, E) int64, and the marginals.

    The chunks that ``make`` yields are iterated once for each group of tiles: once in all where all exceedances fit
    into ``TILE_BYTES``. edges: net -> (units, E)
    """
    widths = {net: len(x) for net, x in edges.items()}
    inner = next(iter(edges.values())).shape[1]
    above: dict[str, Any] = {net: counter.zeros((folds, *x.shape)) for net, x in edges.items()}
    groups = tile_groups(widths, pairs, inner, folds)
    chunks = CachedChunks(make) if len(groups) > 1 else make()
    for number, tiles in enumerate(groups):
        joint: dict[Tile, Any] = {
            tile: counter.zeros((folds, tile.last - tile.first, widths[tile.b], inner, inner)) for tile in tiles
        }
        samples = np.zeros(folds, int)
        for chunk in chunks:
            samples[chunk.fold] += chunk.samples
            for net in edges if number == 0 else ():
                counter.add_single(chunk.planes[net], above[net][chunk.fold])
            for tile, counts in joint.items():
                planes_a = chunk.planes[tile.a][tile.first : tile.last]
                counter.add_joint(planes_a, chunk.planes[tile.b], counts[chunk.fold])
        marginals = Marginals(samples, {net: counter.to_numpy(counts) for net, counts in above.items()})
        for tile in tiles:
            yield tile, counter.to_numpy(joint.pop(tile)), marginals
