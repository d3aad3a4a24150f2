"""Make a net of the experiment from a file of the user's own weights; nothing is trained."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import store
from ..commands import InputError, command, new_parser
from . import untrained
from .model import Net, save

NESTED = ("state_dict", "model_state_dict", "model")  # keys under which checkpoints keep the weights
PARALLEL_PREFIX = "module."  # parallel training puts it before every name


def read_weights(file: str | Path) -> dict[str, torch.Tensor]:
    """Weights by name, from a state dictionary or from one nested in a checkpoint.

    Raises InputError where the file is missing, unreadable or holds no weights by name.
    """
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"weights: {file}: no such file") from None
    except Exception:  # of a damaged file torch raises RuntimeError, OSError, IndexError, UnicodeDecodeError and others
        raise InputError(f"weights: {file}: unreadable; save them by torch.save(net.state_dict(), file)") from None
    for key in NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content or not all(isinstance(x, torch.Tensor) for x in content.values()):
        raise InputError(f"weights: {file}: no weights by name; save them by torch.save(net.state_dict(), file)")
    for name, tensor in content.items():
        if kind := unusual(tensor):
            raise InputError(f"weights: {file}: {name} is {kind}; it must be a dense tensor of numbers")
    parallel = all(name.startswith(PARALLEL_PREFIX) for name in content)
    return {name.removeprefix(PARALLEL_PREFIX) if parallel else name: tensor for name, tensor in content.items()}


def unusual(tensor: torch.Tensor) -> str:
    """What keeps a tensor from being copied value by value into another; empty where nothing does."""
    kinds = {
        "quantised": tensor.is_quantized,
        "nested": tensor.is_nested,
        "without values (meta)": tensor.is_meta,
        str(tensor.layout).removeprefix("torch."): tensor.layout != torch.strided,
    }
    return next((kind for kind, holds in kinds.items() if holds), "")


def require_exact(tensor: torch.Tensor, dtype: torch.dtype, what: str) -> None:
    """Raise InputError, which ``what`` begins, where a value is not finite or where the type cannot hold it."""
    was, becomes = (str(each).removeprefix("torch.") for each in (tensor.dtype, dtype))
    if tensor.is_complex() and not dtype.is_complex:
        raise InputError(f"{what} is {was}, it must be {becomes}: the imaginary part would be lost")
    try:
        finite = torch.isfinite(tensor if tensor.is_complex() else tensor.double())
        same = tensor.to(dtype).to(tensor.dtype) == tensor
    except (RuntimeError, NotImplementedError):
        raise InputError(f"{what} is of type {was}, it must be of a type that converts to {becomes}") from None
    if not finite.all():
        raise InputError(f"{what} is not finite everywhere")
    if not same.all():
        raise InputError(f"{what} has {was} values that change in {becomes}; convert them before you save them")


def count_classes(weights: dict[str, torch.Tensor]) -> int:
    """Number of outputs of the last layer that has a matrix or kernels; 0 where there is none."""
    return next((len(tensor) for tensor in reversed(weights.values()) if tensor.dim() > 1), 0)


def fill(module: torch.nn.Module, weights: dict[str, torch.Tensor], file: str | Path, architecture: str) -> None:
    """Load weights into a module. Raises InputError that names the first weight that does not fit, or would change."""
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    needed = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    types = {name: tensor.dtype for name, tensor in module.state_dict().items()}
    for name in [*needed, *given]:
        if given.get(name) != needed.get(name):
            has, needs = (shapes.get(name, "nothing") for shapes in (given, needed))
            raise InputError(f"weights: {file} do not fit {architecture}: {name} is {has}, it must be {needs}")
    for name, tensor in weights.items():
        require_exact(tensor, types[name], f"weights: {file}: {name}")
    module.load_state_dict(weights)


def given_net(
    file: str | Path, architecture: str, settings: dict[str, Any], images: store.StoredArray | np.ndarray, seed: int
) -> Net:
    """A net of an architecture with the weights of a file, which may be a net that this workflow trained.

    Raises InputError where the file cannot be read, does not fit the architecture, or holds what is not finite.
    """
    weights = read_weights(file)
    net = untrained.initial_net(architecture, settings, images, count_classes(weights), seed)
    if "deviation" in weights:  # trained here: mean and deviation are among the weights
        net.deviation = torch.zeros_like(weights["deviation"])
        fill(net, weights, file, architecture)
    else:
        fill(net.body, weights, file, architecture)
    return net


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="store of the images that the net will see (zarr.json)")
    parser.add_argument("file", help="weights: a state dictionary saved by torch, or a checkpoint that contains one")
    parser.add_argument("description", type=Path, help="file to write digest and architecture to (.json)")
    parser.add_argument("weights", type=Path, help="file to write the weights to (.pt)")
    untrained.add_options(parser)
    args = parser.parse_args(argv)
    attributes, images = store.attributes(args.images, "images"), store.StoredArray(args.images, "images")
    net = given_net(args.file, args.architecture, args.settings, images, args.seed)
    save(net, args.weights, args.description, file=Path(args.file).name, images=attributes["sha256"])
    count = sum(p.numel() for p in net.parameters())
    print(f"{args.file}: {count} weights of {args.architecture}, {net.classes} outputs", flush=True)


if __name__ == "__main__":
    main()
