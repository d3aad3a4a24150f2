"""Joint histograms of every unit of one net with every unit of another, counted as bit planes or as matrix products.

A unit's bins are given by its inner ``edges``: a value belongs to bin k when it exceeds k of them. Plane k of a unit
says for each sample whether it exceeds edge k, so that two planes' overlap is an *exceedance*, the number of samples
above an edge in both units, and the histogram's cells are differences of exceedances. On the CPU 64 samples are one
machine word; on CUDA planes are rows of 0 and 1 and an integer matrix product counts all pairs of units.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from numba import prange, types
from numba.extending import intrinsic

WORD = 64  # samples in a word
SQUARE = 16  # units a side of the pairs that are counted one after the other, so that their planes stay in the cache
TILE_BYTES = 2**30  # of the counts that one pass over the samples fills
KEPT_BYTES = 2 * 2**30  # of planes that are kept where several passes are needed; more are computed anew
ALIGNED = 8  # rows and columns of integer products come in multiples of it on CUDA


@intrinsic
def _population(context: Any, word: Any) -> Any:
    return types.uint64(types.uint64), lambda context, builder, signature, args: builder.ctpop(args[0])


population: Any = _population  # number of bits of a word that are set: an instruction that numba has no name for


@numba.njit(parallel=True, cache=True)
def pack(values: np.ndarray, edges: np.ndarray, planes: np.ndarray) -> None:
    """Bits of whether each sample exceeds each edge; bits beyond the last sample are 0.

    values: (samples, units) float32; edges: (units, E) float32 -> planes: (units, E, words) uint64
    """
    samples, units = values.shape
    for word in prange(planes.shape[2]):
        first = word * WORD
        last = min(first + WORD, samples)
        for unit in range(units):
            for k in range(edges.shape[1]):
                edge, bits = edges[unit, k], np.uint64(0)
                for row in range(first, last):
                    bits |= np.uint64(values[row, unit] > edge) << np.uint64(row - first)
                planes[unit, k, word] = bits


@numba.njit(parallel=True, cache=True)
def count_bits(planes_a: np.ndarray, planes_b: np.ndarray, exceedances: np.ndarray) -> None:
    """Add the overlaps of all planes of all pairs of units. (units, E, words) each -> (units_a, units_b, E, E)"""
    units_a, edges, words = planes_a.shape
    across = (len(planes_b) + SQUARE - 1) // SQUARE
    for square in prange((units_a + SQUARE - 1) // SQUARE * across):
        top, left = square // across * SQUARE, square % across * SQUARE
        for i in range(top, min(top + SQUARE, units_a)):
            for j in range(left, min(left + SQUARE, len(planes_b))):
                for p in range(edges):
                    for q in range(edges):
                        total = np.uint64(0)
                        for word in range(words):
                            total += population(planes_a[i, p, word] & planes_b[j, q, word])
                        exceedances[i, j, p, q] += np.int64(total)


@numba.njit(parallel=True, cache=True)
def count_ones(planes: np.ndarray, exceedances: np.ndarray) -> None:
    """Add the samples above each edge of each unit. (units, E, words) -> (units, E)"""
    for unit in prange(planes.shape[0]):
        for k in range(planes.shape[1]):
            total = np.uint64(0)
            for word in range(planes.shape[2]):
                total += population(planes[unit, k, word])
            exceedances[unit, k] += np.int64(total)


class BitPlanes:
    """Counting on the CPU. ``planes`` are (units, E, words) uint64, ``exceedances`` arrays."""

    @staticmethod
    def zeros(shape: tuple[int, ...]) -> np.ndarray:
        """Exceedances of no samples."""
        return np.zeros(shape, np.int64)

    @staticmethod
    def fetched(exceedances: np.ndarray) -> np.ndarray:
        return exceedances

    @staticmethod
    def planes(values: torch.Tensor, edges: np.ndarray) -> np.ndarray:
        """Planes of (samples, units) values."""
        samples, units = values.shape
        found = np.empty((units, edges.shape[1], -(-samples // WORD)), np.uint64)
        pack(values.cpu().numpy(), edges, found)
        return found

    @staticmethod
    def add_single(planes: np.ndarray, exceedances: np.ndarray) -> None:
        count_ones(planes, exceedances)

    @staticmethod
    def add_joint(planes_a: np.ndarray, planes_b: np.ndarray, exceedances: np.ndarray) -> None:
        count_bits(planes_a, planes_b, exceedances)


class Products:
    """Counting by integer matrix products, on CUDA (and anywhere, slowly).

    ``planes`` are (units, E, samples) int8, ``exceedances`` stay on the device until they are fetched.
    """

    def __init__(self, place: torch.device) -> None:
        self.place = place

    def zeros(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Exceedances of no samples."""
        return torch.zeros(shape, dtype=torch.int64, device=self.place)

    @staticmethod
    def fetched(exceedances: torch.Tensor) -> np.ndarray:
        return exceedances.cpu().numpy()

    @staticmethod
    def planes(values: torch.Tensor, edges: np.ndarray) -> torch.Tensor:
        """Planes of (samples, units) values; samples are filled up with zeros."""
        bounds = torch.from_numpy(edges).to(values.device)  # (units, E)
        above = (values.T[:, None, :] > bounds[:, :, None]).to(torch.int8)
        return torch.nn.functional.pad(above, (0, -len(values) % ALIGNED))

    @staticmethod
    def add_single(planes: torch.Tensor, exceedances: torch.Tensor) -> None:
        exceedances += planes.sum(2, dtype=torch.int64)

    @staticmethod
    def add_joint(planes_a: torch.Tensor, planes_b: torch.Tensor, exceedances: torch.Tensor) -> None:
        rows, columns = planes_a.flatten(0, 1), planes_b.flatten(0, 1)
        product = torch._int_mm(fill_rows(rows), fill_rows(columns).T)[: len(rows), : len(columns)]  # int32
        exceedances += product.view(*planes_a.shape[:2], *planes_b.shape[:2]).permute(0, 2, 1, 3)


def fill_rows(matrix: torch.Tensor) -> torch.Tensor:
    """With as many rows of zeros as an integer product on CUDA asks for: a multiple of 8, more than 16."""
    return torch.nn.functional.pad(matrix, (0, 0, 0, max(-len(matrix) % ALIGNED, 3 * ALIGNED - len(matrix))))


Counting = BitPlanes | Products


def counting(place: torch.device) -> Counting:
    """The way of counting that a device is fastest at."""
    return Products(place) if place.type == "cuda" else BitPlanes()


def cells(joint: np.ndarray, above_a: np.ndarray, above_b: np.ndarray, samples: int) -> np.ndarray:
    """Counts of the bins from exceedances: joint (units_a, units_b, E, E), above_a (units_a, E), above_b (units_b, E).

    -> (units_a, units_b, bins, bins) with E + 1 bins
    """
    edges = joint.shape[3]
    exceed = np.zeros((*joint.shape[:2], edges + 2, edges + 2), joint.dtype)
    exceed[..., 0, 0] = samples
    exceed[..., 1:-1, 0] = above_a[:, None]
    exceed[..., 0, 1:-1] = above_b[None]
    exceed[..., 1:-1, 1:-1] = joint
    return np.diff(np.diff(exceed, axis=2), axis=3)


Chunk = tuple[int, dict[str, Any]]  # number of samples, and their planes by net


class Tile(NamedTuple):
    """Units ``first`` to ``last`` (excluded) of net a with all units of net b, counted together."""

    a: str
    b: str
    first: int
    last: int


def passes(widths: Mapping[str, int], pairs: Sequence[tuple[str, str]], edges: int) -> list[list[Tile]]:
    """Tiles of all pairs, grouped into as few passes over the images as ``TILE_BYTES`` of counts allow."""
    groups: list[list[Tile]] = [[]]
    left = TILE_BYTES
    for a, b in pairs:
        size = 8 * widths[b] * edges**2  # of one unit
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


class Repeatable:
    """What ``make`` yields, as often as wanted: remembered where it fits into ``KEPT_BYTES``, else made anew."""

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
            size += sum(planes.nbytes for planes in chunk[1].values())
            if size <= KEPT_BYTES:
                self.kept.append(chunk)
            yield chunk
        self.complete = size <= KEPT_BYTES
        self.kept = self.kept if self.complete else []


class Counted(NamedTuple):
    """Samples in all, and those above each edge of each net's units (units, E)."""

    samples: int
    above: dict[str, np.ndarray]


def count(
    chunks: Iterable[Chunk], edges: Mapping[str, np.ndarray], pairs: Sequence[tuple[str, str]], counting: Counting
) -> Iterator[tuple[Tile, np.ndarray, Counted]]:
    """Each tile of all pairs with its exceedances (units_a of the tile, units_b, E, E) int64.

    The chunks are gone through once where all counts fit into ``TILE_BYTES``, else once a group of tiles.
    """
    widths = {net: len(x) for net, x in edges.items()}
    inner = next(iter(edges.values())).shape[1]
    above: dict[str, Any] = {net: counting.zeros(x.shape) for net, x in edges.items()}
    for number, tiles in enumerate(passes(widths, pairs, inner)):
        joint: dict[Tile, Any] = {
            tile: counting.zeros((tile.last - tile.first, widths[tile.b], inner, inner)) for tile in tiles
        }
        samples = 0
        for rows, planes in chunks:
            samples += rows
            for net in edges if number == 0 else ():
                counting.add_single(planes[net], above[net])
            for tile, counts in joint.items():
                counting.add_joint(planes[tile.a][tile.first : tile.last], planes[tile.b], counts)
        singles = {net: counting.fetched(counts) for net, counts in above.items()}
        for tile in tiles:
            yield tile, counting.fetched(joint.pop(tile)), Counted(samples, singles)
