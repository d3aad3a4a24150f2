"""A Snakemake as a child process: its events and the lines of its jobs are passed on while it runs.

Both go through files: if this process is killed, Snakemake and its jobs go on, as no pipe of theirs breaks.
"""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOGGER = Path(__file__).parent / "logger"
MESSAGES = Path(".snakemake/make")  # the two files
POLL = 0.2  # seconds
PATIENCE = 60  # seconds; where the signal meets Snakemake inside its scheduler's lock, it waits for itself for ever


@dataclass
class Tail:
    """A file that grows."""

    path: Path
    position: int = 0  # bytes that were read

    def lines(self) -> Iterator[str]:
        """New whole lines."""
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            file.seek(self.position)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self.position += len(line)
                yield line.decode(errors="replace").rstrip("\r\n")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End Snakemake and its jobs, and wait until it has cleaned up; a second Ctrl-C, or a minute, kills them."""
    with suppress(ProcessLookupError):
        try:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def start(arguments: list[str], events: Path, output: Path) -> subprocess.Popen[bytes]:
    """Snakemake in a session of its own, so that signals reach it from this process alone."""
    theirs, installed = os.environ.get("PYTHONPATH"), sysconfig.get_paths()
    ours = [installed["purelib"], installed["platlib"]] if theirs else []  # Snakemake loads numpy before it reads rules
    path = os.pathsep.join([str(LOGGER), *ours, *filter(None, [theirs])])
    with output.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--logger", "events", *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path, "SNAKEMAKE_EVENTS": str(events.resolve())},
            start_new_session=True,
        )


def run_snakemake(
    arguments: list[str],
    hear: Callable[[dict[str, Any]], None],
    relay: Callable[[str], None],
    tick: Callable[[], None],
) -> int:
    """Exit status of ``snakemake ARGUMENTS`` in this folder; an interrupt ends it and its jobs.

    hear: is given each event, a dictionary with "time", "level", "text" and the fields of the logger
    relay: is given each line that a job or Snakemake itself prints
    tick: is called a few times a second
    """
    MESSAGES.mkdir(parents=True, exist_ok=True)
    events, output = Tail(MESSAGES / "events"), Tail(MESSAGES / "output")
    for tail in (events, output):
        tail.path.unlink(missing_ok=True)
    process = start(arguments, events.path, output.path)
    try:
        ended = False
        while not ended:
            ended = process.poll() is not None  # before the last look into the files
            for line in events.lines():
                with suppress(json.JSONDecodeError):  # half a line, of a full disk
                    hear(json.loads(line))
            for line in output.lines():
                relay(line)
            tick()
            if not ended:
                time.sleep(POLL)
    except BaseException:
        stop(process)
        raise
    return process.returncode
