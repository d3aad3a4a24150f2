"""Make a net of the experiment from weights of the user's own, or of torchvision's; nothing is trained."""

from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import torch

from .. import store
from ..commands import InputError, command, in_words, new_parser
from . import fitting, published, untrained
from .model import Net, save
from .weights import StateDict, read

Images = store.StoredArray | np.ndarray


def downloaded(address: str, what: str) -> Path:
    """The file of an address, where torch keeps such files. Raises InputError where it cannot be downloaded."""
    if not (file := published.file_of(address)).exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(address, str(file), published.beginning(file.name), progress=False)
        except (URLError, OSError, RuntimeError) as error:  # the last where its digest is another
            raise InputError(
                f"weights: {what} is not on this machine and cannot be downloaded ({in_words(error)}); "
                f"put {address} into {file.parent}"
            ) from None
    return file


def pixels_of(architecture: str, entry: str) -> dict[str, list[float]]:
    """Mean and deviation of each channel, of pixels from 0 to 1, that an entry of torchvision's was trained with."""
    from torchvision import models

    preprocessing = models.get_model_weights(architecture.removeprefix(published.TORCHVISION))[entry].transforms()
    return {"mean": list(preprocessing.mean), "deviation": list(preprocessing.std)}


def require_exact(tensor: torch.Tensor, dtype: torch.dtype, what: str) -> None:
    """Raise InputError, which ``what`` begins, where a value is not finite or where the type cannot hold it."""
    was, becomes = (str(each).removeprefix("torch.") for each in (tensor.dtype, dtype))
    if tensor.is_complex() and not dtype.is_complex:
        raise InputError(f"{what} is {was}, it must be {becomes}: the imaginary part would be lost")
    known = tensor.is_complex() or tensor.dtype == torch.float32  # else torch may have no isfinite for the type
    try:
        finite = torch.isfinite(tensor if known else tensor.double())
        same = tensor.to(dtype).to(tensor.dtype) == tensor
    except (RuntimeError, NotImplementedError):
        raise InputError(f"{what} is of type {was}, it must be of a type that converts to {becomes}") from None
    if not finite.all():
        raise InputError(f"{what} is not finite everywhere")
    if not same.all():
        raise InputError(f"{what} has {was} values that change in {becomes}; convert them before you save them")


def fill(net: Net, state: StateDict, file: str | Path) -> None:
    """Load weights into a net. Raises InputError that names the first weight that does not fit, or would change."""
    whole = net.state_dict()
    for name, tensor in state.standardised.items():
        if name == "mean" and tensor.shape != whole[name].shape:
            has, needs = tuple(tensor.shape), tuple(whole[name].shape)
            raise InputError(f"weights: {file} do not fit {net.architecture}: {name} is {has}, it must be {needs}")
        require_exact(tensor, whole[name].dtype, f"weights: {file}: {name}")
    types = {name: tensor.dtype for name, tensor in net.body.state_dict().items()}
    for name, tensor in state.tensors.items():
        require_exact(tensor, types.get(name, torch.float32), f"weights: {file}: {name}")
    if why := fitting.refusal(net.body, state):
        raise InputError(f"weights: {file} do not fit {net.architecture}: {why.said}")
    if state.standardised:
        net.mean, net.deviation = state.standardised["mean"], state.standardised["deviation"].float()


def fitted_net(
    weights: str, architecture: str, settings: dict[str, Any], images: Images, seed: int
) -> tuple[Net, list[str]]:
    """``given_net``, and names in the file that are not of the net."""
    file: str | Path = weights
    if address := published.of_architecture(architecture).get(weights):
        file = downloaded(address, f"{weights} of {architecture}")
        settings = {"pixels": pixels_of(architecture, weights)} | settings
    fitted = fitting.fit(str(file), architecture, settings, images.shape[3], seed, read(file))
    arguments = {"arguments": fitted.arguments} if fitted.arguments else {}
    net = untrained.initial_net(architecture, settings | arguments, images, fitted.classes, seed)
    fill(net, fitted.state, file)
    return net, fitted.left


def given_net(weights: str, architecture: str, settings: dict[str, Any], images: Images, seed: int) -> Net:
    """A net of an architecture with weights: of a file, which this workflow may have written, or of torchvision.

    weights: the file, or the name of an entry of torchvision's; such a net takes the pixels of that entry where
    ``settings`` have none.
    Raises InputError where the file is not there, cannot be read, does not fit the architecture, or holds what is not
    finite.
    """
    return fitted_net(weights, architecture, settings, images, seed)[0]


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="store of the images that the net will see (zarr.json)")
    parser.add_argument("file", help="weights: a file of torch or safetensors, or the name of torchvision's")
    parser.add_argument("description", type=Path, help="file to write digest and architecture to (.json)")
    parser.add_argument("weights", type=Path, help="file to write the weights to (.pt)")
    untrained.add_options(parser)
    args = parser.parse_args(argv)
    attributes, images = store.attributes(args.images, "images"), store.StoredArray(args.images, "images")
    net, left = fitted_net(args.file, args.architecture, args.settings, images, args.seed)
    save(net, args.weights, args.description, file=Path(args.file).name, images=attributes["sha256"])
    count = sum(p.numel() for p in net.parameters())
    print(f"{args.file}: {count} weights of {args.architecture}, {net.classes} outputs", flush=True)
    if made_with := net.settings.get("arguments"):
        print(f"{args.architecture} is called with {made_with}", flush=True)
    if left:
        print(f"{len(left)} weights of the file are not of the net, first {left[0]}", flush=True)


if __name__ == "__main__":
    main()
