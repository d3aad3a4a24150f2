"""One run at a time in a folder, whoever started it: `make`, or Snakemake by hand (workflow/rules/turn.smk).

The lock is on standard input, which every job inherits. It is therefore free only when no run and no job of a killed
run is alive. What does not inherit it is looked for: jobs of SLURM, here and in its queue, and, on disks without locks
or where the lock's file was removed, all runs and jobs of this machine.
"""

import fcntl
import os
import random
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


def has_turn(pid: int) -> bool:
    """Whether the standard input of a process is a lock, even one whose file was removed."""
    try:
        return Path(os.readlink(f"/proc/{pid}/fd/0").removesuffix(" (deleted)")).name == LOCK.name
    except OSError:  # the process has ended, or this system has no /proc
        return False


def alive(folder: Path) -> dict[int, str]:
    """Role of each job in the folder and of each run that has its turn, by pid; without this process and parents."""
    ourselves = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    roles = {}
    for process in psutil.process_iter():
        try:
            name = role(process.cmdline())
            if not name or process.pid in ourselves or Path(process.cwd()) != folder.resolve():
                continue
            if name not in RUNS or has_turn(process.pid):
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


def is_lock(file: int, folder: Path) -> bool:
    """Whether an open file is the lock file that the folder has now."""
    try:
        return os.path.samestat(os.fstat(file), (folder / LOCK).stat())
    except OSError:  # one of them is not there
        return False


def open_lock(folder: Path) -> int:
    """Descriptor of the folder's lock file. Raises InputError."""
    path = folder / LOCK
    try:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:  # somebody else's, which can be locked all the same
            return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; a run needs a folder that it can write to") from None


def wait_while(busy: Callable[[], bool], seconds: float) -> None:
    """Ask again and again, after times that differ: of two that keep out each other, one comes first."""
    while busy():
        time.sleep(seconds * random.uniform(0.5, 1.5))


def take_lock(folder: Path) -> int:
    """Descriptor of the lock, once whoever held it has ended; or of the lock that this process was started with.

    Raises InputError.
    """
    if is_lock(0, folder) or has_turn(os.getpid()):
        return os.dup(0)
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

    wait_while(held_by_others, WAIT)
    while not is_lock(file, folder):  # somebody has removed it meanwhile
        os.close(file)
        file = open_lock(folder)
        wait_while(held_by_others, WAIT)
    return file


def queued(folder: Path) -> list[str]:
    """Numbers of SLURM's jobs that a Snakemake submitted from the folder, on any machine.

    Raises OSError where SLURM does not answer.
    """
    if not (folder / SUBMITTED).exists() or not shutil.which("squeue"):
        return []
    ask = ["squeue", "--noheader", "--format=%A|%k|%Z"]
    try:
        done = subprocess.run(ask, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        raise TimeoutError("squeue does not answer") from None
    if done.returncode:
        raise OSError(" ".join(done.stderr.split()) or "squeue failed")
    jobs = [line.split("|", 2) for line in done.stdout.splitlines()]
    return [number for number, comment, place in jobs if comment.startswith("rule_") and place == str(folder)]


def wait_for_others(folder: Path, lock: int) -> None:
    """Wait until no run has its turn and no job lives in the folder; then this run has its turn.

    It shows its lock before it looks at others, and hides it again before it waits: where two runs hold locks, neither
    misses the other, and neither waits for one that waits.
    """
    announcement, hidden = Announcement(), os.open(os.devnull, os.O_RDONLY)

    def others_at_work() -> bool:
        os.dup2(lock, 0)
        if others := alive(folder):
            announcement.make(others)
            os.dup2(hidden, 0)
        return bool(others)

    wait_while(others_at_work, WAIT)
    os.close(hidden)


def wait_for_queue(folder: Path) -> None:
    """Wait until no job that a killed run submitted is in SLURM's queue."""
    announcement = Announcement()

    def jobs_in_the_queue() -> bool:
        try:
            if jobs := queued(folder.resolve()):
                announcement.say(f"Jobs of a killed run are in SLURM's queue. Waiting for {', '.join(jobs)}.")
            return bool(jobs)
        except OSError as silence:
            announcement.say(f"SLURM may have jobs of a killed run. Waiting for its answer ({silence}).")
            return True

    wait_while(jobs_in_the_queue, ASK)


def take_turn(folder: Path) -> None:
    """Wait until this run is the only one in the folder, and keep others out until it and all its jobs have ended.

    Locks that a killed Snakemake left are then removed. Processes of other machines are not seen. Raises InputError.
    """
    try:
        os.fstat(0)
    except OSError:  # closed: the lock must not take its number by itself
        os.open(os.devnull, os.O_RDONLY)
    lock = take_lock(folder)
    wait_for_others(folder, lock)
    os.close(lock)
    wait_for_queue(folder)
    shutil.rmtree(folder / ".snakemake/locks", ignore_errors=True)
