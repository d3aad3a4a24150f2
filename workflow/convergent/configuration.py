"""What a configuration must fulfil beyond its schema; a fault is one line with key, value and what is allowed."""

from pathlib import Path
from typing import Any

from .geometry import conv_sizes


def refuse(key: str, value: object, allowed: str) -> None:
    raise SystemExit(f"Configuration, {key}: {value!r} is not possible; {allowed}")


def check(config: dict[str, Any]) -> None:
    """Stop with one line at the first entry that does not fit the others or the disk."""
    data, pair = config["data"], config["figures"]["pair"]
    nets = [f"net{i}" for i in range(len(config["nets"]))]
    seeds = [net["seed"] for net in config["nets"]]
    if len(set(seeds)) < len(seeds):
        refuse("nets", seeds, "each net needs a seed of its own")
    if (data["source"] == "scenes") != ("crops" in data):
        refuse("data.crops", data.get("crops"), "it goes with data.source: scenes, and only with it")
    if data["source"] in ("scenes", "image_folder") and not Path(data["folder"]).is_dir():
        refuse("data.folder", data["folder"], "it must be an existing folder")
    if "crops" in data and data["crops"]["smallest"] > data["crops"]["largest"]:
        refuse("data.crops.smallest", data["crops"]["smallest"], f"at most largest, {data['crops']['largest']}")
    if config["architecture"]["crop"] > data["size"]:
        refuse("architecture.crop", config["architecture"]["crop"], f"at most data.size, {data['size']}")
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
    units, unit = config["architecture"]["conv"][0]["units"], config["figures"]["unit"]
    if unit != "median" and unit >= units:
        refuse("figures.unit", unit, f"median, or a unit of conv1, 0 to {units - 1}")
    if config["clustering"]["range"][0] > config["clustering"]["range"][1]:
        refuse("clustering.range", config["clustering"]["range"], "the fewest comes first")
    one, two = pair.split("-")
    if one not in nets or two not in nets or nets.index(one) >= nets.index(two):
        refuse("figures.pair", pair, f"two different of {', '.join(nets)}, in this order")
