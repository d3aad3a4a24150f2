"""What a configuration must fulfil beyond its schema; a fault is one line with key, value and what is allowed."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .commands import InputError
from .nets.architecture import conv_sizes, conv_units, fully_connected, module_names

ALEXNET_SECTIONS = {
    "pixels": "how pixels are standardised",
    "conv": "conv1 to conv5",
    "fc": "fc6 and fc7",
    "dropout": "a share",
}
# Of pixels from 0 to 1: what most published weights were trained with.
IMAGENET = {"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}


def refuse(key: str, value: object, allowed: str) -> None:
    raise InputError(f"Configuration, {key}: {value!r} is not possible; {allowed}")


def preset_modules(config: dict[str, Any], layer: str) -> list[str]:
    """What a layer is called in the nets that are the preset."""
    entries = [entry for entry in config["nets"] if entry["architecture"] == "alexnet"]
    return [entry.get("layers", {}).get(layer, layer) for entry in entries]


def spatial(config: dict[str, Any], layers: list[str]) -> list[str]:
    """Layers that have positions, as far as the configuration tells: all but those that the preset connects fully."""
    if "fc" not in config["architecture"]:
        return list(layers)
    flat = fully_connected(config["architecture"])
    return [layer for layer in layers if not set(flat).intersection(preset_modules(config, layer))]


def logits(config: dict[str, Any]) -> list[str]:
    """Layers that are the preset's last."""
    if "fc" not in config["architecture"]:
        return []
    last = fully_connected(config["architecture"])[-1]
    return [layer for layer in config["layers"] if last in preset_modules(config, layer)]


def complete(config: dict[str, Any]) -> None:
    """Fill in what has no fixed default: the layers of the stages that take some of them."""
    layers = spatial(config, config["layers"])
    for section, some in (("information", layers[:2]), ("stitching", layers), ("clustering", layers)):
        config[section].setdefault("layers", some)


def net_settings(config: dict[str, Any], net: int) -> dict[str, Any]:
    """Section ``architecture`` as far as a net has to do with it: all of it for the preset, else crop and pixels."""
    entry, section = config["nets"][net], config["architecture"]
    own = {"pixels": entry["pixels"]} if "pixels" in entry else {}
    if entry["architecture"] == "alexnet":
        return section | own
    standard = IMAGENET if "weights" in entry else section.get("pixels", {"mean": "channel", "scale": "unit"})
    return {"crop": section["crop"], "pixels": standard} | own


def own_code(architecture: str) -> list[str]:
    """The file of a user's own architecture, if it lies where snakemake runs."""
    path = Path(*architecture.split(":")[0].split("."))
    files = [path.with_suffix(".py"), path / "__init__.py"]
    return [str(file) for file in files if file.is_file()][:1] if ":" in architecture else []


def check_architecture(key: str, architecture: str) -> None:
    """Stop with one line where torchvision has no model of that name, or there is no such module."""
    place = architecture.split(":")[0]
    if place == "torchvision":
        from .nets.model import builder  # takes seconds to load: only where it is asked for

        builder(architecture)
    elif not own_code(architecture) and find_spec(place.split(".")[0]) is None:
        refuse(key, architecture, f"there is no module {place} where snakemake runs")


def check_nets(config: dict[str, Any]) -> None:
    """Stop with one line at the first net that cannot be made or has not the layers."""
    entries, layers = config["nets"], config["layers"]
    seeds = [entry.get("seed") for entry in entries if "weights" not in entry]
    if None in seeds or len(set(seeds)) < len(seeds):
        refuse("nets", seeds, "each net that is trained needs a seed of its own")
    if seeds and "training" not in config:
        refuse("training", None, "it is needed where a net has no weights of its own")
    for i, entry in enumerate(entries):
        if not Path(entry.get("weights", ".")).exists():
            refuse(f"nets.{i}.weights", entry["weights"], "it must be an existing file")
        for layer in entry.get("layers", {}):
            if layer not in layers:
                refuse(f"nets.{i}.layers", layer, f"it must be among layers, {', '.join(layers)}")
        if entry["architecture"] != "alexnet":
            check_architecture(f"nets.{i}.architecture", entry["architecture"])
            continue
        for key, meaning in ALEXNET_SECTIONS.items():
            if key not in config["architecture"]:
                refuse(f"architecture.{key}", None, f"net{i} is an alexnet and needs it: {meaning}")
        names = module_names(config["architecture"])
        for layer in layers:
            if (module := entry.get("layers", {}).get(layer, layer)) not in names:
                refuse("layers", module, f"net{i} is an alexnet and has {', '.join(names)}")


def check_unit(config: dict[str, Any]) -> None:
    """Stop where figure 4's unit is beyond the units of its layer, as far as the configuration tells their number."""
    unit, stitched = config["figures"]["unit"], spatial(config, config["stitching"]["layers"])
    target = config["nets"][int(config["figures"]["pair"].split("-net")[1]) % len(config["nets"])]
    layer = target.get("layers", {}).get(stitched[0], stitched[0]) if stitched else ""
    units = conv_units(config["architecture"]).get(layer)
    if unit == "median" or target["architecture"] != "alexnet" or units is None:
        return
    if unit >= units:
        refuse("figures.unit", unit, f"median, or a unit of {layer}, 0 to {units - 1}")


def check(config: dict[str, Any]) -> None:
    """Stop with one line at the first entry that does not fit the others or the disk."""
    data, pair = config["data"], config["figures"]["pair"]
    nets = [f"net{i}" for i in range(len(config["nets"]))]
    check_nets(config)
    if (data["source"] == "scenes") != ("crops" in data):
        refuse("data.crops", data.get("crops"), "it goes with data.source: scenes, and only with it")
    if data["source"] in ("scenes", "image_folder") and not Path(data["folder"]).is_dir():
        refuse("data.folder", data["folder"], "it must be an existing folder")
    if "crops" in data and data["crops"]["smallest"] > data["crops"]["largest"]:
        refuse("data.crops.smallest", data["crops"]["smallest"], f"at most largest, {data['crops']['largest']}")
    if config["architecture"]["crop"] > data["size"]:
        refuse("architecture.crop", config["architecture"]["crop"], f"at most data.size, {data['size']}")
    if "conv" in config["architecture"]:
        conv_sizes(config["architecture"])
    for section in ("moments", "stitching"):
        shards, blocks = config[section]["shards"], config[section]["blocks"]
        if shards > blocks:
            refuse(f"{section}.shards", shards, f"at most {section}.blocks, {blocks}")
    for section in ("information", "stitching", "clustering"):
        for layer in config[section]["layers"]:
            if layer not in config["layers"]:
                refuse(f"{section}.layers", layer, f"it must be among layers, {', '.join(config['layers'])}")
    images, blocks = config["stitching"]["images"], config["stitching"]["blocks"]
    if images < blocks:
        refuse("stitching.images", images, f"at least stitching.blocks, {blocks}")
    check_unit(config)
    if config["clustering"]["range"][0] > config["clustering"]["range"][1]:
        refuse("clustering.range", config["clustering"]["range"], "the fewest comes first")
    one, two = pair.split("-")
    if one not in nets or two not in nets or nets.index(one) >= nets.index(two):
        refuse("figures.pair", pair, f"two different of {', '.join(nets)}, in this order")
