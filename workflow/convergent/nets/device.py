"""Where nets run, and the settings under which equal input gives equal bits."""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

from .claims import claim_gpu, instances

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOADING_THREADS = 4  # that prepare batches for a GPU; one does for the CPU, which shares its cores with them

Job = TypeVar("Job")
Prepared = TypeVar("Prepared")


@functools.cache
def leave_one_instance() -> None:
    """Where CUDA_VISIBLE_DEVICES names parts of GPUs (MIG), leave the one that this process claims.

    CUDA shows only the first of them, so that all processes would share it. It reads the names once, when it is first
    asked for devices.
    """
    if names := instances(os.environ.get(VISIBLE, "")):
        os.environ[VISIBLE] = names[claim_gpu(names)]


@functools.cache
def claimed_gpu() -> torch.device:
    """The GPU that this process has claimed; the first call claims it.

    GPUs are named by their serial numbers: what their indices mean depends on CUDA_VISIBLE_DEVICES.
    """
    serials = [str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())]
    place = torch.device("cuda", claim_gpu(serials))
    torch.cuda.set_device(place)
    return place


def pick() -> torch.device:
    """A CUDA device if there is one, else MPS, else the CPU."""
    leave_one_instance()
    if torch.cuda.is_available():
        return claimed_gpu()
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def of_doubles(place: torch.device) -> torch.device:
    """Where float64 sums of what is on a device live: there too, or on the CPU where it has no float64, as MPS."""
    try:
        torch.empty(0, dtype=torch.float64, device=place)
    except TypeError:
        return torch.device("cpu")
    return place


@functools.cache
def product_kind(place: torch.device) -> torch.dtype:
    """The type in which products of a device are summed: float64 on a GPU that has it at half its float32 rate or more.

    GPUs for computing do; those for games take 32 or 64 times as long.
    """
    if place.type != "cuda":
        return torch.float32
    seconds = {}
    for kind in (torch.float32, torch.float64):
        x, begun, ended = torch.ones(2048, 2048, dtype=kind, device=place), *(torch.cuda.Event(True) for _ in range(2))
        x @ x  # the first loads the library
        begun.record()
        x @ x
        ended.record()
        ended.synchronize()
        seconds[kind] = begun.elapsed_time(ended)
    return torch.float64 if seconds[torch.float64] <= 2 * seconds[torch.float32] else torch.float32


def empty(shape: Sequence[int], kind: torch.dtype) -> torch.Tensor:
    """An array to be filled on the CPU: in page-locked memory where there is CUDA.

    A transfer to the GPU overlaps its computation from there alone, and takes a third of the time.
    """
    return torch.empty(*shape, dtype=kind, pin_memory=torch.cuda.is_available())


def prepare_ahead(prepare: Callable[[Job], Prepared], jobs: Iterable[Job], place: torch.device) -> Iterator[Prepared]:
    """Results of ``prepare`` in the order of the jobs; threads prepare later ones while earlier ones are used."""
    threads = LOADING_THREADS if place.type == "cuda" else 1
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Prepared]] = deque()
        for job in jobs:
            waiting.append(pool.submit(prepare, job))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def load_ahead(
    load: Callable[[Job], Sequence[np.ndarray]], jobs: Iterable[Job], place: torch.device
) -> Iterator[list[torch.Tensor]]:
    """The arrays that ``load`` returns for each job, on a device; later ones are loaded while earlier ones are used.

    On CUDA they are transferred beside the computation, in a stream of their own.
    """
    if place.type != "cuda":
        for arrays in prepare_ahead(load, jobs, place):
            yield [torch.from_numpy(array).to(place) for array in arrays]
        return
    beside = torch.cuda.Stream(place)

    def prepare(job: Job) -> tuple[list[torch.Tensor], torch.cuda.Event]:
        parts = [torch.from_numpy(array).pin_memory() for array in load(job)]  # of one that is pinned no copy
        with torch.cuda.stream(beside):
            return [part.to(place, non_blocking=True) for part in parts], beside.record_event()

    for parts, arrived in prepare_ahead(prepare, jobs, place):
        used_in = torch.cuda.current_stream(place)
        used_in.wait_event(arrived)
        for part in parts:
            part.record_stream(used_in)  # else its memory would be given to a later batch while it is used
        yield parts


def use_each(use: Callable[[Prepared], None], results: Iterable[Prepared], place: torch.device) -> None:
    """Call a function with each result. On CUDA, which does without the CPU, the next is computed meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[None]] = deque()
        for result in results:
            while waiting:
                waiting.popleft().result()
            waiting.append(pool.submit(use, result))
            if place.type != "cuda":  # elsewhere results may lie where the next are computed
                waiting.popleft().result()
        while waiting:
            waiting.popleft().result()


def deterministic(threads: int, strict: bool = True) -> None:
    """Fix torch's algorithms, the precision of float32 products, and the number of CPU threads.

    Some of torch's gradients on CUDA (adaptive pooling) have no deterministic algorithm. They raise RuntimeError;
    without ``strict`` they only warn.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")
    # use_deterministic_algorithms would also load torch's compiler, to tell it: 2.6 s of CPU in each job
    torch.set_deterministic_debug_mode("error" if strict and pick().type != "mps" else "warn")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_num_threads(threads)
