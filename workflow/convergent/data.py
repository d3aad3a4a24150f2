"""Image sources to the image store: ``images``, ``labels`` and ``group`` of each split, in seeded shuffled order."""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from . import store
from .seeds import derive

SPLITS = ("train", "val")
CROPS = ("train", "val", "smallest", "largest", "left")  # what scenes has to be told
EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}


@dataclass
class Split:
    """Images of one split; ``group`` numbers the source photograph, whose crops are not independent."""

    images: np.ndarray  # (N, H, W, C) uint8
    labels: np.ndarray  # (N,) int32
    group: np.ndarray  # (N,) int32


@dataclass
class Source:
    """All splits of a data set with its class names, licence and the files that could not be read."""

    splits: dict[str, Split]
    classes: list[str]
    licence: str
    skipped: list[Path] = field(default_factory=list)


class Reader:
    """Opens image files as RGB; an unreadable one stops with one line, or is skipped and listed.

    Pillow would clip what has more than 8 bits a channel (modes I and F) instead of scaling it: unreadable too.
    """

    def __init__(self, on_error: str) -> None:
        self.on_error = on_error
        self.skipped: list[Path] = []

    def __call__(self, file: Path) -> Image.Image | None:
        try:
            with Image.open(file) as image:
                if image.mode.startswith(("I", "F")):
                    raise ValueError(f"mode {image.mode}, allowed are those of 8 bits a channel")
                return image.convert("RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            if self.on_error == "stop":
                raise SystemExit(
                    f"{file}: unreadable image ({error}); mend or remove it, or set data.on_error to skip"
                ) from None
            self.skipped.append(file)
            return None


def image_files(folder: Path) -> list[Path]:
    """Image files below a folder, by name."""
    return sorted(f for f in folder.rglob("*") if f.suffix.lower() in EXTENSIONS and f.is_file())


def stack(rows: list[tuple[np.ndarray, int, int]], size: int) -> Split:
    """Images with label and group to one split."""
    images = np.stack([r[0] for r in rows]) if rows else np.empty((0, size, size, 3), np.uint8)
    return Split(images, np.array([r[1] for r in rows], np.int32), np.array([r[2] for r in rows], np.int32))


def crops(photo: Image.Image, count: int, widths: tuple[int, int], size: int, seed: int) -> Iterator[np.ndarray]:
    """Square crops of random place and width, each resized alone so that it sees nothing outside itself."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        width = int(rng.integers(widths[0], widths[1] + 1))
        left, top = (int(rng.integers(0, n - width + 1)) for n in photo.size)
        crop = photo.crop((left, top, left + width, top + width))
        yield np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR))


def require_crops(crop: dict[str, Any]) -> None:
    """Refuse incomplete or impossible settings of the crops with one line."""
    if missing := [key for key in CROPS if key not in crop]:
        raise SystemExit(f"data.crops: {', '.join(missing)} missing; source scenes needs {', '.join(CROPS)}")
    if crop["smallest"] > crop["largest"]:
        raise SystemExit(f"data.crops.smallest: {crop['smallest']}, allowed is up to largest, {crop['largest']}")


def require_names(files: list[Path]) -> None:
    """Refuse two files of one stem with one line: it is the name of a class and the seed of its crops."""
    named: dict[str, Path] = {}
    for file in files:
        if (other := named.setdefault(file.stem, file)) != file:
            raise SystemExit(f"{other} and {file}: both would be class {file.stem}; rename or remove one")


def scenes(folder: Path, size: int, seed: int, reader: Reader, crop: dict[str, Any]) -> Source:
    """Each photograph a class: training crops from its left part, validation crops from the rest."""
    require_crops(crop)
    files = image_files(folder)
    require_names(files)
    classes: list[str] = []
    rows: dict[str, list] = {split: [] for split in SPLITS}
    for file in files:
        photo = reader(file)
        if photo is None:
            continue
        label = len(classes)
        classes.append(file.stem)
        border = int(crop["left"] * photo.width)
        parts = {"train": (0, border), "val": (border, photo.width)}
        for split, (left, right) in parts.items():
            part = photo.crop((left, 0, right, photo.height))
            if min(part.size) < crop["largest"]:
                raise SystemExit(
                    f"{file}: the {split} part is {part.width}x{part.height} pixels, smaller than the largest crop of "
                    f"{crop['largest']}"
                )
            widths = (crop["smallest"], crop["largest"])
            made = crops(part, crop[split], widths, size, derive(seed, "scenes", split, file.stem))
            rows[split] += [(image, label, label) for image in made]
    licence = "CC-BY-SA-3.0, (c) 2011 Massachusetts Institute of Technology (Scratch 1.4 media)"
    return Source({split: stack(rows[split], size) for split in SPLITS}, classes, licence, reader.skipped)


def image_folder(folder: Path, size: int, reader: Reader) -> Source:
    """``train/`` and ``val/`` with one folder a class; every image is warped to a square and is its own group."""
    names = {}
    for split in SPLITS:
        if not (folder / split).is_dir():
            raise SystemExit(f"{folder / split}: no such folder; data.folder needs train/ and val/, a folder per class")
        names[split] = {f.name for f in (folder / split).iterdir() if f.is_dir()}
    for here, there in (SPLITS, SPLITS[::-1]):
        if missing := sorted(names[here] - names[there]):
            raise SystemExit(f"{folder / there}: class {missing[0]} is missing, it is in {here}/ only")
    classes = sorted(names["train"])
    splits = {}
    for split in SPLITS:
        rows: list[tuple[np.ndarray, int, int]] = []
        for label, name in enumerate(classes):
            for file in image_files(folder / split / name):
                image = reader(file)
                if image is not None:
                    pixels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
                    rows.append((pixels, label, len(rows)))
        splits[split] = stack(rows, size)
    return Source(splits, classes, f"as in {folder.name}", reader.skipped)


def torchvision_set(name: str, folder: Path, size: int) -> Source:
    """CIFAR-10 or Fashion-MNIST through torchvision, downloaded to the folder where it is not there yet."""
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "fashion_mnist": datasets.FashionMNIST}[name]
    splits, classes = {}, []
    for split in SPLITS:
        try:
            found = kind(folder, train=split == "train", download=True)
        except (OSError, RuntimeError) as error:
            raise SystemExit(f"{folder}: {name} is not there and could not be downloaded ({error})") from None
        pixels = np.asarray(found.data)
        pixels = pixels.reshape(*pixels.shape[:3], -1)
        if pixels.shape[1] != size:
            raise SystemExit(
                f"data.size: {size}, but images of {name} are {pixels.shape[1]} pixels wide; set it to that"
            )
        count = len(pixels)
        splits[split] = Split(pixels, np.asarray(found.targets, np.int32), np.arange(count, dtype=np.int32))
        classes = list(found.classes)
    return Source(splits, classes, f"see the terms of {name}")


def check(source: Source, name: str) -> None:
    """Refuse a source with too few classes or a class without images, with one line that names it."""
    if len(source.classes) < 2:
        raise SystemExit(f"{name}: {len(source.classes)} classes found, at least 2 are needed")
    for split, part in source.splits.items():
        counts = np.bincount(part.labels, minlength=len(source.classes))
        for label in np.flatnonzero(counts == 0):
            raise SystemExit(f"{name}: class {source.classes[label]} has no images in {split}")


def shuffled(split: Split, seed: int) -> Split:
    """The same rows in an order that depends on the seed alone."""
    order = np.random.default_rng(seed).permutation(len(split.labels))
    return Split(split.images[order], split.labels[order], split.group[order])


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", help="store to write: <folder>/train.zarr/zarr.json")
    parser.add_argument("val", help="store to write: <folder>/val.zarr/zarr.json")
    parser.add_argument("--source", required=True, choices=["scenes", "image_folder", "cifar10", "fashion_mnist"])
    parser.add_argument("--folder", required=True, type=Path, help="where the source's files are, or are downloaded to")
    parser.add_argument("--size", required=True, type=int, help="width and height of a stored image, in pixels")
    parser.add_argument("--seed", required=True, type=int, help="of the crops and the order")
    parser.add_argument("--on-error", default="stop", choices=["stop", "skip"], help="what an unreadable image does")
    parser.add_argument("--crops", type=json.loads, default={}, help=f"JSON: {', '.join(CROPS)} (scenes only)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    if not args.folder.is_dir() and args.source in ("scenes", "image_folder"):
        raise SystemExit(f"data.folder: {args.folder} is not a folder")
    reader = Reader(args.on_error)
    sources: dict[str, Callable[[], Source]] = {
        "scenes": lambda: scenes(args.folder, args.size, args.seed, reader, args.crops),
        "image_folder": lambda: image_folder(args.folder, args.size, reader),
    }
    source = sources.get(args.source, lambda: torchvision_set(args.source, args.folder, args.size))()
    check(source, str(args.folder))
    for split, path in zip(SPLITS, (args.train, args.val), strict=True):
        part = shuffled(source.splits[split], derive(args.seed, "order", split))
        store.save(
            path,
            {"images": part.images, "labels": part.labels, "group": part.group},
            classes=source.classes,
            source=args.source,
            encoding="uint8",
            licence=source.licence,
            skipped=[file.relative_to(args.folder).as_posix() for file in source.skipped],
        )
        print(
            f"{split}: {len(part.labels)} images of {len(source.classes)} classes, {len(source.skipped)} files skipped"
        )


if __name__ == "__main__":
    main()
