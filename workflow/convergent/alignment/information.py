"""Mutual information of every unit of one net with every unit of another (paper, section 3.1 and supplement).

A first sample of the images fixes the bins of each unit: the first holds the zeros, the others equal mass of the
positive values; where a layer has negative values (logits), all bins hold equal mass. One pass over all images then
counts the joint histogram of every pair of units. Nats: as counted (``plug_in``), and less the estimate of its bias by
Miller and Madow (``mutual_information``), which takes samples as independent. Neighbouring positions are not.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import torch
from scipy.special import xlogy

from .. import store
from ..commands import InputError, command, new_parser
from ..nets import activations, device, model
from ..seeds import derive
from . import histograms

EDGE_POSITIONS = 16  # of an image whose activations fix the bins
ROWS = 16384  # samples that are counted at a time: the planes of a few units stay in the cache
CELL_BYTES = 64 * 2**20  # of cells whose logarithms are taken at a time


def bin_edges(sample: np.ndarray, bins: int) -> np.ndarray:
    """Inner edges of each unit's bins: a value belongs to bin k when it exceeds k of them.

    Edges are values of the sample, so that a strictly monotone transformation that keeps 0 moves none to another bin.
    With fewer different values than bins some edges are equal, and the bins between them empty.
    (n, units) -> (units, bins - 1) float32
    """
    ordered = np.sort(sample, axis=0)
    if (ordered < 0).any():
        first, inner = np.zeros(ordered.shape[1], int), bins - 1
    else:
        first, inner = (ordered <= 0).sum(axis=0), bins - 2  # (units,): the positive values begin there
    count = len(ordered) - first
    above = -(-np.arange(1, inner + 1)[:, None] * count // (inner + 1))  # (inner, units), rounded up
    taken = np.take_along_axis(ordered, np.clip(first + above - 1, 0, len(ordered) - 1), axis=0)
    zero = np.zeros((bins - 1 - inner, ordered.shape[1]), np.float32)
    return np.ascontiguousarray(np.vstack([zero, np.where(count, taken, 0)]).T, np.float32)


def entropies(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entropy in nats as counted, and occupied bins, over the last axis. (..., bins) -> (...), (...)"""
    samples = counts.sum(axis=-1)
    return np.log(samples) - xlogy(counts, counts).sum(axis=-1) / samples, (counts > 0).sum(axis=-1)


def information(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mutual information in nats as counted and corrected by Miller and Madow (1955).

    The bias (m_xy - m_x - m_y + 1) / 2N counts occupied cells. With it, the information of a unit with itself is its
    equally corrected entropy. cells: (..., bins, bins) counts -> (...), (...)
    """
    joint, occupied = entropies(cells.reshape(*cells.shape[:-2], -1))
    (one, bins_one), (two, bins_two) = entropies(cells.sum(axis=-1)), entropies(cells.sum(axis=-2))
    plug_in = one + two - joint
    return plug_in, plug_in - (occupied - bins_one - bins_two + 1) / (2 * cells.sum(axis=(-2, -1)))


def tile_information(
    joint: np.ndarray, above_a: np.ndarray, above_b: np.ndarray, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """``information`` from exceedances, a few units of the first net at a time. (units_a, units_b) each"""
    step = max(1, CELL_BYTES // max(joint[:1].nbytes, 1))
    parts = [
        information(histograms.cells(joint[i : i + step], above_a[i : i + step], above_b, samples))
        for i in range(0, len(joint), step)
    ]
    plug_in, corrected = zip(*parts, strict=True)
    return np.concatenate(plug_in), np.concatenate(corrected)


class Sampler:
    """Activations of all nets in a layer as rows, at all positions of an image or at some drawn by seed."""

    def __init__(
        self, recorder: activations.Recorder, images: store.StoredArray, layer: str, batch: int, seed: int
    ) -> None:
        self.recorder, self.images, self.layer, self.batch, self.seed = recorder, images, layer, batch, seed
        self.nets = recorder.nets

    def batches(self, index: np.ndarray, positions: int | None) -> Iterator[dict[str, torch.Tensor]]:
        """net -> (rows, units) float32 for each batch of the images of an index."""
        for number, found in enumerate(self.recorder.stream(self.images, index, self.batch)):
            outputs = found[self.layer]
            count, grid, _ = next(iter(outputs.values())).shape
            if positions is None or positions >= grid:
                yield {net: x.flatten(0, 1) for net, x in outputs.items()}
                continue
            draw = np.random.default_rng(derive(self.seed, "positions", self.layer, number)).random((count, grid))
            chosen = torch.from_numpy(draw.argpartition(positions, axis=1)[:, :positions])
            image = torch.arange(count)[:, None]
            yield {net: x[image.to(x.device), chosen.to(x.device)].flatten(0, 1) for net, x in outputs.items()}

    def edges(self, images: int, bins: int) -> dict[str, np.ndarray]:
        """Inner edges of the bins of each net's units from so many images drawn by seed. net -> (units, bins - 1)"""
        drawn = np.random.default_rng(derive(self.seed, "edges")).permutation(len(self.images))[:images]
        sample: dict[str, list[np.ndarray]] = {net: [] for net in self.nets}
        for batch in self.batches(np.sort(drawn), EDGE_POSITIONS):
            for net, x in batch.items():
                sample[net].append(x.cpu().numpy())
        whole = {net: np.concatenate(parts) for net, parts in sample.items()}
        for net, values in whole.items():
            if not np.isfinite(values).all():
                raise InputError(f"{net}: activations of {self.layer} are not all finite; train the net again")
        return {net: bin_edges(values, bins) for net, values in whole.items()}

    def chunks(self, edges: Mapping[str, np.ndarray], positions: int | None) -> Iterator[histograms.Chunk]:
        """Planes of all nets for some thousand samples at a time."""
        counting = histograms.counting(next(iter(self.nets.values())).mean.device)
        held: dict[str, list[torch.Tensor]] = {net: [] for net in self.nets}
        rows, index = 0, np.arange(len(self.images))

        def chunk() -> histograms.Chunk:
            return rows, {net: counting.planes(torch.cat(parts), edges[net]) for net, parts in held.items()}

        for batch in self.batches(index, positions):
            count, first = len(next(iter(batch.values()))), 0
            while first < count:
                taken = min(count - first, ROWS - rows)
                for net, x in batch.items():
                    held[net].append(x[first : first + taken])
                first, rows = first + taken, rows + taken
                if rows == ROWS:
                    yield chunk()
                    rows, held = 0, {net: [] for net in self.nets}
        if rows:
            yield chunk()


class Found(NamedTuple):
    """Information of each pair in nats (units_a, units_b), dead units of each net, and the number of samples."""

    plug_in: dict[tuple[str, str], np.ndarray]
    corrected: dict[tuple[str, str], np.ndarray]
    dead: dict[str, np.ndarray]
    samples: int


def informations(
    chunks: Iterable[histograms.Chunk],
    edges: Mapping[str, np.ndarray],
    pairs: Sequence[tuple[str, str]],
    counting: histograms.Counting,
) -> Found:
    """Mutual information of all pairs of nets, NaN where a unit is dead: where all samples lie in one of its bins."""
    plug_in = {(a, b): np.empty((len(edges[a]), len(edges[b]))) for a, b in pairs}
    corrected = {pair: np.empty_like(x) for pair, x in plug_in.items()}
    for tile, joint, counted in histograms.count(chunks, edges, pairs, counting):
        pair, rows = (tile.a, tile.b), slice(tile.first, tile.last)
        above = counted.above[tile.a][rows], counted.above[tile.b]
        plug_in[pair][rows], corrected[pair][rows] = tile_information(joint, *above, counted.samples)
    dead = {net: dead_units(above, counted.samples) for net, above in counted.above.items()}
    for found in (plug_in, corrected):
        for (a, b), x in found.items():
            x[dead[a]], x[:, dead[b]] = np.nan, np.nan
    return Found(plug_in, corrected, dead, counted.samples)


def dead_units(above: np.ndarray, samples: int) -> np.ndarray:
    """Units all of whose samples lie in one bin. (units, E) -> (dead,)"""
    return np.flatnonzero(((above == 0) | (above == samples)).all(axis=1))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="image store (zarr.json)")
    parser.add_argument("folder", type=Path, help="folder for <a>-<b>.zarr of every pair of nets")
    parser.add_argument("--nets", nargs="+", required=True, type=Path, help="descriptions (.json), weights beside them")
    parser.add_argument("--layer", required=True)
    parser.add_argument("--bins", type=int, default=10, help="of a unit")
    parser.add_argument("--positions", default="all", help="of an image, drawn by seed; a number, or all")
    parser.add_argument("--edge-images", type=int, default=2000, help="images that the bins are fixed from, at most")
    parser.add_argument("--batch", type=int, default=60, help="images in one forward pass")
    parser.add_argument("--seed", type=int, default=0, help="of the draws of images and positions")
    parser.add_argument("--threads", type=int, default=2, help="fixed, because the last bits depend on it")
    activations.add_options(parser)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    if args.bins < 2:
        raise InputError(f"--bins: {args.bins} is not possible; at least 2")
    if args.positions != "all" and not (args.positions.isdigit() and int(args.positions)):
        raise InputError(f"--positions: {args.positions} is not possible; all, or a number from 1")
    positions = None if args.positions == "all" else int(args.positions)
    device.deterministic(args.threads)
    device.keep_freed_memory()
    numba.set_num_threads(min(args.threads, numba.get_num_threads()))
    place = device.pick()
    loaded = {path.stem: model.load(path, args.modules).to(place) for path in args.nets}
    about, images = store.attributes(args.images), store.StoredArray(args.images, "images")
    sizes = {name: (net.size, net.size, net.channels) for name, net in loaded.items()}
    store.require_equal("image sizes", **{args.images: images.shape[1:], **sizes})
    recorder = activations.Recorder(loaded, [args.layer], resample=args.resample)
    sampler = Sampler(recorder, images, args.layer, args.batch, args.seed)
    edges = sampler.edges(args.edge_images, args.bins)
    print(f"{args.layer}: bins of {', '.join(f'{len(x)} units of {net}' for net, x in edges.items())}", flush=True)
    chunks = histograms.Repeatable(lambda: sampler.chunks(edges, positions))
    found = informations(chunks, edges, list(combinations(loaded, 2)), histograms.counting(place))
    digests = {name: model.weights_digest(net) for name, net in loaded.items()}
    about_layer = recorder.about(args.layer)
    for (a, b), plug_in in found.plug_in.items():
        arrays = {"mutual_information": found.corrected[a, b], "plug_in": plug_in}
        store.save(
            args.folder / f"{a}-{b}.zarr" / "zarr.json",
            {**arrays, **{f"edges/{net}": edges[net] for net in (a, b)}},
            layer=args.layer,
            images=about["sha256"],
            nets={net: digests[net] for net in (a, b)},
            bins=args.bins,
            samples=found.samples,
            positions=args.positions,
            edge_images=args.edge_images,
            batch=args.batch,
            seed=args.seed,
            dead={net: found.dead[net].tolist() for net in (a, b)},
            **about_layer,
        )
        print(f"{args.layer}, {a}-{b}: {plug_in.size} pairs of units over {found.samples} samples", flush=True)


if __name__ == "__main__":
    main()
