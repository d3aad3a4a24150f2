"""Freed memory stays with the process."""

import ctypes
import os
from pathlib import Path

import numpy as np
import pytest

from workflow.convergent.allocation import keep_freed_memory


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc alone can be told")
@pytest.mark.parametrize("kept", [False, True])
def test_freed_memory_is_kept_for_the_next_activation(kept: bool) -> None:
    """In a process of its own, with glibc's defaults for what other tests have changed: others go on as they are."""
    child = os.fork()
    if not child:
        for parameter in (-3, -1):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
            ctypes.CDLL(None).mallopt(parameter, 2**17)
        if kept:
            keep_freed_memory()
        block = np.ones(2**25)  # 256 MB
        whole = resident()
        del block
        os._exit(int(whole - resident() > 2**27))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == int(not kept)
