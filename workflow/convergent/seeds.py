"""Random seeds derived by name, never by the order of calls."""

import hashlib


def derive(seed: int, *names: str | int) -> int:
    """A seed of 63 bits for one purpose: ``derive(0, "dropout", 3)``; other names give unrelated seeds."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
