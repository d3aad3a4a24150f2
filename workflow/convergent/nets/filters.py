"""Write the first-layer filters of all nets as arrays, so that figures need no torch.

The attribute ``units_of`` of the store is the layer whose unit k sees the image through filter k alone, in every net:
matches of its units are matches of filters. It is empty where that is not so.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from .. import store
from ..commands import command, new_parser
from . import activations, model


def first_convolution(net: model.Net) -> nn.Conv2d | None:
    """The first convolution that takes an image's channels."""
    convolutions = (module for module in net.modules() if isinstance(module, nn.Conv2d))
    return next((module for module in convolutions if module.in_channels == net.channels), None)


def first_filters(net: model.Net) -> np.ndarray | None:
    """Weights (units, rows, columns, C) of the first convolution that takes an image's channels; None without one."""
    convolution = first_convolution(net)
    if convolution is None:
        return None
    return np.ascontiguousarray(convolution.weight.detach().movedim(1, -1).numpy())


@torch.no_grad()
def are_units_of(net: model.Net, layer: str) -> bool:
    """Whether unit k of a layer depends on filter k and on no other, for every k.

    Some filters are set to NaN: the units that become NaN must be theirs. Each bit of the filters' numbers tells two
    halves apart, so that any two filters are apart for one bit.
    """
    convolution = first_convolution(net)
    if convolution is None:
        return False
    shapes, weight = activations.probe(net, [layer], net.name), convolution.weight
    crop = torch.zeros(1, net.channels, net.crop_width, net.crop_width)
    kept, number = weight.clone(), torch.arange(len(weight))
    for bit in range(len(weight).bit_length()):
        for half in (0, 1):
            chosen = number >> bit & 1 == half
            weight[chosen] = torch.nan
            output = activations.record(net, net.laid_out(crop), shapes)[layer]
            weight.copy_(kept)
            if not torch.equal(output.isnan().transpose(0, 1).flatten(1).any(1), chosen):
                return False
    return True


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("output", help="store to write (zarr.json)")
    parser.add_argument("nets", nargs="+", type=Path, help="descriptions of the nets (.json), weights beside them")
    parser.add_argument("--layer", required=True, help="layer whose units may be the filters")
    activations.add_options(parser)
    args = parser.parse_args(argv)
    nets = model.load_all(args.nets, args.modules)
    filters = {name: first_filters(net) for name, net in nets.items()}
    arrays = {f"filters/{name}": array for name, array in filters.items() if array is not None}
    digests = {name: model.weights_digest(net) for name, net in nets.items()}
    units_of = args.layer if all(are_units_of(net, args.layer) for net in nets.values()) else ""
    store.save(args.output, arrays, kind="filters", nets=digests, units_of=units_of)


if __name__ == "__main__":
    main()
