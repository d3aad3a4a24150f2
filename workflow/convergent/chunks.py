"""Arrays on disk as files of some of their rows each, chunks, with a digest of every chunk.

All digests are sha256. That of a chunk covers the bytes of its rows, that of an array its type, its shape and the
digests of its chunks.
"""

import hashlib
import json
import math
import os
import resource
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .commands import InputError
from .files import damaged, read_bytes


def chunk_digest(rows: np.ndarray) -> str:
    """sha256 of the bytes of one chunk. The last chunk of an array may have fewer rows than the others."""
    return hashlib.sha256(np.ascontiguousarray(rows).data.cast("B") if rows.size else b"").hexdigest()


def chunk_digests(array: Any, step: int) -> list[str]:
    """Digests of the chunks of an array, numpy's or Zarr's, that have so many rows each. A scalar is one chunk."""
    parts = (array[first : first + step] for first in range(0, array.shape[0], step)) if array.ndim else (array[()],)
    return [chunk_digest(np.asarray(part)) for part in parts]


def joined_digest(shape: Sequence[int], dtype: np.dtype, digests: Iterable[str]) -> str:
    """sha256 of an array from its type, its shape and the digests of its chunks, which can be computed apart."""
    return hashlib.sha256(f"{dtype.str}{tuple(shape)}{','.join(digests)}".encode()).hexdigest()


def chunk_file(path: str | Path, name: str, number: int, axes: int) -> Path:
    """File that holds chunk ``number`` of an array with so many axes, of the store at ``path``."""
    return Path(path).parent.joinpath(name, "c", *([str(number)] if axes else []), *"0" * (axes - 1))


class Layout(NamedTuple):
    """How an array lies on disk."""

    shape: tuple[int, ...]
    dtype: np.dtype
    chunk: tuple[int, ...]  # shape of the array in one chunk file


def read_layout(path: str | Path, name: str) -> Layout:
    """Layout of an array of the store at ``path``. Raises InputError where its file is missing or damaged."""
    file = Path(path).parent / name / "zarr.json"
    try:
        stored = json.loads(read_bytes(file, "file"))
        shape, chunk = tuple(stored["shape"]), tuple(stored["chunk_grid"]["configuration"]["chunk_shape"])
        layout = Layout(shape, np.dtype(stored["data_type"]), chunk)
        if len(shape) != len(chunk) or not all(type(n) is int and n >= 0 for n in (*shape, *chunk)) or 0 in chunk:
            raise ValueError
    except (InputError, ValueError, KeyError, TypeError):
        raise damaged(path, f"array {name} is damaged, its zarr.json is missing or wrong", Path(path).parent) from None
    return layout


def allow_maps(count: int) -> None:
    """Raise this process's limit of open files to allow ``count`` more memory maps, each of which keeps a file open.

    Raises InputError where the system does not allow so many.
    """
    needed = len(os.listdir("/dev/fd")) + count + 100  # 100 to spare for everything else
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise InputError(f"{needed} files have to be open at once, this system allows {hard}; raise its `ulimit -Hn`")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class ChunkedArray:
    """An array on disk whose rows are read by their indices, through memory maps of its chunk files.

    Only the rows that are asked for are read. The first use of a chunk reads it as a whole and compares its digest,
    one of ``digests`` (chunks,). Threads may read at once. Raises InputError where a chunk file is missing, cut or does
    not match, and IndexError for a row outside.
    """

    def __init__(self, path: str | Path, name: str, digests: Sequence[str]) -> None:
        self.path, self.name, self.digests = Path(path), name, digests
        self.shape, self.dtype, chunk = read_layout(path, name)
        self.chunk_rows = chunk[0] if chunk else 1
        count = -(-len(self) // self.chunk_rows)
        if count != len(digests) or chunk[1:] != tuple(max(n, 1) for n in self.shape[1:]):
            raise self.damage("its zarr.json has other chunks than were written")
        self.locks = [threading.Lock() for _ in digests]
        self.intact = [False] * count
        self.chunks = list(self.maps(chunk)) if math.prod(self.shape) else []
        self.starts = np.array([rows.ctypes.data for rows in self.chunks])

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 1

    def damage(self, what: str) -> InputError:
        """The refusal of a damaged array."""
        return damaged(self.path, f"array {self.name} is damaged, {what}", self.path.parent)

    def maps(self, chunk: tuple[int, ...]) -> Iterator[np.ndarray]:
        """A memory map of each chunk file, as a plain array, whose indexing takes a third of the time."""
        allow_maps(len(self.digests))
        for number in range(len(self.digests)):
            file = chunk_file(self.path, self.name, number, len(self.shape))
            try:
                yield np.asarray(np.memmap(file, self.dtype, "r", shape=chunk))
            except (OSError, ValueError, OverflowError):
                raise self.damage(f"{file.relative_to(self.path.parent)} is missing or cut") from None

    def checked(self, number: int) -> np.ndarray:
        """The rows of a chunk, which are compared with its digest the first time."""
        last = len(self) - number * self.chunk_rows  # the last chunk is padded
        rows = self.chunks[number][:last] if self.shape else self.chunks[number]
        with self.locks[number]:
            if not self.intact[number] and chunk_digest(rows) != self.digests[number]:
                file = chunk_file(self.path, self.name, number, len(self.shape))
                raise self.damage(f"{file.relative_to(self.path.parent)} does not match its digest")
            self.intact[number] = True
        return rows

    def whole(self) -> np.ndarray:
        """The whole array in memory."""
        out = np.empty(self.shape, self.dtype)
        for number in range(len(self.chunks)):
            first = number * self.chunk_rows
            out[slice(first, first + self.chunk_rows) if self.shape else ...] = self.checked(number)
        return out

    def located(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Chunk, and row in it, of rows by their indices; the chunks are checked. (n,) -> (n,), (n,)"""
        # to be checked here: the last chunk is padded beyond the last row
        if (outside := index[(index < 0) | (index >= len(self))]).size:
            raise IndexError(f"row {outside[0]} is outside 0 to {len(self) - 1}")
        numbers, offsets = np.divmod(index, self.chunk_rows)
        for number in set(numbers.tolist()) if self.chunks else ():
            if not self.intact[number]:
                self.checked(number)
        return numbers, offsets

    def __getitem__(self, index: Sequence[int] | np.ndarray) -> np.ndarray:
        out = np.empty((len(index), *self.shape[1:]), self.dtype)
        numbers, offsets = (part.tolist() for part in self.located(np.asarray(index)))
        if out.size:
            for i, (number, offset) in enumerate(zip(numbers, offsets, strict=True)):
                out[i] = self.chunks[number][offset]
        return out

    def addresses(self, index: np.ndarray) -> np.ndarray:
        """Where rows begin in memory, as long as this array lives; each is contiguous. (n,) -> (n,)"""
        numbers, offsets = self.located(index)
        return self.starts[numbers] + offsets * self.dtype.itemsize * math.prod(self.shape[1:])
