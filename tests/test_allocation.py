"""Freed memory stays with the process."""

import ctypes
import subprocess
import sys

import pytest

# Bytes of a freed block of 256 MB that the process gives back, in megabytes.
CODE = """
import os
import numpy as np
from workflow.convergent.allocation import keep_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if {kept}:
    keep_freed_memory()
block = np.ones(2**25)
whole = resident()
del block
print((whole - resident()) // 10**6)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc alone can be told")
@pytest.mark.parametrize("kept", [False, True])
def test_freed_memory_is_kept_for_the_next_activation(kept: bool) -> None:
    """In a new process: others have told malloc already, and hold memory."""
    done = subprocess.run([sys.executable, "-c", CODE.format(kept=kept)], check=True, capture_output=True, text=True)
    given_back = int(done.stdout)
    assert given_back < 10 if kept else given_back > 200
