"""What a result depends on and no rule makes, as text that changes with it: code, versions, weights, photographs.

The rules take these texts as parameters, because Snakemake compares files that no rule makes by their time: it sees
neither a file that is replaced by an older one nor a folder's files, and above 1 MB a touch is a change.
"""

import hashlib
import os
import stat
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .images.listing import listing_digest, read_below
from .sources import parsed, statements

SMALL = 100_000_000  # bytes of a folder that is read as a whole, which takes a tenth of a second
OPENING = 20_000  # bytes that are read in the time in which a file is opened
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}  # packages that are installed under another name


@cache
def digest_at(file: str, size: int, time: int) -> str:
    """sha256 of the file that had this size and this time of change (ns)."""
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def file_digest(file: str | Path) -> str:
    """sha256 of a file's content, which is read once while its size and time stay as they are."""
    state = os.stat(file)
    return digest_at(str(file), state.st_size, state.st_mtime_ns)


def folder_digest(folder: str | Path) -> str:
    """sha256 of names and contents of all images below a folder; of their names, sizes and times where it is large.

    Large is above 100 MB or 5,000 files. A touch therefore changes nothing in a small folder. Other files count
    nothing, links that lead nowhere by their names. Raises InputError where the folder cannot be read.
    """
    regular, size = {}, 0
    for name, state in read_below(folder):
        regular[name] = state is not None and stat.S_ISREG(state.st_mode)  # to open a pipe would wait for ever
        size += max(state.st_size if state else 0, OPENING)
        if size > SMALL:
            return listing_digest(folder)
    contents = [(name, file_digest(os.path.join(folder, name)) if regular[name] else "") for name in sorted(regular)]
    return hashlib.sha256(repr(contents).encode()).hexdigest()


@cache
def installed(package: str) -> str | None:
    """A package and its version, ``numpy 2.4.6``; None where nothing of this name is installed, as Python's own."""
    name = DISTRIBUTIONS.get(package, package)
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return None


@cache
def packages(file: str) -> frozenset[str]:
    """Installed packages that a file imports by an absolute name, with their versions; none of what is no Python."""
    try:
        names = {name.split(".")[0] for level, name, _ in statements(parsed(file)) if not level}
    except (SyntaxError, ValueError):
        return frozenset()
    return frozenset(package for name in names if (package := installed(name)))


def tracked(files: Iterable[str]) -> list[str]:
    """Each file with a digest, and each installed package that they import with its version, sorted.

    >>> tracked(["workflow/convergent/seeds.py"])[0].split()[0]
    'workflow/convergent/seeds.py'
    """
    files = sorted(files)
    versions = {package for file in files for package in packages(file)}
    return [*(f"{file} {file_digest(file)[:16]}" for file in files), *sorted(versions)]
