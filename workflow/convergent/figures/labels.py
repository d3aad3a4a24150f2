"""Names of nets, and titles, where there is little room for them."""

import textwrap

LONGEST = 12  # characters of a name that has room over a picture, and in a line with other words
CHARACTER = 0.55  # width of a character as a share of the size of the letters
POINTS = 72  # of an inch


def short(name: str) -> str:
    """A name over a picture: of a long one its beginning and its end.

    >>> short("resnet18"), short("resnet18_from_scratch")
    ('resnet18', 'resnet…ratch')
    """
    return name if len(name) <= LONGEST else f"{name[:6]}…{name[-5:]}"


def before(words: str, name: str) -> str:
    """Words before a name, in a line of their own where the name is long.

    >>> before("units of", "Net1")
    'units of Net1'
    """
    return f"{words} {name}" if len(name) <= LONGEST else f"{words}\n{name}"


def wrapped(text: str, width: float, size: float = 9) -> str:
    """A text in lines no wider than ``width`` inches, about, where letters have a size in points."""
    most = int(width * POINTS / (CHARACTER * size))
    lines = (textwrap.wrap(line, most, break_long_words=False, break_on_hyphens=False) for line in text.split("\n"))
    return "\n".join(part for line in lines for part in line or [""])
