"""How many images a configuration's source has, as far as its folder shows before any image is read."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from .images import listing
from .images.groups import key_of, numbered
from .nets.batching import images_at_once
from .schema import refuse

DOWNLOADED = {  # width of an image, channels, images of each split
    "cifar10": (32, 3, {"train": 50_000, "val": 10_000}),
    "fashion_mnist": (28, 1, {"train": 60_000, "val": 10_000}),
}


class Images(NamedTuple):
    """Images of one split. Of folders no more are counted than the configuration needs."""

    number: int
    groups: int  # that are independent of each other: photographs


def channels(data: dict[str, Any]) -> int:
    """Channels of an image."""
    return DOWNLOADED[data["source"]][1] if data["source"] in DOWNLOADED else 3


def at_bad(data: dict[str, Any]) -> listing.Bad:
    """What happens at a bad picture, as ``data.on_error`` says."""
    return listing.refuse if data["on_error"] == "stop" else listing.ignore


def image_names(data: dict[str, Any], split: str) -> Iterator[str]:
    """Names of the image files that images of a split are made of, below the folder. Raises InputError as they do."""
    folder, bad = Path(data["folder"]), at_bad(data)
    if data["source"] == "scenes":
        return listing.images(folder, bad)
    return listing.images_of_split(folder, split, bad)


def count(names: Iterable[str], enough: int | None = None) -> int:
    """Number of names; counting stops where there are enough."""
    return sum(1 for _ in islice(names, enough))


def count_groups(data: dict[str, Any], split: str) -> Images:
    """Images of a split of a folder of classes, and groups of them. Raises InputError where one has no group."""
    names = list(image_names(data, split))
    return Images(len(names), len(set(numbered(names, data["groups"]))))


def total(data: dict[str, Any]) -> int:
    """Number of images of all splits, all files counted."""
    if data["source"] in DOWNLOADED:
        return sum(DOWNLOADED[data["source"]][2].values())
    crops = data["crops"] if data["source"] == "scenes" else dict.fromkeys(listing.SPLITS, 1)
    return sum(count(image_names(data, split)) * crops[split] for split in listing.SPLITS)


def check_crops(data: dict[str, Any]) -> None:
    """Refuse crops without the source that they are for, and widths in the wrong order."""
    crops = data.get("crops")
    if (data["source"] == "scenes") != (crops is not None):
        refuse("data.crops", crops, "it goes with data.source: scenes, and only with it")
    if crops and crops["smallest"] > crops["largest"]:
        refuse("data.crops.smallest", crops["smallest"], f"at most largest, {crops['largest']}")


def check_groups(data: dict[str, Any]) -> None:
    """Refuse groups of a source that knows its own, and those that cannot be used."""
    if groups := data["groups"]:
        if data["source"] != "image_folder":
            refuse("data.groups", groups, "it goes with data.source: image_folder only")
        key_of(groups)


def check_rotate(data: dict[str, Any]) -> None:
    """Refuse to turn images that have no orientation."""
    if data["rotate"] and data["source"] in DOWNLOADED:
        refuse("data.rotate", True, "it goes with data.source: scenes or image_folder only")


def check_data(data: dict[str, Any]) -> None:
    """Refuse images that are not on the disk or of another size, and crops that do not fit the source."""
    check_crops(data)
    check_groups(data)
    check_rotate(data)
    source, folder = data["source"], data["folder"]
    if source in DOWNLOADED and data["size"] != (width := DOWNLOADED[source][0]):
        refuse("data.size", data["size"], f"images of {source} are {width} pixels wide")
    if not os.path.isdir(folder) and (source not in DOWNLOADED or os.path.exists(folder)):
        refuse("data.folder", folder, "it must be an existing folder")
    if (number := classes(data)) < 2:
        refuse("data.folder", folder, f"it has images of {number} classes, at least 2 are needed")
    if source == "scenes":
        check_photographs(data)


def classes(data: dict[str, Any]) -> int:
    """Number of classes: photographs, or folders. Raises InputError where folders are not as they must be."""
    if data["source"] in DOWNLOADED:
        return 10
    if data["source"] == "scenes":
        return count(image_names(data, "train"))
    return len(listing.folders_of_classes(Path(data["folder"]), at_bad(data))["train"])


def check_photographs(data: dict[str, Any]) -> None:
    """Refuse crops that do not fit into the first photograph."""
    from .images.decoding import DecodingError, decode  # loads Pillow

    first = Path(data["folder"], listing.in_order(image_names(data, "train"))[0])
    try:
        width, height = decode(first, data["rotate"]).size
    except DecodingError:  # said, or skipped, when all are read
        return
    left = int(data["crops"]["left"] * width)
    for split, part in (("training", left), ("validation", width - left)):
        if (largest := data["crops"]["largest"]) > min(part, height):
            place = f"the {split} part of {first}"
            refuse("data.crops.largest", largest, f"at most {min(part, height)}, for {place} is {part}x{height} pixels")


def fitted_groups(config: dict[str, Any], train: Images) -> int:
    """Photographs of the training images that mappings are fitted on, or as many as suffice for their blocks."""
    limit, blocks = config["stitching"]["images"], config["stitching"]["blocks"]
    if limit >= train.number or config["data"]["source"] != "scenes":
        return min(limit, train.groups)
    of_each = config["data"]["crops"]["train"]
    if (at_least := -(-limit // of_each)) >= blocks:
        return at_least
    from .images.build import shuffle  # loads numpy

    order = shuffle(train.number, config["data"]["seed"], "train")
    return len(set((order[:limit] // of_each).tolist()))


def batch_of(config: dict[str, Any], section: str) -> int:
    """Images in one forward pass of a stage, on the CPU where it is chosen by the device; 0 where it has no passes."""
    batch = config.get(section, {}).get("batch", 0)
    return images_at_once(config["architecture"]["crop"], channels(config["data"])) if batch == "auto" else batch


def wanted(config: dict[str, Any]) -> int:
    """How many images have to be counted to know whether there are enough for blocks and batches."""
    sections = ("training", "moments", "stitching", "information", "patches")
    evaluated = config["stitching"]["evaluated"]
    numbers = [max(batch_of(config, section), config.get(section, {}).get("blocks", 0)) for section in sections]
    return max(*numbers, 0 if evaluated == "all" else evaluated)


def available(config: dict[str, Any]) -> dict[str, Images]:
    """Images of each split. Unreadable files count: that they are is seen when they are read."""
    data = config["data"]
    if data["source"] == "scenes":
        files = count(image_names(data, "train"))
        return {split: Images(files * data["crops"][split], files) for split in listing.SPLITS}
    if data["source"] == "image_folder" and data["groups"]:
        return {split: count_groups(data, split) for split in listing.SPLITS}
    if data["source"] == "image_folder":
        counts = {split: count(image_names(data, split), wanted(config)) for split in listing.SPLITS}
    else:
        counts = DOWNLOADED[data["source"]][2]
    return {split: Images(number, number) for split, number in counts.items()}
