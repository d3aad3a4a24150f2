"""Devices: the GPU that a process has to itself, and batches that threads load arrive in order."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
import torch

from tests import ROOT
from tests.moments.singles import SINGLES, Singles
from workflow.convergent.nets import device

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


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


@pytest.mark.parametrize(("place", "meanwhile"), [(CPU, 0), (torch.device("mps"), 0), (CUDA, 1)], ids=str)
def test_each_result_is_used_while_on_a_gpu_the_next_is_computed(place: torch.device, meanwhile: int) -> None:
    """In order, one at a time; what goes wrong is said."""
    used: list[int] = []
    ahead: list[int] = []
    computed = [threading.Event() for _ in range(5)]

    def results() -> Iterator[int]:
        for number in range(5):
            ahead.append(number - len(used))
            computed[number].set()
            yield number

    def use(number: int) -> None:
        if meanwhile and number < 4:
            assert computed[number + 1].wait(5)
        used.append(number)

    device.use_each(use, results(), place)
    assert used == list(range(5))
    assert max(ahead) == meanwhile
    with pytest.raises(ZeroDivisionError):
        device.use_each(lambda number: 1 // number, iter([1, 0, 1]), place)


@pytest.mark.gpu
def test_a_gpu_is_one_claim_under_its_index_and_its_serial_number() -> None:
    """This process has claimed it; others, which see no other GPU, are given what else they ask for."""
    serial = torch.cuda.get_device_properties(device.pick()).uuid
    names = [f"GPU-{serial}", *([] if "CUDA_VISIBLE_DEVICES" in os.environ else [str(device.pick().index)])]
    ask = "import torch; from workflow.convergent.nets.claims import claim_gpu; "
    ask += "print(claim_gpu([str(torch.cuda.get_device_properties(0).uuid), 'another']))"
    for name in names:
        seen = {**os.environ, "CUDA_VISIBLE_DEVICES": name}
        said = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, env=seen, capture_output=True, check=True).stdout
        assert said == b"1\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="CUDA, and the addresses of claims, are on Linux")
def test_jobs_take_different_parts_of_gpus() -> None:
    """CUDA would show each the first that is named. Here there need be none: what is tried is which names are left."""
    code = "import os, sys; from workflow.convergent.nets import device; device.pick(); device.pick(); "
    code += "print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); sys.stdin.read()"
    names = [f"MIG-{uuid4()}" for _ in range(2)]
    seen, jobs = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(names)}, []
    for name in names:
        job = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env=seen, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert job.stdout is not None
        assert job.stdout.readline() == f"{name}\n"
        jobs.append(job)
    for job in jobs:
        job.communicate()


def test_sums_live_where_there_is_float64() -> None:
    assert device.of_doubles(CPU) == CPU
    with Singles():
        assert device.of_doubles(SINGLES) == CPU


@pytest.mark.gpu
def test_a_gpu_is_picked_and_stays_picked() -> None:
    assert device.pick() == device.pick()
    assert device.pick().index == torch.cuda.current_device()
    assert device.empty((3,), torch.float32).is_pinned()


@pytest.mark.parametrize("own", [None, ":16:8"])
def test_products_on_a_gpu_are_told_to_give_equal_bits(own: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch reads it from the environment and takes one of two values, without which it raises; a user's own stays."""
    name = "CUBLAS_WORKSPACE_CONFIG"
    monkeypatch.delenv(name, raising=False)
    if own:
        monkeypatch.setenv(name, own)
    device.deterministic(1)
    assert os.environ.get(name) in ([own] if own else [":4096:8", ":16:8"])


def test_algorithms_precision_and_threads_are_fixed() -> None:
    """What has no deterministic algorithm raises, or, not to be strict, only warns."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        for strict in (False, True):
            device.deterministic(2, strict)
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.is_deterministic_algorithms_warn_only_enabled() is not strict
            assert torch.get_num_threads() == 2
            assert not torch.backends.cuda.matmul.allow_tf32
            assert not torch.backends.cudnn.allow_tf32
    finally:
        device.deterministic(1)
