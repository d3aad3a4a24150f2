"""A net as it was before its first step of training: the control that architecture and seed alone give."""

import argparse
from pathlib import Path

from . import nets, store, train


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", help="image store that the net would be trained on (zarr.json)")
    parser.add_argument("description", type=Path, help="digest and architecture to write (.json)")
    parser.add_argument("weights", type=Path, help="weights to write (.pt)")
    train.add_options(parser)
    args = parser.parse_args(argv)
    about, images = store.attributes(args.images), store.Rows(args.images, "images")
    net = train.initial_net(args.architecture, args.settings, images, len(about["classes"]), args.seed)
    nets.save(net, args.weights, args.description, seed=args.seed, images=about["sha256"])


if __name__ == "__main__":
    main()
