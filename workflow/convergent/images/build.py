"""Images of a data set to two stores, train and val: ``images``, ``labels``, ``group``, ``names`` in a shuffled order.

An image's ``group`` is the number of the photograph that it was made from. Crops of one photograph are not independent,
and later stages keep them together.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from .. import store
from ..commands import InputError, command, new_parser
from ..seeds import derive
from . import parts
from .datasets import ImageSettings, Source, at_bad, crop_settings, file_list, scenes, torchvision_set
from .groups import numbered
from .listing import SPLITS, LeftOut, folders_of_classes
from .names import ARRAY, as_array
from .workers import parallel_map


def require_classes(classes: list[str], labels: dict[str, np.ndarray], name: str) -> None:
    """Raise InputError where a source has less than two classes, or a class has no images in a split."""
    if len(classes) < 2:
        raise InputError(f"{name}: {len(classes)} classes found, at least 2 are needed")
    for split, of_split in labels.items():
        for label in np.flatnonzero(np.bincount(of_split, minlength=len(classes)) == 0):
            raise InputError(f"{name}: class {classes[label]} has no images in {split}")


def shuffle(count: int, seed: int, split: str) -> np.ndarray:
    """The order in which the images of a split are stored (count,), drawn by seed and split alone."""
    return np.random.default_rng(derive(seed, "order", split)).permutation(count)


def describe(
    settings: ImageSettings, classes: list[str], licence: str, skipped: list[str], left_out: LeftOut
) -> dict[str, Any]:
    """Attributes of both stores. Pixels are stored raw: ``python -m tests.bench images`` compares encodings."""
    return {
        "kind": "images",
        "classes": classes,
        "source": settings.source,
        "encoding": "uint8",
        "licence": licence,
        "rotate": settings.rotate,
        "skipped": skipped,
        "left_out": left_out.attribute(),
    }


def report(split: str, count: int, attributes: dict[str, Any], turned: int) -> None:
    """Print a line about a finished store, and one where images lie otherwise than they are to be seen."""
    classes, skipped = len(attributes["classes"]), len(attributes["skipped"])
    print(f"{split}: {count} images of {classes} classes, {skipped} files skipped")
    if turned:
        print(f"{split}: the EXIF orientation of {turned} files is not applied; data.rotate: true applies it")


def report_listing(left_out: LeftOut, classes: dict[str, dict[str, list[str]]]) -> None:
    """Print what was left out of a folder, and which folders are one class. classes: split -> class -> its folders"""
    for folders in (folders for of_split in classes.values() for folders in of_split.values() if len(folders) > 1):
        print(
            f"one class in {len(folders)} folders, whose names differ only in Unicode: {', '.join(map(ascii, folders))}"
        )
    for line in left_out.lines():
        print(line, flush=True)


def store_whole(source: Source, settings: ImageSettings, paths: dict[str, Path], left_out: LeftOut) -> None:
    """Write the stores of a source that is in memory; ``paths`` holds the declared file of each split."""
    report_listing(left_out, {})
    labels = {split: images.labels for split, images in source.splits.items()}
    require_classes(source.classes, labels, str(settings.folder))
    skipped = [file.relative_to(settings.folder).as_posix() for file in source.skipped]
    attributes = describe(settings, source.classes, source.licence, skipped, left_out)
    for split, path in paths.items():
        images = source.splits[split]
        order = shuffle(len(images.labels), settings.seed, split)
        arrays = {"images": images.images[order], "labels": images.labels[order], "group": images.group[order]}
        arrays[ARRAY] = as_array(images.names)[order]
        store.save(path, arrays, **attributes, split=split, turned=source.turned)
        report(split, len(order), attributes, source.turned)


def store_in_parts(settings: ImageSettings, paths: dict[str, Path]) -> None:
    """Write the stores of a folder of classes; every image is warped to a square.

    The records of parts are removed last, once both stores are complete: an interruption costs no finished part.
    """
    folder, left_out = settings.folder, LeftOut(settings.folder)
    no_files: list[Path] = []
    bad = at_bad(settings.on_error, no_files)
    folders = folders_of_classes(folder, bad, left_out)
    classes = list(folders["train"])
    files = {split: file_list(folder, folders[split], bad, left_out) for split in SPLITS}
    report_listing(left_out, folders)
    require_classes(classes, {split: listed.labels for split, listed in files.items()}, str(folder))
    group = {split: np.array(numbered(files[split].names, settings.groups), np.int32) for split in SPLITS}
    order = {split: shuffle(len(listed.labels), settings.seed, split) for split, listed in files.items()}
    names = {split: [files[split].names[i] for i in order[split]] for split in SPLITS}
    plans = {
        split: parts.plan_parts(path, folder, names[split], settings.size, settings.rotate)
        for split, path in paths.items()
    }
    workers = min(settings.workers, max(len(plan.parts) for plan in plans.values()))
    with parallel_map(workers) as each:
        records = {split: parts.build_parts(plan, each, settings.on_error) for split, plan in plans.items()}
    # in the order of the list of files, in which classes and skipped files are named
    readable = {split: parts.readable(plans[split], records[split])[np.argsort(order[split])] for split in SPLITS}
    require_classes(classes, {split: files[split].labels[readable[split]] for split in SPLITS}, str(folder))
    skipped = [files[split].names[i] for split in SPLITS for i in np.flatnonzero(~readable[split])]
    skipped += [file.relative_to(folder).as_posix() for file in no_files]
    skipped.sort(key=lambda name: name.split("/"))
    attributes = describe(settings, classes, f"as in {folder.name}", skipped, left_out)
    for split, plan in plans.items():
        kept, groups = readable[split], np.zeros(len(order[split]), np.int32)
        groups[kept] = np.unique(group[split][kept], return_inverse=True)[1]  # numbers those of the readable files
        arrays = {"labels": files[split].labels[order[split]], "group": groups[order[split]]}
        turned = sum(record.turned for record in records[split])
        parts.finish(plan, records[split], arrays, **attributes, split=split, turned=turned)
        report(split, int(kept.sum()), attributes, turned)
    for plan in plans.values():
        parts.remove_records(plan)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("train", type=Path, help="store of training images to write: <folder>/train.zarr/zarr.json")
    parser.add_argument("val", type=Path, help="store of validation images to write: <folder>/val.zarr/zarr.json")
    parser.add_argument(
        "--source",
        required=True,
        choices=["scenes", "image_folder", "cifar10", "fashion_mnist"],
        help="scenes: crops of photographs, each a class; image_folder: train/ and val/ with a folder per class; "
        "cifar10, fashion_mnist: from torchvision",
    )
    parser.add_argument(
        "--folder", required=True, type=Path, help="folder of the source's files; torchvision downloads to it"
    )
    parser.add_argument("--size", required=True, type=int, help="width and height of a stored image, in pixels")
    parser.add_argument("--seed", required=True, type=int, help="seed of the crops and of the order of images")
    parser.add_argument(
        "--on-error",
        default=ImageSettings.on_error,
        choices=["stop", "skip"],
        help="at an unreadable image, stop with its name, or skip it and list it in the stores",
    )
    parser.add_argument("--rotate", action="store_true", help="turn images as their EXIF orientation says")
    parser.add_argument(
        "--groups",
        default=ImageSettings.groups,
        help="for an image_folder, which images are of one photograph: a regular expression that finds its name in "
        "<split>/<class>/<file>, or a table (.csv) with the columns file and group (default: each image its own)",
    )
    decode = "processes that decode an image_folder; no result depends on it"
    parser.add_argument("--workers", default=ImageSettings.workers, type=int, help=decode)
    parser.add_argument(
        "--crops",
        type=json.loads,
        default={},
        help="JSON object, required for source scenes: train and val (crops of each photograph), smallest and largest "
        "(widths of crops, in pixels), left (part of a photograph's width for training, between 0 and 1)",
    )
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    names = ("source", "folder", "size", "seed", "on_error", "rotate", "groups", "workers")
    settings = ImageSettings(**{name: getattr(args, name) for name in names})
    paths = dict(zip(SPLITS, (args.train, args.val), strict=True))
    if not args.folder.is_dir() and args.source in ("scenes", "image_folder"):
        raise InputError(f"data.folder: {args.folder} is not a folder")
    if args.source == "image_folder":
        store_in_parts(settings, paths)
    elif args.source == "scenes":
        left_out = LeftOut(args.folder)
        store_whole(scenes(settings, crop_settings(args.crops), left_out), settings, paths, left_out)
    else:
        store_whole(torchvision_set(settings), settings, paths, LeftOut(args.folder))


if __name__ == "__main__":
    main()
