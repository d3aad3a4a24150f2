"""Write the first-layer filters of all nets as arrays, so that figures need no torch."""

from pathlib import Path

import numpy as np
from torch import nn

from .. import store
from ..commands import command, new_parser
from . import model


def first_filters(net: model.Net) -> np.ndarray | None:
    """Weights (units, rows, columns, C) of the first convolution that takes an image's channels; None without one."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == net.channels:
            return np.ascontiguousarray(module.weight.detach().movedim(1, -1).numpy())
    return None


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("output", help="store to write (zarr.json)")
    parser.add_argument("nets", nargs="+", type=Path, help="descriptions of the nets (.json), weights beside them")
    args = parser.parse_args(argv)
    nets = model.load_all(args.nets)
    filters = {name: first_filters(net) for name, net in nets.items()}
    arrays = {f"filters/{name}": array for name, array in filters.items() if array is not None}
    digests = {name: model.weights_digest(net) for name, net in nets.items()}
    store.save(args.output, arrays, kind="filters", nets=digests)


if __name__ == "__main__":
    main()
