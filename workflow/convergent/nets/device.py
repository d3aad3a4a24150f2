"""Where nets run, and how so that equal input gives equal bits."""

import ctypes
import fcntl
import functools
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

LOADERS = 4  # threads that prepare batches for a GPU

Job = TypeVar("Job")
Prepared = TypeVar("Prepared")


def claim(names: Sequence[str], folder: Path) -> int:
    """Number of the first GPU that no other process has claimed; with none left they are shared.

    Snakemake gives jobs no device of their own: on a machine with several GPUs the jobs spread by these locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        # open until the process ends; a part of a GPU has slashes in its name
        lock = os.open(folder / name.replace("/", "-"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return number
    return os.getpid() % len(names)


@functools.cache
def gpu() -> torch.device:
    """The GPU of this process."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    names = visible or [str(number) for number in range(torch.cuda.device_count())]
    place = torch.device("cuda", claim(names, Path(tempfile.gettempdir()) / f"convergent-gpus-{os.getuid()}"))
    torch.cuda.set_device(place)
    return place


def pick() -> torch.device:
    """A CUDA device, else MPS, else the CPU."""
    if torch.cuda.is_available():
        return gpu()
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def page_locked(part: torch.Tensor) -> torch.Tensor:
    """The same in memory from which a copy to the GPU runs beside its computation."""
    return part.pin_memory() if torch.cuda.is_available() else part


def ahead(prepare: Callable[[Job], Prepared], jobs: Iterable[Job], place: torch.device) -> Iterator[Prepared]:
    """What ``prepare`` makes of each job, in their order, made by threads while earlier ones are used."""
    threads = LOADERS if place.type == "cuda" else 1
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Prepared]] = deque()
        for job in jobs:
            waiting.append(pool.submit(prepare, job))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def loaded(
    load: Callable[[Job], Sequence[np.ndarray]], jobs: Iterable[Job], place: torch.device
) -> Iterator[list[torch.Tensor]]:
    """The arrays that ``load`` makes of each job, on their way to a device; loaded while it computes."""

    def prepare(job: Job) -> list[torch.Tensor]:
        return [page_locked(torch.from_numpy(array)) for array in load(job)]

    for parts in ahead(prepare, jobs, place):
        yield [part.to(place, non_blocking=True) for part in parts]


def keep_freed_memory() -> None:
    """Let the allocator keep large blocks: fresh memory for every activation costs a sixth of a forward pass."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's alone
    if mallopt:
        mallopt(-3, 2**30)  # M_MMAP_THRESHOLD
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def deterministic(threads: int, strict: bool = True) -> None:
    """Fix whatever a result could depend on: algorithms, precision of float32 products, and the number of threads.

    Some of torch's gradients on CUDA (adaptive pooling) are not deterministic; without ``strict`` that is a warning.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=not strict or pick().type == "mps")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_num_threads(threads)
