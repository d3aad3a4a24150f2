"""Arrays on disk with a digest of their values; the only module that knows Zarr.

A store is a Zarr group ``<name>.zarr`` of named arrays. Each array is split into chunk files along its first axis, the
rows. Rules and functions name a store by its file ``<name>.zarr/zarr.json``, called ``path`` here. That file holds the
root attributes:
- what the arrays were computed from: layer, nets, settings, digests of the stores that were read;
- ``arrays``, a digest of each array, and ``sha256``, the digest of the store. They cover names, types, shapes and
  values of the arrays, and nothing else. They are written last: a store without ``sha256`` is unfinished, and refused.

The child group ``provenance`` holds versions of packages, machine, commit and time. These differ between equal results
and are therefore kept out of ``zarr.json``, whose bytes are equal where arrays and attributes are.
"""

import hashlib
import json
import math
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from .commands import InputError
from .files import UNFINISHED, write_atomically

CHUNK_BYTES = 64 * 2**20  # of one chunk file; digests depend on it


def chunk_rows(shape: Sequence[int], dtype: np.dtype) -> int:
    """Number of rows in one chunk of an array: as many as fit into CHUNK_BYTES, at least one."""
    row_bytes = max(1, dtype.itemsize * math.prod(shape[1:]))
    return max(1, min(shape[0], CHUNK_BYTES // row_bytes))


def chunk_digest(rows: np.ndarray) -> str:
    """sha256 of the bytes of one chunk. The last chunk of an array may have fewer rows than the others."""
    return hashlib.sha256(np.ascontiguousarray(rows).data.cast("B") if rows.size else b"").hexdigest()


def joined_digest(shape: Sequence[int], dtype: np.dtype, chunks: Iterable[str]) -> str:
    """sha256 of an array from its type, its shape and the digests of its chunks, which can be computed apart."""
    return hashlib.sha256(f"{dtype.str}{tuple(shape)}{','.join(chunks)}".encode()).hexdigest()


def digest_by_rows(array: np.ndarray | zarr.Array, step: int) -> str:
    """sha256 of an array whose chunks have so many rows each. A scalar is one chunk."""
    parts = (array[first : first + step] for first in range(0, array.shape[0], step)) if array.ndim else (array[()],)
    return joined_digest(array.shape, array.dtype, (chunk_digest(np.asarray(part)) for part in parts))


def array_digest(array: np.ndarray) -> str:
    """sha256 of an array in memory, computed over the chunks in which it would be stored."""
    return digest_by_rows(array, chunk_rows(array.shape, array.dtype) if array.ndim else 1)


def stored_digest(path: str | Path, name: str) -> str:
    """sha256 of an array on disk, read chunk by chunk. It equals ``array_digest`` of the array in memory."""
    array = zarr.open_array(Path(path).parent / name, mode="r")
    return digest_by_rows(array, array.chunks[0] if array.ndim else 1)


def digest(digests: Mapping[str, str]) -> str:
    """sha256 of a whole store from the digests of its arrays by name. Their order does not matter."""
    return hashlib.sha256(json.dumps(dict(sorted(digests.items()))).encode()).hexdigest()


def revision() -> str:
    """Hash of the commit that is checked out where the command runs. Empty without git or without a repository."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def provenance() -> dict[str, Any]:
    """Versions of the packages that are loaded, machine, commit and time (UTC) of a result."""
    packages = ["numpy", "scipy", "torch", "zarr"]
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages if name in sys.modules},
        "machine": platform.platform(),
        "revision": revision(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def create(path: str | Path, arrays: Mapping[str, tuple[Sequence[int], Any]], wipe: bool = True) -> None:
    """Create an unfinished store of empty arrays, to be filled by ``write`` and closed by ``finish``.

    ``arrays``: name -> (shape, type); a name may contain slashes. Without ``wipe`` arrays that exist keep their rows.
    Those that an interrupted ``finish`` shortened get their full length again.
    """
    root = zarr.open_group(Path(path).parent, mode="w" if wipe else "a")
    for leftover in Path(path).parent.rglob(f"*{UNFINISHED}"):  # of interrupted writes
        leftover.unlink()
    for name, (shape, dtype) in arrays.items():
        if name in root:
            zarr.open_array(Path(path).parent / name, mode="r+").resize(tuple(shape))
            continue
        chunks = (chunk_rows(shape, np.dtype(dtype)), *(max(n, 1) for n in shape[1:])) if shape else ()
        root.create_array(name, shape=tuple(shape), dtype=dtype, chunks=chunks, compressors=None)


def write(path: str | Path, name: str, rows: np.ndarray, first: int | None = None) -> None:
    """Write rows of an array of an unfinished store, beginning with row ``first``; without ``first`` the whole array.

    Several processes may write at once if each writes other chunks.
    """
    array = zarr.open_array(Path(path).parent / name, mode="r+").with_config({"write_empty_chunks": True})
    array[... if first is None else slice(first, first + len(rows))] = rows


def chunk_file(path: str | Path, name: str, number: int, axes: int) -> Path:
    """File that holds chunk ``number`` of an array with so many axes."""
    return Path(path).parent.joinpath(name, "c", str(number), *"0" * (axes - 1))


def write_chunk(path: str | Path, name: str, rows: Iterable[np.ndarray], first: int) -> str:
    """Write one whole chunk of an unfinished store row by row, beginning with row ``first``, and return its digest.

    Each row is hashed and written while it is in the processor's cache. To gather the chunk in memory first would cost
    images a tenth of the time of decoding them.
    """
    array = zarr.open_array(Path(path).parent / name, mode="r")
    file = chunk_file(path, name, first // array.chunks[0], array.ndim)
    hashed = hashlib.sha256()
    with write_atomically(file) as temporary, temporary.open("wb") as out:
        for row in rows:
            content = np.ascontiguousarray(row, array.dtype).data
            hashed.update(content)
            out.write(content)
        out.truncate(array.dtype.itemsize * math.prod(array.chunks))  # chunk files are of equal length
    return hashed.hexdigest()


def row(path: str | Path, name: str, index: int) -> np.ndarray:
    """One row of an array of an unfinished store, not checked against any digest."""
    return np.asarray(zarr.open_array(Path(path).parent / name, mode="r")[index])


def finish(
    path: str | Path, digests: Mapping[str, str | None], rows: Mapping[str, int] | None = None, **attributes: Any
) -> None:
    """Write the attributes and, last, the digest. Now the store is finished.

    ``digests``: digest of each array of the store by its name; for None it is computed from the array on disk.
    ``rows``: number of rows to keep, by name, of arrays that turned out shorter than they were created.
    """
    root = zarr.open_group(Path(path).parent, mode="a")
    for name, count in (rows or {}).items():
        array = zarr.open_array(Path(path).parent / name, mode="r+")
        array.resize((count, *array.shape[1:]))
    root.require_group("provenance").attrs.update(provenance())
    complete = {name: known or stored_digest(path, name) for name, known in digests.items()}
    root.attrs.update({**attributes, "arrays": complete, "sha256": digest(complete)})


def save(path: str | Path, arrays: Mapping[str, np.ndarray], **attributes: Any) -> None:
    """Write arrays by name, and attributes, as a finished store that replaces any store at ``path``.

    A name may contain slashes: ``mean/net0``.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    create(path, {name: (array.shape, array.dtype) for name, array in arrays.items()})
    for name, array in arrays.items():
        write(path, name, array)
    finish(path, {name: array_digest(array) for name, array in arrays.items()}, **attributes)


def attributes(path: str | Path) -> dict[str, Any]:
    """Root attributes of a finished store. Raises InputError where the store is missing or unfinished."""
    if not Path(path).exists():
        raise InputError(f"{path}: no such store")
    stored = json.loads(Path(path).read_text())["attributes"]
    if "sha256" not in stored:
        raise InputError(f"{path}: unfinished store, it has no digest; remove it and run again")
    return stored


def load(path: str | Path, *patterns: str) -> dict[str, np.ndarray]:
    """Arrays by name, each checked against its digest: those that match one of the patterns, all without patterns.

    Patterns are those of fnmatch: ``load(path, "count", "mean/*")``. Raises InputError where the store is missing or
    unfinished, or where an array does not match its digest.
    """
    digests = attributes(path)["arrays"]
    root = zarr.open_group(Path(path).parent, mode="r")
    arrays = {}
    for name in digests:
        if patterns and not any(fnmatch(name, pattern) for pattern in patterns):
            continue
        arrays[name] = np.asarray(root[name][...])  # type: ignore[index]
        if array_digest(arrays[name]) != digests[name]:
            raise InputError(f"{path}: array {name} does not match its digest; remove the store and run again")
    return arrays


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


class StoredArray:
    """An array on disk whose rows are read by their indices, through memory maps of its chunk files.

    Only the rows that are asked for are read; they are not checked against the digest. Raises InputError where the
    store is missing, unfinished (unless ``finished`` is False) or lacks a chunk, and IndexError for a row outside.

    >>> images = StoredArray("images/train.zarr/zarr.json", "images")
    >>> images[[5, 0, 7]].shape
    (3, 36, 36, 3)
    """

    def __init__(self, path: str | Path, name: str, finished: bool = True) -> None:
        if finished:
            attributes(path)
        array = zarr.open_array(Path(path).parent / name, mode="r")
        self.shape, self.dtype = array.shape, array.dtype
        self.chunk_rows = array.chunks[0]
        files = [chunk_file(path, name, number, array.ndim) for number in range(-(-len(self) // self.chunk_rows))]
        allow_maps(len(files))
        try:
            # as plain arrays, whose indexing takes a third of the time
            self.chunks = [np.asarray(np.memmap(file, self.dtype, "r", shape=array.chunks)) for file in files]
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: damaged array {name} ({error}); remove the store and run again") from None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Sequence[int] | np.ndarray) -> np.ndarray:
        index = np.asarray(index)
        # to be checked here: the last chunk is padded beyond the last row
        if (outside := index[(index < 0) | (index >= len(self))]).size:
            raise IndexError(f"row {outside[0]} is outside 0 to {len(self) - 1}")
        out = np.empty((len(index), *self.shape[1:]), self.dtype)
        chunks, offsets = (part.tolist() for part in np.divmod(index, self.chunk_rows))
        for i, (chunk, offset) in enumerate(zip(chunks, offsets, strict=True)):
            out[i] = self.chunks[chunk][offset]
        return out


def require_equal(name: str, **values: Any) -> None:
    """Raise InputError where values that must agree differ: ``require_equal("images", net0=digest, net1=other)``.

    ``name`` says in the plural what the values are; each keyword says whose value it is.
    """
    if len(set(map(str, values.values()))) > 1:
        listed = ", ".join(f"{owner}: {value}" for owner, value in values.items())
        raise InputError(f"the input does not fit together, {name} differ: {listed}")
