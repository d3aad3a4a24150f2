"""An image store built in parts: each a chunk of images, decoded in parallel, and not again after an interruption.

While it is built, ``<name>.zarr/parts/`` holds a key of the list of files and, for each finished part, a record: the
state of its files, the digest of its pixels and its unreadable rows. A record is written after its chunk and removed
before that is changed, so that a chunk with a record is as it was decoded, whenever the process dies.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL import __version__ as pillow

from .. import store
from ..commands import InputError
from ..files import write_atomically
from .decoding import DecodingError, decode, refusal

FORMAT = 1  # of pixels and records: another one makes every store anew
SAY_EVERY = 5.0  # seconds between lines of progress

Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]  # a map(), here or over processes


@dataclass(frozen=True)
class Part:
    """The images of one chunk: rows from ``first`` on of the store that is declared as ``path``."""

    path: Path
    number: int
    first: int
    folder: Path
    names: Sequence[str]  # of files, relative to the folder
    size: int  # width and height of a stored image


@dataclass(frozen=True)
class Record:
    """What is known of a finished part."""

    key: str  # of the state of its files
    digest: str  # of its pixels
    unreadable: dict[str, str]  # row of the store -> why; its pixels are 0


@dataclass(frozen=True)
class Plan:
    """All parts of one store, the shape of its images (N, H, W, C) and the rows of each part but the last."""

    path: Path
    parts: list[Part]
    shape: tuple[int, ...]
    rows: int


def plan(path: Path, folder: Path, names: Sequence[str], size: int) -> Plan:
    """Parts for files in the order of the store's rows."""
    shape = (len(names), size, size, 3)
    rows = store.chunk_rows(shape, np.dtype(np.uint8))
    parts = [
        Part(path, number, first, folder, names[first : first + rows], size)
        for number, first in enumerate(range(0, len(names), rows))
    ]
    return Plan(path, parts, shape, rows)


def records(path: Path) -> Path:
    """Folder of the key and the records."""
    return path.parent / "parts"


def record_file(path: Path, number: int) -> Path:
    return records(path) / f"{number}.json"


def hashed(*what: object) -> str:
    """sha256 of what JSON can say."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def state(part: Part) -> str:
    """Key of a part's files: size and time of change of each."""
    found = [os.stat(part.folder / name) for name in part.names]
    return hashed(*((f.st_size, f.st_mtime_ns) for f in found))


def pixels(part: Part, unreadable: dict[str, str]) -> Iterator[np.ndarray]:
    """Each image warped to a square (size, size, 3) uint8; zeros where it is unreadable: its row is added with why."""
    shape = (part.size, part.size)
    for row, name in enumerate(part.names, part.first):
        try:
            image = np.asarray(decode(part.folder / name).resize(shape, Image.Resampling.BILINEAR))
        except DecodingError as reason:
            unreadable[str(row)] = str(reason)
            image = np.zeros((*shape, 3), np.uint8)
        yield image


def make(part: Part) -> tuple[Record, int]:
    """Record of a part and how many images were decoded for it: none where it was finished from the same files."""
    key, file = state(part), record_file(part.path, part.number)
    if file.exists() and (found := Record(**json.loads(file.read_text()))).key == key:
        return found, 0
    file.unlink(missing_ok=True)
    unreadable: dict[str, str] = {}
    digest = store.write_chunk(part.path, "images", pixels(part, unreadable), part.first)
    made = Record(key, digest, unreadable)
    with write_atomically(file) as temporary:
        temporary.write_text(json.dumps(asdict(made)))
    return made, len(part.names)


def end_with_parent() -> None:
    """Make a worker end at once with a killed run, so that it does not write beside the next one."""

    def watch() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt from the keyboard reaches all: the parent deals with it
    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def processes(count: int) -> Iterator[Each]:
    """A ``map`` over as many new processes, or in this one where one is enough; results come in order."""
    if count <= 1:
        yield map
        return
    # not forked: that would copy locks of zarr's threads
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), end_with_parent)
    try:
        yield pool.map
    except BrokenProcessPool:
        raise InputError("a process that decodes was killed (memory?); run again, it goes on from here") from None
    finally:
        pool.shutdown(cancel_futures=True)


def begin(plan: Plan) -> int:
    """Make the store, or go on with the one that is there if it is of the same list of files; its finished parts."""
    path, folder = plan.path, records(plan.path)
    key = hashed(FORMAT, pillow, plan.shape, plan.rows, [part.names for part in plan.parts])
    mark = folder / "key"
    same = mark.exists() and mark.read_text() == key
    path.unlink(missing_ok=True)  # the store is not finished any more
    if not same:
        mark.unlink(missing_ok=True)  # before what it vouches for
    arrays = {
        "images": (plan.shape, np.uint8),
        "labels": (plan.shape[:1], np.int32),
        "group": (plan.shape[:1], np.int32),
    }
    store.create(path, arrays, wipe=not same)
    if not same:
        folder.mkdir()
        with write_atomically(mark) as temporary:
            temporary.write_text(key)
    return len(list(folder.glob("*.json")))


def progress(name: str, parts: tuple[int, int], images: tuple[int, int], decoded: int, seconds: float) -> str:
    """One line: done and all parts and images; rate and time left, once images were decoded in this run."""
    line = f"{name}: {parts[0]} of {parts[1]} parts, {images[0]} of {images[1]} images"
    if not decoded:
        return line
    left = timedelta(seconds=round((images[1] - images[0]) * seconds / decoded))
    return f"{line}, {decoded / seconds:.0f} images/s, {left} left"


def build(plan: Plan, each: Each, on_error: str) -> list[Record]:
    """Records of all parts, made now or by an earlier run; says how far it is; ``stop`` ends at an unreadable file."""
    name = plan.path.parent.stem
    if finished := begin(plan):
        print(f"{name}: going on with {finished} of {len(plan.parts)} parts of an earlier run", flush=True)
    made: list[Record] = []
    decoded = 0
    begun = said = time.monotonic()
    for part, (record, new) in zip(plan.parts, each(make, plan.parts), strict=True):
        made.append(record)
        decoded += new
        if record.unreadable and on_error == "stop":
            row, reason = next(iter(record.unreadable.items()))
            raise refusal(part.folder / part.names[int(row) - part.first], reason)
        now = time.monotonic()
        if now - said >= SAY_EVERY or len(made) == len(plan.parts):
            said = now
            images = part.first + len(part.names)
            counts = (len(made), len(plan.parts)), (images, plan.shape[0])
            print(progress(name, *counts, decoded, now - begun), flush=True)
    return made


def readable(plan: Plan, made: Sequence[Record]) -> np.ndarray:
    """Whether the file of each row could be read (N,)."""
    found = np.ones(plan.shape[0], bool)
    found[[int(row) for record in made for row in record.unreadable]] = False
    return found


def closed_up(found: np.ndarray) -> np.ndarray:
    """Rows that remain where some are unreadable: the last readable ones fill the holes, all others keep their place.

    >>> closed_up(np.array([True, False, True, False, True, True]))
    array([0, 4, 2, 5])
    """
    count = np.count_nonzero(found)
    rows = np.arange(count)
    rows[~found[:count]] = count + np.flatnonzero(found[count:])
    return rows


def close(plan: Plan, made: Sequence[Record], rows: np.ndarray) -> str:
    """Move rows to where ``closed_up`` wants them; digest of the images that remain."""
    count, step = len(rows), plan.rows
    digests = [record.digest for record in made]
    if count < plan.shape[0]:
        cut = range(count // step, len(plan.parts))
        changed = sorted({*(np.flatnonzero(rows != np.arange(count)) // step).tolist(), *cut})
        for number in changed:
            record_file(plan.path, number).unlink(missing_ok=True)
        stored = store.StoredArray(plan.path, "images", finished=False)
        for first in (number * step for number in changed if number * step < count):
            images = stored[rows[first : first + step]]
            store.write(plan.path, "images", images, first)
            digests[first // step] = store.chunk_digest(images)
    kept = digests[: -(-count // step)]
    return store.joined_digest((count, *plan.shape[1:]), np.dtype(np.uint8), kept)


def finish(plan: Plan, made: Sequence[Record], labels: np.ndarray, group: np.ndarray, **about: Any) -> None:
    """Complete the store with labels and group of all rows (N,), without the rows that could not be read."""
    rows = closed_up(readable(plan, made))
    digests: dict[str, str | None] = {"images": close(plan, made, rows)}
    for name, array in (("labels", labels[rows]), ("group", group[rows])):
        store.write(plan.path, name, array, 0)
        digests[name] = store.array_digest(array)
    store.finish(plan.path, digests, dict.fromkeys(digests, len(rows)), **about)


def forget(plan: Plan) -> None:
    """Remove the records of a finished store."""
    shutil.rmtree(records(plan.path))
