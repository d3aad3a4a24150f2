"""A disk without locks, as Lustre and some NFS are: in programs that are started so, the system's ``flock`` fails."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
#include <errno.h>
int flock(int file, int how) { (void)file; (void)how; errno = NUMBER; return -1; }
"""
can_fail = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="flock is made to fail by a library that cc compiles"
)


def without_locks(folder: Path, number: int) -> dict[str, str]:
    """Variables with which a program finds no locks on any disk. folder: of the library; number: of the error"""
    (code := folder / "flock.c").write_text(CODE)
    library = folder / "flock.so"
    subprocess.run(["cc", "-shared", "-fPIC", f"-DNUMBER={number}", "-o", library, code], check=True)
    return {"LD_PRELOAD": str(library)}
