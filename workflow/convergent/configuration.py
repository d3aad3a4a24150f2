"""What follows from a configuration: layers of each stage, modules, settings of each net."""

import os
from itertools import combinations
from typing import Any

from .nets import published
from .nets.architecture import ALEXNET, fully_connected, module_units
from .nets.names import net_names
from .sources import own_sources
from .tracked import file_digest

# Of pixels from 0 to 1. Most published weights were trained with them.
IMAGENET_PIXELS = {"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}


def module_of(entry: dict[str, Any], layer: str) -> str:
    """Name of the module that a layer stands for in the net of an entry of ``nets``."""
    its = entry.get("layers", {}).get(layer, layer)
    return its if isinstance(its, str) else its.get("module", layer)


def preset_modules(config: dict[str, Any], layer: str) -> list[str]:
    """Names of the modules that a layer stands for in the nets that are the preset, one for each such net."""
    return [module_of(entry, layer) for entry in config["nets"] if entry["architecture"] == ALEXNET]


def spatial(config: dict[str, Any], layers: list[str]) -> list[str]:
    """Those of ``layers`` that have positions, as far as the configuration tells.

    A layer has none if it is fully connected in a net that is the preset. The modules of other nets are not known
    here: a layer that only they have counts as one with positions.
    """
    if "fc" not in config["architecture"]:
        return list(layers)
    without_positions = fully_connected(config["architecture"])
    return [layer for layer in layers if not set(without_positions).intersection(preset_modules(config, layer))]


def logits(config: dict[str, Any]) -> list[str]:
    """Layers that are the logits of a net that is the preset."""
    if "fc" not in config["architecture"]:
        return []
    last = fully_connected(config["architecture"])[-1]
    return [layer for layer in config["layers"] if last in preset_modules(config, layer)]


def units(config: dict[str, Any], net: int, layer: str, classes: int) -> int:
    """Number of units of a layer in net number ``net``; 0 where the net is not the preset, so that it is not known."""
    entry = config["nets"][net]
    if entry["architecture"] != ALEXNET:
        return 0
    return module_units(config["architecture"], classes).get(module_of(entry, layer), 0)


def widths(config: dict[str, Any], layer: str, classes: int) -> list[int]:
    """``units`` of the nets that take part in a layer's moments: all nets, and where these are mapped their twins."""
    of_nets = [units(config, net, layer, classes) for net in range(len(config["nets"]))]
    return of_nets + [of_nets[net] for net in trained(config) if layer in config["stitching"]["layers"]]


def trained(config: dict[str, Any]) -> list[int]:
    """Numbers of the nets that are trained here. The others have weights of the user's own."""
    return [number for number, entry in enumerate(config["nets"]) if "weights" not in entry]


def twinned(config: dict[str, Any], classes: int) -> list[str]:
    """Layers in which nets before training are compared: all but wide ones, as far as the configuration tells.

    None where fewer than two nets are trained here, or where stage ``evidence`` is off. What nets other than the preset
    are before training is known, but not how many units they have: a layer that only they have counts as one that is
    not wide.
    """
    if len(trained(config)) < 2 or "evidence" not in config["stages"]:
        return []
    wide = config["moments"]["wide"]["units"]
    return [layer for layer in config["layers"] if sum(widths(config, layer, classes)) < wide]


def snapshot_blocks(config: dict[str, Any]) -> int:
    """Blocks that a layer which is not wide keeps of the moments of snapshots: a quarter, but four where there are.

    All blocks of all snapshots would take most of a run's disk.
    """
    blocks = config["moments"]["blocks"]
    return max(blocks // 4, min(4, blocks))


def between(config: dict[str, Any]) -> list[str]:
    """All pairs of different nets, in the order of the nets."""
    return [f"{a}-{b}" for a, b in combinations(net_names(config["nets"]), 2)]


def complete(config: dict[str, Any]) -> None:
    """Fill in the layers of the stages that name none, no layers of those that are off, and the pairs of the figures.

    The schema cannot: they depend on ``layers`` and ``nets``. Of the layers with positions ``information`` takes the
    first two, ``stitching`` and ``clustering`` take all.
    """
    figures, every = config["figures"], between(config)
    pairs = every if figures.get("pairs") == "all" else figures.get("pairs", [])
    figures.setdefault("pair", [*pairs, *every][0])
    figures["pairs"] = list(dict.fromkeys([figures["pair"], *pairs]))
    layers = spatial(config, config["layers"])
    for section, default in (("information", layers[:2]), ("stitching", layers), ("clustering", layers)):
        if section in config["stages"]:
            config[section].setdefault("layers", default)
        else:
            config[section]["layers"] = []


def net_settings(config: dict[str, Any], net: int) -> dict[str, Any]:
    """The part of the section ``architecture`` that net number ``net`` is made from, with the net's own ``pixels``.

    For the preset it is the whole section, for any other net ``crop`` and ``pixels``. Such a net that names no pixels
    has ImageNet's if its weights are given, else those of the section; with weights of torchvision's it has none here,
    because they say which pixels they were trained with.
    """
    entry, section = config["nets"][net], config["architecture"]
    pixels = {"pixels": entry["pixels"]} if "pixels" in entry else {}
    if entry["architecture"] == ALEXNET:
        return section | pixels
    if entry.get("weights") in published.of_architecture(entry["architecture"]):
        return {"crop": section["crop"]} | pixels
    default = IMAGENET_PIXELS if "weights" in entry else section.get("pixels", {"mean": "channel", "scale": "unit"})
    return {"crop": section["crop"], "pixels": default} | pixels


def same_weights(config: dict[str, Any]) -> list[str]:
    """A line for the nets that have equal weights of the user's own, which need not be in the same file."""
    names: dict[Any, list[str]] = {}
    for name, entry in zip(net_names(config["nets"]), config["nets"], strict=True):
        if file := entry.get("weights"):
            known = file_digest(file) if os.path.isfile(file) else (entry["architecture"], file)
            names.setdefault(known, []).append(name)
    return [
        f"Warning: {', '.join(nets)} have the same weights; how alike they are says nothing of learning."
        for nets in names.values()
        if len(nets) > 1
    ]


def own_code(architecture: str) -> list[str]:
    """Files of a user's own architecture, ``package.module:function``: its module and all that it imports.

    Only files that lie in the folder snakemake runs in. The list is empty for other architectures.
    """
    return own_sources(architecture.split(":")[0]) if ":" in architecture else []
