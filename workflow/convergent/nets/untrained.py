"""Write a net as it is before its first training step: the control that architecture and seed alone give."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from .. import store
from ..commands import InputError, command, new_parser
from ..seeds import derive
from . import model
from .architecture import ALEXNET

MEAN_SAMPLE = 4096  # images, at most, that mean and deviation are taken from


def initial_net(
    architecture: str, settings: dict[str, Any], images: store.StoredArray | np.ndarray, classes: int, seed: int
) -> model.Net:
    """The net before its first training step, with mean and deviation of images drawn by the seed.

    Raises InputError where crops are larger than the images (N, size, size, C), and as ``model.build`` does.
    """
    if (size := images.shape[1]) < settings["crop"]:
        raise InputError(f"architecture.crop: {settings['crop']}, but stored images are {size} pixels wide")
    net = model.build(architecture, settings, images.shape[3], classes, size, seed)
    sample = np.random.default_rng(derive(seed, "mean")).permutation(len(images))[:MEAN_SAMPLE]
    net.standardise_with(images[np.sort(sample)])
    return net


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe the net to make, for every command that makes one."""
    parser.add_argument("--seed", required=True, type=int, help="seed of the initial weights and of the training")
    parser.add_argument(
        "--architecture",
        default=ALEXNET,
        help="alexnet, torchvision:<name> or <package.module>:<function>, a function that returns a torch module",
    )
    parser.add_argument(
        "--settings",
        required=True,
        type=json.loads,
        help="JSON object, the configuration's section architecture for this net: crop (width in pixels), pixels, and "
        "for alexnet conv, fc and dropout",
    )


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="store of the images that the net would be trained on (zarr.json)")
    parser.add_argument("description", type=Path, help="file to write digest and architecture to (.json)")
    parser.add_argument("weights", type=Path, help="file to write the weights to (.pt)")
    parser.add_argument("--control-of", required=True, help="name of the net that this one becomes by training")
    add_options(parser)
    args = parser.parse_args(argv)
    attributes, images = store.attributes(args.images, "images"), store.StoredArray(args.images, "images")
    net = initial_net(args.architecture, args.settings, images, len(attributes["classes"]), args.seed)
    origin = {"seed": args.seed, "images": attributes["sha256"], "control_of": args.control_of}
    model.save(net, args.weights, args.description, **origin)


if __name__ == "__main__":
    main()
