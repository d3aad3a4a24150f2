"""What follows from the configuration's section ``architecture`` alone; it does not load torch."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from ..commands import InputError

ALEXNET = "alexnet"  # the architecture that the section describes


class ModuleSpec(NamedTuple):
    """One module of an AlexNet and the entry of the configuration that describes it."""

    kind: str  # conv, relu, pool, lrn, flatten, fc or drop
    number: int | None  # of the layer, from 1; None for the one flatten
    entry: Mapping[str, Any]  # of ``conv``, ``fc`` or ``logits``; empty for flatten

    @property
    def name(self) -> str:
        return self.kind if self.number is None else f"{self.kind}{self.number}"


def modules(architecture: Mapping[str, Any]) -> list[ModuleSpec]:
    """Modules of an AlexNet in the order in which they run; the last gives the logits.

    >>> [module.name for module in modules({"conv": [{"units": 8, "pool": [3, 2]}], "fc": [{"units": 9}]})]
    ['conv1', 'relu1', 'pool1', 'flatten', 'fc2', 'relu2', 'drop2', 'fc3']
    """
    walk = []
    for number, conv in enumerate(architecture["conv"], 1):
        kinds = ["conv", "relu", *(["pool"] if "pool" in conv else []), *(["lrn"] if conv.get("lrn") else [])]
        walk += [ModuleSpec(kind, number, conv) for kind in kinds]
    walk.append(ModuleSpec("flatten", None, {}))
    first = len(architecture["conv"]) + 1
    for number, fc in enumerate(architecture["fc"], first):
        walk += [ModuleSpec(kind, number, fc) for kind in ("fc", "relu", "drop")]
    return [*walk, ModuleSpec("fc", first + len(architecture["fc"]), architecture.get("logits", {}))]


def module_names(architecture: Mapping[str, Any]) -> list[str]:
    """Names of the modules of an AlexNet in the order in which they run."""
    return [module.name for module in modules(architecture)]


def fully_connected(architecture: Mapping[str, Any]) -> list[str]:
    """Names of the modules whose output has no positions, in order; the last gives the logits."""
    names = module_names(architecture)
    return names[names.index("flatten") :]


def conv_units(architecture: Mapping[str, Any]) -> dict[str, int]:
    """Number of units of each convolution by its name; empty where the section describes no AlexNet."""
    if "conv" not in architecture:
        return {}
    walk = modules({"fc": [], **architecture})
    return {module.name: module.entry["units"] for module in walk if module.kind == "conv"}


def conv_sizes(architecture: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Width in pixels of each convolution's output, before and after its pooling.

    Raises InputError where a convolution or a pooling leaves no pixel of the crop.
    """
    width, sizes = architecture["crop"], []
    for number, conv in enumerate(architecture["conv"], 1):
        convolved = (width + 2 * conv.get("padding", 0) - conv["kernel"]) // conv.get("stride", 1) + 1
        kernel, stride = conv.get("pool", (1, 1))
        width = (convolved - kernel) // stride + 1
        if convolved < 1 or width < 1:
            raise InputError(
                f"architecture.conv: nothing is left of a crop of {architecture['crop']} pixels after conv{number}; "
                "allow larger crops or smaller kernels, strides and pooling"
            )
        sizes.append((convolved, width))
    return sizes


def module_positions(architecture: Mapping[str, Any]) -> dict[str, int]:
    """Number of positions of each module of an AlexNet by its name, in their order; 1 from ``flatten`` on.

    Raises InputError as ``conv_sizes`` does.
    """
    positions, sizes = {}, conv_sizes(architecture)
    for module in modules(architecture):
        convolved, pooled = dict(enumerate(sizes, 1)).get(module.number or 0, (1, 1))
        positions[module.name] = (convolved if module.kind in ("conv", "relu") else pooled) ** 2
    return positions


def module_units(architecture: Mapping[str, Any], classes: int) -> dict[str, int]:
    """Number of units of each module of an AlexNet by its name, in their order; the last has as many as classes.

    Raises InputError as ``conv_sizes`` does.
    """
    units, count = {}, 0
    *walk, last = modules(architecture)
    for module in walk:
        if module.kind == "flatten":
            count *= conv_sizes(architecture)[-1][1] ** 2
        units[module.name] = count = module.entry.get("units", count)
    return {**units, last.name: classes}


def multiply_adds(architecture: Mapping[str, Any], channels: int, classes: int) -> int:
    """Multiplications of one forward pass of a crop.

    Raises InputError as ``conv_sizes`` does.
    """
    total = 0
    for conv, (width, _) in zip(architecture["conv"], conv_sizes(architecture), strict=True):
        total += width**2 * conv["kernel"] ** 2 * channels * conv["units"]
        channels = conv["units"]
    units = module_units(architecture, classes)
    neurons = [units[module.name] for module in modules(architecture) if module.kind in ("flatten", "fc")]
    return total + sum(before * after for before, after in pairwise(neurons))
