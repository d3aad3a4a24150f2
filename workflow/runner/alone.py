"""One run at a time in a folder: the lock of ``make figures``, and a look at all other processes of this machine.

The lock is on standard input, which every job inherits. It is therefore free only when no run and no job of a killed
run is alive. A Snakemake that was started by hand takes no such lock, so that its processes are looked for too.
"""

import fcntl
import os
import re
import shutil
import sys
import time
from itertools import pairwise
from pathlib import Path

import psutil

from workflow.runner.clean import LOCK

RUNNER = "make"
WAIT = 0.5  # seconds between looks


def role(command: list[str]) -> str | None:
    """What a command line runs: "make" (this runner), "snakemake", a stage ("nets.train"), or None for all else."""
    program = Path(command[0]).name.lower() if command else ""
    if "python" in program:
        module = next((after for before, after in pairwise(command) if before == "-m"), "")
        if module == "snakemake" or Path(command[1] if len(command) > 1 else "").name == "snakemake":
            return "snakemake"
        if module == "workflow.runner.run":
            return RUNNER
        return module.removeprefix("workflow.convergent.") if module.startswith("workflow.convergent.") else None
    if program in ("sh", "bash"):  # the shell of a job
        started = re.search(r"^set -euo pipefail; .*python -m workflow\.convergent\.([\w.]+)", command[-1], re.S)
        return started and started[1]
    return None


def alive(folder: Path) -> dict[int, str]:
    """Role of each run and job whose working directory is the folder, by pid; without this process and its parents."""
    ourselves = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    roles = {}
    for process in psutil.process_iter():
        try:
            name = role(process.cmdline())
            if name and process.pid not in ourselves and Path(process.cwd()) == folder.resolve():
                roles[process.pid] = name
        except (psutil.Error, OSError):  # it has ended, or belongs to somebody else
            pass
    return roles


def foremost(roles: dict[int, str]) -> dict[int, str]:
    """The processes to name to the user: runs of Snakemake if there are any, otherwise all."""
    return {pid: name for pid, name in roles.items() if name == "snakemake"} or roles


class Announcement:
    """One line that says what is waited for; another only when all that it names have ended."""

    def __init__(self) -> None:
        self.named: set[int] = set()
        self.said_unknown = False

    def make(self, roles: dict[int, str]) -> None:
        if self.named & set(roles) or (not roles and self.said_unknown):
            return
        if not roles:  # whoever holds the lock cannot be seen from here
            print(f"Another run holds {LOCK}. Waiting for it.", file=sys.stderr, flush=True)
            self.said_unknown = True
            return
        names = ", ".join(f"{name} (pid {pid})" for pid, name in foremost(roles).items())
        print(f"Another run is at work in this folder. Waiting for {names}.", file=sys.stderr, flush=True)
        self.named = set(foremost(roles))


def take_lock(folder: Path) -> None:
    """Lock the folder through standard input, once whoever holds the lock has ended."""
    announcement = Announcement()
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            announcement.make(alive(folder))
            time.sleep(WAIT)
        except OSError as error:  # some shared disks have no locks
            print(f"{LOCK} cannot be locked ({error.strerror}): start no second run here.", file=sys.stderr, flush=True)
            break
    os.dup2(file, 0)
    os.close(file)


def wait_until_alone(folder: Path) -> None:
    """Wait until no Snakemake and no job lives in the folder; the locks that Snakemake left there are then removed.

    Other runners are not waited for: they wait for the lock. A run on another machine with the same disk is not seen.
    A Snakemake that starts now is seen by none of this, but takes a second until it locks.
    """
    announcement = Announcement()
    while others := {pid: name for pid, name in alive(folder).items() if name != RUNNER}:
        announcement.make(others)
        time.sleep(WAIT)
    shutil.rmtree(folder / ".snakemake/locks", ignore_errors=True)
