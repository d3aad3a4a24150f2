"""One pass of all nets over the images of a shard: counts, means and co-moments of all units, block by block.

A block is a union of whole groups of images. Everything restarts at its border, so that its moments depend on nothing
but its images, and any number of shards gives the same bits.
"""

import argparse
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from .. import store
from ..commands import InputError, command, new_parser
from ..nets import activations, device, model
from ..seeds import derive
from . import blocks

BUFFER_BYTES = 64 * 2**20  # of activations in one layer's buffer, about; the products of larger ones are no faster
BUFFER_ROWS = 16384  # at most: float32 sums over more rows lose accuracy
TOGETHER = 8192  # columns up to which one product is of all nets together; of more it would need 1 GB at 4 x 4096
DRIFT = 2.0  # deviations between a flush's mean and the shift beyond which float32 products lose accuracy


class Accumulator(Protocol):
    """A statistic of one layer: started with a block, updated with its batches, finished to named arrays."""

    def start(self) -> None:
        """Forget everything: a new block begins."""

    def update(self, batch: Mapping[str, torch.Tensor]) -> None:
        """Take in net -> (images, positions, units) of one batch."""

    def finish(self) -> dict[str, np.ndarray]:
        """The block's arrays by name, good until the next start."""


@functools.cache
def product_space(*shape: int) -> np.ndarray:
    """Where a product is written, shared by layers of one width: fresh memory costs as much as the product."""
    return np.zeros(shape, np.float32)


def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """left.T @ right, until the next call; half the work where both are the same. (n, a), (n, b) -> (a, b)"""
    if left.device.type != "cpu":
        return left.T @ right
    space = product_space(left.shape[1], right.shape[1])
    np.matmul(left.numpy().T, right.numpy(), out=space)
    return torch.from_numpy(space)


def square_sums(rows: torch.Tensor) -> torch.Tensor:
    """(n, units) -> (units,)"""
    if rows.device.type != "cpu":
        return rows.square().sum(0)
    return torch.from_numpy(np.einsum("ij,ij->j", rows.numpy(), rows.numpy()))  # without a square of each


def mirror(square: torch.Tensor, band: int = 512) -> None:
    """Copy the upper triangle to the lower one in place, band by band: a whole transpose would cost fresh memory."""
    for first in range(0, len(square), band):
        end = min(first + band, len(square))
        tile = square[first:end, first:end].triu()
        square[first:end, first:end] = tile + tile.triu(1).T
        square[end:, first:end] = square[first:end, end:].T


class CoMoments:
    """``count``, ``mean/<net>`` and ``comoment/<a>-<b>`` (centred sums of products) of all nets' units together.

    Activations are centred by a shift (the first batch's mean) while they are copied to a float32 buffer that holds all
    nets side by side; a full buffer costs one matrix product and one float64 addition. Where the mean of a buffer lies
    far from the shift, the shift moves there and what was summed so far is referred to it.
    """

    def __init__(self, widths: Mapping[str, int], place: torch.device) -> None:
        ends = np.cumsum([0, *widths.values()])
        self.columns = {net: slice(int(i), int(j)) for net, i, j in zip(widths, ends, ends[1:], strict=False)}
        units = int(ends[-1])
        rows = min(BUFFER_ROWS, max(BUFFER_BYTES // (4 * units), 4096))
        self.buffer = torch.empty((rows, units), dtype=torch.float32, device=place)
        self.pairs = list(combinations_with_replacement(widths, 2))
        self.sums = {
            (a, b): torch.empty((widths[a], widths[b]), dtype=torch.float64, device=place) for a, b in self.pairs
        }
        self.start()

    def start(self) -> None:
        self.filled = 0
        self.shift: torch.Tensor | None = None  # (units,) float32
        self.count = 0
        self.sum = torch.zeros(self.buffer.shape[1], dtype=torch.float64, device=self.buffer.device)
        for total in self.sums.values():
            total.zero_()

    def update(self, batch: Mapping[str, torch.Tensor]) -> None:
        rows = {net: batch[net].flatten(0, 1) for net in self.columns}
        if self.shift is None:
            self.shift = torch.cat([rows[net].mean(0, dtype=torch.float64) for net in self.columns]).float()
        first, count = 0, len(next(iter(rows.values())))
        while first < count:
            taken = min(count - first, len(self.buffer) - self.filled)
            for net, columns in self.columns.items():
                place = self.buffer[self.filled : self.filled + taken, columns]
                torch.sub(rows[net][first : first + taken], self.shift[columns], out=place)
            first, self.filled = first + taken, self.filled + taken
            if self.filled == len(self.buffer):
                self._flush()

    def _flush(self) -> None:
        rows, self.filled = self.buffer[: self.filled], 0
        if not len(rows):
            return
        assert self.shift is not None
        mean = rows.mean(0).double()
        if self._drifted(rows, mean):
            moved = self.shift + mean.float()
            rows -= moved - self.shift
            self._refer_sums_to(moved)
            mean = rows.mean(0).double()
        self.count += len(rows)
        self.sum += mean * len(rows)
        together = product(rows, rows) if rows.shape[1] <= TOGETHER else None
        for (a, b), total in self.sums.items():
            one, two = self.columns[a], self.columns[b]
            total += product(rows[:, one], rows[:, two]) if together is None else together[one, two]

    def _drifted(self, rows: torch.Tensor, mean: torch.Tensor) -> bool:
        """Whether a unit's mean is far from its shift, and further than float32 can bring the shift to it."""
        assert self.shift is not None
        deviation = (square_sums(rows) / len(rows) - mean**2).clamp_min(0).sqrt()
        resolution = 4 * torch.finfo(torch.float32).eps * self.shift.abs()
        return bool(((mean.abs() > DRIFT * deviation) & (mean.abs() > resolution)).any())

    def _refer_sums_to(self, shift: torch.Tensor) -> None:
        """Make the float64 sums those about another shift, in place."""
        assert self.shift is not None
        step = shift.double() - self.shift.double()
        moved = self.sum - self.count * step
        for (a, b), total in self.sums.items():
            total.addr_(self.sum[self.columns[a]], step[self.columns[b]], alpha=-1)
            total.addr_(step[self.columns[a]], moved[self.columns[b]], alpha=-1)
        self.sum, self.shift = moved, shift

    def finish(self) -> dict[str, np.ndarray]:
        """The moments take the place of the sums, without a copy."""
        self._flush()
        assert self.shift is not None
        mean = self.sum / self.count
        found: dict[str, np.ndarray] = {"count": np.int64(self.count)}  # type: ignore[dict-item]
        for net, columns in self.columns.items():
            found[f"mean/{net}"] = (self.shift[columns].double() + mean[columns]).cpu().numpy()
        for (a, b), total in self.sums.items():
            total.addr_(mean[self.columns[a]], mean[self.columns[b]], alpha=-self.count)
            if a == b:
                mirror(total)
            found[f"comoment/{a}-{b}"] = total.cpu().numpy()
        return found


ACCUMULATORS: list[Callable[[Mapping[str, int], torch.device], Accumulator]] = [CoMoments]


def assign_blocks(group: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Images of each block: whole groups, dealt out by seed. (N,) -> count x (n,) ascending"""
    groups = np.random.default_rng(seed).permutation(np.unique(group))
    if count > len(groups):
        raise InputError(
            f"moments.blocks, or stitching.blocks: {count}, but the images come from {len(groups)} independent groups"
        )
    return [np.flatnonzero(np.isin(group, part)) for part in np.array_split(groups, count)]


def block_moments(
    recorder: activations.Recorder, images: store.StoredArray, parts: Sequence[np.ndarray], batch: int
) -> Iterator[dict[str, dict[str, np.ndarray]]]:
    """layer -> name -> array of each block in turn, good until the next; accumulators are started anew for each."""
    running: dict[str, list[Accumulator]] = {}
    for index in parts:
        for accumulators in running.values():
            for accumulator in accumulators:
                accumulator.start()
        for found in recorder.stream(images, index, batch):
            for layer, outputs in found.items():
                if layer not in running:
                    widths = {net: x.shape[2] for net, x in outputs.items()}
                    place = next(iter(outputs.values())).device
                    running[layer] = [make(widths, place) for make in ACCUMULATORS]
                for accumulator in running[layer]:
                    accumulator.update(outputs)
        yield {
            layer: {name: array for accumulator in running[layer] for name, array in accumulator.finish().items()}
            for layer in recorder.layers
        }


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="image store (zarr.json)")
    parser.add_argument("outputs", nargs="+", help="a store to write for each layer (zarr.json)")
    parser.add_argument("--nets", nargs="+", required=True, type=Path, help="descriptions (.json), weights beside them")
    parser.add_argument("--controls", nargs="*", default=[], type=Path, help="more nets, in some of the layers only")
    parser.add_argument("--control-layers", nargs="*", default=[], help="those layers")
    parser.add_argument("--layers", nargs="+", required=True, help="as many as outputs, in their order")
    parser.add_argument("--images", dest="limit", type=int, help="the first so many of the shuffled images (all)")
    parser.add_argument("--blocks", required=True, type=int, help="of all shards together")
    parser.add_argument("--wide-units", type=int, default=8192, help="of all nets together, from which a layer is wide")
    parser.add_argument("--wide-blocks", type=int, default=4, help="that a wide layer keeps, runs of the others")
    parser.add_argument("--shard", type=int, default=0)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--batch", type=int, default=60, help="images in one forward pass")
    parser.add_argument("--seed", type=int, default=0, help="of the assignment of groups to blocks")
    parser.add_argument("--threads", type=int, default=2, help="fixed, because the last bits depend on it")
    activations.add_options(parser)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    if args.shards > args.blocks:
        raise InputError(f"moments.shards: {args.shards}, but there are only {args.blocks} blocks to share out")
    device.deterministic(args.threads)
    device.keep_freed_memory()
    place = device.pick()
    shared = [layer for layer in args.layers if layer in args.control_layers]
    controls = args.controls if shared else []
    some = {path.stem: shared for path in controls}
    loaded = {path.stem: model.load(path, args.modules).to(place) for path in (*args.nets, *controls)}
    about = store.attributes(args.images)
    images = store.StoredArray(args.images, "images")
    sizes = {name: (net.size, net.size, net.channels) for name, net in loaded.items()}
    store.require_equal("image sizes", **{args.images: images.shape[1:], **sizes})
    group = store.load(args.images, "group")["group"][: args.limit]
    mine = np.array_split(np.arange(args.blocks), args.shards)[args.shard].tolist()
    parts = assign_blocks(group, args.blocks, derive(args.seed, "blocks"))
    wide = blocks.Wide(args.wide_units, args.wide_blocks)
    stores = zip(args.layers, args.outputs, strict=True)
    kept = {layer: blocks.Kept(path, args.blocks, len(mine), wide) for layer, path in stores}
    with threadpool_limits(args.threads):
        recorder = activations.Recorder(loaded, args.layers, some, args.resample)
        passes = block_moments(recorder, images, [parts[i] for i in mine], args.batch)
        for number, layers in zip(mine, passes, strict=True):
            for layer, arrays in layers.items():
                kept[layer].take(number, arrays)
            print(f"block {number + 1} of {args.blocks}: {len(parts[number])} images", flush=True)
    digests = {name: model.weights_digest(net) for name, net in loaded.items()}
    for layer in args.layers:
        kept[layer].finish(
            layer=layer,
            images=about["sha256"],
            nets={name: digest for name, digest in digests.items() if layer in some.get(name, args.layers)},
            controls=[name for name in some if layer in shared],
            limit=len(group),
            batch=args.batch,
            seed=args.seed,
            **recorder.about(layer),
        )


if __name__ == "__main__":
    main()
