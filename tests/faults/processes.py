"""Commands of a user in a folder: started, timed, and killed with all that they have started."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

PYTHON = Path(sys.executable)
# Cores are taken by several commands at a time, so each may take long.
LIMIT = 600.0  # seconds


@dataclass(frozen=True)
class Ended:
    """A command that has ended, or was ended because it took too long."""

    status: int | None  # None: it took too long
    said: str
    seconds: float


def make(*goals: str, tools: str | Path = PYTHON.parent, cores: int = 2) -> list[str]:
    """``make GOALS`` with the Python that runs this in place of .venv."""
    return ["make", "--no-print-directory", "-o", ".venv/installed", f"BIN={tools}", f"CORES={cores}", *goals]


def snakemake(*arguments: str) -> list[str]:
    """``snakemake ARGUMENTS``"""
    return [str(PYTHON.parent / "snakemake"), *arguments]


def living(folder: Path) -> list[psutil.Process]:
    """Processes whose working directory is the folder, but this one."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and Path(process.cwd()) == folder.resolve():
                found.append(process)
    return found


def kind(process: psutil.Process) -> str:
    """What a process is: make, runner, Snakemake, job (a stage or its shell), or other."""
    try:
        words = process.cmdline() or [""]
    except psutil.Error:
        return "other"
    if Path(words[0]).name == "make":
        return "make"
    if "workflow.runner.run" in words:
        return "runner"
    if any(word == "snakemake" or word.endswith("/snakemake") for word in words):
        return "Snakemake"
    return "job" if any("-m workflow.convergent." in text for text in (" ".join(words), words[-1])) else "other"


def kill(processes: list[psutil.Process]) -> None:
    """Kill processes, without waiting for them: that would take the exit status away from who started them."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def kill_all(folder: Path) -> None:
    """Kill every process in the folder until none is left."""
    while found := living(folder):
        kill(found)
        time.sleep(0.1)


class Running:
    """A command in a group of processes of its own, as from a terminal; what it says goes to a file."""

    def __init__(self, folder: Path, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        number, name = tempfile.mkstemp(prefix="output")
        self.output = Path(name)
        weakref.finalize(self, self.output.unlink)
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=number,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        os.close(number)

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def end(self) -> None:
        """Kill it, its group and all processes in its folder."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        kill_all(self.folder)


def run(folder: Path, command: list[str], limit: float = LIMIT, environment: Mapping[str, str] | None = None) -> Ended:
    """A command to its end; after ``limit`` seconds, LIMIT by default, it and all in the folder are killed."""
    begun = time.monotonic()
    running = Running(folder, command, environment)
    try:
        status: int | None = running.process.wait(limit or LIMIT)
    except subprocess.TimeoutExpired:
        status = None
        running.end()
    return Ended(status, running.said(), time.monotonic() - begun)
