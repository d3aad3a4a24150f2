"""What can happen to a stored file, and what kinds of stored files there are."""

import random
import re
from collections.abc import Callable
from pathlib import Path


def flipped(content: bytes, place: int, rng: random.Random) -> bytes:
    """A file with one bit of one byte changed."""
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def other_digit(content: bytes, rng: random.Random) -> bytes:
    """A text with one digit changed; without digits as it is."""
    digits = [found.start() for found in re.finditer(rb"[0-9]", content)]
    if not digits:
        return content
    place = rng.choice(digits)
    return (
        content[:place] + rng.choice([b"%d" % n for n in range(10) if n != content[place] - 48]) + content[place + 1 :]
    )


Damage = Callable[[bytes, random.Random], bytes | None]
DAMAGES: dict[str, Damage] = {
    "first byte": lambda content, rng: flipped(content, 0, rng),
    "middle byte": lambda content, rng: flipped(content, len(content) // 2, rng),
    "last byte": lambda content, rng: flipped(content, len(content) - 1, rng),
    "random byte": lambda content, rng: flipped(content, rng.randrange(len(content)), rng),
    "half": lambda content, rng: content[: len(content) // 2],
    "empty": lambda content, rng: b"",
    "deleted": lambda content, rng: None,
}
OF_TEXT: dict[str, Damage] = {
    "a digit": other_digit,
    "last line": lambda content, rng: b"".join(content.splitlines(keepends=True)[:-1]),
}
TEXTS = {".csv", ".json", ".sha256"}


def of(file: Path) -> dict[str, Damage]:
    """Kinds of damage that a file can have."""
    return DAMAGES | OF_TEXT if file.suffix in TEXTS else DAMAGES


KINDS = {  # by the ending of a file's name
    ".pt": "net: weights",
    ".json": "net: description",
    ".csv": "table",
    ".sha256": "table: digest",
    ".nbi": "compiled code: index",
    ".nbc": "compiled code",
    ".png": "picture of the data",
}


def kind(path: Path) -> str:
    """What a stored file is."""
    if any(part.endswith(".zarr") for part in path.parts):
        if "provenance" in path.parts:
            return "store: provenance"
        if path.name != "zarr.json":
            return "part: record" if "parts" in path.parts else "store: chunk"
        return "store: zarr.json" if path.parent.suffix == ".zarr" else "store: zarr.json of an array"
    if ".snakemake" in path.parts:
        return "record of Snakemake"
    return "checkpoint" if "checkpoints" in path.parts else KINDS.get(path.suffix, path.name)


def described(before: bytes, after: bytes | None) -> str:
    """Which change this is, so that it can be made by hand."""
    if after is None or not after:
        return "removed" if after is None else "emptied"
    if len(after) < len(before):
        return f"cut to {len(after)} bytes"
    place = next((number for number, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), 0)
    return f"byte {place} is {after[place]:#04x}, was {before[place]:#04x}"
