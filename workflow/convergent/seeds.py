"""Random seeds that are derived from names, never from the order of calls.

Each random draw has its own seed, made from the configured seed and from what the draw is for (a net, a layer, a
purpose). A draw that is added, left out or made in another process changes no other draw.
"""

import hashlib


def derive(seed: int, *names: str | int) -> int:
    """A seed of 63 bits for one purpose. Other names give an unrelated seed.

    >>> derive(0, "dropout", 3)
    7674056959200526490
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
