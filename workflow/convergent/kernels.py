"""Functions that numba compiles, and keeps on disk in a cache in which damage does no harm."""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile

DIGEST = hashlib.sha256().digest_size  # bytes


def is_whole(file: str) -> bool:
    """Whether a file ends with the digest of what stands before."""
    try:
        content = Path(file).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-DIGEST]).digest() == content[-DIGEST:]


class CheckedFile(IndexDataCacheFile):
    """Numba's files of a function, each with a digest at its end. A damaged one counts as absent: it is compiled again.

    Numba reads on to the end of what it wrote, and executes code that it reads without looking at it.
    """

    @contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[io.BytesIO]:
        with super()._open_for_write(filepath) as file:
            content = io.BytesIO()
            yield content
            file.write(content.getvalue() + hashlib.sha256(content.getvalue()).digest())

    def _load_index(self) -> dict[Any, str]:
        return super()._load_index() if is_whole(self._index_path) else {}

    def _load_data(self, name: str) -> Any:
        if not is_whole(self._data_path(name)):
            raise FileNotFoundError(name)  # which numba takes for a file that somebody has removed
        return super()._load_data(name)


class CheckedCache(FunctionCache):
    """The cache of a function. What cannot be written to it is compiled again the next time."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        numbas = self._cache_file
        self._cache_file = CheckedFile(numbas._cache_path, self._impl.filename_base, numbas._source_stamp)

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator: the function compiled by numba with these options, once for each machine and each edit of its file.

    >>> @compiled(nogil=True)
    ... def twice(x):
    ...     return 2 * x
    """

    def decorate(function: Callable[..., Any]) -> Any:
        kernel = njit(**options)(function)
        with suppress(RuntimeError):  # numba found no folder for its files that it may write to
            kernel._cache = CheckedCache(function)
        return kernel

    return decorate
