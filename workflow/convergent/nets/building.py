"""The torch module of an architecture: who makes it, what it puts out, and in which memory layout it runs."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..commands import InputError
from ..seeds import derive
from . import own
from .alexnet import AlexNet
from .architecture import ALEXNET
from .deferred import deferred

# torchvision takes one function from it, and 2 s of CPU to load it with torch's compiler
COMPILER = "torch._dynamo.utils"
SAME = 1e-3  # of the largest output: so far float32 sums in another order may lie apart
TRIED = 3  # images that a net is tried with: an axis of their number is that of images


def builder(architecture: str) -> Callable[..., Any]:
    """The function that makes an architecture's module. Raises InputError where there is no such function."""
    place, name = architecture.split(":")
    if place == "torchvision":
        with deferred(COMPILER):
            from torchvision import models

        if name not in (known := models.list_models(models)):
            raise InputError(f"architecture: torchvision has no model {name!r}, it has {', '.join(known)}")
        return models.get_model_builder(name)
    with own.refusing(architecture):
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            if f"{place}.".startswith(f"{error.name}."):  # it is not a module that the code itself imports
                raise InputError(
                    f"architecture: {architecture}: {error}; modules are looked for where snakemake runs"
                ) from None
            raise
    if not hasattr(module, name):
        raise InputError(f"architecture: {architecture}: module {place} has no {name}")
    make = getattr(module, name)
    if not callable(make) or isinstance(make, nn.Module):
        kind = type(make).__name__
        raise InputError(f"architecture: {architecture} is a {kind}, it must be a function that returns a torch module")
    return make


def arguments_for(make: Callable[..., Any], architecture: str, classes: int) -> dict[str, int]:
    """Arguments for the function of an architecture. Raises InputError where it needs more than ``num_classes``."""
    if inspect.isclass(make) and make.__init__ is nn.Module.__init__:  # it says that it takes anything, and does not
        return {}
    try:
        signature = inspect.signature(make)
    except ValueError:  # a compiled function need not say what it takes
        return {}
    any_keyword = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in signature.parameters.values())
    arguments = {"num_classes": classes} if "num_classes" in signature.parameters or any_keyword else {}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise InputError(f"architecture: {architecture}: {error}; it is passed num_classes by name") from None
    return arguments


def initial_body(architecture: str, settings: dict[str, Any], channels: int, classes: int, seed: int) -> nn.Module:
    """The torch module of an architecture with initial weights drawn from a seed.

    The function is called with ``settings["arguments"]`` where weights were found to need them.
    Raises InputError where the architecture's function raises, or returns something else than a torch module.
    """
    if architecture == ALEXNET:
        return AlexNet(settings, channels, classes, seed)
    make = builder(architecture)
    arguments = settings["arguments"] if "arguments" in settings else arguments_for(make, architecture, classes)
    with own.refusing(architecture), torch.random.fork_rng():
        torch.manual_seed(derive(seed, "initialisation"))
        body = make(**arguments)
    if not isinstance(body, nn.Module):
        raise InputError(f"architecture: {architecture} returns a {type(body).__name__}, it must be a torch module")
    return body


def logits(body: nn.Module, crops: torch.Tensor, architecture: str) -> torch.Tensor:
    """What a body puts out for crops (N, C, crop, crop): (N, classes). Raises InputError where it is something else."""
    shape = f"{crops.shape[2]}x{crops.shape[3]}x{crops.shape[1]}"
    with own.refusing(f"{architecture} cannot take crops of {shape}"):
        output = body(crops.clone())  # it may work in place
    if not isinstance(output, torch.Tensor) or output.dim() != 2 or len(output) != len(crops):
        returned = tuple(output.shape) if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
        raise InputError(
            f"architecture: {architecture} puts out {returned} for {len(crops)} images, "
            "it must be logits (images, classes)"
        )
    return output


def fitting_layout(body: nn.Module, crops: torch.Tensor, expected: torch.Tensor) -> torch.memory_format:
    """Channels last, where a body takes crops so and puts out what is expected; else contiguous, as its author had it.

    A view of an output, such as ``x.view(len(x), -1)`` behind a convolution, is possible in one of them only.
    """
    body.to(memory_format=torch.channels_last)
    try:
        found = body(crops.contiguous(memory_format=torch.channels_last).clone())
        torch.testing.assert_close(found, expected, rtol=0, atol=SAME * float(expected.abs().max()))
    except Exception:  # code that is not ours
        return torch.contiguous_format
    return torch.channels_last


@torch.no_grad()
def tried_body(
    architecture: str, settings: dict[str, Any], channels: int, classes: int, seed: int
) -> tuple[nn.Module, int, torch.memory_format]:
    """The module of an architecture before training, its number of outputs, and the memory layout in which it runs.

    Raises InputError as ``initial_body`` and ``logits`` do.
    """
    body = initial_body(architecture, settings, channels, classes, seed).eval()
    crops = torch.rand(TRIED, channels, settings["crop"], settings["crop"], generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(derive(seed, "lazy initialisation"))  # of modules that draw their weights now
        expected = logits(body, crops, architecture)
    known = isinstance(body, AlexNet)
    return body, expected.shape[1], torch.channels_last if known else fitting_layout(body, crops, expected)
