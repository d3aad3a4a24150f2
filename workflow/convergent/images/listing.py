"""What lies below a folder of images: which files are images, which are left out and why, without reading them.

This module alone decides it, for those who count images and those who read them. Imports nothing heavy.
"""

import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from ..commands import InputError, flat

SPLITS = ("train", "val")
# Of the formats that are decoded: those that torchvision's ImageFolder reads, and others that Pillow knows them by.
READ = "jpg jpeg jpe jfif png apng bmp gif webp tif tiff ppm pgm pbm pnm avif avifs jp2 j2k j2c jpc jpf jpx"
EXTENSIONS = {f".{name}" for name in READ.split()}
# Pictures of other formats, which are left out: raw ones of cameras, of programs, vectors, more than 8 bits a channel.
NOT_READ = (
    "heic heif hif jxl jxr wdp hdp mpo raw dng cr2 cr3 crw nef nrw arw srf sr2 orf rw2 raf pef srw x3f 3fr erf kdc dcr"
    " mrw iiq rwl psd psb xcf kra ai eps svg svgz wmf emf dib ico cur icns tga pcx sgi dds xbm xpm qoi pfm exr hdr dcm"
    " nii fits"
)
OTHER_FORMATS = {f".{name}" for name in NOT_READ.split()}
# What systems and disks put into folders, in lower case; names that begin with a dot are left out anyway.
SYSTEM = frozenset(
    {"@eadir", "@recycle", "@recently-snapshot", "@__thumb", "@tmp", "#recycle", "#snapshot", "~snapshot", "__macosx"}
    | {"$recycle.bin", "system volume information", "lost+found", "lost.dir", "found.000"}
    | {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "icon\r", "network trash folder"}
    | {"temporary items", "__pycache__"}
)
NOWHERE = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG}  # what following a broken link raises
BROKEN_LINK = "a link that leads nowhere"
NAMED = 5  # files of each reason that are named

Bad = Callable[[Path, object], object]  # is called with an image that cannot be used and the reason; may raise
Leave = Callable[[Path, str], object]  # is called with what is left out, a file or a folder as a whole, and why


def refuse(file: Path, reason: object) -> NoReturn:
    """End the run at a bad picture."""
    raise InputError(f"{file}: unreadable image ({reason}); repair or remove it, or set data.on_error to skip")


def ignore(file: Path, reason: object) -> None:
    """Go on."""


def extension(name: str) -> str:
    """The end of a file's name from its last dot on, in lower case; ``os.path.splitext`` takes twice as long."""
    return "".join(name.rpartition(".")[1:]).lower() if "." in name else ""


def is_image(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return extension(name) in EXTENSIONS


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC): macOS writes letters and their accents apart (NFD).

    >>> len("e\u0301te\u0301"), len(composed("e\u0301te\u0301"))
    (5, 3)
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def not_looked_at(name: str) -> str:
    """Why a file or folder of this name is passed over; empty where it is not."""
    if name.startswith("."):
        return "hidden"
    return "of the system" if name.casefold() in SYSTEM else ""


def no_image(name: str) -> str:
    """Why a file of this name is no image that is read."""
    end = extension(name)
    return f"{end} is not read" if end in OTHER_FORMATS else "not named as an image"


class LeftOut:
    """Counts what is left out below a folder by reason, and names the first of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reasons: dict[str, tuple[int, list[str]]] = {}

    def __call__(self, file: Path, reason: str) -> None:
        count, names = self.reasons.get(reason, (0, []))
        names = sorted([*names, file.relative_to(self.folder).as_posix()])[:NAMED]
        self.reasons[reason] = count + 1, names

    def attribute(self) -> dict[str, dict[str, object]]:
        """For a store: reason -> ``count`` and ``first``, the names of a few."""
        return {reason: {"count": count, "first": names} for reason, (count, names) in sorted(self.reasons.items())}

    def lines(self) -> list[str]:
        """For the log: one line for each reason."""
        found = sorted(self.reasons.items())
        return [flat(f"left out, {reason}: {count}, first {names[0]}") for reason, (count, names) in found]


def system_error(file: str | Path, error: OSError | MemoryError) -> InputError:
    """The error that ends a run where the system does not give a file or a folder; it says nothing of its content."""
    reason = getattr(error, "strerror", None) or str(error) or "out of memory"
    return InputError(f"{file}: the system cannot read it ({reason}); mend that, then run again")


def state_of(entry: os.DirEntry[str]) -> os.stat_result | None:
    """State of what an entry of a folder is or links to; None where it is a link that leads nowhere."""
    try:
        return entry.stat()
    except OSError as error:
        if entry.is_symlink() and error.errno in NOWHERE:
            return None
        raise


def entries(folder: Path, leave: Leave = ignore) -> list[tuple[str, os.stat_result | None]]:
    """Name and state of what lies in a folder itself; None is a link to nowhere. InputError if it is unreadable.

    ``leave`` is called with what is hidden or of the system.
    """
    kept = []
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if reason := not_looked_at(entry.name):
                    leave(folder / entry.name, reason)
                else:
                    kept.append((entry.name, state_of(entry)))
    except OSError as error:
        raise system_error(error.filename or folder, error) from None
    return kept


def below(folder: str | Path, leave: Leave = ignore) -> Iterator[tuple[str, os.stat_result | None]]:
    """Name below the folder and state of every file, in no order; links are followed, None is a link to nowhere.

    ``leave`` is called with what is hidden or of the system, which is not entered. Raises InputError where a folder
    cannot be listed, or is linked from within itself.
    """
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while waiting:
        prefix, above = waiting.pop()
        path = Path(folder, prefix)
        found = entries(path, leave)
        own = os.stat(path)
        if (identity := (own.st_dev, own.st_ino)) in above:
            raise InputError(f"{path}: a link that leads back to a folder in which it lies; remove it")
        for name, state in found:
            if state and stat.S_ISDIR(state.st_mode):
                waiting.append((f"{prefix}{name}/", above | {identity}))
            else:
                yield prefix + name, state


def images(folder: Path, bad: Bad = refuse, leave: Leave = ignore) -> Iterator[str]:
    """Names below the folder of all image files, in no order.

    ``bad`` is called with each link that leads nowhere, and with what is named like an image but is no file, ``leave``
    with all else that is no image.
    """
    for name, state in below(folder, leave):
        if state is None:
            bad(folder / name, BROKEN_LINK)
        elif not is_image(name):
            leave(folder / name, no_image(name))
        elif not stat.S_ISREG(state.st_mode):
            bad(folder / name, "no file")
        else:
            yield name


def in_order(names: Iterable[str]) -> list[str]:
    """Names of files sorted by folder and file; composed and decomposed letters have the same place."""
    return sorted(names, key=lambda name: (composed(name).split("/"), name))


def image_files(folder: Path, bad: Bad = refuse, leave: Leave = ignore) -> list[Path]:
    """Image files anywhere below a folder, sorted by path. bad, leave: as of ``images``"""
    return [folder / name for name in in_order(images(folder, bad, leave))]


def class_folders(folder: Path, split: str, bad: Bad = refuse, leave: Leave = ignore) -> dict[str, list[str]]:
    """Folders of each class of a split, as ``train/cat``; names that differ in their form of Unicode are one class.

    ``bad`` is called with links that lead nowhere and images outside of all classes, ``leave`` with all else that is no
    class. Raises InputError where there is no folder of the split.
    """
    if not (folder / split).is_dir():
        raise InputError(f"{folder / split}: no such folder; data.folder needs train/ and val/, a folder per class")
    found: dict[str, list[str]] = {}
    for name, state in entries(folder / split, leave):
        file = folder / split / name
        if state is None:
            bad(file, BROKEN_LINK)
        elif stat.S_ISDIR(state.st_mode):
            found.setdefault(composed(name), []).append(f"{split}/{name}")
        elif is_image(name):
            bad(file, "in no folder of a class")
        else:
            leave(file, no_image(name))
    return {name: sorted(folders) for name, folders in sorted(found.items())}


def images_of(folder: Path, places: Iterable[str], bad: Bad = refuse, leave: Leave = ignore) -> Iterator[str]:
    """Names below the folder of the image files in some folders, as of a class. bad, leave: as of ``images``"""
    return (f"{place}/{name}" for place in places for name in images(folder / place, bad, leave))


def images_of_split(folder: Path, split: str, bad: Bad = refuse) -> Iterator[str]:
    """Names below the folder of the image files of all classes of a split, in no order."""
    places = (place for folders in class_folders(folder, split, bad).values() for place in folders)
    return images_of(folder, places, bad)


def folders_of_classes(folder: Path, bad: Bad = refuse, leave: Leave = ignore) -> dict[str, dict[str, list[str]]]:
    """``class_folders`` of both splits by split. Raises InputError where a class is in one of them only."""
    found = {split: class_folders(folder, split, bad, leave) for split in SPLITS}
    for here, there in (SPLITS, SPLITS[::-1]):
        if missing := sorted(found[here].keys() - found[there].keys()):
            raise InputError(f"{folder / there}: class {missing[0]} is missing, it is in {here}/ only")
    return found


def read_below(folder: str | Path) -> Iterator[tuple[str, os.stat_result | None]]:
    """Those of ``below`` that decide what is stored: images, and links that lead nowhere."""
    return ((name, state) for name, state in below(folder) if state is None or is_image(name))


def listing_digest(folder: str | Path) -> str:
    """sha256 of the names below a folder, sizes and times of change (ns) of all images; of none if it is missing.

    An image that is added, removed, renamed or written changes it, the place of the folder and other files do not.
    Raises InputError as ``below`` does.
    """
    files = read_below(folder) if os.path.isdir(folder) else ()
    lines = (
        b"%s\0%d\0%d\n"
        % ((os.fsencode(name), state.st_size, state.st_mtime_ns) if state else (os.fsencode(name), -1, 0))
        for name, state in files
    )
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()
