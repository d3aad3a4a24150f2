"""Arrays on disk with their evidence; the only module that knows Zarr.

A store is declared to Snakemake as its ``zarr.json``. The root attributes hold what the result depends on and
``sha256``, the digest of the data, written last; the child group ``provenance`` holds what varies without meaning.
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

CHUNK_BYTES = 64 * 2**20  # of one chunk file; an array is split along its first axis only


def chunk_rows(shape: Sequence[int], dtype: np.dtype) -> int:
    """Rows of one chunk of an array: as many as fit into CHUNK_BYTES, at least one."""
    row = max(1, dtype.itemsize * math.prod(shape[1:]))
    return max(1, min(shape[0], CHUNK_BYTES // row))


def chunk_digest(rows: np.ndarray) -> str:
    """sha256 over the bytes of one chunk, which need not be full."""
    return hashlib.sha256(np.ascontiguousarray(rows).data.cast("B") if rows.size else b"").hexdigest()


def joined_digest(shape: Sequence[int], dtype: np.dtype, chunks: Iterable[str]) -> str:
    """sha256 over type and shape of an array and the digests of its chunks, so that parts can be digested apart."""
    return hashlib.sha256(f"{dtype.str}{tuple(shape)}{','.join(chunks)}".encode()).hexdigest()


def array_digest(array: np.ndarray) -> str:
    """Digest of an array, chunk by chunk as it is stored."""
    rows = chunk_rows(array.shape, array.dtype) if array.ndim else 1
    parts = (array[first : first + rows] for first in range(0, len(array), rows)) if array.ndim else (array,)
    return joined_digest(array.shape, array.dtype, map(chunk_digest, parts))


def digest(digests: Mapping[str, str]) -> str:
    """sha256 of a whole store from the digests of its arrays, in the order of their names."""
    return hashlib.sha256(json.dumps(dict(sorted(digests.items()))).encode()).hexdigest()


def revision() -> str:
    """The commit checked out where the command runs; empty without git or a repository."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return found.stdout.strip()


def provenance() -> dict[str, Any]:
    """Versions, machine, code revision and time: of interest, but not what a result depends on."""
    packages = ["numpy", "scipy", "torch", "zarr"]
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages if name in sys.modules},
        "machine": platform.platform(),
        "revision": revision(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def create(path: str | Path, arrays: Mapping[str, tuple[Sequence[int], Any]], wipe: bool = True) -> None:
    """An unfinished store with arrays of some shape and type, to be filled by ``write`` and sealed by ``finish``.

    Its declared file is path, ``<name>.zarr/zarr.json``. Without ``wipe`` arrays that are there stay as they are, but
    have their whole length again where a ``finish`` that was interrupted cut them.
    """
    root = zarr.open_group(Path(path).parent, mode="w" if wipe else "a")
    for left in Path(path).parent.rglob(f"*{UNFINISHED}"):  # of a write that was interrupted
        left.unlink()
    for name, (shape, kind) in arrays.items():
        if name in root:
            zarr.open_array(Path(path).parent / name, mode="r+").resize(tuple(shape))
            continue
        chunks = (chunk_rows(shape, np.dtype(kind)), *(max(n, 1) for n in shape[1:])) if shape else ()
        root.create_array(name, shape=tuple(shape), dtype=kind, chunks=chunks, compressors=None)


def write(path: str | Path, name: str, rows: np.ndarray, first: int | None = None) -> None:
    """Rows of an array of an unfinished store from the first on, or all of it. Processes may write different chunks."""
    array = zarr.open_array(Path(path).parent / name, mode="r+").with_config({"write_empty_chunks": True})
    array[... if first is None else slice(first, first + len(rows))] = rows


def chunk_file(path: str | Path, name: str, number: int, axes: int) -> Path:
    """File of a chunk of an array that is split along the first of its axes."""
    return Path(path).parent.joinpath(name, "c", str(number), *"0" * (axes - 1))


def write_chunk(path: str | Path, name: str, rows: Iterable[np.ndarray], first: int) -> str:
    """All rows of one chunk of an unfinished store, from the first on, one by one; their digest.

    They are hashed and written while they are in the processor's cache: gathering a chunk in memory first would cost
    images a tenth of the time of decoding them.
    """
    array = zarr.open_array(Path(path).parent / name, mode="r")
    file = chunk_file(path, name, first // array.chunks[0], array.ndim)
    digest = hashlib.sha256()
    with write_atomically(file) as temporary, temporary.open("wb") as out:
        for row in rows:
            content = np.ascontiguousarray(row, array.dtype).data
            digest.update(content)
            out.write(content)
        out.truncate(array.dtype.itemsize * math.prod(array.chunks))  # the last chunk is padded
    return digest.hexdigest()


def row(path: str | Path, name: str, index: int) -> np.ndarray:
    """One row of an array of an unfinished store, as it was written."""
    return np.asarray(zarr.open_array(Path(path).parent / name, mode="r")[index])


def finish(
    path: str | Path, digests: Mapping[str, str | None], rows: Mapping[str, int] | None = None, **attributes: Any
) -> None:
    """Write what the data depends on and, last, its digest: now the store is complete.

    ``digests`` names all arrays; what is None is read back for it. ``rows`` cuts off arrays that turned out shorter.
    """
    root = zarr.open_group(Path(path).parent, mode="a")
    for name, count in (rows or {}).items():
        array = zarr.open_array(Path(path).parent / name, mode="r+")
        array.resize((count, *array.shape[1:]))
    root.require_group("provenance").attrs.update(provenance())
    found = {name: known or stored_digest(path, name) for name, known in digests.items()}
    root.attrs.update({**attributes, "arrays": found, "sha256": digest(found)})


def save(path: str | Path, arrays: Mapping[str, np.ndarray], **attributes: Any) -> None:
    """Write arrays (a name may hold slashes) to the store whose declared file is path, ``<name>.zarr/zarr.json``."""
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    create(path, {name: (array.shape, array.dtype) for name, array in arrays.items()})
    for name, array in arrays.items():
        write(path, name, array)
    finish(path, {name: array_digest(array) for name, array in arrays.items()}, **attributes)


def attributes(path: str | Path) -> dict[str, Any]:
    """Root attributes of a finished store; one line and out where it is missing or unfinished."""
    if not Path(path).exists():
        raise InputError(f"{path}: no such store")
    found = json.loads(Path(path).read_text())["attributes"]
    if "sha256" not in found:
        raise InputError(f"{path}: unfinished store, it has no digest; remove it and run again")
    return found


def load(path: str | Path, *patterns: str) -> dict[str, np.ndarray]:
    """Arrays whose name fits one of the patterns (all without any), each checked against its digest."""
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
    """Raise this process's limit of open files for so many more memory maps, each of which holds a file open."""
    wanted = len(os.listdir("/dev/fd")) + count + 100  # some to spare for all else
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise InputError(f"{wanted} files have to be open at once, this system allows {hard}; raise its `ulimit -Hn`")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class StoredArray:
    """Rows of a stored array, gathered by index through memory maps of its chunk files.

    >>> images = StoredArray("images/train.zarr/zarr.json", "images")
    >>> images[[5, 0, 7]].shape
    (3, 36, 36, 3)
    """

    def __init__(self, path: str | Path, name: str, finished: bool = True) -> None:
        if finished:
            attributes(path)
        array = zarr.open_array(Path(path).parent / name, mode="r")
        self.shape, self.dtype = array.shape, array.dtype
        self.rows = array.chunks[0]
        files = [chunk_file(path, name, number, array.ndim) for number in range(-(-len(self) // self.rows))]
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
        # beyond the last row the last chunk is padded
        if (outside := index[(index < 0) | (index >= len(self))]).size:
            raise IndexError(f"row {outside[0]} is outside 0 to {len(self) - 1}")
        out = np.empty((len(index), *self.shape[1:]), self.dtype)
        chunks, offsets = (part.tolist() for part in np.divmod(index, self.rows))
        for row, (chunk, offset) in enumerate(zip(chunks, offsets, strict=True)):
            out[row] = self.chunks[chunk][offset]
        return out


def stored_digest(path: str | Path, name: str) -> str:
    """Digest of an array as it is stored, read chunk by chunk."""
    array = zarr.open_array(Path(path).parent / name, mode="r")
    step = array.chunks[0] if array.ndim else 1
    parts = (array[first : first + step] for first in range(0, array.shape[0], step)) if array.ndim else (array[()],)
    return joined_digest(array.shape, array.dtype, (chunk_digest(np.asarray(part)) for part in parts))


def require_equal(name: str, **found: Any) -> None:
    """Refuse with one line where things that are combined differ: ``require_equal("images", net0=a, net1=b)``."""
    if len(set(map(str, found.values()))) > 1:
        listed = ", ".join(f"{who}: {what}" for who, what in found.items())
        raise InputError(f"what is combined does not fit together, {name} differ: {listed}")
