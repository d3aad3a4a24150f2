"""Image sources to the image store: ``images``, ``labels`` and ``group`` of each split, in seeded shuffled order."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .. import store
from ..commands import InputError, command, new_parser
from ..seeds import derive
from . import parts
from .decoding import DecodingError, decode, image_files, refusal

SPLITS = ("train", "val")
CROPS = ("train", "val", "smallest", "largest", "left")  # what scenes has to be told


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
        raise InputError(f"data.crops: {', '.join(missing)} missing; source scenes needs {', '.join(CROPS)}")
    if crop["smallest"] > crop["largest"]:
        raise InputError(f"data.crops.smallest: {crop['smallest']}, allowed is up to largest, {crop['largest']}")


def require_names(files: list[Path]) -> None:
    """Refuse two files of one stem with one line: it is the name of a class and the seed of its crops."""
    named: dict[str, Path] = {}
    for file in files:
        if (other := named.setdefault(file.stem, file)) != file:
            raise InputError(f"{other} and {file}: both would be class {file.stem}; rename or remove one")


def scenes(folder: Path, size: int, seed: int, on_error: str, crop: dict[str, Any]) -> Source:
    """Each photograph a class: training crops from its left part, validation crops from the rest."""
    require_crops(crop)
    files = image_files(folder)
    require_names(files)
    classes: list[str] = []
    skipped: list[Path] = []
    rows: dict[str, list] = {split: [] for split in SPLITS}
    for file in files:
        try:
            photo = decode(file)
        except DecodingError as reason:
            if on_error == "stop":
                raise refusal(file, reason) from None
            skipped.append(file)
            continue
        label = len(classes)
        classes.append(file.stem)
        border = int(crop["left"] * photo.width)
        sides = {"train": (0, border), "val": (border, photo.width)}
        for split, (left, right) in sides.items():
            part = photo.crop((left, 0, right, photo.height))
            if min(part.size) < crop["largest"]:
                raise InputError(
                    f"{file}: the {split} part is {part.width}x{part.height} pixels, smaller than the largest crop of "
                    f"{crop['largest']}"
                )
            widths = (crop["smallest"], crop["largest"])
            made = crops(part, crop[split], widths, size, derive(seed, "scenes", split, file.stem))
            rows[split] += [(image, label, label) for image in made]
    licence = "CC-BY-SA-3.0, (c) 2011 Massachusetts Institute of Technology (Scratch 1.4 media)"
    return Source({split: stack(rows[split], size) for split in SPLITS}, classes, licence, skipped)


@dataclass
class Folder:
    """Files of one split of a folder of classes, class by class and by name, relative to the folder."""

    names: list[str]
    labels: np.ndarray  # (N,) int32


def image_folder(folder: Path) -> tuple[list[str], dict[str, Folder]]:
    """Classes and files of ``train/`` and ``val/`` with one folder a class."""
    found = {}
    for split in SPLITS:
        if not (folder / split).is_dir():
            raise InputError(f"{folder / split}: no such folder; data.folder needs train/ and val/, a folder per class")
        found[split] = {f.name for f in (folder / split).iterdir() if f.is_dir()}
    for here, there in (SPLITS, SPLITS[::-1]):
        if missing := sorted(found[here] - found[there]):
            raise InputError(f"{folder / there}: class {missing[0]} is missing, it is in {here}/ only")
    classes = sorted(found["train"])
    splits = {}
    for split in SPLITS:
        names = [
            [file.relative_to(folder).as_posix() for file in image_files(folder / split / name)] for name in classes
        ]
        labels = np.repeat(np.arange(len(classes), dtype=np.int32), [len(part) for part in names])
        splits[split] = Folder([name for part in names for name in part], labels)
    return classes, splits


def torchvision_set(name: str, folder: Path, size: int) -> Source:
    """CIFAR-10 or Fashion-MNIST through torchvision, downloaded to the folder where it is not there yet."""
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "fashion_mnist": datasets.FashionMNIST}[name]
    splits, classes = {}, []
    for split in SPLITS:
        try:
            found = kind(folder, train=split == "train", download=True)
        except (OSError, RuntimeError) as error:
            raise InputError(f"{folder}: {name} is not there and could not be downloaded ({error})") from None
        pixels = np.asarray(found.data)
        pixels = pixels.reshape(*pixels.shape[:3], -1)
        if pixels.shape[1] != size:
            raise InputError(
                f"data.size: {size}, but images of {name} are {pixels.shape[1]} pixels wide; set it to that"
            )
        count = len(pixels)
        splits[split] = Split(pixels, np.asarray(found.targets, np.int32), np.arange(count, dtype=np.int32))
        classes = list(found.classes)
    return Source(splits, classes, f"see the terms of {name}")


def check(classes: list[str], labels: dict[str, np.ndarray], name: str) -> None:
    """Refuse a source with too few classes or a class without images, with one line that names it."""
    if len(classes) < 2:
        raise InputError(f"{name}: {len(classes)} classes found, at least 2 are needed")
    for split, of_split in labels.items():
        for label in np.flatnonzero(np.bincount(of_split, minlength=len(classes)) == 0):
            raise InputError(f"{name}: class {classes[label]} has no images in {split}")


def shuffle(count: int, seed: int, split: str) -> np.ndarray:
    """The order in which a split is stored; it depends on the seed alone."""
    return np.random.default_rng(derive(seed, "order", split)).permutation(count)


def describe(args: argparse.Namespace, classes: list[str], licence: str, skipped: list[str]) -> dict[str, Any]:
    """Attributes of both stores. Pixels are stored as they are: ``python -m tests.bench images`` compares encodings."""
    return {
        "classes": classes,
        "source": args.source,
        "encoding": "uint8",
        "licence": licence,
        "skipped": skipped,
    }


def say(split: str, count: int, about: dict[str, Any]) -> None:
    print(f"{split}: {count} images of {len(about['classes'])} classes, {len(about['skipped'])} files skipped")


def store_whole(source: Source, args: argparse.Namespace) -> None:
    """Write a source that is in memory."""
    check(source.classes, {split: part.labels for split, part in source.splits.items()}, str(args.folder))
    skipped = [file.relative_to(args.folder).as_posix() for file in source.skipped]
    about = describe(args, source.classes, source.licence, skipped)
    for split, path in zip(SPLITS, (args.train, args.val), strict=True):
        part = source.splits[split]
        order = shuffle(len(part.labels), args.seed, split)
        arrays = {"images": part.images[order], "labels": part.labels[order], "group": part.group[order]}
        store.save(path, arrays, **about)
        say(split, len(order), about)


def store_in_parts(args: argparse.Namespace) -> None:
    """Write a folder of classes; every image is warped to a square and is its own group.

    Records of parts go last, once both stores are complete: an interruption costs no part that is finished.
    """
    classes, files = image_folder(args.folder)
    check(classes, {split: part.labels for split, part in files.items()}, str(args.folder))
    order = {split: shuffle(len(part.labels), args.seed, split) for split, part in files.items()}
    plans = {
        split: parts.plan(path, args.folder, [files[split].names[i] for i in order[split]], args.size)
        for split, path in zip(SPLITS, (args.train, args.val), strict=True)
    }
    workers = min(args.workers, max(len(plan.parts) for plan in plans.values()))
    with parts.processes(workers) as each:
        made = {split: parts.build(plan, each, args.on_error) for split, plan in plans.items()}
    readable = {split: parts.readable(plan, made[split])[np.argsort(order[split])] for split, plan in plans.items()}
    check(classes, {split: part.labels[readable[split]] for split, part in files.items()}, str(args.folder))
    skipped = [files[split].names[i] for split in SPLITS for i in np.flatnonzero(~readable[split])]
    about = describe(args, classes, f"as in {args.folder.name}", skipped)
    for split, plan in plans.items():
        group = np.cumsum(readable[split], dtype=np.int32) - 1
        parts.finish(plan, made[split], files[split].labels[order[split]], group[order[split]], **about)
        say(split, int(readable[split].sum()), about)
    for plan in plans.values():
        parts.forget(plan)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("train", type=Path, help="store to write: <folder>/train.zarr/zarr.json")
    parser.add_argument("val", type=Path, help="store to write: <folder>/val.zarr/zarr.json")
    parser.add_argument("--source", required=True, choices=["scenes", "image_folder", "cifar10", "fashion_mnist"])
    parser.add_argument("--folder", required=True, type=Path, help="where the source's files are, or are downloaded to")
    parser.add_argument("--size", required=True, type=int, help="width and height of a stored image, in pixels")
    parser.add_argument("--seed", required=True, type=int, help="of the crops and the order")
    parser.add_argument("--on-error", default="stop", choices=["stop", "skip"], help="what an unreadable image does")
    parser.add_argument(
        "--workers", default=1, type=int, help="processes that decode a folder; no result depends on it"
    )
    parser.add_argument("--crops", type=json.loads, default={}, help=f"JSON: {', '.join(CROPS)} (scenes only)")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    if not args.folder.is_dir() and args.source in ("scenes", "image_folder"):
        raise InputError(f"data.folder: {args.folder} is not a folder")
    if args.source == "image_folder":
        store_in_parts(args)
    elif args.source == "scenes":
        store_whole(scenes(args.folder, args.size, args.seed, args.on_error, args.crops), args)
    else:
        store_whole(torchvision_set(args.source, args.folder, args.size), args)


if __name__ == "__main__":
    main()
