"""The moments of one shard: a pass of all nets over its images gives counts, means and co-moments, block by block.

``blocks`` defines what a block is. All sums restart at the border of a block: its moments depend on its own images
alone, so that any number of shards gives equal bits.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from .. import store
from ..allocation import keep_freed_memory
from ..commands import InputError, command, new_parser
from ..nets import activations, batching, culprits, device, model
from .blocks import ShardStore, WideLayers, assign_blocks, is_mean
from .comoments import CoMoments
from .positions import PositionMeans


class Accumulator(Protocol):
    """A statistic of one layer: started with a block, updated with its batches, finished to named arrays.

    Arrays ``<name>/<net>`` that are means over samples, (..., units), are joined without more where blocks are.
    """

    def start(self) -> None:
        """Forget everything: a new block begins."""

    def update(self, batch: Mapping[str, torch.Tensor]) -> None:
        """Take in the activations of a batch. net -> (images, positions, units)"""

    def finish(self) -> dict[str, np.ndarray]:
        """The block's arrays by name, valid until the next start."""


# statistics of every layer; each is made from the units of each net and the device of the activations
ACCUMULATORS: list[Callable[[Mapping[str, int], torch.device], Accumulator]] = [CoMoments, PositionMeans]

LayerMoments = dict[str, dict[str, np.ndarray]]  # layer -> name -> array


@dataclass(frozen=True)
class MomentsSettings:
    """What a shard's moments depend on, beside images and nets. Raises InputError where shards outnumber blocks."""

    layers: Sequence[str]
    blocks: int  # fine blocks of all shards together
    shard: int = 0  # number of this shard
    shards: int = 1
    limit: int | None = None  # the first so many of the shuffled images; None takes all
    batch: int | None = None  # images in one forward pass; None lets ``batching`` choose
    seed: int = 0  # of the assignment of groups to blocks
    wide: WideLayers = field(default_factory=WideLayers)
    resample: str = "none"  # or "area": what happens where the grids of nets differ
    sets: int = 1  # of nets, of equal size, one after another: only nets of one set have co-moments with each other

    def __post_init__(self) -> None:
        if self.shards > self.blocks:
            raise InputError(f"moments.shards: {self.shards}, but there are only {self.blocks} blocks to share out")

    def fine_blocks(self) -> list[int]:
        """Numbers of the fine blocks that this shard computes."""
        return np.array_split(np.arange(self.blocks), self.shards)[self.shard].tolist()


@dataclass(frozen=True)
class Nets:
    """The nets of the pass by name: nets that are compared in all layers, and control nets of the mappings."""

    compared: Mapping[str, model.Net]
    controls: Mapping[str, model.Net]
    control_layers: Sequence[str]  # the layers that control nets take part in

    def all(self) -> dict[str, model.Net]:
        return {**self.compared, **self.controls}

    def controls_in(self, layer: str) -> list[str]:
        """Names of the control nets that take part in a layer."""
        return list(self.controls) if layer in self.control_layers else []


def load_nets(
    compared: Sequence[Path],
    controls: Sequence[Path],
    control_layers: Sequence[str],
    modules: Mapping[str, Mapping[str, str]],
) -> Nets:
    """Nets from their descriptions, on the device of this process; no control is loaded without control layers."""
    place = device.pick()

    def load(paths: Sequence[Path]) -> dict[str, model.Net]:
        return {name: net.to(place) for name, net in model.load_all(paths, modules).items()}

    return Nets(load(compared), load(controls if control_layers else []), control_layers)


def open_images(path: str, nets: Mapping[str, model.Net]) -> store.StoredArray:
    """The stored images (N, H, W, C) uint8. Raises InputError where a net is made for another size."""
    images = store.StoredArray(path, "images")
    sizes = {name: (net.size, net.size, net.channels) for name, net in nets.items()}
    store.require_equal("image sizes", **{path: images.shape[1:], **sizes})
    return images


def finished(layer: str, accumulators: Sequence[Accumulator]) -> dict[str, np.ndarray]:
    """Arrays of a layer's block by name. Raises InputError where a mean is not finite."""
    arrays = {name: array for accumulator in accumulators for name, array in accumulator.finish().items()}
    for name, array in arrays.items():
        if is_mean(name):  # co-moments are finite where the means are
            activations.require_finite(name.split("/")[-1], layer, array)
    return arrays


def new_accumulators(outputs: Mapping[str, torch.Tensor], sets: int) -> list[Accumulator]:
    """Accumulators of a layer, all of each set of nets. outputs: net -> (images, positions, units)"""
    widths = [(net, x.shape[2]) for net, x in outputs.items()]
    place, size = next(iter(outputs.values())).device, len(widths) // sets
    parts = (dict(widths[first : first + size]) for first in range(0, len(widths), size))
    return [make(part, place) for part in parts for make in ACCUMULATORS]


def block_moments(
    recorder: activations.Recorder,
    images: store.StoredArray,
    blocks: Sequence[np.ndarray],
    batch: int,
    sets: int = 1,
) -> Iterator[LayerMoments]:
    """Moments of each block in turn, valid until the next one.

    blocks: rows of the images of each block, (images of the block,); batch: images in one forward pass
    sets: as of ``MomentsSettings``
    """
    running: dict[str, list[Accumulator]] = {}
    for rows in blocks:
        for accumulator in chain.from_iterable(running.values()):
            accumulator.start()
        for batch_activations in recorder.stream(images, rows, batch):
            for layer, outputs in batch_activations.items():
                if layer not in running:
                    running[layer] = new_accumulators(outputs, sets)
                for accumulator in running[layer]:
                    accumulator.update(outputs)
        with culprits.named(recorder, images, rows, batch):
            moments = {layer: finished(layer, running[layer]) for layer in recorder.layers}
        yield moments


def origin_of_bits(place: torch.device) -> dict[str, Any]:
    """What the last bits of a shard depend on beside its settings, as attributes that ``merge`` compares."""
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    products = str(device.product_kind(place)).removeprefix("torch.")
    return {"device": place.type, "products": products, "threads": torch.get_num_threads(), **versions}


def accumulate(settings: MomentsSettings, nets: Nets, images_path: str, outputs: Mapping[str, str]) -> None:
    """Write the store of each layer: ``outputs`` maps layers to declared files."""
    of_images, images = store.attributes(images_path, "images"), open_images(images_path, nets.all())
    about_images = {"images": of_images["sha256"], "split": of_images["split"]}  # now: what lacks them is refused
    group = store.load(images_path, "group")["group"][: settings.limit]
    blocks = assign_blocks(group, settings.blocks, settings.seed)
    numbers, batch = settings.fine_blocks(), settings.batch or batching.of_nets(nets.all().values())
    stores = {layer: ShardStore(path, settings.blocks, len(numbers), settings.wide) for layer, path in outputs.items()}
    layers_of_controls = dict.fromkeys(nets.controls, nets.control_layers)
    recorder = activations.Recorder(nets.all(), settings.layers, layers_of_controls, settings.resample)
    moments = block_moments(recorder, images, [blocks[number] for number in numbers], batch, settings.sets)

    def add(block: tuple[int, LayerMoments]) -> None:
        number, layers = block
        for layer, arrays in layers.items():
            stores[layer].add_block(number, arrays)
        print(f"block {number + 1} of {settings.blocks}: {len(blocks[number])} images", flush=True)

    device.use_each(add, zip(numbers, moments, strict=True), recorder.place)
    digests = {name: model.weights_digest(net) for name, net in nets.all().items()}
    for layer, shard_store in stores.items():
        controls = nets.controls_in(layer)
        shard_store.finish(
            kind="moments of a shard",
            layer=layer,
            **about_images,
            nets={name: digests[name] for name in [*nets.compared, *controls]},
            controls=controls,
            limit=len(group),
            batch=batch,
            seed=settings.seed,
            **recorder.layer_attributes(layer),
            **origin_of_bits(device.pick()),
        )


def add_block_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which blocks there are, which of them are computed here, and which are kept."""
    parser.add_argument("--blocks", required=True, type=int, help="fine blocks of all shards together")
    parser.add_argument(
        "--wide-units",
        type=int,
        default=WideLayers.units,
        help="units of all nets of a set together from which a layer is wide",
    )
    parser.add_argument(
        "--wide-blocks",
        type=int,
        default=WideLayers.blocks,
        help="blocks that a wide layer keeps, each a run of fine blocks",
    )
    parser.add_argument("--other-blocks", type=int, help="blocks that any other layer keeps, likewise (default: all)")
    parser.add_argument("--shard", type=int, default=MomentsSettings.shard, help="number of this shard, from 0")
    parser.add_argument("--shards", type=int, default=MomentsSettings.shards, help="number of shards, at most --blocks")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="image store (zarr.json)")
    parser.add_argument("outputs", nargs="+", help="store to write for each layer (zarr.json)")
    parser.add_argument(
        "--nets", nargs="+", required=True, type=Path, help="descriptions of nets (.json), with weights beside them"
    )
    parser.add_argument("--sets", type=int, default=1, help="sets of equal size that nets are in, in order, each alone")
    parser.add_argument(
        "--controls", nargs="*", default=[], type=Path, help="descriptions of control nets, for some layers only"
    )
    parser.add_argument(
        "--control-layers", nargs="*", default=[], help="layers that control nets take part in; others are ignored"
    )
    parser.add_argument("--layers", nargs="+", required=True, help="layer of each output, in their order")
    parser.add_argument(
        "--images", dest="limit", type=int, help="number of images, the first of the shuffled ones (default: all)"
    )
    add_block_options(parser)
    batching.add_option(parser)
    parser.add_argument(
        "--seed", type=int, default=MomentsSettings.seed, help="seed of the assignment of groups to blocks"
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of torch and BLAS; results may differ in the last bits"
    )
    activations.add_options(parser)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    same = {name: getattr(args, name) for name in ("layers", "blocks", "shard", "shards", "limit", "batch", "seed")}
    wide = WideLayers(args.wide_units * args.sets, args.wide_blocks, args.other_blocks)
    settings = MomentsSettings(**same, wide=wide, resample=args.resample, sets=args.sets)
    if len(args.nets) % args.sets:
        raise InputError(f"--sets: {args.sets}, but there are {len(args.nets)} nets; sets must be of equal size")
    if len(args.outputs) != len(args.layers):
        raise InputError(f"outputs: {len(args.outputs)}, but {len(args.layers)} layers; give one store for each layer")
    device.deterministic(args.threads)
    keep_freed_memory()
    control_layers = [layer for layer in args.layers if layer in args.control_layers]
    nets = load_nets(args.nets, args.controls, control_layers, args.modules)
    with threadpool_limits(args.threads):
        accumulate(settings, nets, args.images, dict(zip(args.layers, args.outputs, strict=True)))


if __name__ == "__main__":
    main()
