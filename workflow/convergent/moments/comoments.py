"""Means and co-moments of one block from batches of activations: float64 sums of float32 or float64 products."""

import functools
from collections.abc import Iterator, Mapping
from itertools import combinations_with_replacement, cycle

import numpy as np
import torch

from ..nets.device import empty, of_doubles, product_kind

BUFFER_BYTES = 64 * 2**20  # of a layer's buffer, roughly; the products of larger ones are no faster
BUFFER_ROWS = 16384  # of the buffer, at most: float32 sums over more rows lose accuracy
DOUBLES_BYTES = 512 * 2**20  # of a layer's buffer of float64 on a GPU
NARROW = 768  # units of all nets together up to which their sums are one square, though it holds each pair twice
TOGETHER = 8192  # units up to which a CPU's product is of all nets together; of more it would need 1 GB at 4 x 4096
FEW_ROWS, FEW_COLUMNS = 400, 96  # below, numpy's copy of a triangle takes longer than the half that it saves
NARROWEST = 16  # columns below which torch adds up one by one where there is no AVX512: 20 times the error
SHIFT_ROWS = 1024  # of the first batch, about, that give the shift: it need not be a mean to the last digit
DRIFT = 2.0  # deviations between a buffer's mean and the shift beyond which float32 products lose accuracy
LARGE = 2.0**40  # mean square above which, or below 1 / LARGE, products in float32 may overflow or lose bits


@functools.cache
def product_space(*shape: int) -> np.ndarray:
    """Zeros of a shape, for products of that shape: fresh memory for each would cost as much as the product."""
    return np.zeros(shape, np.float32)


def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """left.T @ right, valid until the next call. (n, a), (n, b) -> (a, b)

    Where left and right are the same array, numpy's BLAS does half the work and copies a triangle, torch does all.
    """
    if left.device.type != "cpu":
        return left.T @ right
    space, (rows, columns) = product_space(left.shape[1], right.shape[1]), left.shape
    if left is right and (rows < FEW_ROWS or NARROWEST <= columns < FEW_COLUMNS):
        return torch.mm(left.T, right, out=torch.from_numpy(space))
    with np.errstate(all="ignore"):  # of values that are not finite, or not scaled yet
        np.matmul(left.numpy().T, right.numpy(), out=space)
    return torch.from_numpy(space)


def square_sums(rows: torch.Tensor) -> torch.Tensor:
    """Sum of the squares of each column. (n, units) -> (units,)"""
    if rows.device.type != "cpu":
        return rows.square().sum(0)
    return torch.from_numpy(np.einsum("ij,ij->j", rows.numpy(), rows.numpy()))  # no array of squares


def nonzero_columns(rows: torch.Tensor) -> torch.Tensor:
    """Which columns hold a number other than 0. (n, units) -> (units,) bool"""
    if rows.device.type != "cpu":
        return rows.any(0)
    bits = np.bitwise_or.reduce(rows.numpy().view(np.int32), axis=0)  # a third of the time of torch
    return torch.from_numpy(bits != 0)


def power_of_two(exponent: torch.Tensor) -> torch.Tensor:
    """2**exponent, exactly: torch's own powers may be off by rounding. int32 from -126 to 127 -> float32"""
    return ((exponent + 127) << 23).view(torch.float32)


def column_scale(rows: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
    """Powers of two that bring the largest value of each column to about 1.

    They are 1 for columns whose products are right in float32 as they are, and for columns of zeros.
    rows: (n, units), squares: their ``square_sums`` -> (units,) float32
    """
    scale, mean_square = torch.ones_like(squares), squares / len(rows)
    outside = ~((mean_square > 1 / LARGE) & (mean_square < LARGE))  # true also of NaN
    if outside.any():
        outside &= nonzero_columns(rows)  # dead units are common, and to pick their columns out would cost much
    if outside.any():
        largest = rows[:, outside].abs().amax(0)
        exponent = (largest.view(torch.int32) >> 23) - 127  # of a float32
        scale[outside] = torch.where(largest > 0, power_of_two((-exponent).clamp(-126, 126)), 1)
    return scale


def mirror(square: torch.Tensor, band: int = 512) -> None:
    """Copy the upper triangle of a square to the lower one, in place.

    It goes band by band: a whole transpose would cost fresh memory.
    """
    for first in range(0, len(square), band):
        end = min(first + band, len(square))
        tile = square[first:end, first:end].triu()
        square[first:end, first:end] = tile + tile.triu(1).T
        square[end:, first:end] = square[first:end, end:].T


class CoMoments:
    """``count``, ``mean/<net>`` and ``comoment/<a>-<b>`` of one block: sums of products of centred activations.

    A sample is one position of one image. Activations are centred by a shift, a mean over the first batch, while they
    are copied to a float32 buffer with the units of all nets side by side. A full buffer costs one matrix product and
    one addition in float64. Where the mean of a buffer lies far from the shift, the shift moves to that mean, and the
    sums so far are converted to the new shift. Columns whose products would leave the range of float32 are multiplied
    by powers of two for the product, which rounds nothing. Where a GPU computes in float64 as fast (``product_kind``),
    the buffer is of float64, and needs neither.

    Values that are not finite stay what they are, and so does the mean of their unit.
    """

    def __init__(self, widths: Mapping[str, int], place: torch.device) -> None:
        """widths: units of each net, place: device of the activations"""
        ends = np.cumsum([0, *widths.values()])
        self.columns = {net: slice(int(i), int(j)) for net, i, j in zip(widths, ends, ends[1:], strict=False)}
        units = int(ends[-1])
        kind = product_kind(place)
        rows = min(BUFFER_ROWS, max(BUFFER_BYTES // (4 * units), 4096))
        if kind == torch.float64:
            rows = max(DOUBLES_BYTES // (8 * units), 4096)
        self.buffer = torch.empty((rows, units), dtype=kind, device=place)
        self.pairs = list(combinations_with_replacement(self.columns.items(), 2))
        self.place = of_doubles(place)  # of the sums and the shift
        # units of the rows and of the columns of each sum: one square of all, or one sum for each pair of nets
        spans = [(slice(0, units), slice(0, units))] if units <= NARROW else [(i, j) for (_, i), (_, j) in self.pairs]
        self.sums = [
            (i, j, torch.empty((i.stop - i.start, j.stop - j.start), dtype=torch.float64, device=self.place))
            for i, j in spans
        ]
        # co-moments of the last two blocks of a GPU: one is written while the other is filled
        self.finished: Iterator[dict[str, torch.Tensor]] = cycle([{}, {}])
        self.start()

    def start(self) -> None:
        """Forget everything: a new block begins."""
        self.filled = 0  # rows of the buffer
        self.shift: torch.Tensor | None = None  # (units,) float32
        self.count = 0  # samples in the sums
        self.sum = torch.zeros(self.buffer.shape[1], dtype=torch.float64, device=self.place)
        for _, _, total in self.sums:
            total.zero_()

    def update(self, batch: Mapping[str, torch.Tensor]) -> None:
        """Take in the activations of a batch. net -> (images, positions, units)"""
        rows = {net: batch[net].flatten(0, 1) for net in self.columns}
        if self.shift is None:
            step = len(next(iter(rows.values()))) // SHIFT_ROWS | 1  # odd: an even one could miss columns of a grid
            means = [rows[net][::step].to(self.place).mean(0, dtype=torch.float64) for net in self.columns]
            self.shift = torch.cat(means).float().nan_to_num(0, 0, 0)  # else an infinite activation would become NaN
        first, count = 0, len(next(iter(rows.values())))
        while first < count:
            taken, shift = min(count - first, len(self.buffer) - self.filled), self.shift.to(self.buffer)
            for net, columns in self.columns.items():
                target = self.buffer[self.filled : self.filled + taken, columns]
                torch.sub(rows[net][first : first + taken], shift[columns], out=target)
            first, self.filled = first + taken, self.filled + taken
            if self.filled == len(self.buffer):
                self._flush()

    def _flush(self) -> None:
        """Add the rows of the buffer to the sums, and empty it."""
        rows, self.filled = self.buffer[: self.filled], 0
        if not len(rows):
            return
        if rows.dtype == torch.float64:
            self._add_doubles(rows)
            return
        assert self.shift is not None
        products = product(rows, rows) if rows.shape[1] <= TOGETHER else None
        squares = square_sums(rows) if products is None else products.diagonal().clone()
        factor = column_scale(rows, squares)
        if scaled := bool((factor != 1).any()):
            rows *= factor
            products, squares = None, square_sums(rows)
        scale, mean = factor.to(self.place), rows.mean(0).to(self.place).double()
        if self._drifted(squares.to(self.place) / len(rows), mean, scale):
            new_shift = self.shift + (mean / scale).float()
            rows -= (new_shift - self.shift).to(rows.device) * factor
            self._move_shift_of_sums(new_shift)
            products, mean = None, rows.mean(0).to(self.place).double()
        self.count += len(rows)
        self.sum += mean / scale * len(rows)
        if products is None and rows.shape[1] <= TOGETHER:
            products = product(rows, rows)
        for i, j, total in self.sums:
            part = product(rows[:, i], rows[:, j]) if products is None else products[i, j]
            part = part.to(self.place)
            total += part / torch.outer(scale[i].double(), scale[j].double()) if scaled else part

    def _add_doubles(self, rows: torch.Tensor) -> None:
        """Add float64 rows to the sums: exact enough about any shift, whatever the size of the activations."""
        self.count += len(rows)
        self.sum += rows.sum(0)
        for i, j, total in self.sums:
            total.addmm_(rows[:, i].T, rows[:, j])

    def _drifted(self, mean_square: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor) -> bool:
        """Whether the mean of some unit lies far from its shift, and further than the rounding of a float32 shift.

        mean_square and mean: of the scaled rows, scale: as of ``column_scale``. (units,) each
        """
        assert self.shift is not None
        deviation = (mean_square - mean**2).clamp_min(0).sqrt()
        resolution = 4 * torch.finfo(torch.float32).eps * self.shift.abs()
        return bool(((mean.abs() > DRIFT * deviation) & ((mean / scale).abs() > resolution)).any())

    def _move_shift_of_sums(self, shift: torch.Tensor) -> None:
        """Convert the sums to another shift (units,), in float64 and in place."""
        assert self.shift is not None
        step = shift.double() - self.shift.double()
        new_sum = self.sum - self.count * step
        for i, j, total in self.sums:
            total.addr_(self.sum[i], step[j], alpha=-1)
            total.addr_(step[i], new_sum[j], alpha=-1)
        self.sum, self.shift = new_sum, shift

    def finish(self) -> dict[str, np.ndarray]:
        """The moments of the block: on the CPU valid until the next start, as they overwrite the sums without a copy.

        On a GPU they are valid until the second next block is finished.
        """
        self._flush()
        assert self.shift is not None
        mean = self.sum / self.count
        moments: dict[str, np.ndarray] = {"count": np.int64(self.count)}  # type: ignore[dict-item]
        for net, columns in self.columns.items():
            moments[f"mean/{net}"] = (self.shift[columns].double() + mean[columns]).cpu().numpy()
        for i, j, total in self.sums:
            total.addr_(mean[i], mean[j], alpha=-self.count)
        totals = [total for _, _, total in self.sums]
        if len(totals) < len(self.pairs):  # one square of all
            totals = [totals[0][i, j] for (_, i), (_, j) in self.pairs]
        named = {f"comoment/{a}-{b}": total for ((a, _), (b, _)), total in zip(self.pairs, totals, strict=True)}
        for net in self.columns:
            mirror(named[f"comoment/{net}-{net}"])
        return moments | {name: total.numpy() for name, total in self._on_cpu(named).items()}

    def _on_cpu(self, named: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """The sums by name, copied to page-locked memory where they come from a GPU."""
        if self.place.type == "cpu":
            return named
        kept = next(self.finished)
        for name, total in named.items():
            if name not in kept:
                kept[name] = empty(total.shape, total.dtype)
            kept[name].copy_(total, non_blocking=True)
        torch.cuda.synchronize(self.place)
        return kept
