"""Files that are complete whenever they exist, JSON that says whether it was changed, and the lines that refuse damage.

A file is written under a temporary name, brought to the disk and then renamed. A process that dies on the way, and a
power cut, leave the old file untouched.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .commands import InputError

UNFINISHED = ".partial"  # ends the temporary name of a file that is being written
CHECKSUM = "checksum"  # key of an object of JSON: digest of all of its other entries


def bring_to_disk(path: str | Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power cut."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:
        if not os.path.isdir(path):  # some network disks refuse it for folders
            raise
    finally:
        os.close(number)


def bring_all_to_disk(files: Iterable[Path]) -> None:
    """``bring_to_disk`` of many files at once: disks write them together, in a twentieth of the time of one by one."""
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(bring_to_disk, files):
            pass


class Named(dict[str, Any]):
    """What a file holds by name, as the arrays of a store; a name that it lacks is refused in one line."""

    def __init__(self, path: str | Path, kind: str, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self.path, self.kind = path, kind

    def __missing__(self, name: str) -> Any:
        raise InputError(f"{self.path}: no {self.kind} {name}; there are {', '.join(self) or 'none'}")


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """A temporary path to write to. When the block ends, the file written there replaces ``path``.

    If the block raises, the temporary file is removed and ``path`` stays as it was. Missing folders are created.

    >>> with write_atomically("table.csv") as temporary:
    ...     temporary.write_text("unit,greedy")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + UNFINISHED)
    try:
        yield temporary
        bring_to_disk(temporary)
        os.replace(temporary, path)
        bring_to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def damaged(path: str | Path, what: str, *remove: str | Path) -> InputError:
    """The refusal of a damaged file, which says what is wrong and what to remove, so that it is made again."""
    names = (f"./{name}" if str(name).startswith("-") else str(name) for name in remove)
    return InputError(f"{path}: {what}; make it again: rm -r {shlex.join(names)}, then run again")


def read_bytes(path: str | Path, kind: str) -> bytes:
    """Content of a file. Raises InputError where it is missing or the system refuses it. kind: what it is, as table"""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such {kind}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def checksum(content: Mapping[str, Any]) -> str:
    """sha256 of the entries of an object of JSON, in their order, without the entry ``checksum``."""
    entries = {name: value for name, value in content.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(entries, separators=(",", ":")).encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The entries as JSON holds them (a tuple becomes a list), followed by their checksum."""
    entries = json.loads(json.dumps(content))
    return {**entries, CHECKSUM: checksum(entries)}


def unsealed(content: Any) -> dict[str, Any]:
    """The entries of a sealed object without their checksum. Raises ValueError where it is none, or was changed."""
    if not isinstance(content, dict) or content.get(CHECKSUM) != checksum(content):
        raise ValueError("its entries do not match their checksum")
    return {name: value for name, value in content.items() if name != CHECKSUM}


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write an object of JSON with its checksum."""
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(sealed(content), indent=1) + "\n")


def read_json(path: str | Path, kind: str, needed: Iterable[str], *remove: str | Path) -> dict[str, Any]:
    """An object that ``write_json`` wrote. Raises InputError where it is missing, damaged or lacks a needed entry.

    kind: what it is, as record; remove: what the refusal says to remove, nothing where it may be another's file
    """
    text = read_bytes(path, kind)
    try:
        content = unsealed(json.loads(text))
        if not content.keys() >= set(needed):
            raise ValueError
    except ValueError:  # JSON's own errors are some too
        if remove:
            raise damaged(path, "damaged, or changed by hand", *remove) from None
        raise InputError(f"{path}: no {kind}, or damaged, or changed by hand") from None
    return content
