"""What lies below a folder of images: names and states of its files, without reading them. Imports nothing heavy."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..commands import InputError

EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}
NOWHERE = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG}  # what following a broken link raises


def is_image(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def state_of(entry: os.DirEntry[str]) -> os.stat_result | None:
    """State of what an entry of a folder is or links to; None where it is a link that leads nowhere."""
    try:
        return entry.stat()
    except OSError as error:
        if entry.is_symlink() and error.errno in NOWHERE:
            return None
        raise


def below(folder: str | Path) -> Iterator[tuple[str, os.stat_result | None]]:
    """Name below the folder and state of every file, in no order; links are followed, None is a link to nowhere.

    A folder that is named like an image is listed as if it was a file, and not entered. Raises InputError where a
    folder cannot be listed, or is linked from within itself.
    """
    waiting: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(os.fspath(folder), "", frozenset())]
    while waiting:
        path, prefix, above = waiting.pop()
        try:
            own = os.stat(path)
            if (identity := (own.st_dev, own.st_ino)) in above:
                raise InputError(f"{path}: a link that leads back to a folder in which it lies; remove it")
            with os.scandir(path) as entries:
                for entry in entries:
                    state = state_of(entry)
                    if state and stat.S_ISDIR(state.st_mode) and not is_image(entry.name):
                        waiting.append((entry.path, f"{prefix}{entry.name}/", above | {identity}))
                    else:
                        yield prefix + entry.name, state
        except OSError as error:
            raise InputError(f"{error.filename or path}: {error.strerror}; data.folder has to be readable") from None


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
