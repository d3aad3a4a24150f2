"""Tables as CSV files; every CSV of the project is read and written here.

In memory a table is a list of rows, and a row is a dictionary from column to cell. A cell that a row lacks, and a NaN,
is an empty cell in the file.

Beside ``<name>.csv`` lies ``<name>.csv.sha256``, which ``sha256sum -c`` understands: its second line is the table's
digest, and its first one, a comment, says what the table is of, as the attributes of a store do: kind, layer, nets. A
stage's table is read only where it matches this file.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .commands import InputError
from .files import Named, damaged, read_bytes, sealed, unsealed, write_atomically

TEXTS = (
    "layer",
    "state",
    "pair",
    "net",
    "other",
    "verdict",
    "claim",
    "against",
    "similarity",
    "members",
    "certain",
    "paper_certain",
)  # columns that hold texts; all others hold numbers
WHOLE = re.compile(r"[+-]?\d+")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf", re.IGNORECASE)


def digest_file(path: str | Path) -> Path:
    """The file that holds the digest of a table and says what it is of."""
    return Path(path).with_name(Path(path).name + ".sha256")


def checked(path: str | Path) -> tuple[bytes, dict[str, Any]]:
    """Content of a stage's table and what it is of.

    Raises InputError where it is missing or does not match its digest.
    """
    content, beside = read_bytes(path, "table"), digest_file(path)
    if not beside.exists():
        raise InputError(
            f"{path}: no {beside.name} beside it, which the stage that writes a table writes too; tables made by hand "
            "are not read; if the workflow made it, remove it and run again"
        )
    try:
        comment, line = read_bytes(beside, "file").decode().splitlines()
        about = unsealed(json.loads(comment.removeprefix("#")))
        if not about["sha256"] == line.split()[0] == hashlib.sha256(content).hexdigest():
            raise ValueError
    except (ValueError, KeyError, IndexError):
        raise damaged(path, f"does not match its digest in {beside.name}", path) from None
    return content, about


def about(path: str | Path, *kinds: str) -> Named:
    """What a table is of: a stage wrote it, and it is one of these kinds, ``matches``, ``agreement``, ...

    Raises InputError where it is of another kind, missing or does not match its digest.
    """
    _, stored = checked(path)
    if kinds and stored.get("kind") not in kinds:
        raise InputError(f"{path}: a table of {stored.get('kind', 'no kind')}; must be one of {' or '.join(kinds)}")
    return Named(path, "entry", stored)


def parsed(text: str) -> int | float | str:
    """The content of a cell: an integer where the text is one, else a float where it is one, else the text."""
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


def parsed_row(path: str | Path, number: int, row: Mapping[str, str]) -> dict[str, Any]:
    """Cells of a row by column, from their texts. Raises InputError where a column of numbers holds a text."""
    cells = {name: text if name in TEXTS else parsed(text) for name, text in row.items()}
    for name, cell in cells.items():
        if name not in TEXTS and isinstance(cell, str) and cell:
            raise InputError(f"{path}: row {number} has {cell!r} in column {name}; allowed are numbers and empty cells")
    return cells


def parsed_table(
    path: str | Path, content: bytes, needed: Collection[str], allow_no_rows: bool
) -> list[dict[str, Any]]:
    """Rows of a table from the content of its file. Raises InputError as ``read`` does."""
    try:
        lines = csv.DictReader(io.StringIO(content.decode(), newline=""))
        rows, header = list(lines), lines.fieldnames or []
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: no table; a table is CSV in UTF-8 ({error})") from None
    if missing := [name for name in needed if name not in header]:
        raise InputError(f"{path}: no column {', '.join(missing)}; there are {', '.join(header) or 'none'}")
    if not rows and not allow_no_rows:
        raise InputError(f"{path}: table without rows; at least one is needed")
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():  # where DictReader puts surplus cells, and what it fills gaps with
            amount = "more" if None in row else "fewer"
            raise InputError(f"{path}: row {number} has {amount} cells than the header, which has {len(header)}")
    return [parsed_row(path, number, row) for number, row in enumerate(rows, 1)]


def read(path: str | Path, needed: Collection[str] = (), allow_no_rows: bool = False) -> list[dict[str, Any]]:
    """Rows of a table that a stage wrote. Cells are texts in the columns TEXTS, else numbers, or "" where empty.

    needed: columns that the caller uses. Raises InputError where the table is missing, does not match its digest,
    lacks a column, has a row of another length or a text among numbers, or, unless ``allow_no_rows``, has no rows.
    """
    return parsed_table(path, checked(path)[0], needed, allow_no_rows)


def read_resource(path: str | Path, needed: Collection[str]) -> list[dict[str, Any]]:
    """Rows of a table that comes with the project, without a digest. Otherwise as ``read``."""
    return parsed_table(path, read_bytes(path, "table"), needed, allow_no_rows=False)


def columns(path: str | Path, needed: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Columns of a stage's table by name, (rows,) each: texts in the columns TEXTS, else numbers, NaN where empty.

    Raises InputError as ``read`` does.
    """
    rows = read(path, needed)
    cells = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: np.array(column if name in TEXTS else [np.nan if cell == "" else cell for cell in column])
        for name, column in cells.items()
    }


def formatted(cell: Any, digits: int | None) -> Any:
    """A cell as it is written: a float with ``digits`` significant digits, or, for None, with all that it needs."""
    if not isinstance(cell, float | np.floating):
        return cell
    if cell != cell:
        return ""
    return repr(float(cell)) if digits is None else f"{cell:.{digits}g}"


def write(
    path: str | Path,
    rows: Sequence[Mapping[str, Any]],
    digits: int | None = None,
    header: Sequence[str] = (),
    **about: Any,
) -> None:
    """Write rows to a file, and its digest and what it is ``about`` beside it: ``kind="matches", layer="conv1"``.

    Columns are those of ``header``, then others in the order in which they first appear in the rows. Floats get
    ``digits`` significant digits. Without ``digits`` they get as many as reading them back exactly takes.
    """
    text, path = io.StringIO(newline=""), Path(path)
    names = dict.fromkeys([*header, *(name for row in rows for name in row)])
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: formatted(cell, digits) for name, cell in row.items()} for row in rows)
    content = text.getvalue().encode()
    digest = hashlib.sha256(content).hexdigest()
    comment = json.dumps(sealed({**about, "sha256": digest}))
    with write_atomically(digest_file(path)) as temporary:  # first: the table is what the workflow waits for
        temporary.write_bytes(f"# {comment}\n{digest}  {path.name}\n".encode())
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)
