"""Bytes of a run's large results, from its configuration alone: images, moments, mappings, and pictures of units.

Units of nets other than the preset are not known before these are built; the estimate leaves them out.
"""

import os
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

from workflow.convergent.configuration import module_of
from workflow.convergent.images.listing import is_image
from workflow.convergent.nets.architecture import ALEXNET, conv_units, fully_connected

DOWNLOADED = {"cifar10": (60_000, 10), "fashion_mnist": (70_000, 10)}  # images and classes
NUMBER = 8  # bytes of a float64
TOP, THUMBNAIL = 9, 64  # pictures of a unit; width of those of a unit without positions (patches.pictures)


def images_below(folder: Path) -> int:
    """Number of images anywhere below a folder."""
    return sum(is_image(name) for _, _, names in os.walk(folder, followlinks=True) for name in names)


def images_and_classes(data: dict[str, Any]) -> tuple[int, int]:
    """Number of images of both splits, and of classes."""
    if data["source"] in DOWNLOADED:
        return DOWNLOADED[data["source"]]
    folder = Path(data["folder"])
    if data["source"] == "scenes":
        photographs = images_below(folder)
        return photographs * (data["crops"]["train"] + data["crops"]["val"]), photographs
    return images_below(folder / "train") + images_below(folder / "val"), len(list((folder / "train").glob("[!.]*/")))


def channels(config: dict[str, Any]) -> int:
    return 1 if config["data"]["source"] == "fashion_mnist" else 3


def units(config: dict[str, Any], net: int, layer: str, classes: int) -> int:
    """Number of units of a layer; 0 where it is not known."""
    entry, section = config["nets"][net], config["architecture"]
    if entry["architecture"] != ALEXNET:
        return 0
    widths = [each["units"] for each in section["fc"]] + [classes]
    connected = [name for name in fully_connected(section) if name.startswith("fc")]
    known = conv_units(section) | dict(zip(connected, widths, strict=True))
    return known.get(module_of(entry, layer), 0)


def moments(config: dict[str, Any], section: str, layers: list[str], classes: int) -> int:
    """Bytes of one pass: co-moments of all pairs of nets, by blocks, in shards and merged."""
    wide, blocks, shards = config["moments"]["wide"], config[section]["blocks"], config[section]["shards"]
    total = 0
    for layer in layers:
        widths = [units(config, net, layer, classes) for net in range(len(config["nets"]))]
        widths += widths[:1] if layer in config["stitching"]["layers"] else []  # the control
        kept = min(blocks, wide["blocks"]) if sum(widths) >= wide["units"] else blocks
        pairs = sum(a * b for a, b in combinations_with_replacement(widths, 2))
        total += pairs * NUMBER * (max(kept, shards) + kept + 1)  # merged with their sum
    return total


def mappings(config: dict[str, Any], classes: int) -> int:
    """Bytes of all mappings: of each ordered pair of nets, of a net to itself, and of the control."""
    nets, its = len(config["nets"]), config["stitching"]
    points = len(its["decays"]) + len(its["alphas"]) + 1
    squares = sum(units(config, 0, layer, classes) ** 2 for layer in its["layers"])
    return (nets * (nets - 1) + 2) * points * squares * NUMBER


def receptive_fields(architecture: dict[str, Any]) -> dict[str, int]:
    """Width in pixels of what a unit of each convolution sees, at most the crop."""
    width, step, fields = 1, 1, {}
    for number, conv in enumerate(architecture["conv"], 1):
        width += (conv["kernel"] - 1) * step
        step *= conv.get("stride", 1)
        fields[f"conv{number}"] = min(width, architecture["crop"])
        kernel, stride = conv.get("pool", (1, 1))
        width, step = width + (kernel - 1) * step, step * stride
    return fields


def pictures(config: dict[str, Any], classes: int) -> int:
    """Bytes of the pictures of all units: a patch and its deconvolution, or a thumbnail."""
    fields = receptive_fields(config["architecture"]) if "conv" in config["architecture"] else {}
    thumbnail = min(THUMBNAIL, config["architecture"]["crop"]) ** 2
    total = 0
    for net, entry in enumerate(config["nets"]):
        for layer in config["layers"]:
            module = module_of(entry, layer)
            pixels = 2 * fields[module] ** 2 if module in fields else thumbnail
            total += units(config, net, layer, classes) * TOP * pixels * channels(config)
    return total


def estimate(config: dict[str, Any]) -> dict[str, int]:
    """Bytes by folder of a run. The configuration is complete."""
    images, classes = images_and_classes(config["data"])
    return {
        "images": images * config["data"]["size"] ** 2 * channels(config),
        "moments": moments(config, "moments", config["layers"], classes)
        + moments(config, "stitching", config["stitching"]["layers"], classes),
        "stitching": mappings(config, classes),
        "patches": pictures(config, classes),
    }
