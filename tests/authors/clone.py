"""Files of the form of the authors' repository."""

import struct
from pathlib import Path

import numpy as np

from workflow.convergent.authors.runs import FOLDER, LOG, WEIGHTS


def python2_pickle(values: np.ndarray) -> bytes:
    """The pickle that Python 2 writes of an array, protocol 2."""

    def text(content: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(content)) + content

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    shape = b"(" + b"".join(map(number, values.shape)) + b"t"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87R"
    kind = b"cnumpy\ndtype\n" + text(values.dtype.str[1:].encode()) + b"K\0K\1\x87R"
    order = b"(K\3" + text(values.dtype.str[:1].encode()) + b"NNN" + number(-1) + number(-1) + b"K\0tb"
    return b"\x80\2" + array + b"(K\1" + shape + kind + order + b"\x89" + text(values.tobytes()) + b"tb."


def log_of(train: list[float], val: list[float]) -> str:
    """A log with the losses of each iteration between lines of other kinds."""
    lines = ["Command run: ./job.sh", "I1111 06:56:08 solver.cpp:47] base_lr: 0.001"]
    for number, (first, second) in enumerate(zip(train, val, strict=True)):
        lines += [f"{number} train loss is {first}", f"{number} val loss is {second}"]
    return "\n".join(lines) + "\n"


def add_run(clone: Path, name: str, weights: np.ndarray, train: list[float], val: list[float]) -> Path:
    """The folder of a run that is added to a clone."""
    folder = clone / FOLDER / name
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_bytes(python2_pickle(weights))
    (folder / LOG).write_text(log_of(train, val))
    return folder
