"""What follows from an architecture alone, without torch."""

from typing import Any

from ..commands import InputError


def module_names(architecture: dict[str, Any]) -> list[str]:
    """Names of the modules of an AlexNet, in order: of a layer, and of what follows it."""
    names = []
    for i, conv in enumerate(architecture["conv"], 1):
        names += [f"conv{i}", f"relu{i}"]
        names += [f"pool{i}"] if "pool" in conv else []
        names += [f"lrn{i}"] if conv.get("lrn") else []
    names += ["flatten"]
    first = len(architecture["conv"]) + 1
    for i in range(first, first + len(architecture["fc"])):
        names += [f"fc{i}", f"relu{i}", f"drop{i}"]
    return [*names, f"fc{first + len(architecture['fc'])}"]


def fully_connected(architecture: dict[str, Any]) -> list[str]:
    """Names of the modules that have no positions, in order; the last gives the logits."""
    names = module_names(architecture)
    return names[names.index("flatten") :]


def conv_units(architecture: dict[str, Any]) -> dict[str, int]:
    """Number of units of each convolution by its name."""
    return {f"conv{i}": conv["units"] for i, conv in enumerate(architecture.get("conv", []), 1)}


def conv_sizes(architecture: dict[str, Any]) -> list[tuple[int, int]]:
    """Width of each convolution's output and of what its pooling leaves of it; one line where nothing is left."""
    width, sizes = architecture["crop"], []
    for i, conv in enumerate(architecture["conv"], 1):
        made = (width + 2 * conv.get("padding", 0) - conv["kernel"]) // conv.get("stride", 1) + 1
        kernel, stride = conv.get("pool", (1, 1))
        left = (made - kernel) // stride + 1
        if made < 1 or left < 1:
            raise InputError(
                f"architecture.conv: nothing is left of a crop of {architecture['crop']} pixels after conv{i}; "
                "allow larger crops or smaller kernels, strides and pooling"
            )
        sizes.append((made, left))
        width = left
    return sizes
