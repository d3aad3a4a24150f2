"""Claims of GPUs, by processes that live. No GPU is needed: a claim is of a name."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests import ROOT
from workflow.convergent.nets.claims import claim_gpu, instances

CLAIM = """
import os, sys
from workflow.convergent.nets.claims import claim_gpu, instances
if sys.argv[1]:
    os.setuid(int(sys.argv[1]))
print(claim_gpu(sys.argv[2:]), flush=True)
sys.stdin.read()
"""
NOBODY = "65534"


def claimer(names: list[str], user: str = "", **environment: str) -> tuple[subprocess.Popen, int]:
    """A process that holds a GPU until its input ends, and the index of that GPU."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIM, user, *names],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="CUDA, and the addresses of claims, are on Linux")
def test_processes_claim_gpus_of_their_own_and_leave_them_when_they_end(tmp_path: Path) -> None:
    """Whatever their user, folder for temporary files, and order of GPUs."""
    one, two = (f"{name}-{uuid4()}" for name in ("GPU", "MIG/1/0"))
    first, of_first = claimer([one, two])
    second, of_second = claimer([two, one], TMPDIR=str(tmp_path))
    assert (of_first, of_second) == (0, 0)
    third, shared = claimer([one, two], user=NOBODY if os.getuid() == 0 else "")
    assert shared == third.pid % 2
    first.kill()
    first.wait()
    fourth, again = claimer([two, one], user=NOBODY if os.getuid() == 0 else "")
    assert again == 1
    for process in (first, second, third, fourth):
        process.communicate()


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("MIG-41b3-7, MIG-c6d4,", ["MIG-41b3-7", "MIG-c6d4"]),
        ("MIG-GPU-8932f937-d72c/13/0", ["MIG-GPU-8932f937-d72c/13/0"]),
        ("GPU-8932f937,1", []),
        ("-1", []),
        ("", []),
    ],
)
def test_parts_of_gpus_are_named_by_their_names_alone(visible: str, names: list[str]) -> None:
    assert instances(visible) == names


def test_a_claim_that_fails_for_another_reason_is_no_claim_of_others() -> None:
    with pytest.raises(OSError, match="too long"):
        claim_gpu(["x" * 200])
