"""Files that are either the old or the new one, whenever the process dies."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".partial"  # behind the name of a file that is being written


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """A path beside a file, to write to within the block; its end puts it in the file's place, an error removes it.

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
