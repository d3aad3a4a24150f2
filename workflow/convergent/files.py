"""Files that are complete whenever they exist.

A file is written under a temporary name and then renamed. A process that dies on the way leaves the old file untouched.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".partial"  # ends the temporary name of a file that is being written


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """A temporary path to write to. When the block ends, the file written there replaces ``path``.

    If the block raises, the temporary file is removed and ``path`` stays as it was. Missing folders are created.

    >>> with write_atomically("table.csv") as temporary:
    ...     temporary.write_text("unit,greedy")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + UNFINISHED)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
