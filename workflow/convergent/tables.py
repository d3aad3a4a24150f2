"""Tables as CSV files: rows are dictionaries, and what a row has not is an empty cell."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .files import write_atomically


def value(text: str) -> Any:
    """A cell as a whole number, a number, or text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def read(path: str | Path) -> list[dict[str, Any]]:
    """Rows with numbers where cells are numbers, and "" where they are empty."""
    with open(path, newline="") as file:
        return [{name: value(text) for name, text in row.items()} for row in csv.DictReader(file)]


def columns(path: str | Path) -> dict[str, np.ndarray]:
    """Columns by name (rows,): numbers, NaN where a cell is empty; texts where a cell of the column is a text."""
    rows = read(path)
    cells = {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
    numeric = {name: all(cell == "" or not isinstance(cell, str) for cell in column) for name, column in cells.items()}
    return {
        name: np.array([np.nan if cell == "" else cell for cell in column] if numeric[name] else column)
        for name, column in cells.items()
    }


def write(path: str | Path, rows: Sequence[Mapping[str, Any]], digits: int | None = None) -> None:
    """Rows to a file, columns in the order in which they first appear; NaN is an empty cell.

    Numbers that are not whole have so many significant digits, or as many as they need to be read back exactly.
    """

    def shown(cell: Any) -> Any:
        if not isinstance(cell, float):
            return cell
        if cell != cell:
            return ""
        return repr(float(cell)) if digits is None else f"{cell:.{digits}g}"

    with write_atomically(path) as temporary, temporary.open("w", newline="") as file:
        columns = dict.fromkeys(name for row in rows for name in row)
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: shown(cell) for name, cell in row.items()} for row in rows)
