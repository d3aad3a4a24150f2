"""What holds of a configuration beyond its schema: checks, and values that the rules derive from it.

The schema says which keys there are and of which type. Here entries are compared with each other and with the disk,
before any work begins. Each refusal is one line with the key, its value and what is allowed.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .commands import InputError
from .nets.architecture import ALEXNET, conv_sizes, conv_units, fully_connected, module_names

ALEXNET_KEYS = {  # of the section ``architecture``, needed where a net is the preset, and their meaning
    "pixels": "how pixels are standardised",
    "conv": "conv1 to conv5",
    "fc": "fc6 and fc7",
    "dropout": "a share",
}
# Of pixels from 0 to 1. Most published weights were trained with them.
IMAGENET_PIXELS = {"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}


def refuse(key: str, value: object, allowed: str) -> None:
    """Raise InputError for the value of a key. ``allowed`` says what may stand there instead."""
    raise InputError(f"Configuration, {key}: {value!r} is not possible; {allowed}")


def module_of(entry: dict[str, Any], layer: str) -> str:
    """Name of the module that a layer stands for in the net of an entry of ``nets``."""
    return entry.get("layers", {}).get(layer, layer)


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


def complete(config: dict[str, Any]) -> None:
    """Fill in the layers of the stages that name none. The schema cannot: they depend on ``layers``.

    Of the layers with positions ``information`` takes the first two, ``stitching`` and ``clustering`` take all.
    """
    layers = spatial(config, config["layers"])
    for section, default in (("information", layers[:2]), ("stitching", layers), ("clustering", layers)):
        config[section].setdefault("layers", default)


def net_settings(config: dict[str, Any], net: int) -> dict[str, Any]:
    """The part of the section ``architecture`` that net number ``net`` is made from, with the net's own ``pixels``.

    For the preset it is the whole section, for any other net ``crop`` and ``pixels``. Such a net that names no pixels
    has ImageNet's if its weights are given, else those of the section.
    """
    entry, section = config["nets"][net], config["architecture"]
    pixels = {"pixels": entry["pixels"]} if "pixels" in entry else {}
    if entry["architecture"] == ALEXNET:
        return section | pixels
    default = IMAGENET_PIXELS if "weights" in entry else section.get("pixels", {"mean": "channel", "scale": "unit"})
    return {"crop": section["crop"], "pixels": default} | pixels


def own_code(architecture: str) -> list[str]:
    """File of a user's own architecture, ``package.module:function``, in a list.

    The list is empty for other architectures, and where the module does not lie in the folder snakemake runs in.
    """
    path = Path(*architecture.split(":")[0].split("."))
    files = [path.with_suffix(".py"), path / "__init__.py"]
    return [str(file) for file in files if file.is_file()][:1] if ":" in architecture else []


def check_architecture(key: str, architecture: str) -> None:
    """Refuse a model that torchvision does not have, and a module that cannot be imported."""
    place = architecture.split(":")[0]
    if place == "torchvision":
        from .nets.model import builder  # loads torch, which takes seconds

        builder(architecture)
    elif not own_code(architecture) and find_spec(place.split(".")[0]) is None:
        refuse(key, architecture, f"there is no module {place} where snakemake runs")


def check_preset(config: dict[str, Any], net: int) -> None:
    """Refuse an incomplete section ``architecture``, and layers that the preset does not have."""
    for key, meaning in ALEXNET_KEYS.items():
        if key not in config["architecture"]:
            refuse(f"architecture.{key}", None, f"net{net} is an alexnet and needs it: {meaning}")
    names, entry = module_names(config["architecture"]), config["nets"][net]
    for layer in config["layers"]:
        if (module := module_of(entry, layer)) not in names:
            key = f"nets.{net}.layers.{layer}" if layer in entry.get("layers", {}) else "layers"
            refuse(key, module, f"net{net} is an alexnet and has {', '.join(names)}")


def check_net(config: dict[str, Any], net: int) -> None:
    """Refuse a net whose weights, layers or architecture do not exist."""
    entry = config["nets"][net]
    if not Path(entry.get("weights", ".")).exists():
        refuse(f"nets.{net}.weights", entry["weights"], "it must be an existing file")
    check_layers(f"nets.{net}.layers", entry.get("layers", {}), config["layers"])
    if entry["architecture"] == ALEXNET:
        check_preset(config, net)
    else:
        check_architecture(f"nets.{net}.architecture", entry["architecture"])


def check_training(config: dict[str, Any]) -> None:
    """Refuse nets to be trained that share a seed or have none, and a configuration that does not say how to train."""
    seeds = [entry.get("seed") for entry in config["nets"] if "weights" not in entry]
    if None in seeds or len(set(seeds)) < len(seeds):
        refuse("nets", seeds, "each net that is trained needs a seed of its own")
    if seeds and "training" not in config:
        refuse("training", None, "it is needed where a net has no weights of its own")


def check_data(data: dict[str, Any]) -> None:
    """Refuse images that are not on the disk, and crops that do not fit the source."""
    if (data["source"] == "scenes") != ("crops" in data):
        refuse("data.crops", data.get("crops"), "it goes with data.source: scenes, and only with it")
    if data["source"] in ("scenes", "image_folder") and not Path(data["folder"]).is_dir():
        refuse("data.folder", data["folder"], "it must be an existing folder")
    if "crops" in data and data["crops"]["smallest"] > data["crops"]["largest"]:
        refuse("data.crops.smallest", data["crops"]["smallest"], f"at most largest, {data['crops']['largest']}")


def check_sizes(config: dict[str, Any]) -> None:
    """Refuse a crop larger than the images, or too small for the convolutions."""
    if config["architecture"]["crop"] > config["data"]["size"]:
        refuse("architecture.crop", config["architecture"]["crop"], f"at most data.size, {config['data']['size']}")
    if "conv" in config["architecture"]:
        conv_sizes(config["architecture"])


def check_blocks(config: dict[str, Any]) -> None:
    """Refuse more shards than blocks, and fewer images than blocks."""
    for section in ("moments", "stitching"):
        shards, blocks = config[section]["shards"], config[section]["blocks"]
        if shards > blocks:
            refuse(f"{section}.shards", shards, f"at most {section}.blocks, {blocks}")
    images, blocks = config["stitching"]["images"], config["stitching"]["blocks"]
    if images < blocks:
        refuse("stitching.images", images, f"at least stitching.blocks, {blocks}")


def check_layers(key: str, chosen: list[str] | dict[str, str], layers: list[str]) -> None:
    """Refuse a layer that is not among ``layers``."""
    for layer in chosen:
        if layer not in layers:
            refuse(key, layer, f"it must be among layers, {', '.join(layers)}")


def check_pair(config: dict[str, Any]) -> None:
    """Refuse a pair for the figures that is not of two different nets in their order."""
    pair, nets = config["figures"]["pair"], [f"net{i}" for i in range(len(config["nets"]))]
    one, two = pair.split("-")
    if one not in nets or two not in nets or nets.index(one) >= nets.index(two):
        refuse("figures.pair", pair, f"two different of {', '.join(nets)}, in this order")


def check_unit(config: dict[str, Any]) -> None:
    """Refuse a unit for figure 4 that its layer does not have. Only a convolution of the preset is known here."""
    unit, layers = config["figures"]["unit"], spatial(config, config["stitching"]["layers"])
    target = config["nets"][int(config["figures"]["pair"].split("-net")[1])]
    if unit == "median" or not layers or target["architecture"] != ALEXNET:
        return
    layer = module_of(target, layers[0])
    units = conv_units(config["architecture"]).get(layer)
    if units is not None and unit >= units:
        refuse("figures.unit", unit, f"median, or a unit of {layer}, 0 to {units - 1}")


def check(config: dict[str, Any]) -> None:
    """Raise InputError for the first entry that does not fit the other entries or the disk.

    The configuration has passed its schema and ``complete``.
    """
    check_training(config)
    for net in range(len(config["nets"])):
        check_net(config, net)
    check_data(config["data"])
    check_sizes(config)
    check_blocks(config)
    for section in ("information", "stitching", "clustering"):
        check_layers(f"{section}.layers", config[section]["layers"], config["layers"])
    check_pair(config)
    check_unit(config)
    if config["clustering"]["range"][0] > config["clustering"]["range"][1]:
        refuse("clustering.range", config["clustering"]["range"], "the smaller number must come first")
