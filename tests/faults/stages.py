"""Jobs of the workflow as its rules run them, but in a fork of a process that has loaded their modules.

A job then takes a fraction of a second, so that hundreds of damaged files can be tried.
"""

import importlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from . import processes


@dataclass(frozen=True)
class Job:
    """A job: its rule, the files that it reads and writes, and its command without where its messages go."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    words: tuple[str, ...]

    def command(self) -> str:
        return shlex.join(self.words)


@dataclass(frozen=True)
class Said:
    """What a job has said, and its exit status; None where it took too long."""

    status: int | None
    out: str
    err: str


def words_of(command: str) -> tuple[str, ...]:
    """Words of a shell command up to its first redirection."""
    words = shlex.split(command)
    stops = [number for number, word in enumerate(words) if word in (">", "2>&1", "|", "&>")]
    return tuple(words[: min(stops, default=len(words))])


def listed(block: str, name: str) -> tuple[str, ...]:
    found = re.search(rf"^    {name}: (.*)$", block, flags=re.M)
    return tuple(found[1].split(", ")) if found else ()


def jobs(project: Path) -> list[Job]:
    """All jobs of a project's experiment, read from a plan of Snakemake."""
    command = processes.snakemake("--dry-run", "--forceall", "--printshellcmds", "--nolock")
    done = subprocess.run(command, cwd=project, text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(f"Snakemake could not plan: {done.stdout}{done.stderr}")
    found = []
    for block in re.split(r"^\[.*\]$", done.stdout + done.stderr, flags=re.M):
        rule = re.search(r"^(?:local)?rule (\w+):$", block, flags=re.M)
        command_line = re.search(r"^Shell command: (.*)", block, flags=re.M)
        if rule and command_line and (words := words_of(command_line[1])) != ("None",):
            found.append(Job(rule[1], listed(block, "input"), listed(block, "output"), words))
    return found


def in_fork(words: tuple[str, ...], folder: Path, out: Path, err: Path) -> None:
    """Run ``python -m MODULE ARGUMENTS`` in this process and end it."""
    status = 1
    try:
        sys.stdout, sys.stderr = out.open("w"), err.open("w")
        for number, file in ((1, sys.stdout), (2, sys.stderr)):
            os.dup2(file.fileno(), number)
        os.chdir(folder)
        sys.path[0] = str(folder)
        importlib.import_module(words[2]).main(list(words[3:]))
        status = 0
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        else:
            status = ended.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def wait(pid: int, limit: float) -> int | None:
    """Exit status of a child, which is killed after ``limit`` seconds; then None."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def run(words: tuple[str, ...], folder: Path, limit: float) -> Said:
    """A job in a fork of this process, which must have no threads."""
    if words[:2] != ("python", "-m"):
        raise ValueError(f"{shlex.join(words)}: not a stage")
    importlib.import_module(words[2])
    out, err = (folder.parent / f"{folder.name}.{name}" for name in ("out", "err"))
    pid = os.fork()
    if not pid:
        in_fork(words, folder, out, err)
    status = wait(pid, limit)
    return Said(status, *(file.read_text(errors="replace") for file in (out, err)))


def run_afresh(words: tuple[str, ...], folder: Path, limit: float) -> Said:
    """A job as its rule runs it: a process of its own, with the code and the compiled code in the folder."""
    command = [str(processes.PYTHON), *words[1:]]
    environment = {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": ""}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return Said(None, "", "")
    return Said(done.returncode, done.stdout, done.stderr)
