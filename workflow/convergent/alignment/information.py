"""Mutual information of every unit of one net with every unit of another (paper, section 3.1 and supplement S.2).

A first sample of the images fixes the bins of each unit. Its first bin holds the zeros; the others hold positive values
of equal mass. If a layer has negative values (logits), all bins hold equal mass. The joint histogram of every pair of
units is then counted over all images.

Two values in nats are stored: as counted (``plug_in``), and less the bias that Miller and Madow estimate
(``mutual_information``). Their estimate takes samples as independent; neighbouring positions of an image are not.
The latter is also stored without each fold of photographs (``without``), in equal bins, from which intervals follow.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
from scipy.special import xlogy

from .. import store
from ..allocation import keep_freed_memory
from ..commands import InputError, command, new_parser
from ..nets import activations, batching, device, model
from . import histograms
from .counters import Counter
from .sampling import FOLDS, Sampler, SamplingSettings, deal_folds

CELL_BYTES = 64 * 2**20  # of cells whose logarithms are taken at a time


def entropies(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entropy in nats as counted, and number of occupied bins, over the last axis. (..., bins) -> (...), (...)"""
    samples = counts.sum(axis=-1)
    return np.log(samples) - xlogy(counts, counts).sum(axis=-1) / samples, (counts > 0).sum(axis=-1)


def mutual_information(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mutual information in nats, as counted and corrected by Miller and Madow (1955).

    The bias is (m_ab - m_a - m_b + 1) / 2N for N samples and m occupied cells or bins. So corrected, the information of
    a unit with itself is its equally corrected entropy. cells: (..., bins, bins) counts -> (...), (...)
    """
    entropy_joint, occupied = entropies(cells.reshape(*cells.shape[:-2], -1))
    (entropy_a, bins_a), (entropy_b, bins_b) = entropies(cells.sum(axis=-1)), entropies(cells.sum(axis=-2))
    plug_in = entropy_a + entropy_b - entropy_joint
    return plug_in, plug_in - (occupied - bins_a - bins_b + 1) / (2 * cells.sum(axis=(-2, -1)))


def from_exceedances(
    joint: np.ndarray, above_a: np.ndarray, above_b: np.ndarray, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """``mutual_information`` from exceedances, as counted and corrected. (units_a, units_b) each

    Cells of only a few units of the first net are in memory at a time.
    joint: (units_a, units_b, E, E); above_a: (units_a, E); above_b: (units_b, E)
    """
    step = max(1, CELL_BYTES // max(joint[:1].nbytes, 1))
    parts = [
        mutual_information(histograms.cells(joint[i : i + step], above_a[i : i + step], above_b, samples))
        for i in range(0, len(joint), step)
    ]
    plug_in, corrected = zip(*parts, strict=True)
    return np.concatenate(plug_in), np.concatenate(corrected)


def tile_information(*folds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``from_exceedances`` of all folds together, as counted and corrected, and corrected without each fold.

    folds: arguments of ``from_exceedances``, each with a leading axis of folds
    -> (units_a, units_b), (units_a, units_b), (folds, units_a, units_b)
    """
    total = [parts.sum(0) for parts in folds]
    left_out = zip(*folds, strict=True)
    without = [from_exceedances(*(x - y for x, y in zip(total, fold, strict=True)))[1] for fold in left_out]
    return *from_exceedances(*total), np.array(without)


class Information(NamedTuple):
    """Mutual information of all pairs of nets. NaN where a unit is dead: all of its samples lie in one bin."""

    plug_in: dict[tuple[str, str], np.ndarray]  # pair -> (units_a, units_b), nats, as counted
    corrected: dict[tuple[str, str], np.ndarray]  # pair -> (units_a, units_b), nats, less the bias
    without: dict[tuple[str, str], np.ndarray]  # pair -> (folds, units_a, units_b), corrected, without each fold
    dead: dict[str, np.ndarray]  # net -> numbers of its dead units
    samples: int


def pairwise_information(
    make: Callable[[], Iterable[histograms.Chunk]],
    edges: Mapping[str, np.ndarray],
    pairs: Sequence[tuple[str, str]],
    counter: Counter,
    folds: int,
) -> Information:
    """Mutual information of all pairs of nets from planes of their samples. edges: net -> (units, E)

    make: as of ``joint_exceedances``
    """
    widths = {(a, b): (len(edges[a]), len(edges[b])) for a, b in pairs}
    plug_in, corrected = ({pair: np.empty(shape) for pair, shape in widths.items()} for _ in range(2))
    without = {pair: np.empty((folds, *shape)) for pair, shape in widths.items()}
    for tile, joint, marginals in histograms.joint_exceedances(make, edges, pairs, counter, folds):
        pair, rows = (tile.a, tile.b), slice(tile.first, tile.last)
        above = marginals.above[tile.a][:, rows], marginals.above[tile.b]
        found = tile_information(joint, *above, marginals.samples)
        plug_in[pair][rows], corrected[pair][rows], without[pair][:, rows] = found
    samples = int(marginals.samples.sum())
    dead = {net: dead_units(above.sum(0), samples) for net, above in marginals.above.items()}
    for values in (plug_in, corrected, without):
        for (a, b), x in values.items():
            x[..., dead[a], :], x[..., dead[b]] = np.nan, np.nan
    return Information(plug_in, corrected, without, dead, samples)


def measure(sampler: Sampler) -> tuple[dict[str, np.ndarray], Information]:
    """Bins of each net's units, net -> (units, E), and the mutual information of all pairs of nets."""
    edges = sampler.edges()
    units = ", ".join(f"{len(x)} units of {net}" for net, x in edges.items())
    print(f"{sampler.settings.layer}: fixed the bins of {units}", flush=True)
    pairs = list(combinations(edges, 2))
    return edges, pairwise_information(lambda: sampler.chunks(edges), edges, pairs, sampler.counter, len(sampler.folds))


def dead_units(above: np.ndarray, samples: int) -> np.ndarray:
    """Numbers of the units with all samples in one bin. above: samples above each edge (units, E) -> (dead,)"""
    return np.flatnonzero(((above == 0) | (above == samples)).all(axis=1))


def save_pair(
    folder: Path,
    pair: tuple[str, str],
    information: Information,
    edges: Mapping[str, np.ndarray],
    attributes: Mapping[str, Any],
) -> None:
    """Write ``<a>-<b>.zarr`` with the attributes, ``nets`` and ``dead`` among them cut down to the pair."""
    arrays = {
        "mutual_information": information.corrected[pair],
        "plug_in": information.plug_in[pair],
        "without": information.without[pair],
    }
    of_pair = {name: {net: attributes[name][net] for net in pair} for name in ("nets", "dead")}
    store.save(
        folder / f"{'-'.join(pair)}.zarr" / "zarr.json",
        arrays | {f"edges/{net}": edges[net] for net in pair},
        **{**attributes, **of_pair},
    )


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="store of images (zarr.json)")
    parser.add_argument("folder", type=Path, help="folder to write <a>-<b>.zarr to, for every pair of nets")
    parser.add_argument(
        "--nets", nargs="+", required=True, type=Path, help="descriptions of two or more nets (.json), weights beside"
    )
    parser.add_argument("--layer", required=True, help="layer whose units are compared, as conv1")
    parser.add_argument("--bins", type=int, default=10, help="bins of each unit, at least 2")
    parser.add_argument("--positions", default="all", help="positions of each image, drawn by seed: all, or a number")
    parser.add_argument("--edge-images", type=int, default=2000, help="images that the bins are fixed from, at most")
    parser.add_argument("--blocks", type=int, default=FOLDS, help="blocks of whole photographs, as of the moments")
    parser.add_argument("--block-seed", type=int, default=0, help="seed of the assignment of photographs to blocks")
    parser.add_argument("--batch", type=batching.whole, default=60, help="images in one forward pass")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws of images and positions")
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of torch and of the counts; the last bits depend on it"
    )
    activations.add_options(parser)
    return parser.parse_args(argv)


def settings_of(args: argparse.Namespace) -> SamplingSettings:
    """Settings from the options. Raises InputError for values that are not possible."""
    for name in ("bins", "blocks"):
        if getattr(args, name) < 2:
            raise InputError(f"--{name}: {getattr(args, name)} is not possible; at least 2")
    if args.positions != "all" and not (args.positions.isdecimal() and int(args.positions)):
        raise InputError(f"--positions: {args.positions} is not possible; all, or a number from 1")
    positions = None if args.positions == "all" else int(args.positions)
    return SamplingSettings(args.layer, args.bins, positions, args.edge_images, args.batch, args.seed)


def attributes_of(
    settings: SamplingSettings, recorder: activations.Recorder, images: str, information: Information
) -> dict[str, Any]:
    """Attributes of the stores, with ``nets`` and ``dead`` of all nets. images: digest of the store of images"""
    return {
        "kind": "mutual_information",
        "layer": settings.layer,
        "images": images,
        "nets": {name: model.weights_digest(net) for name, net in recorder.nets.items()},
        "bins": settings.bins,
        "samples": information.samples,
        "positions": "all" if settings.positions is None else str(settings.positions),
        "edge_images": settings.edge_images,
        "batch": settings.batch,
        "seed": settings.seed,
        "dead": {net: units.tolist() for net, units in information.dead.items()},
        **recorder.layer_attributes(settings.layer),
    }


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    settings = settings_of(args)
    device.deterministic(args.threads)
    keep_freed_memory()
    numba.set_num_threads(min(args.threads, numba.get_num_threads()))
    nets = {name: net.to(device.pick()) for name, net in model.load_all(args.nets, args.modules).items()}
    image_attributes, images = store.attributes(args.images, "images"), store.StoredArray(args.images, "images")
    sizes = {name: (net.size, net.size, net.channels) for name, net in nets.items()}
    store.require_equal("image sizes", **{args.images: images.shape[1:], **sizes})
    recorder = activations.Recorder(nets, [settings.layer], resample=args.resample)
    folds = deal_folds(store.load(args.images, "group")["group"], args.blocks, args.block_seed)
    edges, information = measure(Sampler(recorder, images, settings, folds))
    blocks = {"blocks": args.blocks, "block_seed": args.block_seed}
    attributes = blocks | attributes_of(settings, recorder, image_attributes["sha256"], information)
    for pair, x in information.plug_in.items():
        save_pair(args.folder, pair, information, edges, attributes)
        print(f"{settings.layer}, {'-'.join(pair)}: {x.size} pairs of units, {information.samples} samples", flush=True)


if __name__ == "__main__":
    main()
