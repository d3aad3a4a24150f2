"""Read the one array of a pickle and nothing else; no name of the file is looked up, and nothing of it is executed."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ..commands import InputError, cut
from ..files import read_bytes
from ..unpickling import Function

KINDS = {b"f4", b"f8"}  # of the numbers
ORDERS = {b"<", b">"}  # of their bytes


class RefusedError(Exception):
    """A pickle holds something else than numbers. Its text says what."""


class Kind:
    """In place of a dtype: its kind, and the order of its bytes."""

    def __init__(self, kind: Any, *_: Any) -> None:
        self.kind, self.order = as_bytes(kind), b""

    def __setstate__(self, state: Any) -> None:
        self.order = as_bytes(state[1])

    def dtype(self) -> np.dtype:
        if self.kind not in KINDS or self.order not in ORDERS:
            raise RefusedError(f"numbers of kind {(self.order + self.kind).decode('latin1')}")
        return np.dtype((self.order + self.kind).decode())


class Array:
    """In place of an array: what numpy writes of one."""

    state: tuple[Any, ...] = ()

    def __init__(self, *_: Any) -> None:
        """Take nothing: numpy makes an empty array first."""

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def numbers(self) -> np.ndarray:
        """The array itself."""
        _, shape, kind, by_columns, content = self.state
        values = np.frombuffer(content, kind.dtype())
        return values.reshape(shape, order="F" if by_columns else "C")


def as_bytes(text: Any) -> bytes:
    """Text of a pickle, which is bytes where Python 2 wrote it."""
    return text.encode() if isinstance(text, str) else bytes(text)


KNOWN = {(f"{package}.multiarray", "_reconstruct"): Function(Array) for package in ("numpy.core", "numpy._core")}
KNOWN |= {("numpy", "dtype"): Function(Kind), ("numpy", "ndarray"): Function(Array)}


class Unpickler(pickle.Unpickler):
    """An unpickler that knows numpy's arrays alone."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands in place of a name of the file."""
        if (module, name) not in KNOWN:
            raise RefusedError(f"{module}.{name}")
        return KNOWN[module, name]


def read_array(path: Path) -> np.ndarray:
    """The array of floating-point numbers that a pickle holds, of Python 2 too.

    Raises InputError where the file is missing or damaged, holds anything else, or a number that is not finite.
    """
    try:
        held = Unpickler(io.BytesIO(read_bytes(path, "pickle")), encoding="bytes").load()
        if type(held) is not Array:
            raise RefusedError(type(held).__name__)
        values = held.numbers()
    except RefusedError as error:
        raise InputError(f"{path}: it holds {cut(str(error))}; only an array of floating-point numbers may") from None
    except InputError:
        raise
    except Exception:  # whatever a damaged file makes of its parts
        raise InputError(f"{path}: not the pickle of an array, or damaged; fetch it again") from None
    if not np.isfinite(values).all():
        raise InputError(f"{path}: not all of its numbers are finite; fetch it again")
    return values
