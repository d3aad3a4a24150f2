"""Arrays on disk with a digest of their values; the only module that knows Zarr.

A store is a Zarr group ``<name>.zarr`` of named arrays. Each array is split into chunk files along its first axis, the
rows. Rules and functions name a store by its file ``<name>.zarr/zarr.json``, called ``path`` here. That file holds the
root attributes:
- ``kind``, what the store is of, and what its arrays were computed from: layer, nets, settings, digests of the stores
  that were read;
- ``chunks``, the digests of the chunks of each array, ``arrays``, a digest of each array, which covers them, and
  ``sha256``, the digest of the store, which covers those. They are of names, types, shapes and values of the arrays,
  and of nothing else;
- ``checksum``, which covers all other attributes.

They are written last: a store without ``sha256`` is unfinished, and refused. Whatever is read is checked first.

The child group ``provenance`` holds versions of packages, machine, commit and time. These differ between equal results
and are therefore kept out of ``zarr.json``, whose bytes are equal where arrays and attributes are.
"""

import hashlib
import json
import math
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .chunks import ChunkedArray, chunk_digests, chunk_file, joined_digest, read_layout
from .commands import InputError
from .files import UNFINISHED, Named, bring_all_to_disk, damaged, read_bytes, sealed, unsealed, write_atomically

CHUNK_BYTES = 64 * 2**20  # of one chunk file; digests depend on it
PACKAGES = ("numpy", "scipy", "torch", "zarr")
package_version = cache(version)  # which reads a file


@cache
def library() -> ModuleType:
    """Zarr, which takes 0.4 s of CPU to load: whoever only reads does without."""
    import zarr

    return zarr


def chunk_rows(shape: Sequence[int], dtype: np.dtype) -> int:
    """Number of rows in one chunk of an array: as many as fit into CHUNK_BYTES, at least one."""
    row_bytes = max(1, dtype.itemsize * math.prod(shape[1:]))
    return max(1, min(shape[0], CHUNK_BYTES // row_bytes))


def array_digests(array: np.ndarray) -> list[str]:
    """Digests of the chunks in which an array in memory would be stored."""
    return chunk_digests(array, chunk_rows(array.shape, array.dtype) if array.ndim else 1)


def stored_digests(path: str | Path, name: str) -> list[str]:
    """Digests of the chunks of an array on disk. They equal ``array_digests`` of the array in memory."""
    array = library().open_array(Path(path).parent / name, mode="r")
    return chunk_digests(array, array.chunks[0] if array.ndim else 1)


def digest(digests: Mapping[str, str]) -> str:
    """sha256 of a whole store from the digests of its arrays by name. Their order does not matter."""
    return hashlib.sha256(json.dumps(dict(sorted(digests.items()))).encode()).hexdigest()


@cache
def revision(folder: Path) -> str:
    """Hash of the commit that is checked out in a folder. Empty without git or without a repository."""
    try:
        return subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def provenance() -> dict[str, Any]:
    """Versions of the packages that are loaded, machine, commit and time (UTC) of a result."""
    return {
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES if name in sys.modules},
        "machine": platform.platform(),
        "revision": revision(Path.cwd()),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def create(path: str | Path, arrays: Mapping[str, tuple[Sequence[int], Any]], wipe: bool = True) -> None:
    """Create an unfinished store of empty arrays, to be filled by ``write`` and closed by ``finish``.

    ``arrays``: name -> (shape, type); a name may contain slashes. Without ``wipe`` arrays that exist keep their chunks
    and are described anew: an interrupted ``finish`` may have shortened them.
    """
    root = library().open_group(Path(path).parent, mode="w" if wipe else "a")
    for leftover in Path(path).parent.rglob(f"*{UNFINISHED}"):  # of interrupted writes
        leftover.unlink()
    for name, (shape, dtype) in arrays.items():
        (Path(path).parent / name / "zarr.json").unlink(missing_ok=True)
        chunks = (chunk_rows(shape, np.dtype(dtype)), *(max(n, 1) for n in shape[1:])) if shape else ()
        root.create_array(name, shape=tuple(shape), dtype=dtype, chunks=chunks, compressors=None)


def write(path: str | Path, name: str, rows: np.ndarray, first: int | None = None) -> None:
    """Write rows of an array of an unfinished store, beginning with row ``first``; without ``first`` the whole array.

    Several processes may write at once if each writes other chunks.
    """
    array = library().open_array(Path(path).parent / name, mode="r+").with_config({"write_empty_chunks": True})
    array[... if first is None else slice(first, first + len(rows))] = rows


def write_chunk(path: str | Path, name: str, rows: Iterable[np.ndarray], first: int) -> str:
    """Write one whole chunk of an unfinished store row by row, beginning with row ``first``, and return its digest.

    Each row is hashed and written while it is in the processor's cache. To gather the chunk in memory first would cost
    images a tenth of the time of decoding them.
    """
    array = library().open_array(Path(path).parent / name, mode="r")
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
    return np.asarray(library().open_array(Path(path).parent / name, mode="r")[index])


def finish(
    path: str | Path,
    digests: Mapping[str, Sequence[str] | None],
    rows: Mapping[str, int] | None = None,
    **attributes: Any,
) -> None:
    """Write the attributes and digests, once all chunks are on the disk. Now the store is finished.

    ``digests``: those of the chunks of each array of the store by its name; for None they are computed from the disk.
    ``rows``: number of rows to keep, by name, of arrays that turned out shorter than they were created.
    """
    folder = Path(path).parent
    root = library().open_group(folder, mode="a")
    for name, count in (rows or {}).items():
        array = library().open_array(folder / name, mode="r+")
        array.resize((count, *array.shape[1:]))
    root.create_group("provenance", overwrite=True, attributes=provenance())
    chunks = {name: stored_digests(path, name) if known is None else known for name, known in digests.items()}
    arrays = {name: joined_digest(*read_layout(path, name)[:2], known) for name, known in chunks.items()}
    bring_all_to_disk(file for file in folder.rglob("*") if file.is_file())
    stored = sealed({**attributes, "arrays": arrays, "chunks": chunks, "sha256": digest(arrays)})
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps({"attributes": stored, "zarr_format": 3, "node_type": "group"}, indent=2))


def save(path: str | Path, arrays: Mapping[str, np.ndarray], **attributes: Any) -> None:
    """Write arrays by name, and attributes, as a finished store that replaces any store at ``path``.

    A name may contain slashes: ``mean/net0``.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    create(path, {name: (array.shape, array.dtype) for name, array in arrays.items()})
    for name, array in arrays.items():
        write(path, name, array)
    finish(path, {name: array_digests(array) for name, array in arrays.items()}, **attributes)


def attributes(path: str | Path, *kinds: str) -> Named:
    """Root attributes of a finished store, which is of one of these kinds: ``moments``, ``patches``, ...

    Raises InputError where the store is missing, unfinished, damaged or of another kind.
    """
    path = Path(path)
    if path.name != "zarr.json" or path.parent.suffix != ".zarr":
        raise InputError(f"{path}: no store; the name of one is <name>.zarr/zarr.json")
    content = read_bytes(path, "store")
    try:
        sealed_attributes = json.loads(content)["attributes"]
        if "sha256" not in sealed_attributes:
            raise damaged(path, "unfinished store, it has no digest", path.parent)
        stored = unsealed(sealed_attributes)
        if stored["sha256"] != digest(stored["arrays"]) or stored["arrays"].keys() != stored["chunks"].keys():
            raise ValueError
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged(path, "damaged, or changed by hand", path.parent) from None
    if kinds and stored.get("kind") not in kinds:
        raise InputError(f"{path}: a store of {stored.get('kind', 'no kind')}; must be one of {' or '.join(kinds)}")
    return Named(path, "attribute", stored)


def load(path: str | Path, *patterns: str) -> Named:
    """Arrays by name, each checked against its digests: those that match one of the patterns, all without patterns.

    Patterns are those of fnmatch: ``load(path, "count", "mean/*")``. Raises InputError where the store is missing,
    unfinished or damaged, and where an array is asked for by name that it lacks.
    """
    names = attributes(path)["arrays"]
    chosen = [name for name in names if not patterns or any(fnmatch(name, pattern) for pattern in patterns)]
    return Named(path, "array", {name: StoredArray(path, name).whole() for name in chosen})


class StoredArray(ChunkedArray):
    """An array of a finished store whose rows are read by their indices, as those of a ``ChunkedArray``.

    Raises InputError where the store is missing, unfinished or damaged.

    >>> images = StoredArray("images/train.zarr/zarr.json", "images")
    >>> images[[5, 0, 7]].shape
    (3, 36, 36, 3)
    """

    def __init__(self, path: str | Path, name: str) -> None:
        stored = attributes(path)
        super().__init__(path, name, Named(path, "array", stored["chunks"])[name])
        if joined_digest(self.shape, self.dtype, self.digests) != stored["arrays"][name]:
            raise self.damage("its type or shape does not match its digest")


def require_equal(name: str, /, **values: Any) -> None:
    """Raise InputError where values that must agree differ: ``require_equal("images", net0=digest, net1=other)``.

    ``name`` says in the plural what the values are; each keyword says whose value it is.
    """
    if len(set(map(str, values.values()))) > 1:
        listed = ", ".join(f"{owner}: {value}" for owner, value in values.items())
        raise InputError(f"the input does not fit together, {name} differ: {listed}")


def same_nets(of: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Digests of the weights of all nets by name. Raises InputError where a net has other weights in another file.

    of: path of a store or table -> net -> digest of its weights there
    """
    known: dict[str, tuple[str, str]] = {}
    for path, nets in of.items():
        for net, weights in nets.items():
            first, expected = known.setdefault(net, (path, weights))
            require_equal(f"weights of {net}", **{first: expected, path: weights})
    return {net: weights for net, (_, weights) in known.items()}


def require_distinct(name: str, things: Iterable[Any]) -> None:
    """Raise InputError where one of the things that inputs are of is there twice. name: of the option or input"""
    seen: list[Any] = []
    for thing in things:
        if thing in seen:
            shown = " ".join(thing) if isinstance(thing, tuple) else thing
            raise InputError(f"{name}: {shown} is given twice; each must be of another layer, pair or net")
        seen.append(thing)


def pair_of(path: str | Path, attributes: Mapping[str, Any]) -> tuple[str, str]:
    """First and second net of a store between two nets. Raises InputError where it is of one net."""
    nets = tuple(attributes["nets"])
    if len(nets) != 2:
        raise InputError(f"{path}: store of {', '.join(nets)}; must be of two nets")
    return nets
