"""Data of the atlas as script files, which a browser loads from a folder too, where it fetches no other data.

Each is one call, ``atlas.register(key, data)``; the page's script defines it.
"""

import json
from pathlib import Path
from typing import Any

from ..files import write_atomically


def as_script(text: str) -> str:
    """JSON that may stand inside of a script, and of a ``script`` element.

    >>> print(as_script('"</script>"'))
    "\\u003c/script>"
    """
    for character in ("<", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def encoded(data: Any) -> str:
    """Data as JSON without spaces. Raises ValueError for a number that is not finite."""
    return as_script(json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False))


def write(path: Path, key: str, data: Any) -> None:
    """Write a script file that registers data under a key."""
    with write_atomically(path) as temporary:
        temporary.write_text(f"atlas.register({encoded(key)},{encoded(data)});\n", encoding="utf-8")
