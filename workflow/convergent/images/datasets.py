"""Data sets that images come from: crops of photographs, folders of classes, and sets of torchvision."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..commands import InputError
from ..seeds import derive
from .decoding import DecodingError, decode, is_turned
from .listing import SPLITS, Bad, LeftOut, composed, image_files, images_of, in_order, refuse


@dataclass(frozen=True)
class CropSettings:
    """The crops that source scenes cuts from each photograph; widths are drawn uniformly."""

    train: int  # number of training crops
    val: int  # number of validation crops
    smallest: int  # width of the smallest crop, in pixels
    largest: int  # width of the largest crop, in pixels
    left: float  # part of the photograph's width that training crops come from; the rest is for validation


@dataclass(frozen=True)
class ImageSettings:
    """What the image stores depend on, beside the files of the source."""

    source: str  # scenes, image_folder, cifar10 or fashion_mnist
    folder: Path  # of the source's files
    size: int  # width and height of a stored image, in pixels
    seed: int  # of the crops and of the order
    on_error: str = "stop"  # at an unreadable image; or "skip"
    rotate: bool = False  # whether images are turned as EXIF says
    groups: str = ""  # of a folder: a pattern or a table (images.groups); empty: each image is its own
    workers: int = 1  # processes that decode; no result depends on it


@dataclass
class Split:
    """Images of one split."""

    images: np.ndarray  # (N, H, W, C) uint8
    labels: np.ndarray  # (N,) int32
    group: np.ndarray  # (N,) int32, number of the source photograph
    names: list[str]  # of the files, with the number of the crop


@dataclass
class Source:
    """Both splits of a data set, its classes and licence, the files that could not be read, and those to be turned."""

    splits: dict[str, Split]
    classes: list[str]
    licence: str
    skipped: list[Path] = field(default_factory=list)
    turned: int = 0  # files that EXIF says to turn, and that are taken as they are


def crop_settings(entries: dict[str, Any]) -> CropSettings:
    """Settings of the crops from the configuration. Raises InputError where entries are missing or contradictory."""
    names = [entry.name for entry in fields(CropSettings)]
    if missing := [name for name in names if name not in entries]:
        raise InputError(f"data.crops: {', '.join(missing)} missing; source scenes needs {', '.join(names)}")
    crops = CropSettings(**{name: entries[name] for name in names})
    if crops.smallest > crops.largest:
        raise InputError(f"data.crops.smallest: {crops.smallest}, allowed is up to largest, {crops.largest}")
    return crops


def stack(rows: list[tuple[np.ndarray, int, str]], size: int) -> Split:
    """A split from its images (size, size, 3), each with its label, which is its group too, and its name."""
    images = np.stack([image for image, _, _ in rows]) if rows else np.empty((0, size, size, 3), np.uint8)
    labels = np.array([label for _, label, _ in rows], np.int32)
    return Split(images, labels, labels.copy(), [name for _, _, name in rows])


def random_crops(photo: Image.Image, count: int, widths: tuple[int, int], size: int, seed: int) -> Iterator[np.ndarray]:
    """Square crops of random place and width, resized to (size, size, 3) uint8.

    Widths are drawn from the first to the last of ``widths``, in pixels. Each crop is cut out before it is resized, so
    that no pixel outside it has an influence.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        width = int(rng.integers(widths[0], widths[1] + 1))
        left, top = (int(rng.integers(0, n - width + 1)) for n in photo.size)
        crop = photo.crop((left, top, left + width, top + width))
        yield np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR))


def at_bad(on_error: str, skipped: list[Path]) -> Bad:
    """What is called with a bad picture and the reason: it raises InputError, or adds the file to ``skipped``."""
    return refuse if on_error == "stop" else lambda file, reason: skipped.append(file)


def class_of(file: Path) -> str:
    """Name of the class that a photograph is, which seeds its crops."""
    return composed(file.stem)


def require_distinct_names(files: list[Path]) -> None:
    """Raise InputError where two photographs would be one class."""
    named: dict[str, Path] = {}
    for file in files:
        if (other := named.setdefault(class_of(file), file)) != file:
            raise InputError(f"{other} and {file}: both would be class {class_of(file)}; rename or remove one")


def photograph(file: Path, bad: Bad, rotate: bool) -> Image.Image | None:
    """Pixels of a photograph; None where it cannot be decoded, after ``bad`` was called."""
    try:
        return decode(file, rotate)
    except DecodingError as reason:
        bad(file, reason)
        return None


def sides(photo: Image.Image, file: Path, crops: CropSettings) -> dict[str, Image.Image]:
    """The left and right part of a photograph, for training and validation: their crops share no pixel.

    Raises InputError where the largest crop does not fit into a part.
    """
    border = int(crops.left * photo.width)
    halves = {
        "train": photo.crop((0, 0, border, photo.height)),
        "val": photo.crop((border, 0, photo.width, photo.height)),
    }
    for split, part in halves.items():
        if min(part.size) < crops.largest:
            raise InputError(
                f"{file}: the {split} part is {part.width}x{part.height} pixels, smaller than the largest crop of "
                f"{crops.largest}"
            )
    return halves


def scenes(settings: ImageSettings, crops: CropSettings, left_out: LeftOut) -> Source:
    """Crops of photographs, each photograph a class and a group. Raises InputError where it cannot be used."""
    skipped: list[Path] = []
    bad = at_bad(settings.on_error, skipped)
    files = image_files(settings.folder, bad, left_out)
    require_distinct_names(files)
    source = Source({}, [], "CC-BY-SA-3.0, (c) 2011 Massachusetts Institute of Technology (Scratch 1.4 media)")
    widths = (crops.smallest, crops.largest)
    rows: dict[str, list[tuple[np.ndarray, int, str]]] = {split: [] for split in SPLITS}
    for file in files:
        photo = photograph(file, bad, settings.rotate)
        if photo is None:
            continue
        label, name = len(source.classes), file.relative_to(settings.folder).as_posix()
        source.classes.append(class_of(file))
        source.turned += is_turned(photo)
        for split, part in sides(photo, file, crops).items():
            count = {"train": crops.train, "val": crops.val}[split]
            seed = derive(settings.seed, "scenes", split, class_of(file))
            cut = enumerate(random_crops(part, count, widths, settings.size, seed))
            rows[split] += [(crop, label, f"{name}, {split} crop {number}") for number, crop in cut]
    source.splits = {split: stack(rows[split], settings.size) for split in SPLITS}
    source.skipped = sorted(skipped)
    return source


@dataclass
class FileList:
    """Image files of one split, sorted by class and then by name."""

    names: list[str]  # relative to the source's folder
    labels: np.ndarray  # (N,) int32


def file_list(folder: Path, classes: dict[str, list[str]], bad: Bad, left_out: LeftOut) -> FileList:
    """Image files of a split with their labels, which number the classes. classes: class -> its folders

    bad, left_out: as of ``images_of``
    """
    by_class = [in_order(images_of(folder, places, bad, left_out)) for places in classes.values()]
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), [len(names) for names in by_class])
    return FileList([name for names in by_class for name in names], labels)


def torchvision_set(settings: ImageSettings) -> Source:
    """CIFAR-10 or Fashion-MNIST from torchvision, downloaded to the folder where it is not there yet.

    Raises InputError where the download fails or the images have another size.
    """
    from torchvision import datasets

    name, folder = settings.source, settings.folder
    data_set = {"cifar10": datasets.CIFAR10, "fashion_mnist": datasets.FashionMNIST}[name]
    source = Source({}, [], f"see the terms of {name}")
    for split in SPLITS:
        try:
            loaded = data_set(folder, train=split == "train", download=True)
        except Exception as error:  # of a damaged file torchvision raises what comes
            raise InputError(f"{folder}: {name} is damaged, or could not be downloaded ({error!r})") from None
        pixels = np.asarray(loaded.data)
        pixels = pixels.reshape(*pixels.shape[:3], -1)  # grey images get an axis of one channel
        if pixels.shape[1] != settings.size:
            raise InputError(
                f"data.size: {settings.size}, but images of {name} are {pixels.shape[1]} pixels wide; set it to that"
            )
        group = np.arange(len(pixels), dtype=np.int32)
        names = [f"{name}, {split} image {number}" for number in range(len(pixels))]
        source.splits[split] = Split(pixels, np.asarray(loaded.targets, np.int32), group, names)
        source.classes = list(loaded.classes)
    return source
