"""Which images of a folder were made from one photograph, by the names of their files. Imports nothing heavy.

``data.groups`` is a regular expression or the name of a CSV file. Images of one group are not independent: blocks are
unions of whole groups. Names are compared in Unicode's composed form, which not every disk keeps.
"""

import csv
import re
from collections.abc import Callable, Iterable
from functools import cache

from ..commands import InputError, cut
from .listing import composed

COLUMNS = ["file", "group"]

Key = object  # equal for images of one group
KeyOf = Callable[[str], Key]  # of the name of an image file, relative to the folder, as train/cat/beach-1.png


def is_table(groups: str) -> bool:
    """Whether groups are listed in a CSV file."""
    return groups.lower().endswith(".csv")


def by_pattern(groups: str) -> KeyOf:
    """Groups are what a regular expression finds in a name: its parenthesised parts if it has any, else all of it."""
    try:
        pattern = re.compile(composed(groups))
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"data.groups: {cut(groups)!r} is no regular expression ({error})") from None

    def key(name: str) -> Key:
        found = pattern.search(composed(name))
        if not found:
            raise InputError(f"data.groups: {cut(groups)!r} finds nothing in {name!r}; it must in every image's name")
        return found.groups() or found[0]

    return key


@cache
def listed(file: str) -> dict[str, str]:
    """Group of each image file of a table. Raises InputError for one that cannot be read or lists a file twice."""
    found: dict[str, str] = {}
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            lines = csv.reader(text)
            if (header := next(lines, [])) != COLUMNS:
                raise InputError(f"{file}: columns {', '.join(header) or 'none'}; must be {', '.join(COLUMNS)}")
            for row in lines:
                if len(row) != len(COLUMNS) or not all(row) or composed(row[0]) in found:
                    raise InputError(f"{file}: row {cut(','.join(row))!r}; each file has one row with its group")
                found[composed(row[0])] = row[1]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"data.groups: {file} cannot be read as a table ({error})") from None
    return found


def by_table(groups: str) -> KeyOf:
    """Groups are those of a table with the columns ``file`` and ``group``."""
    known = listed(groups)

    def key(name: str) -> Key:
        if composed(name) not in known:
            raise InputError(f"data.groups: {groups} has no row for {name!r}; every image file needs one")
        return known[composed(name)]

    return key


def key_of(groups: str) -> KeyOf:
    """The group of an image by its name, as ``data.groups`` says. Raises InputError where it cannot be used.

    The result raises InputError for an image that has no group.

    >>> key_of(r"(\\w+)-\\d+")("train/cat/beach-1.png")
    ('beach',)
    """
    return by_table(groups) if is_table(groups) else by_pattern(groups)


def numbered(names: Iterable[str], groups: str) -> list[int]:
    """Number of each image's group, counted as they appear; each image is its own where ``groups`` is empty."""
    if not groups:
        return [number for number, _ in enumerate(names)]
    numbers: dict[Key, int] = {}
    key = key_of(groups)
    return [numbers.setdefault(key(name), len(numbers)) for name in names]
