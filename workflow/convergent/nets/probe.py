"""Build every net as it will run, before images are read and anything is trained, and refuse what cannot work.

Each net sees a smooth image and one of noise, alone and together: what a layer puts out may depend on weights and image
alone. Nets that will be trained also do a training pass. Layers whose units can have no deconvolutions are printed. The
output lists units and grid of positions of each layer, as nets -> net0 -> conv1 -> {"units": 32, "grid": [16, 16]}.
Units are null where there are as many as classes, which are known once images are read.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from ..commands import InputError, command, new_parser
from ..files import write_atomically
from ..patches import deconvolution
from ..seeds import derive
from . import activations, compiling, device, given, own, untrained
from .building import SAME
from .model import Net
from .shapes import LayerShape

CLASSES = 1009  # of a net that will be trained; a layer has so many units only where they depend on the classes
Shapes = dict[str, dict[str, Any]]  # units and grid by layer


def examples(size: int, channels: int) -> np.ndarray:
    """A smooth image and one of noise. (2, size, size, channels) uint8"""
    noise = np.random.default_rng(derive(0, "probe")).integers(0, 256, (size, size, channels), np.uint8)
    ramp = np.add.outer(np.linspace(0, 127, size), np.linspace(0, 127, size)).astype(np.uint8)
    return np.stack([np.broadcast_to(ramp[..., None], noise.shape), noise])


def build(entry: Mapping[str, Any], images: np.ndarray) -> Net:
    """The net of an entry: architecture, settings, seed and, where it is not trained, weights. Raises InputError."""
    architecture, settings, seed = entry["architecture"], entry["settings"], entry["seed"]
    if "weights" in entry:
        net = given.given_net(entry["weights"], architecture, settings, images, seed)
    else:
        net = untrained.initial_net(architecture, settings, images, CLASSES, seed)
    net.layers = entry.get("layers", {})
    return net.eval()


@torch.no_grad()
def outputs(net: Net, shapes: Mapping[str, LayerShape], crops: torch.Tensor, name: str) -> dict[str, torch.Tensor]:
    """What the layers put out for crops, and the net itself, by what messages call them."""
    recorded = activations.record(net, crops.clone(), shapes)
    found = {f"{net.module_name(layer)} of {name}": output.clone() for layer, output in recorded.items()}
    return {**found, name: net(crops.clone())}


def require_finite(found: Mapping[str, torch.Tensor], images: int) -> None:
    """Raise InputError where an output is not finite, or not one row for each image."""
    for what, output in found.items():
        if len(output) != images:
            raise InputError(f"layers: {what} returns {tuple(output.shape)} for {images} images")
        if not torch.isfinite(output).all():
            raise InputError(f"layers: {what} returns what is not finite for a smooth image or one of noise")


def require_same(found: Mapping[str, torch.Tensor], again: Mapping[str, torch.Tensor], when: str) -> None:
    """Raise InputError for the first output that is another. ``when``: what differs, and what does so in nets"""
    for what, output in found.items():
        other, most = again[what], SAME * float(output.abs().max())
        if output.shape != other.shape or not torch.allclose(output, other, rtol=0, atol=most):
            raise InputError(f"layers: {what} puts out other values for an image {when}")


def state(net: Net) -> dict[str, tuple[torch.Tensor, int]]:
    """Each buffer of a net, with torch's count of the writes to it."""
    return {name: (buffer, buffer._version) for name, buffer in net.body.named_buffers()}


def require_repeatable(net: Net, shapes: Mapping[str, LayerShape], crops: torch.Tensor, name: str) -> None:
    """Raise InputError where outputs are not finite, or depend on more than the weights and the image itself."""
    before = state(net)
    found = outputs(net, shapes, crops, name)
    require_finite(found, len(crops))
    require_same(found, outputs(net, shapes, crops, name), "the second time; dropout is left on, or weights are drawn")
    alone = [outputs(net, shapes, crop, name) for crop in crops.split(1)]
    joined = {what: torch.cat([each[what] for each in alone]) for what in found}
    require_same(found, joined, "that is alone in its batch; normalisation by the batch, as without running statistics")
    for buffer, (was, version) in before.items():
        now = net.body.get_buffer(buffer)
        if now is not was or now._version != version:
            raise InputError(f"architecture: {net.architecture} changes its buffer {buffer} where it is not trained")


def try_training(net: Net, crops: torch.Tensor, name: str) -> None:
    """A training pass. Raises InputError where it fails, or where no weight takes part."""
    net.train()
    with own.refusing(f"{net.architecture} cannot be trained"):
        logits = compiling.logits_of(net, crops.clone(), name)
        if not logits.requires_grad:
            raise InputError(f"architecture: {net.architecture} has no weights to train")
        functional.cross_entropy(logits, torch.arange(len(crops)) % net.classes).backward()


def say_pictures(net: Net, shapes: Mapping[str, LayerShape], crops: torch.Tensor, name: str) -> None:
    """Print of which layers with positions there will be no deconvolutions."""
    for layer, shape in shapes.items():
        if shape.grid and not deconvolution.reaches_pixels(net, layer, crops):
            print(f"{name}: no gradient leads from {layer} to the pixels; its units get patches without deconvolution")


def probe(name: str, entry: Mapping[str, Any], layers: Sequence[str], images: np.ndarray, classes: int) -> Shapes:
    """Units and grids of a net's layers. Raises InputError where it cannot be built, recorded or trained."""
    net = build(entry, images)
    crops = net.centre_crop(torch.from_numpy(images))
    trained = "weights" not in entry
    if trained and net.classes < classes:
        raise InputError(f"architecture: {net.architecture} has {net.classes} outputs for {classes} classes of images")
    with own.refusing(f"{net.architecture} cannot take two images"):
        shapes = activations.probe(net, layers, name)
        require_repeatable(net, shapes, crops, name)
    say_pictures(net, shapes, crops, name)
    if trained:
        try_training(net, crops, name)
    return {
        layer: {"units": None if trained and shape.units % CLASSES == 0 else shape.units, "grid": shape.grid}
        for layer, shape in shapes.items()
    }


def check_grids(shapes: Mapping[str, Shapes], layers: Sequence[str], resample: str) -> None:
    """Raise InputError where grids of a layer differ between nets and are not resampled."""
    for layer in layers:
        activations.common_grid(layer, {net: of_net[layer]["grid"] for net, of_net in shapes.items()}, resample)


def check_clusters(clusters: str, pair: Mapping[str, Shapes], layers: Sequence[str]) -> None:
    """Raise InputError where the two nets of a pair have no more units than clusters are wanted."""
    for layer in layers:
        units = [shapes[layer]["units"] for shapes in pair.values()]
        if clusters != "auto" and None not in units and int(clusters) >= sum(units):
            raise InputError(
                f"clustering.clusters: {clusters} is not possible; in {layer} {' and '.join(pair)} have {sum(units)} "
                f"units together, allowed is up to {sum(units) - 1}"
            )


def check_unit(unit: str, units: int | None) -> None:
    """Raise InputError where the layer of figure 4 has no such unit. ``units``: how many it has, if that is known."""
    if unit != "median" and units is not None and int(unit) >= units:
        raise InputError(f"figures.unit: {unit} is not possible; median, or a unit from 0 to {units - 1}")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("output", type=Path, help="file to write units and grids to (.json)")
    parser.add_argument(
        "--nets",
        required=True,
        type=json.loads,
        help="JSON object, net -> architecture, settings (the section architecture for it), seed, and where it has "
        "them weights (a file) and layers (layer -> name of its module, or module, tokens and class_tokens)",
    )
    parser.add_argument("--layers", required=True, nargs="+", help="layers that are compared")
    parser.add_argument("--size", required=True, type=int, help="width and height of a stored image, in pixels")
    parser.add_argument("--channels", required=True, type=int, help="channels of an image")
    parser.add_argument("--classes", required=True, type=int, help="classes of the images, at most")
    parser.add_argument("--resample", default="none", choices=["none", "area"], help="what to do where grids differ")
    parser.add_argument("--pair", nargs=2, required=True, help="the two nets that are clustered and shown")
    parser.add_argument("--clusters", default="auto", help="number of clusters, or auto")
    parser.add_argument("--clustered", nargs="*", default=[], help="layers that are clustered")
    parser.add_argument("--unit", default="median", help="target unit of figure 4, or median")
    parser.add_argument("--mapped", nargs="*", default=[], help="the layer of figure 4, if it is drawn")
    parser.add_argument("--made-from", default="", help="digest of what the result depends on, to be kept with it")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    device.deterministic(1, strict=False)
    images = examples(args.size, args.channels)
    shapes = {name: probe(name, entry, args.layers, images, args.classes) for name, entry in args.nets.items()}
    check_grids(shapes, args.layers, args.resample)
    check_clusters(args.clusters, {net: shapes[net] for net in args.pair}, args.clustered)
    for layer in args.mapped:
        check_unit(args.unit, shapes[args.pair[1]][layer]["units"])
    with write_atomically(args.output) as temporary:
        temporary.write_text(json.dumps({"made_from": args.made_from, "nets": shapes}, indent=1) + "\n")


if __name__ == "__main__":
    main()
