"""How many images a configuration's source has, as far as its folder shows before any image is read."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from .images.listing import below, is_image
from .schema import refuse

SPLITS = ("train", "val")
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


def image_files(folder: Path) -> Iterator[Path]:
    """Image files anywhere below a folder, in no order. Raises InputError where a folder cannot be listed."""
    return (folder / name for name, state in below(folder) if state and is_image(name))


def count_files(folder: Path, enough: int | None = None) -> int:
    """Number of image files below a folder; counting stops where there are enough."""
    return sum(1 for _ in islice(image_files(folder), enough))


def check_crops(data: dict[str, Any]) -> None:
    """Refuse crops without the source that they are for, and widths in the wrong order."""
    crops = data.get("crops")
    if (data["source"] == "scenes") != (crops is not None):
        refuse("data.crops", crops, "it goes with data.source: scenes, and only with it")
    if crops and crops["smallest"] > crops["largest"]:
        refuse("data.crops.smallest", crops["smallest"], f"at most largest, {crops['largest']}")


def check_data(data: dict[str, Any]) -> None:
    """Refuse images that are not on the disk or of another size, and crops that do not fit the source."""
    check_crops(data)
    source, folder = data["source"], Path(data["folder"])
    if source in DOWNLOADED and data["size"] != (width := DOWNLOADED[source][0]):
        refuse("data.size", data["size"], f"images of {source} are {width} pixels wide")
    if source not in DOWNLOADED and not folder.is_dir():
        refuse("data.folder", data["folder"], "it must be an existing folder")
    for split in SPLITS if source == "image_folder" else ():
        if not (folder / split).is_dir():
            refuse("data.folder", data["folder"], f"it lacks {split}/, with a folder per class")
    if source == "scenes":
        check_photographs(data)


def check_photographs(data: dict[str, Any]) -> None:
    """Refuse a folder without two photographs, and crops that do not fit into the first one."""
    from .images.decoding import DecodingError, decode  # loads Pillow

    files = sorted(image_files(Path(data["folder"])))
    if len(files) < 2:
        refuse("data.folder", data["folder"], f"it has {len(files)} photographs, at least 2 are needed")
    try:
        width, height = decode(files[0]).size
    except DecodingError:  # said, or skipped, when all are read
        return
    left = int(data["crops"]["left"] * width)
    for split, part in (("training", left), ("validation", width - left)):
        if (largest := data["crops"]["largest"]) > min(part, height):
            place = f"the {split} part of {files[0]}"
            refuse("data.crops.largest", largest, f"at most {min(part, height)}, for {place} is {part}x{height} pixels")


def wanted(config: dict[str, Any]) -> int:
    """How many images have to be counted to know whether there are enough for blocks and batches."""
    sections = ("training", "moments", "stitching", "information", "patches")
    return max(config.get(section, {}).get(key, 0) for section in sections for key in ("batch", "blocks"))


def available(config: dict[str, Any]) -> dict[str, Images]:
    """Images of each split. Unreadable files count: that they are is seen when they are read."""
    data = config["data"]
    folder = Path(data["folder"])
    if data["source"] == "scenes":
        files = count_files(folder)
        return {split: Images(files * data["crops"][split], files) for split in SPLITS}
    if data["source"] == "image_folder":
        counts = {split: count_files(folder / split, wanted(config)) for split in SPLITS}
    else:
        counts = DOWNLOADED[data["source"]][2]
    return {split: Images(count, count) for split, count in counts.items()}
