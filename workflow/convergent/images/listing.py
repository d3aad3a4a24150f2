"""What lies below a folder of images: names and states of its files, without reading them. Imports nothing heavy."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from ..commands import InputError

EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}
NOWHERE = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG}  # what following a broken link raises
SPLITS = ("train", "val")
BROKEN_LINK = "a link that leads nowhere"

Bad = Callable[[Path, object], object]  # is called with an image that cannot be used and the reason; may raise


def refuse(file: Path, reason: object) -> NoReturn:
    """End the run at a bad picture."""
    raise InputError(f"{file}: unreadable image ({reason}); repair or remove it, or set data.on_error to skip")


def is_image(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


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


def entries(folder: str | Path) -> list[tuple[str, os.stat_result | None]]:
    """Name and state of all that lies in a folder itself; None is a link to nowhere. InputError if it is unreadable."""
    try:
        with os.scandir(folder) as found:
            return [(entry.name, state_of(entry)) for entry in found]
    except OSError as error:
        raise system_error(error.filename or folder, error) from None


def below(folder: str | Path) -> Iterator[tuple[str, os.stat_result | None]]:
    """Name below the folder and state of every file, in no order; links are followed, None is a link to nowhere.

    A folder that is named like an image is listed as if it was a file, and not entered. Raises InputError where a
    folder cannot be listed, or is linked from within itself.
    """
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while waiting:
        prefix, above = waiting.pop()
        path = Path(folder, prefix)
        found = entries(path)
        own = os.stat(path)
        if (identity := (own.st_dev, own.st_ino)) in above:
            raise InputError(f"{path}: a link that leads back to a folder in which it lies; remove it")
        for name, state in found:
            if state and stat.S_ISDIR(state.st_mode) and not is_image(name):
                waiting.append((f"{prefix}{name}/", above | {identity}))
            else:
                yield prefix + name, state


def image_files(folder: Path, bad: Bad = refuse) -> list[Path]:
    """Image files anywhere below a folder, sorted by path.

    ``bad`` is called with each link that leads nowhere, and with what is named like an image but is no file.
    """
    files = []
    for name, state in below(folder):
        if state is None:
            bad(folder / name, BROKEN_LINK)
        elif is_image(name):
            if stat.S_ISREG(state.st_mode):
                files.append(name)
            else:
                bad(folder / name, "no file")
    return [folder / name for name in sorted(files, key=lambda name: name.split("/"))]


def listing_digest(folder: str | Path) -> str:
    """sha256 of the names below a folder, sizes and times of change (ns) of all files; that of none if it is missing.

    A file that is added, removed, renamed or written changes it, the place of the folder does not. Raises InputError
    as ``below`` does.
    """
    files = below(folder) if os.path.isdir(folder) else ()
    lines = (
        b"%s\0%d\0%d\n"
        % ((os.fsencode(name), state.st_size, state.st_mtime_ns) if state else (os.fsencode(name), -1, 0))
        for name, state in files
    )
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def class_names(folder: Path, bad: Bad) -> list[str]:
    """Classes of a folder that holds ``train/<class>/`` and ``val/<class>/``, sorted.

    ``bad`` is called with links that lead nowhere and images outside of all classes. Raises InputError where a split is
    missing or a class is in one of them only.
    """
    classes: dict[str, set[str]] = {}
    for split in SPLITS:
        if not (folder / split).is_dir():
            raise InputError(f"{folder / split}: no such folder; data.folder needs train/ and val/, a folder per class")
        classes[split] = set()
        for name, state in entries(folder / split):
            if state is None:
                bad(folder / split / name, BROKEN_LINK)
            elif stat.S_ISDIR(state.st_mode):
                classes[split].add(name)
            elif is_image(name):
                bad(folder / split / name, "in no folder of a class")
    for here, there in (SPLITS, SPLITS[::-1]):
        if missing := sorted(classes[here] - classes[there]):
            raise InputError(f"{folder / there}: class {missing[0]} is missing, it is in {here}/ only")
    return sorted(classes["train"])
