"""Worker processes that end with their run."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from ..commands import InputError

ParallelMap = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]  # like map(); results in order


def end_with_parent() -> None:
    """Make a worker end as soon as its run was killed, so that it does not write beside the next run."""

    def watch() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the keyboard interrupts all processes; the parent deals with it
    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def parallel_map(workers: int) -> Iterator[ParallelMap]:
    """A ``map`` over new processes, or in this process for one worker. Raises InputError where a worker is killed."""
    if workers <= 1:
        yield map
        return
    # not forked: a fork would copy locks of zarr's threads
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), end_with_parent)
    try:
        yield pool.map
    except BrokenProcessPool:
        raise InputError("a process that decodes was killed (out of memory?); run again, finished parts stay") from None
    finally:
        pool.shutdown(cancel_futures=True)
