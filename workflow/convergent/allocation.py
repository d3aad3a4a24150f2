"""How malloc treats memory that is freed."""

import ctypes


def keep_freed_memory() -> None:
    """Make malloc keep large freed blocks: fresh memory for every activation costs a sixth of a forward pass."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc alone has it
    if mallopt:
        mallopt(-3, 2**30)  # M_MMAP_THRESHOLD
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
