"""Counters of exceedances: in how many samples a unit, or each of two units, exceeds an edge of its bins.

Plane k of a unit holds, for each sample, whether its value exceeds edge k. The overlap of two planes is an exceedance.

Planes are counted in one of two ways, with equal results. On the CPU a plane is a row of bits, 64 samples a machine
word. On CUDA it is a row of 0 and 1, and an integer matrix product counts all pairs of units.
"""

from typing import Any

import numpy as np
import torch
from numba import prange, types
from numba.extending import intrinsic

from ..kernels import compiled

WORD = 64  # samples in a word
SQUARE = 16  # units of either net whose pairs are counted in a row, so that their planes stay in the cache
ALIGNED = 8  # on CUDA integer products need rows and columns in multiples of it


@intrinsic
def _population(context: Any, word: Any) -> Any:
    return types.uint64(types.uint64), lambda context, builder, signature, args: builder.ctpop(args[0])


population: Any = _population  # number of set bits of a word, a processor instruction that numba does not name


@compiled(parallel=True)
def pack(values: np.ndarray, edges: np.ndarray, planes: np.ndarray) -> None:
    """Fill ``planes`` with a bit for each sample, 1 where it exceeds the edge; bits beyond the last sample are 0.

    values: (samples, units) float32; edges: (units, E) float32; planes: (units, E, words) uint64
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


@compiled(parallel=True)
def count_bits(planes_a: np.ndarray, planes_b: np.ndarray, exceedances: np.ndarray) -> None:
    """Add the overlaps of all planes of all pairs of units to ``exceedances``.

    planes_a, planes_b: (units, E, words) uint64; exceedances: (units_a, units_b, E, E) int64
    """
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


@compiled(parallel=True)
def count_ones(planes: np.ndarray, exceedances: np.ndarray) -> None:
    """Add the number of samples above each edge of each unit to ``exceedances``.

    planes: (units, E, words) uint64; exceedances: (units, E) int64
    """
    for unit in prange(planes.shape[0]):
        for k in range(planes.shape[1]):
            total = np.uint64(0)
            for word in range(planes.shape[2]):
                total += population(planes[unit, k, word])
            exceedances[unit, k] += np.int64(total)


class BitPlanes:
    """Counts on the CPU. ``planes`` are (units, E, words) uint64, ``exceedances`` int64 arrays."""

    @staticmethod
    def zeros(shape: tuple[int, ...]) -> np.ndarray:
        """Exceedances before any sample is counted."""
        return np.zeros(shape, np.int64)

    @staticmethod
    def to_numpy(exceedances: np.ndarray) -> np.ndarray:
        """Exceedances as a numpy array."""
        return exceedances

    @staticmethod
    def planes(values: torch.Tensor, edges: np.ndarray) -> np.ndarray:
        """Planes of values. (samples, units) float32, (units, E) float32 -> (units, E, words) uint64"""
        samples, units = values.shape
        planes = np.empty((units, edges.shape[1], -(-samples // WORD)), np.uint64)
        pack(values.cpu().numpy(), edges, planes)
        return planes

    @staticmethod
    def add_single(planes: np.ndarray, exceedances: np.ndarray) -> None:
        """Add the number of samples above each edge of each unit. (units, E, words), (units, E)"""
        count_ones(planes, exceedances)

    @staticmethod
    def add_joint(planes_a: np.ndarray, planes_b: np.ndarray, exceedances: np.ndarray) -> None:
        """Add the number of samples above both edges. (units, E, words) each, (units_a, units_b, E, E)"""
        count_bits(planes_a, planes_b, exceedances)


class Products:
    """Counts by integer matrix products, on CUDA (and anywhere, slowly).

    ``planes`` are (units, E, samples) int8. ``exceedances`` are int64 and stay on the device until ``to_numpy``.
    """

    def __init__(self, place: torch.device) -> None:
        self.place = place

    def zeros(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Exceedances before any sample is counted."""
        return torch.zeros(shape, dtype=torch.int64, device=self.place)

    @staticmethod
    def to_numpy(exceedances: torch.Tensor) -> np.ndarray:
        """Exceedances as a numpy array."""
        return exceedances.cpu().numpy()

    @staticmethod
    def planes(values: torch.Tensor, edges: np.ndarray) -> torch.Tensor:
        """Planes of values, padded with samples of zeros. (samples, units), (units, E) -> (units, E, samples) int8"""
        bounds = torch.from_numpy(edges).to(values.device)  # (units, E)
        above = (values.T[:, None, :] > bounds[:, :, None]).to(torch.int8)
        return torch.nn.functional.pad(above, (0, -len(values) % ALIGNED))

    @staticmethod
    def add_single(planes: torch.Tensor, exceedances: torch.Tensor) -> None:
        """Add the number of samples above each edge of each unit. (units, E, samples), (units, E)"""
        exceedances += planes.sum(2, dtype=torch.int64)

    @staticmethod
    def add_joint(planes_a: torch.Tensor, planes_b: torch.Tensor, exceedances: torch.Tensor) -> None:
        """Add the number of samples above both edges. (units, E, samples) each, (units_a, units_b, E, E)"""
        rows, columns = planes_a.flatten(0, 1), planes_b.flatten(0, 1)
        product = torch._int_mm(pad_rows(rows), pad_rows(columns).T)[: len(rows), : len(columns)]  # int32
        exceedances += product.view(*planes_a.shape[:2], *planes_b.shape[:2]).permute(0, 2, 1, 3)


def pad_rows(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix with rows of zeros below it: an integer product on CUDA needs a multiple of 8 rows, more than 16."""
    return torch.nn.functional.pad(matrix, (0, 0, 0, max(-len(matrix) % ALIGNED, 3 * ALIGNED - len(matrix))))


Counter = BitPlanes | Products


def pick_counter(place: torch.device) -> Counter:
    """The faster way of counting on a device."""
    return Products(place) if place.type == "cuda" else BitPlanes()
