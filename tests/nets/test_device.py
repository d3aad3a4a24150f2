"""Devices: jobs spread over GPUs, and batches that threads load arrive in order."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from tests import ROOT
from workflow.convergent.nets import device

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CLAIM = """
import sys
from pathlib import Path
from workflow.convergent.nets import device
print(device.claim_gpu(sys.argv[2:], Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def claimer(folder: Path, names: list[str]) -> tuple[subprocess.Popen, int]:
    """A process that holds a GPU until its input ends, and the index of that GPU."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(folder), *names],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.slow
def test_processes_claim_gpus_of_their_own_and_leave_them_when_they_end(tmp_path: Path) -> None:
    names = ["0", "MIG-GPU-1234/1/0"]
    first, one = claimer(tmp_path, names)
    second, two = claimer(tmp_path, names)
    assert (one, two) == (0, 1)
    third, shared = claimer(tmp_path, names)
    assert shared == third.pid % 2
    first.kill()
    first.wait()
    fourth, again = claimer(tmp_path, names)
    assert again == 0
    for process in (first, second, third, fourth):
        process.communicate()


@pytest.mark.parametrize("place", [CPU, CUDA], ids=str)
def test_results_that_are_prepared_ahead_come_in_order(place: torch.device) -> None:
    """Every third job takes longest, so later ones are ready before it."""

    def prepare(job: int) -> int:
        time.sleep(0.02 * (job % 3 == 0))
        return job * job

    assert list(device.prepare_ahead(prepare, range(20), place)) == [job * job for job in range(20)]


@pytest.mark.parametrize(("place", "most"), [(CPU, 2), (CUDA, device.LOADING_THREADS + 1)], ids=str)
def test_no_more_is_prepared_than_there_are_threads_and_one(place: torch.device, most: int) -> None:
    prepared: list[int] = []
    before = threading.active_count()
    results = device.prepare_ahead(prepared.append, range(100), place)
    for taken in range(1, 10):
        next(results)
        time.sleep(0.005)
        assert len(prepared) <= taken + most
    results.close()
    assert len(prepared) <= 9 + most
    assert threading.active_count() <= before


def test_an_error_while_loading_is_raised() -> None:
    def prepare(job: int) -> float:
        return 1 / (2 - job)

    results = device.prepare_ahead(prepare, range(5), CPU)
    assert [next(results), next(results)] == [0.5, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.gpu
def test_a_gpu_is_picked_and_stays_picked() -> None:
    assert device.pick() == device.pick()
    assert device.pick().index == torch.cuda.current_device()
    assert device.page_locked(torch.zeros(3)).is_pinned()
