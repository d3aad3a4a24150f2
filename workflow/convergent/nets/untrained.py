"""A net as it was before its first step of training: the control that architecture and seed alone give."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from .. import store
from ..commands import InputError, command, new_parser
from ..seeds import derive
from . import model

MEAN_SAMPLE = 4096  # training images that mean and deviation are taken from, at most


def initial_net(
    architecture: str, settings: dict[str, Any], images: store.StoredArray, classes: int, seed: int
) -> model.Net:
    """The net before its first step, with mean and deviation of some training images."""
    if (size := images.shape[1]) < settings["crop"]:
        raise InputError(f"architecture.crop: {settings['crop']}, but stored images are {size} pixels wide")
    net = model.build(architecture, settings, images.shape[3], classes, size, seed)
    sample = np.random.default_rng(derive(seed, "mean")).permutation(len(images))[:MEAN_SAMPLE]
    net.standardise_with(images[np.sort(sample)])
    return net


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every stage that makes a net has to be told of it."""
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument(
        "--architecture", default=model.ALEXNET, help="torchvision:<name> or <package.module>:<function>"
    )
    parser.add_argument("--settings", required=True, type=json.loads, help="JSON, section architecture as for this net")


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="image store that the net would be trained on (zarr.json)")
    parser.add_argument("description", type=Path, help="digest and architecture to write (.json)")
    parser.add_argument("weights", type=Path, help="weights to write (.pt)")
    parser.add_argument("--control-of", required=True, help="name of the net that this one is before its training")
    add_options(parser)
    args = parser.parse_args(argv)
    about, images = store.attributes(args.images), store.StoredArray(args.images, "images")
    net = initial_net(args.architecture, args.settings, images, len(about["classes"]), args.seed)
    known = {"seed": args.seed, "images": about["sha256"], "control_of": args.control_of}
    model.save(net, args.weights, args.description, **known)


if __name__ == "__main__":
    main()
