"""Top-1 accuracy of stitched nets: a net up to a layer, a mapping, and another net from that layer on.

Of every ordered pair of nets there are two, by the unpenalised mapping and by that at one penalty, with a ReLU behind
it. Each stands beside its control, which is stitched from the source before its training. Of some pairs there are those
at each penalty of the path, with and without the ReLU. Beside them stand both nets, the second net joined to itself by
its unpenalised mapping onto itself, and a mapping to the means of its units.

The store has the number of validation images that each of them gets right in each block of the layer's moments. They
are evaluated on all images, or on some that are drawn by seed. These are the same for all nets in all layers, so that
nets are compared on equal images.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import store
from ..allocation import keep_freed_memory
from ..commands import InputError, command, new_parser
from ..moments.blocks import assign_blocks, block_of_images
from ..nets import activations, batching, culprits, device, model
from ..seeds import derive
from .assembly import Joint, StitchedNet, assemble, joints


def evaluated_images(group: np.ndarray, fine_blocks: int, seed: int, count: int) -> np.ndarray:
    """Rows of so many images, drawn by seed, in ascending order. (N,) -> (count,)

    Of each fine block of the moments there are as many as its share of all images, but for less than one. They do not
    depend on the layer. Raises InputError where there are fewer images.
    """
    if count > len(group):
        raise InputError(f"stitching.evaluated: {count}, but there are {len(group)} validation images")
    rng, place = np.random.default_rng(derive(seed, "evaluated")), np.empty(len(group))
    for index in assign_blocks(group, fine_blocks, seed):
        place[rng.permutation(index)] = (np.arange(len(index)) + rng.random()) / len(index)
    return np.sort(np.argsort(place, kind="stable")[:count])


def require_finite_logits(
    nets: Mapping[str, StitchedNet],
    finite: Mapping[str, torch.Tensor],
    layer: str,
    images: store.StoredArray,
    index: np.ndarray,
) -> None:
    """Raise InputError that names the first stitched net whose logits are not all finite, and the images.

    finite: (n,) bool each; index: (n,) rows of the images
    """
    if torch.stack(list(finite.values())).all():
        return
    name = next(name for name, flags in finite.items() if not flags.all())
    raise InputError(
        f"{layer}, {nets[name].head}-{nets[name].tail}: logits of the stitched net {name!r} are not all finite; "
        f"train the nets again, or take other weights{culprits.remedy(images, index, [finite[name]])}"
    )


def tail_of(recorder: activations.Recorder, net: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A net behind the one layer of a recorder, as ``activations.tail`` makes it."""
    (layer,) = recorder.layers
    return activations.tail(recorder.nets[net], layer, recorder.shapes[net][layer])


@torch.no_grad()
def correct_images(
    stitched_nets: Mapping[str, StitchedNet],
    recorder: activations.Recorder,
    images: store.StoredArray,
    index: np.ndarray,
    labels: np.ndarray,
    batch: int,
) -> dict[str, np.ndarray]:
    """Whether each stitched net gives each image its class, from one pass over the images. (n,) bool each

    ``recorder`` records one layer of all nets. A mapping is applied on the grid on which that layer is compared. Its
    result is brought to the tail's own grid. Raises InputError where logits are not finite. index, labels: (n,)
    """
    (layer,) = recorder.layers
    grid, net_grids = recorder.common_grids[layer], recorder.net_grids[layer]
    place = next(iter(recorder.nets.values())).mean.device
    heads = {stitched.head for stitched in stitched_nets.values()}
    tails = {net: tail_of(recorder, net) for net in {stitched.tail for stitched in stitched_nets.values()}}
    between = {name: stitched.between.to(place) for name, stitched in stitched_nets.items()}
    correct: dict[str, list[torch.Tensor]] = {name: [] for name in stitched_nets}
    finite: dict[str, torch.Tensor] = {}
    targets = torch.from_numpy(labels.astype(np.int64)).to(place).split(batch)
    batches = activations.batches(images, index, batch, place)
    for number, (pixels, target) in enumerate(zip(batches, targets, strict=True)):
        crops = {net: recorder.nets[net].centre_crop(pixels) for net in tails}
        recorded = {
            net: activations.record(recorder.nets[net], recorder.nets[net].centre_crop(pixels), shapes)[layer]
            for net, shapes in recorder.shapes.items()
            if net in heads
        }
        for name, stitched in stitched_nets.items():
            x = recorded[stitched.head]
            if not isinstance(stitched.between, nn.Identity):
                x = between[name](activations.regrid(x, grid))
            logits = tails[stitched.tail](crops[stitched.tail], activations.regrid(x, net_grids[stitched.tail]))
            correct[name].append(logits.argmax(1) == target)
            finite[name] = culprits.rowwise(logits)
        if stitched_nets:  # there are none where no net has the images' classes
            require_finite_logits(stitched_nets, finite, layer, images, index[number * batch :][:batch])
    return {name: torch.cat(of_batches).cpu().numpy() for name, of_batches in correct.items()}


def hits(correct: np.ndarray, block: np.ndarray, blocks: int) -> np.ndarray:
    """Number of correct images of each block. Whether each is correct (N,), block of each (N,) -> (blocks,)"""
    return np.bincount(block[correct], minlength=blocks)


def arrays_of(of: Joint, counted: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of a pair by their names in the store: penalties (P,) and hits (P, B) of each kind of stitched net.

    counted: hits of each stitched net by name, (B,); a point without weights has those of the mapping to means
    """
    path = store.load(of.path, "alpha", "decay")
    arrays = {f"{name}/{of.pair}": path[name][of.points] for name in ("alpha", "decay")}
    zero = counted.get(f"zero/{of.target}")
    for kind in of.kinds:
        rows = [counted.get(f"{kind}/{of.pair}/{number}", zero) for number in range(len(of.points))]
        if all(row is not None for row in rows):
            arrays[f"{kind}/{of.pair}"] = np.array(rows)
    return arrays


def check_mappings(mapped: Mapping[str, dict[str, Any]], nets: Mapping[str, model.Net]) -> None:
    """Raise InputError where mappings are of different layers or blocks, or of nets or weights other than ``nets``.

    ``mapped``: attributes of the stores of the mappings by path.
    """
    for names, key in (("layers", "layer"), ("blocks", "blocks")):
        store.require_equal(names, **{path: attributes[key] for path, attributes in mapped.items()})
    for path, attributes in mapped.items():
        for net, digest in attributes["nets"].items():
            if net not in nets:
                raise InputError(f"--nets: {', '.join(nets)} given, but {path} maps {attributes['pair']}")
            store.require_equal(f"weights of {net}", **{path: digest, net: model.weights_digest(nets[net])})


def by_pair(mapped: Mapping[str, dict[str, Any]], whole: Sequence[str]) -> dict[str, Path]:
    """Stores of mappings by pair. Raises InputError where one of ``whole``, or its target mapped onto itself, lacks."""
    store.require_distinct("--mappings", (attributes["pair"] for attributes in mapped.values()))
    paths = {attributes["pair"]: Path(path) for path, attributes in mapped.items()}
    for pair in whole:
        target = pair.split("-")[-1]
        for needed in (pair, f"{target}-{target}"):
            if needed not in paths:
                raise InputError(f"--mappings: stores of {', '.join(paths)}; --whole {pair} needs {needed}")
    return paths


def with_classes(
    stitched_nets: Mapping[str, StitchedNet], nets: Mapping[str, model.Net], classes: int
) -> dict[str, StitchedNet]:
    """Stitched nets whose tail has as many classes as the images; the others have no top-1 accuracy."""
    others = {name: net.classes for name, net in nets.items() if net.classes != classes}
    for name, count in others.items():
        print(f"{name} has {count} classes, the images have {classes}: its top-1 accuracy is left empty")
    return {name: stitched for name, stitched in stitched_nets.items() if stitched.tail not in others}


def attributes_of(
    mapped: Mapping[str, dict[str, Any]], whole: Sequence[str], of_pairs: Sequence[Joint]
) -> dict[str, Any]:
    """Attributes of the store. mapped: attributes of the stores of the mappings by path"""
    first = next(iter(mapped.values()))
    nets = {net: of for each in mapped.values() for net, of in each["nets"].items() if net not in each["controls"]}
    return {
        "kind": "stitched nets",
        "layer": first["layer"],
        "whole": whole,
        "pairs": [of.pair for of in of_pairs],
        "nets": nets,
        "images": first["images"]["val"],
        "mappings": {attributes["pair"]: attributes["sha256"] for attributes in mapped.values()},
    }


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="store of the validation images (zarr.json)")
    parser.add_argument("output", type=Path, help="store to write (zarr.json)")
    parser.add_argument(
        "--nets", nargs="+", required=True, type=Path, help="descriptions of all nets (.json), weights beside them"
    )
    parser.add_argument(
        "--mappings",
        nargs="+",
        required=True,
        help="stores of the mappings of a layer (zarr.json): of ordered pairs of nets, of untrained nets, and of the "
        "second nets of --whole onto themselves",
    )
    parser.add_argument(
        "--whole", nargs="+", required=True, help="pairs whose whole path is stitched, <source>-<target> each"
    )
    parser.add_argument("--alpha", required=True, type=float, help="penalty at which the other pairs are stitched too")
    parser.add_argument(
        "--evaluated", default="all", help="validation images to evaluate on, drawn by seed: all, or a number"
    )
    batching.add_option(parser)
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of the nets; results may differ in the last bits"
    )
    activations.add_options(parser)
    args = parser.parse_args(argv)
    if args.evaluated != "all" and not (args.evaluated.isdecimal() and int(args.evaluated)):
        raise InputError(f"--evaluated: {args.evaluated} is not possible; all, or a number from 1")
    return args


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    device.deterministic(args.threads)
    keep_freed_memory()
    nets = model.load_all(args.nets, args.modules)
    mapped = {path: store.attributes(path, "mapping") for path in args.mappings}
    paths, mapping = by_pair(mapped, args.whole), next(iter(mapped.values()))
    check_mappings(mapped, nets)
    image_attributes = store.attributes(args.images, "images")
    digests = {path: attributes["images"]["val"] for path, attributes in mapped.items()}
    store.require_equal("images", **digests, **{args.images: image_attributes["sha256"]})
    images, known = store.StoredArray(args.images, "images"), store.load(args.images, "labels", "group")
    dealt, group = mapping["blocks"], known["group"]
    count = len(group) if args.evaluated == "all" else int(args.evaluated)
    index = evaluated_images(group, dealt["fine_blocks"], dealt["seed"], count)
    block = block_of_images(group, **dealt)[index]
    nets = {name: net.to(device.pick()) for name, net in nets.items()}
    recorder = activations.Recorder(nets, [mapping["layer"]], resample=args.resample)
    of_pairs = joints(paths, args.whole, args.alpha)
    stitched_nets = with_classes(assemble(paths, args.whole, of_pairs), nets, len(image_attributes["classes"]))
    batch = args.batch or batching.of_nets(nets.values())
    correct = correct_images(stitched_nets, recorder, images, index, known["labels"][index], batch)
    counted = {name: hits(of, block, dealt["blocks"]) for name, of in correct.items()}
    arrays = {"images": np.bincount(block, minlength=dealt["blocks"])}
    arrays |= {name: of for name, of in counted.items() if name.count("/") == 1}
    for of in of_pairs:
        arrays |= arrays_of(of, counted)
    about = {"photographs": len(np.unique(group[index])), "evaluated": len(index), "of_images": len(group)}
    store.save(args.output, arrays, **about, **attributes_of(mapped, args.whole, of_pairs))
    print(f"{mapping['layer']}: {len(stitched_nets)} stitched nets on {len(index)} images", flush=True)


if __name__ == "__main__":
    main()
