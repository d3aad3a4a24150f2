"""Tables as CSV files; every CSV of the project is read and written here.

In memory a table is a list of rows, and a row is a dictionary from column to cell. A cell that a row lacks, and a NaN,
is an empty cell in the file.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .commands import InputError
from .files import write_atomically

WHOLE = re.compile(r"[+-]?\d+")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf", re.IGNORECASE)


def parsed(text: str) -> int | float | str:
    """The content of a cell: an integer where the text is one, else a float where it is one, else the text."""
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


def read(path: str | Path, allow_no_rows: bool = False) -> list[dict[str, Any]]:
    """Rows of a table. Cells are numbers where their text is a number, and "" where they are empty.

    Raises InputError where the file is missing or empty, where a row has more or fewer cells than the header, and,
    unless ``allow_no_rows``, where there are no rows.
    """
    if not Path(path).exists():
        raise InputError(f"{path}: no such table")
    with open(path, newline="") as file:
        lines = csv.DictReader(file)
        rows = list(lines)
        header = lines.fieldnames
    if header is None:
        raise InputError(f"{path}: empty file; a table begins with a header")
    if not rows and not allow_no_rows:
        raise InputError(f"{path}: table without rows; at least one is needed")
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():  # where DictReader puts surplus cells, and what it fills gaps with
            amount = "more" if None in row else "fewer"
            raise InputError(f"{path}: row {number} has {amount} cells than the header, which has {len(header)}")
    return [{name: parsed(text) for name, text in row.items()} for row in rows]


def columns(path: str | Path) -> dict[str, np.ndarray]:
    """Columns of a table by name, (rows,) each. A column that holds a text is one of texts, any other of numbers.

    An empty cell among numbers is NaN, among texts "". Raises InputError as ``read`` does.
    """
    rows = read(path)
    cells = {name: [row[name] for row in rows] for name in rows[0]}
    numeric = {name: all(cell == "" or not isinstance(cell, str) for cell in column) for name, column in cells.items()}
    return {
        name: np.array([np.nan if cell == "" else cell for cell in column] if numeric[name] else column)
        for name, column in cells.items()
    }


def formatted(cell: Any, digits: int | None) -> Any:
    """A cell as it is written: a float with ``digits`` significant digits, or, for None, with all that it needs."""
    if not isinstance(cell, float | np.floating):
        return cell
    if cell != cell:
        return ""
    return repr(float(cell)) if digits is None else f"{cell:.{digits}g}"


def write(path: str | Path, rows: Sequence[Mapping[str, Any]], digits: int | None = None) -> None:
    """Write rows to a file. Columns come in the order in which they first appear in the rows.

    Floats get ``digits`` significant digits. Without ``digits`` they get as many as reading them back exactly takes.
    """
    with write_atomically(path) as temporary, temporary.open("w", newline="") as file:
        header = dict.fromkeys(name for row in rows for name in row)
        writer = csv.DictWriter(file, header, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: formatted(cell, digits) for name, cell in row.items()} for row in rows)
