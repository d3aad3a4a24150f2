"""Arrays on disk with their evidence; the only module that knows Zarr.

A store is declared to Snakemake as its ``zarr.json``. The root attributes hold what the result depends on and
``sha256``, the digest of the data, written last; the child group ``provenance`` holds what varies without meaning.
"""

import hashlib
import json
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import zarr

CHUNK_BYTES = 64 * 2**20  # of one chunk file; an array is split along its first axis only


def array_digest(array: np.ndarray) -> str:
    """sha256 over type, shape and bytes of one array."""
    sha = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    sha.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return sha.hexdigest()


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


def save(path: str | Path, arrays: Mapping[str, np.ndarray], **attributes: Any) -> None:
    """Write arrays (a name may hold slashes) to the store whose declared file is path, ``<name>.zarr/zarr.json``."""
    root = zarr.open_group(Path(path).parent, mode="w")
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        rows = max(1, min(len(array), CHUNK_BYTES * len(array) // max(array.nbytes, 1))) if array.ndim else 1
        chunks = (rows, *(max(n, 1) for n in array.shape[1:])) if array.ndim else ()
        root.create_array(name, data=array, chunks=chunks, compressors=None, config={"write_empty_chunks": True})
    root.create_group("provenance", attributes=provenance())
    digests = {name: array_digest(array) for name, array in arrays.items()}
    root.attrs.update({**attributes, "arrays": digests, "sha256": digest(digests)})


def attributes(path: str | Path) -> dict[str, Any]:
    """Root attributes of a finished store; one line and out where it is missing or unfinished."""
    if not Path(path).exists():
        raise SystemExit(f"{path}: no such store")
    found = json.loads(Path(path).read_text())["attributes"]
    if "sha256" not in found:
        raise SystemExit(f"{path}: unfinished store, it has no digest; remove it and run again")
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
            raise SystemExit(f"{path}: array {name} does not match its digest; remove the store and run again")
    return arrays


class Rows:
    """Rows of a stored array, gathered by index through memory maps of its chunk files.

    >>> images = Rows("images/train.zarr/zarr.json", "images")
    >>> images[[5, 0, 7]].shape
    (3, 36, 36, 3)
    """

    def __init__(self, path: str | Path, name: str) -> None:
        attributes(path)
        array = zarr.open_array(Path(path).parent / name, mode="r")
        self.shape, self.dtype = array.shape, array.dtype
        self.rows = array.chunks[0]
        rest = "/".join("0" for _ in self.shape[1:])
        files = [Path(path).parent / name / "c" / str(i) / rest for i in range(-(-len(self) // self.rows))]
        try:
            self.chunks = [np.memmap(file, dtype=self.dtype, mode="r", shape=array.chunks) for file in files]
        except (OSError, ValueError) as error:
            raise SystemExit(f"{path}: damaged array {name} ({error}); remove the store and run again") from None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Sequence[int] | np.ndarray) -> np.ndarray:
        index = np.asarray(index)
        # beyond the last row the last chunk is padded
        if (outside := index[(index < 0) | (index >= len(self))]).size:
            raise IndexError(f"row {outside[0]} is outside 0 to {len(self) - 1}")
        out = np.empty((len(index), *self.shape[1:]), self.dtype)
        for row, (chunk, offset) in enumerate(zip(*np.divmod(index, self.rows), strict=True)):
            out[row] = self.chunks[chunk][offset]
        return out


def require_equal(name: str, **found: Any) -> None:
    """Refuse with one line where things that are combined differ: ``require_equal("images", net0=a, net1=b)``."""
    if len(set(map(str, found.values()))) > 1:
        listed = ", ".join(f"{who}: {what}" for who, what in found.items())
        raise SystemExit(f"what is combined does not fit together, {name} differ: {listed}")
