"""First-layer filters of all nets as arrays, so that figures need no torch."""

import argparse
from pathlib import Path

import numpy as np

from . import alexnet, store


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", help="store to write (zarr.json)")
    parser.add_argument("nets", nargs="+", type=Path, help="descriptions (.json), weights beside them")
    args = parser.parse_args(argv)
    nets = {path.stem: alexnet.load(path) for path in args.nets}
    filters = {
        name: np.moveaxis(net.get_submodule("conv1").weight.detach().numpy(), 1, -1)  # type: ignore[operator]
        for name, net in nets.items()
    }
    digests = {name: alexnet.weights_digest(net) for name, net in nets.items()}
    store.save(args.output, {f"filters/{name}": np.ascontiguousarray(x) for name, x in filters.items()}, nets=digests)


if __name__ == "__main__":
    main()
