"""Weights of a user's own as a net of the experiment; nothing is trained."""

import pickle
from pathlib import Path
from typing import Any

import torch

from .. import store
from ..commands import InputError, command, new_parser
from . import untrained
from .model import Net, save

INSIDE = ("state_dict", "model_state_dict", "model")  # where checkpoints keep the weights among other things
WRAPPED = "module."  # what parallel training puts before every name


def read(file: str | Path) -> dict[str, torch.Tensor]:
    """Weights by name: a state dictionary, or one inside a checkpoint; refused with one line where there is none."""
    try:
        found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"weights: {file}: no such file") from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError, ValueError):
        raise InputError(f"weights: {file}: unreadable; save them by torch.save(net.state_dict(), file)") from None
    for name in INSIDE:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    if not isinstance(found, dict) or not found or not all(isinstance(x, torch.Tensor) for x in found.values()):
        raise InputError(f"weights: {file}: no weights by name; save them by torch.save(net.state_dict(), file)")
    return {name.removeprefix(WRAPPED): tensor for name, tensor in found.items()}


def classes(weights: dict[str, torch.Tensor]) -> int:
    """Number of outputs of the last layer that has a matrix or kernels."""
    return next((len(tensor) for tensor in reversed(weights.values()) if tensor.dim() > 1), 0)


def fill(module: torch.nn.Module, weights: dict[str, torch.Tensor], file: str | Path, architecture: str) -> None:
    """Put weights into a module; one line that names the first that does not fit."""
    there = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    for name in [*wanted, *there]:
        if there.get(name) != wanted.get(name):
            has, needs = (found.get(name, "nothing") for found in (there, wanted))
            raise InputError(f"weights: {file} do not fit {architecture}: {name} is {has}, it must be {needs}")
    module.load_state_dict(weights)


def given_net(
    file: str | Path, architecture: str, settings: dict[str, Any], images: store.StoredArray, seed: int
) -> Net:
    """A net of an architecture with a file's weights, which may be those of a net trained here."""
    weights = read(file)
    net = untrained.initial_net(architecture, settings, images, classes(weights), seed)
    if "deviation" in weights:
        net.deviation = torch.zeros_like(weights["deviation"])
        fill(net, weights, file, architecture)
    else:
        fill(net.body, weights, file, architecture)
    return net


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="image store that the net will see (zarr.json)")
    parser.add_argument("file", help="weights: a state dictionary, saved by torch")
    parser.add_argument("description", type=Path, help="digest and architecture to write (.json)")
    parser.add_argument("weights", type=Path, help="weights to write (.pt)")
    untrained.add_options(parser)
    args = parser.parse_args(argv)
    about, images = store.attributes(args.images), store.StoredArray(args.images, "images")
    net = given_net(args.file, args.architecture, args.settings, images, args.seed)
    for name, tensor in net.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise InputError(f"weights: {args.file}: {name} is not finite everywhere")
    save(net, args.weights, args.description, file=Path(args.file).name, images=about["sha256"])
    count = sum(p.numel() for p in net.parameters())
    print(f"{args.file}: {count} weights of {args.architecture}, {net.classes} outputs", flush=True)


if __name__ == "__main__":
    main()
