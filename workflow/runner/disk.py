"""Room on the disk: whether a run fits, and whether the lack of room made its jobs fail."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workflow.convergent.commands import InputError
from workflow.runner.estimate import estimate

PROBE = 2**20  # bytes that are written to see whether anything can be
CLEARLY = 1.1  # the estimate is at most so much too large


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    path = path.resolve()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def mount(folder: Path) -> Path:
    """Root of the file system of a folder."""
    return next(above for above in (folder, *folder.parents) if above.is_mount())


def megabytes(size: float) -> str:
    return f"{size / 1e9:,.0f} GB" if size >= 1e10 else f"{size / 1e6:,.1f} MB"


def free(folder: Path) -> int:
    """Bytes that can still be written below a folder."""
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


def refusal(folder: Path) -> str | None:
    """Why a small file cannot be written to a folder, in one line: a full disk, a quota, a limit. None if it can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(os.urandom(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        room = os.statvfs(folder)
        left = megabytes(free(folder)) + (f" and {room.f_favail} files" if room.f_files else "")  # some count none
        return f"{error.strerror}: nothing can be written to {folder}; {mount(folder)} has {left} free."
    return None


def shortage(places: Iterable[str] = ("results", ".", tempfile.gettempdir())) -> list[str]:
    """A line for each file system of a run that cannot be written to. Jobs that it made fail could not say so."""
    folders: dict[Path, Path] = {}
    for folder in map(existing, map(Path, places)):
        folders.setdefault(mount(folder), folder)
    return [line for folder in folders.values() if (line := refusal(folder))]


def check_room(config: dict[str, Any], results: Path) -> None:
    """Refuse a run whose large results, without those that are there, take clearly more than is free."""
    needed = {}
    for stage, size in estimate(config).items():
        there = sum(file.stat().st_size for file in (results / stage).rglob("*") if file.is_file())
        needed[stage] = size - there if size > CLEARLY * there else 0
    folder = existing(results)
    if sum(needed.values()) > CLEARLY * free(folder):
        parts = ", ".join(f"{stage} {megabytes(size)}" for stage, size in needed.items() if size)
        raise InputError(
            f"{results}: about {megabytes(sum(needed.values()))} are needed ({parts}), but {mount(folder)} has "
            f"{megabytes(free(folder))} free; make room, or make {results} a link to a larger disk"
        )
