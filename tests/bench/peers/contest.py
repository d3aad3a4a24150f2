"""A contest: ways of computing one thing, each in a process of its own, taking turns.

A way is *prepared* once, which loads data and compiles, and then runs as often as asked. Its first run is measured for
memory: what the process takes at its peak beyond what it had before. Its result is compared with a reference in
float64, and a result that is further from it than the way's tolerance is an AssertionError.
"""

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from workflow.convergent.allocation import keep_freed_memory
from workflow.convergent.nets import device

HEAD = [
    "| what | way | seconds | times ours | MB | error |",
    "|---|---|---|---|---|---|",
]
Run = Callable[[], Any]


class Way(NamedTuple):
    """A way of computing something. ``prepare`` and ``settings`` reach another process, so they are pickled."""

    name: str
    prepare: Callable[[Any], Run]
    tolerance: float = np.inf  # largest error; none is computed of a run that returns None
    share: float = 1.0  # of the work that it does; seconds are scaled to all of it
    package: str | None = None  # that it imports and that may be missing


class Contest(NamedTuple):
    """Ways of computing one thing, this project's first; ``reference`` gives what ``error`` compares results with."""

    name: str
    ways: Sequence[Way]
    settings: Any
    reference: Callable[[Any], Run]
    error: Callable[[Any, Any], float]
    repeats: int = 3


class Measured(NamedTuple):
    seconds: float
    megabytes: float
    result: Any


prepared: Run  # in a process of a way


def start(prepare: Callable[[Any], Run], settings: Any) -> None:
    """Prepare a way in its process, under the settings that stages run under."""
    global prepared
    device.deterministic(2)
    keep_freed_memory()
    prepared = prepare(settings)


def status(name: str) -> float:
    """MB of VmRSS, the memory of this process now, or of VmHWM, its peak."""
    kilobytes = Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]
    return float(kilobytes) * 1024 / 1e6


def release_memory() -> None:
    """Return freed memory to the system, so that no run has that of another."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc alone has it
        trim(0)


def measure(with_result: bool) -> Measured:
    """Run the prepared way once. The peak begins anew: 5 resets VmHWM to VmRSS."""
    release_memory()
    Path("/proc/self/clear_refs").write_text("5")
    before, begun = status("VmRSS"), time.perf_counter()
    result = prepared()
    seconds = time.perf_counter() - begun
    megabytes = status("VmHWM") - before
    if not with_result:
        result = None
    release_memory()
    return Measured(seconds, megabytes, result)


class Player:
    """A way in its process."""

    def __init__(self, prepare: Callable[[Any], Run], settings: Any) -> None:
        self.pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self.started = self.pool.submit(start, prepare, settings)
        self.turns: list[Measured] = []

    def play(self) -> None:
        self.turns.append(self.pool.submit(measure, with_result=not self.turns).result())

    def end(self) -> None:
        self.pool.shutdown()


def missing(ways: Sequence[Way]) -> list[str]:
    """Packages of the ways that are not installed."""
    return sorted({way.package for way in ways if way.package and find_spec(way.package) is None})


def rounded(number: float, digits: int) -> str:
    """A number with so many significant digits, and without an exponent where it is not very large.

    >>> rounded(17654.3, 2)
    '18,000'
    """
    return f"{float(f'{number:.{digits}g}'):,g}"


def rows(contest: Contest, ways: Sequence[Way], turns: Sequence[Sequence[Measured]], reference: Any) -> list[str]:
    """Lines of the table. Raises AssertionError for a result that is not the reference's."""
    lines = []
    own = [turn.seconds for turn in turns[0]]
    for way, played in zip(ways, turns, strict=True):
        seconds = [turn.seconds / way.share for turn in played]
        ratio = statistics.median(a / b for a, b in zip(seconds, own, strict=True))
        error = "" if played[0].result is None else f"{contest.error(played[0].result, reference):.0e}"
        if error and not float(error) <= way.tolerance:
            raise AssertionError(f"{contest.name}, {way.name}: error {error}, at most {way.tolerance:.0e} is allowed")
        numbers = [rounded(statistics.median(seconds), 3), rounded(ratio, 2), f"{played[0].megabytes:.0f}", error]
        lines.append(f"| {' | '.join(['' if lines else contest.name, way.name, *numbers])} |")
    return lines


def held(contest: Contest) -> list[str]:
    """Lines of the table of a contest, in which the ways that are installed took turns."""
    ways = [way for way in contest.ways if way.package not in missing(contest.ways)]
    players = [Player(way.prepare, contest.settings) for way in ways]
    try:
        for player in players:
            player.started.result()
        for _ in range(contest.repeats):
            for player in players:
                player.play()
    finally:
        for player in players:
            player.end()
    reference = contest.reference(contest.settings)()
    return rows(contest, ways, [player.turns for player in players], reference)
