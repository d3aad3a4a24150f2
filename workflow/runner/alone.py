"""One run at a time in a folder, whoever started it: `make`, or Snakemake by hand (workflow/rules/turn.smk).

The lock is on standard input, which every job inherits. It is therefore free only when no run and no job of a killed
run is alive. What does not inherit it is looked for: jobs of SLURM, here and in its queue, and, on disks without locks
or where the lock's file was removed, all runs and jobs of this machine.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import psutil

from workflow.convergent.commands import InputError
from workflow.runner.clean import LOCK

RUNS = ("make", "snakemake")
WAIT = 0.5  # seconds between looks
ASK = 10.0  # seconds between questions to SLURM
SUBMITTED = Path(".snakemake/slurm_logs")  # exists where SLURM was used


def role(command: list[str]) -> str | None:
    """What a command line runs: "make" (this runner), "snakemake", a stage ("nets.train"), or None for all else.

    A Snakemake that another one started to run a job is a "job".
    """
    program = Path(command[0]).name.lower() if command else ""
    if "python" in program:
        module = next((after for before, after in pairwise(command) if before == "-m"), "")
        if module == "snakemake" or Path(command[1] if len(command) > 1 else "").name == "snakemake":
            return "job" if "--mode" in command else "snakemake"
        if module == "workflow.runner.run":
            return "make"
        return module.removeprefix("workflow.convergent.") if module.startswith("workflow.convergent.") else None
    if program in ("sh", "bash"):  # the shell of a job
        started = re.search(r"^set -euo pipefail; .*python -m workflow\.convergent\.([\w.]+)", command[-1], re.S)
        return started and started[1]
    return None


def has_lock(pid: int) -> bool:
    """Whether the standard input of a process is a lock, even one whose file was removed; a run that waits has none."""
    try:
        return Path(os.readlink(f"/proc/{pid}/fd/0").removesuffix(" (deleted)")).name == LOCK.name
    except OSError:  # the process has ended, or this system has no /proc
        return False


def age(process: psutil.Process) -> tuple[float, int]:
    """Sorts processes by their start."""
    return process.create_time(), process.pid


def alive(folder: Path, before: tuple[float, int] | None = None) -> dict[int, str]:
    """Role of each job in the folder, and of each run that has a lock, by pid; without this process and its parents.

    before: the age of this run, to leave out runs that began later
    """
    ourselves = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    roles = {}
    for process in psutil.process_iter():
        try:
            name = role(process.cmdline())
            if not name or process.pid in ourselves or Path(process.cwd()) != folder.resolve():
                continue
            if name not in RUNS or (has_lock(process.pid) and (before is None or age(process) < before)):
                roles[process.pid] = name
        except (psutil.Error, OSError):  # it has ended, or belongs to somebody else
            pass
    return roles


def foremost(roles: dict[int, str]) -> dict[int, str]:
    """The processes to name to the user: runs if there are any, otherwise all."""
    runs = {pid: name for pid, name in roles.items() if name in RUNS}
    return {pid: name for pid, name in runs.items() if name == "snakemake"} or runs or roles


class Announcement:
    """One line that says what is waited for; another only when all that it names have ended."""

    def __init__(self) -> None:
        self.named: set[int] = set()
        self.said: set[str] = set()

    def make(self, roles: dict[int, str]) -> None:
        """Name runs and jobs by their pid; without any, whoever holds the lock cannot be seen from here."""
        if not roles:
            self.say(f"Another run holds {LOCK}. Waiting for it.")
        elif not self.named & set(roles):
            self.named = set(foremost(roles))
            names = ", ".join(f"{name} (pid {pid})" for pid, name in foremost(roles).items())
            self.say(f"Another run is at work in this folder. Waiting for {names}.")

    def say(self, line: str) -> None:
        if line not in self.said:
            self.said.add(line)
            print(line, file=sys.stderr, flush=True)


def open_lock(folder: Path) -> int:
    """Descriptor of the folder's lock file; of standard input where that is this file already. Raises InputError."""
    path = folder / LOCK
    try:
        if os.path.samestat(os.fstat(0), path.stat()):
            return 0
    except OSError:  # one of them is not there
        pass
    try:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:  # somebody else's, which can be locked all the same
            return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; a run needs a folder that it can write to") from None


def wait_while(busy: Callable[[], bool], seconds: float = WAIT) -> None:
    while busy():
        time.sleep(seconds)


def take_lock(folder: Path) -> None:
    """Lock the folder through standard input, once whoever holds the lock has ended. Raises InputError."""
    announcement, file = Announcement(), open_lock(folder)

    def held_by_others() -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            announcement.make(alive(folder))
            return True
        except OSError as error:  # some shared disks have no locks
            announcement.say(f"{LOCK} cannot be locked ({error.strerror}): start no second run here.")
        return False

    wait_while(held_by_others)
    if file:
        os.dup2(file, 0)
        os.close(file)
    os.set_inheritable(0, True)


def queued(folder: Path) -> list[str]:
    """Numbers of SLURM's jobs that a Snakemake submitted from the folder, on any machine. Raises InputError."""
    if not (folder / SUBMITTED).exists() or not shutil.which("squeue"):
        return []
    ask = ["squeue", "--noheader", "--format=%A|%k|%Z"]
    try:
        done = subprocess.run(ask, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        raise InputError("squeue does not answer") from None
    if done.returncode:
        raise InputError(" ".join(done.stderr.split()) or "squeue failed")
    jobs = [line.split("|") for line in done.stdout.splitlines()]
    return [
        number for number, comment, *place in jobs if comment.startswith("rule_") and "|".join(place) == str(folder)
    ]


def wait_until_alone(folder: Path) -> None:
    """Wait until no earlier run and no job lives in the folder; the locks that Snakemake left there are then removed.

    Later runs are not waited for: they wait for this one. Processes of other machines are not seen.
    """
    announcement = Announcement()
    ourselves = [psutil.Process(), *psutil.Process().parents()]
    began = min(age(process) for process in ourselves if process.pid == os.getpid() or has_lock(process.pid))

    def others_at_work() -> bool:
        if others := alive(folder, began):
            announcement.make(others)
        return bool(others)

    def jobs_in_the_queue() -> bool:
        try:
            if jobs := queued(folder.resolve()):
                announcement.say(f"Jobs of a killed run are in SLURM's queue. Waiting for {', '.join(jobs)}.")
            return bool(jobs)
        except InputError as silence:
            announcement.say(f"SLURM may have jobs of a killed run. Waiting for its answer ({silence}).")
            return True

    wait_while(others_at_work)
    wait_while(jobs_in_the_queue, ASK)
    shutil.rmtree(folder / ".snakemake/locks", ignore_errors=True)


def take_turn(folder: Path) -> None:
    """Wait until this run is the only one in the folder, and keep others out. Raises InputError."""
    take_lock(folder)
    wait_until_alone(folder)
