"""List the modules of a net that can be a layer, in the order in which they run, with their units and positions.

    python -m workflow.convergent.nets.describe torchvision:resnet18 --crop 64

A module that cannot be one is listed with the reason. Modules of several units on a grid of positions are of use as
layers of all figures; one without positions has no patches, but the whole crops.
"""

import argparse
from collections.abc import Iterator
from typing import Any

import torch

from ..commands import InputError, command, new_parser
from ..configuration import IMAGENET_PIXELS
from . import activations, device, given, model
from .architecture import ALEXNET
from .building import TRIED
from .probe import examples
from .shapes import layer_shape

HEAD = ("layer", "units", "grid", "calls", "")


def described(architecture: str, crop: int, channels: int, classes: int, weights: str | None) -> model.Net:
    """The net that an entry of the configuration makes, in evaluation mode. Raises InputError as the probe does."""
    settings = {"crop": crop, "pixels": {name: values[:channels] for name, values in IMAGENET_PIXELS.items()}}
    if weights:
        return given.given_net(weights, architecture, settings, examples(crop, channels), seed=0).eval()
    return model.build(architecture, settings, channels, classes, crop, seed=0).eval()


def row(module: str, outputs: list[tuple[Any, bool]], larger: torch.Size | None) -> tuple[str, ...]:
    """Row of a module from its outputs in one pass: name, units, grid, calls, and what is to be said of it."""
    calls = str(len(outputs))
    if len(outputs) != 1:
        return module, "", "", calls, "not possible: it must be called once"
    output = outputs[0][0]
    tokens = isinstance(output, torch.Tensor) and output.dim() == 3
    try:
        shape = layer_shape(output, larger, {"tokens": tokens}, module, TRIED)
    except InputError:
        returned = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        return module, "", "", calls, f"not possible: it returns {returned} for {TRIED} images"
    grid = "x".join(map(str, shape.grid)) or "none"
    return module, str(shape.units), grid, calls, "tokens: true" if tokens else ""


def rows(net: model.Net) -> Iterator[tuple[str, ...]]:
    """Rows of all modules, in the order of ``activations.calls_of``."""
    names = [name for name, _ in net.body.named_modules() if name]
    larger = activations.sizes_of_larger_crops(net, names)
    for name, outputs in activations.calls_of(net, names).items():
        yield row(name, outputs, larger.get(name))


def table(lines: list[tuple[str, ...]]) -> str:
    """Rows under their heads, names to the left and numbers to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    numbers = ("  ".join(map(str.rjust, line[1:4], widths[1:])) for line in lines)
    return "\n".join(
        f"{line[0]:<{widths[0]}}  {aligned}  {line[4]}".rstrip() for line, aligned in zip(lines, numbers, strict=True)
    )


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("architecture", help="torchvision:<name>, or your own <package.module>:<function>")
    parser.add_argument("--crop", type=int, default=224, help="width of the crops that the net takes, in pixels")
    parser.add_argument("--channels", type=int, default=3, choices=[1, 3], help="channels of an image")
    parser.add_argument("--classes", type=int, default=1000, help="number of classes, where there are no weights")
    parser.add_argument("--weights", help="file with the net's weights; without it these are drawn")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    if args.architecture == ALEXNET:
        raise InputError(
            f"architecture: {ALEXNET} has the layers conv1 to conv5, fc6, fc7 and fc8 of section architecture"
        )
    device.deterministic(1, strict=False)
    net = described(args.architecture, args.crop, args.channels, args.classes, args.weights)
    print(table([HEAD, *rows(net)]))
    layout = "channels last" if net.layout == torch.channels_last else "contiguous"
    print(f"{args.architecture}: {net.classes} outputs for crops of {args.crop} pixels; memory layout {layout}")


if __name__ == "__main__":
    main()
