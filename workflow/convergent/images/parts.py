"""An image store built in parts: each is one chunk of images, decoded in parallel and kept when a run is interrupted.

While the store is built, ``<name>.zarr/parts/`` holds a key of the list of files and a record of each finished part:
the state of its files, the digest of its pixels and its unreadable rows. A part is taken over where its files and its
chunk are as the record says, whenever the process died.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL import __version__ as pillow

from .. import store
from ..chunks import ChunkedArray, chunk_digest, chunk_file
from ..commands import InputError
from ..files import read_json, write_atomically, write_json
from .decoding import DecodingError, decode, is_turned
from .listing import refuse, system_error
from .names import ARRAY, as_array
from .workers import ParallelMap

FORMAT = 3  # of pixels and records: another number makes every store anew
REPORT_SECONDS = 5.0  # between lines of progress


@dataclass(frozen=True)
class Part:
    """The images of one chunk: rows from ``first`` on of the store that is declared as ``path``."""

    path: Path
    number: int  # of the chunk
    first: int  # row of the store
    folder: Path
    names: Sequence[str]  # of the image files, relative to the folder
    size: int  # width and height of a stored image, in pixels
    rotate: bool = False  # whether images are turned as EXIF says


@dataclass(frozen=True)
class Record:
    """What is known of a finished part; written as JSON."""

    key: str  # of the state of its files
    digest: str  # of its pixels
    unreadable: dict[str, str]  # row of the store -> reason; its pixels are 0
    turned: int  # number of images that EXIF says to turn, and that are stored as they are


@dataclass(frozen=True)
class Plan:
    """A store to be built and all of its parts."""

    path: Path  # declared file of the store
    parts: list[Part]
    shape: tuple[int, ...]  # of the images: (N, H, W, C)
    rows: int  # of each part but the last


def plan_parts(path: Path, folder: Path, names: Sequence[str], size: int, rotate: bool = False) -> Plan:
    """Parts of the store at ``path``, whose rows are the image files ``names`` of a folder, in their order."""
    shape = (len(names), size, size, 3)
    rows = store.chunk_rows(shape, np.dtype(np.uint8))
    parts = [
        Part(path, number, first, folder, names[first : first + rows], size, rotate)
        for number, first in enumerate(range(0, len(names), rows))
    ]
    return Plan(path, parts, shape, rows)


def records_folder(path: Path) -> Path:
    """Folder of the key and the records of the store at ``path``."""
    return path.parent / "parts"


def record_file(path: Path, number: int) -> Path:
    """File of the record of a part of the store at ``path``."""
    return records_folder(path) / f"{number}.json"


def key_of(*content: object) -> str:
    """sha256 of values that JSON can hold."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def files_key(part: Part) -> str:
    """Key of the size and time of change of each file of a part."""
    try:
        states = [os.stat(part.folder / name) for name in part.names]
    except OSError as error:
        raise system_error(error.filename, error) from None
    return key_of(*((state.st_size, state.st_mtime_ns) for state in states))


def pixels(part: Part, unreadable: dict[str, str], turned: list[int]) -> Iterator[np.ndarray]:
    """Images of a part, each warped to a square (size, size, 3) uint8.

    A bad picture gives zeros; its row and the reason are added to ``unreadable``. The rows of images that EXIF says to
    turn, and that are not, are added to ``turned``. Raises InputError where the system cannot read a file: nothing is
    recorded then.
    """
    shape = (part.size, part.size)
    for row, name in enumerate(part.names, part.first):
        try:
            decoded = decode(part.folder / name, part.rotate)
            image = np.asarray(decoded.resize(shape, Image.Resampling.BILINEAR))
            turned += [row] * is_turned(decoded)
        except DecodingError as reason:
            unreadable[str(row)] = str(reason)
            image = np.zeros((*shape, 3), np.uint8)
        yield image


def earlier_record(part: Part, key: str) -> Record | None:
    """Record of a part by an earlier run. None without one, and where files, record or chunk are others since then."""
    try:
        record = Record(**read_json(record_file(part.path, part.number), "record", Record.__dataclass_fields__))
        if record.key != key:
            return None
        chunk = chunk_file(part.path, "images", part.number, 4)
        stored = np.fromfile(chunk, np.uint8, len(part.names) * part.size**2 * 3)
    except (InputError, OSError):
        return None
    return record if record.digest == chunk_digest(stored) else None


def build_part(part: Part) -> tuple[Record, int]:
    """Record of a part, and how many images were decoded for it: 0 where an earlier run did so from equal files."""
    key = files_key(part)
    if earlier := earlier_record(part, key):
        return earlier, 0
    unreadable: dict[str, str] = {}
    turned: list[int] = []
    digest = store.write_chunk(part.path, "images", pixels(part, unreadable, turned), part.first)
    record = Record(key, digest, unreadable, len(turned))
    write_json(record_file(part.path, part.number), asdict(record))
    return record, len(part.names)


def names_of(plan: Plan) -> np.ndarray:
    """Names of the files of all rows. (N, bytes of the longest) uint8"""
    return as_array([name for part in plan.parts for name in part.names])


def open_store(plan: Plan) -> int:
    """Number of parts that an earlier run finished; a store of another list of files, or none, is made anew."""
    path, folder = plan.path, records_folder(plan.path)
    key = key_of(FORMAT, pillow, plan.shape, plan.rows, [(part.rotate, part.names) for part in plan.parts])
    key_file = folder / "key"
    same_files = key_file.exists() and key_file.read_bytes() == key.encode()
    path.unlink(missing_ok=True)  # the store is not finished any more
    arrays = {
        "images": (plan.shape, np.uint8),
        "labels": (plan.shape[:1], np.int32),
        "group": (plan.shape[:1], np.int32),
        ARRAY: (names_of(plan).shape, np.uint8),
    }
    store.create(path, arrays, wipe=not same_files)
    if not same_files:
        folder.mkdir()
        with write_atomically(key_file) as temporary:
            temporary.write_text(key)
    return len(list(folder.glob("*.json")))


def progress(name: str, parts: tuple[int, int], images: tuple[int, int], decoded: int, seconds: float) -> str:
    """A line of progress from (finished, all) parts and images.

    ``decoded`` images took this run so many seconds; they give the rate and the time left.
    """
    line = f"{name}: {parts[0]} of {parts[1]} parts, {images[0]} of {images[1]} images"
    if not decoded:
        return line
    left = timedelta(seconds=round((images[1] - images[0]) * seconds / decoded))
    return f"{line}, {decoded / seconds:.0f} images/s, {left} left"


def build_parts(plan: Plan, each: ParallelMap, on_error: str) -> list[Record]:
    """Records of all parts, built now or by an earlier run; prints progress.

    Raises InputError at the first unreadable file where ``on_error`` is "stop".
    """
    name = plan.path.parent.stem
    if finished := open_store(plan):
        print(f"{name}: going on with {finished} of {len(plan.parts)} parts of an earlier run", flush=True)
    records: list[Record] = []
    decoded = 0
    started = reported = time.monotonic()
    for part, (record, newly_decoded) in zip(plan.parts, each(build_part, plan.parts), strict=True):
        records.append(record)
        decoded += newly_decoded
        if record.unreadable and on_error == "stop":
            row, reason = next(iter(record.unreadable.items()))
            refuse(part.folder / part.names[int(row) - part.first], reason)
        now = time.monotonic()
        if now - reported >= REPORT_SECONDS or len(records) == len(plan.parts):
            reported = now
            images = part.first + len(part.names)
            counts = (len(records), len(plan.parts)), (images, plan.shape[0])
            print(progress(name, *counts, decoded, now - started), flush=True)
    return records


def readable(plan: Plan, records: Sequence[Record]) -> np.ndarray:
    """Whether the file of each row could be read. (N,) bool"""
    flags = np.ones(plan.shape[0], bool)
    flags[[int(row) for record in records for row in record.unreadable]] = False
    return flags


def without_holes(readable: np.ndarray) -> np.ndarray:
    """The old row of each row that remains without the unreadable ones. (N,) bool -> (readable rows,)

    The last readable rows fill the holes; all others keep their place.

    >>> without_holes(np.array([True, False, True, False, True, True]))
    array([0, 4, 2, 5])
    """
    count = np.count_nonzero(readable)
    rows = np.arange(count)
    rows[~readable[:count]] = count + np.flatnonzero(readable[count:])
    return rows


def move_rows(plan: Plan, records: Sequence[Record], rows: np.ndarray) -> list[str]:
    """Digests of the chunks of images, after those of the old rows ``rows`` (readable rows,) were moved together."""
    count, step = len(rows), plan.rows
    digests = [record.digest for record in records]
    if count < plan.shape[0]:
        # and the chunk that is last now, which has fewer rows
        changed = sorted({*(np.flatnonzero(rows != np.arange(count)) // step).tolist(), count // step})
        stored = ChunkedArray(plan.path, "images", tuple(digests))
        for first in (number * step for number in changed if number * step < count):
            images = stored[rows[first : first + step]]
            store.write(plan.path, "images", images, first)
            digests[first // step] = chunk_digest(images)
    return digests[: -(-count // step)]


def finish(plan: Plan, records: Sequence[Record], arrays: Mapping[str, np.ndarray], **attributes: Any) -> None:
    """Complete the store with arrays of all rows, labels and group (N,), without the rows that could not be read."""
    rows = without_holes(readable(plan, records))
    digests = {"images": move_rows(plan, records, rows)}
    for name, array in {**arrays, ARRAY: names_of(plan)}.items():
        kept = array[rows]
        store.write(plan.path, name, kept, 0)
        digests[name] = store.array_digests(kept)
    store.finish(plan.path, digests, dict.fromkeys(digests, len(rows)), **attributes)


def remove_records(plan: Plan) -> None:
    """Remove the records of a finished store."""
    shutil.rmtree(records_folder(plan.path))
