"""What a configuration must fulfil beyond its schema: entries are compared with each other, the disk and the images.

All of it is found before any work begins. Each refusal is one line with the key, its value and what is allowed.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from . import configuration, memory, photographs
from .authors.runs import mappings_of
from .configuration import module_of, own_code, spatial
from .nets import published
from .nets.architecture import ALEXNET, conv_sizes, module_names, module_units
from .nets.names import DERIVED, net_names
from .nets.snapshots import steps_of
from .photographs import Images
from .schema import conform, refuse

ALEXNET_KEYS = {  # of the section ``architecture``, needed where a net is the preset, and their meaning
    "pixels": "how pixels are standardised",
    "conv": "conv1 to conv5",
    "fc": "fc6 and fc7",
    "dropout": "a share",
}

LAYERED = ("information", "stitching", "clustering")  # stages with layers of their own


def check_architecture(key: str, architecture: str) -> None:
    """Refuse a model that torchvision does not have, and a module that cannot be imported."""
    place = architecture.split(":")[0]
    if place == "torchvision":
        name, known = architecture.split(":")[1], published.models()
        if name not in known:
            near = get_close_matches(name, known) or known
            refuse(key, architecture, f"torchvision has {', '.join(near)}")
    elif not own_code(architecture) and not importable(place.split(".")[0]):
        refuse(key, architecture, f"there is no module {place} where snakemake runs")


def importable(name: str) -> bool:
    """Whether there is a module of this name other than the program that runs."""
    return name != "__main__" and find_spec(name) is not None


def check_preset(config: dict[str, Any], net: int) -> None:
    """Refuse an incomplete section ``architecture``, and layers that the preset does not have."""
    name = net_names(config["nets"])[net]
    for key, meaning in ALEXNET_KEYS.items():
        if key not in config["architecture"]:
            refuse(f"architecture.{key}", None, f"{name} is an alexnet and needs it: {meaning}")
    names, entry = module_names(config["architecture"]), config["nets"][net]
    for layer in config["layers"]:
        if (module := module_of(entry, layer)) not in names:
            key = f"nets.{net}.layers.{layer}" if layer in entry.get("layers", {}) else "layers"
            refuse(key, module, f"{name} is an alexnet and has {', '.join(names)}")


def check_weights(key: str, weights: str, architecture: str) -> None:
    """Refuse weights that are neither a file that can be read nor, for a net of torchvision's, one of its entries."""
    entries = published.of_architecture(architecture)
    if weights not in entries and not (os.path.isfile(weights) and os.access(weights, os.R_OK)):
        names = f", or one of torchvision's, {', '.join(entries)}" if entries else ""
        refuse(key, weights, f"it must be an existing file that can be read{names}")


def check_net(config: dict[str, Any], net: int) -> None:
    """Refuse a net whose weights, layers or architecture do not exist."""
    entry = config["nets"][net]
    check_layers(f"nets.{net}.layers", entry.get("layers", {}), config["layers"])
    for name, values in entry.get("pixels", {}).items():
        if len(values) != (channels := photographs.channels(config["data"])):
            refuse(f"nets.{net}.pixels.{name}", values, f"one number for each channel, of which images have {channels}")
    if entry["architecture"] == ALEXNET:
        check_preset(config, net)
    else:
        check_architecture(f"nets.{net}.architecture", entry["architecture"])
    if "weights" in entry:
        check_weights(f"nets.{net}.weights", entry["weights"], entry["architecture"])


def check_training(config: dict[str, Any]) -> None:
    """Refuse nets to be trained that share a seed or have none, and settings that no training can have."""
    seeds = [entry.get("seed") for entry in config["nets"] if "weights" not in entry]
    if None in seeds or len(set(seeds)) < len(seeds):
        refuse("nets", seeds, "each net that is trained needs a seed of its own")
    if seeds and "training" not in config:
        refuse("training", None, "it is needed where a net has no weights of its own")
    if (training := config.get("training", {})).get("nesterov") and not training["momentum"]:
        refuse("training.nesterov", True, "with training.momentum 0 it must be false")
    if training:
        check_snapshots(training["snapshots"], training["steps"])


def check_snapshots(shares: list[float], steps: int) -> None:
    """Refuse shares that do not ascend, and those after which no weights are left to keep: of one step, or the last."""
    if shares != sorted(shares):
        refuse("training.snapshots", shares, "shares must ascend")
    at = steps_of(shares, steps)
    if len({*at, steps}) <= len(at):
        listed = ", ".join(map(str, at))
        refuse("training.snapshots", shares, f"of {steps} steps these are {listed}; each must be another, not the last")


def check_names(key: str, names: list[str]) -> None:
    """Refuse layers, or nets, whose files some disks do not tell apart."""
    if len({name.casefold() for name in names}) < len(names):
        refuse(key, names, "names must differ by more than capitals")


def check_net_names(nets: list[dict[str, Any]]) -> None:
    """Refuse names of nets that stand for something else: another net's place, a net before its training, a file."""
    for number, entry in enumerate(nets):
        name = entry.get("name", "")
        if re.fullmatch(r"net\d+", name, re.I) and name != f"net{number}":
            refuse(f"nets.{number}.name", name, f"names of this form go by place, this net's is net{number}")
        if DERIVED.search(name.lower()):
            refuse(f"nets.{number}.name", name, "names that end so are those of nets before and in their training")
        if name.lower() == "probe":
            refuse(f"nets.{number}.name", name, "probe.json is another file beside those of the nets")
    check_names("nets", net_names(nets))


def check_sizes(config: dict[str, Any]) -> None:
    """Refuse a crop larger than the images, or too small for the convolutions."""
    if config["architecture"]["crop"] > config["data"]["size"]:
        refuse("architecture.crop", config["architecture"]["crop"], f"at most data.size, {config['data']['size']}")
    if "conv" in config["architecture"]:
        conv_sizes(config["architecture"])


def check_blocks(config: dict[str, Any]) -> None:
    """Refuse more shards than blocks, and fewer images than blocks of them."""
    for section in ("moments", "stitching"):
        shards, blocks = config[section]["shards"], config[section]["blocks"]
        if shards > blocks:
            refuse(f"{section}.shards", shards, f"at most {section}.blocks, {blocks}")
    images, blocks = config["stitching"]["images"], config["stitching"]["blocks"]
    if images < blocks:
        refuse("stitching.images", images, f"at least stitching.blocks, {blocks}")
    evaluated, blocks = config["stitching"]["evaluated"], config["moments"]["blocks"]
    if evaluated != "all" and evaluated < blocks:
        refuse("stitching.evaluated", evaluated, f"all, or at least moments.blocks, {blocks}")


def check_images(config: dict[str, Any], images: Mapping[str, Images]) -> None:
    """Refuse more blocks than there are independent groups, batches larger than the training images, and so on."""
    groups = {"moments": images["val"].groups}
    if config["stitching"]["layers"]:
        groups["stitching"] = photographs.fitted_groups(config, images["train"])
    for section, most in groups.items():
        if (blocks := config[section]["blocks"]) > most:
            refuse(f"{section}.blocks", blocks, f"at most {most}, the number of photographs that its images come from")
    evaluated = config["stitching"]["evaluated"]
    if evaluated != "all" and evaluated > (count := images["val"].number):
        refuse("stitching.evaluated", evaluated, f"all, or at most {count}, the number of validation images")
    trained = any("weights" not in entry for entry in config["nets"])
    if trained and (batch := config["training"]["batch"]) > (count := images["train"].number):
        refuse("training.batch", batch, f"at most {count}, the number of training images")


def check_layers(key: str, chosen: list[str] | dict[str, str], layers: list[str]) -> None:
    """Refuse a layer that is not among ``layers``."""
    for layer in chosen:
        if layer not in layers:
            refuse(key, layer, f"it must be among layers, {', '.join(layers)}")


def check_stages(config: dict[str, Any]) -> None:
    """Refuse stages of which each has an empty list of layers: nothing is left to be made."""
    empty = [section for section in LAYERED if not config[section]["layers"]]
    if set(config["stages"]) <= set(empty):
        refuse("stages", config["stages"], f"nothing is left to be made, {empty[0]}.layers is empty")


def check_pairs(config: dict[str, Any]) -> None:
    """Refuse pairs for the figures that are not of two different nets in their order, and names that two would have."""
    nets, (first, *further) = net_names(config["nets"]), config["figures"]["pairs"]
    for pair in (first, *further):
        if pair not in configuration.between(config):
            key = "figures.pair" if pair == first else "figures.pairs"
            refuse(key, pair, f"two different of {', '.join(nets)}, in this order")
    names = Counter(f"{layer}_{net}" for layer in config["layers"] for net in nets)
    doubled = [name for name, count in names.items() if count > 1]
    if further and doubled:
        refuse("figures.pairs", further, f"{doubled[0]} is a layer and a net in two ways; rename the net")


def preset_units(config: dict[str, Any]) -> dict[str, int]:
    """Units of each module of the preset; empty where no net is one."""
    if all(entry["architecture"] != ALEXNET for entry in config["nets"]):
        return {}
    return module_units(config["architecture"], photographs.classes(config["data"]))


def check_units(config: dict[str, Any], units: Mapping[str, int]) -> None:
    """Refuse a unit for figure 4 that its layer does not have, and as many clusters as units, in nets of the preset.

    Both are of the nets of each pair that is shown. units: of each module of the preset
    """
    entries = dict(zip(net_names(config["nets"]), config["nets"], strict=True))
    for pair in config["figures"]["pairs"]:
        check_units_of(config, [entries[net] for net in pair.split("-")], units)


def check_units_of(config: dict[str, Any], two: list[dict[str, Any]], units: Mapping[str, int]) -> None:
    """``check_units`` of the entries of a pair of nets."""
    unit, clusters = config["figures"]["unit"], config["clustering"]["clusters"]
    presets = [entry for entry in two if entry["architecture"] == ALEXNET]
    for layer in spatial(config, config["stitching"]["layers"])[:1] if two[1] in presets else []:
        known = units[module_of(two[1], layer)]
        if unit != "median" and unit >= known:
            refuse("figures.unit", unit, f"median, or a unit of {layer}, 0 to {known - 1}")
    for layer in config["clustering"]["layers"] if presets == two else []:
        known = sum(units[module_of(entry, layer)] for entry in two)
        if clusters != "auto" and clusters >= known:
            refuse("clustering.clusters", clusters, f"fewer than the {known} units of {layer}")


def check(config: dict[str, Any], room: int) -> None:
    """Raise InputError for the first entry that does not fit the other entries, the disk, the images or the memory.

    The configuration has passed its schema and ``configuration.complete``. room: bytes of memory
    """
    check_names("layers", config["layers"])
    check_net_names(config["nets"])
    check_training(config)
    for net in range(len(config["nets"])):
        check_net(config, net)
    photographs.check_data(config["data"])
    check_sizes(config)
    check_blocks(config)
    for section in LAYERED:
        check_layers(f"{section}.layers", config[section]["layers"], config["layers"])
    check_stages(config)
    check_pairs(config)
    if "published" in config:
        mappings_of(config["published"]["folder"])
    if config["clustering"]["range"][0] > config["clustering"]["range"][1]:
        refuse("clustering.range", config["clustering"]["range"], "the smaller number must come first")
    images, units = photographs.available(config), preset_units(config)
    check_units(config, units)
    memory.check(config, images, units, room)
    check_images(config, images)


def checked(config: Mapping[str, Any], room: int) -> dict[str, Any]:
    """A configuration as all stages take it, complete. Raises InputError for the first entry that is not possible.

    room: bytes of memory that a job may take
    """
    whole = conform(config)
    configuration.complete(whole)
    check(whole, room)
    return whole
