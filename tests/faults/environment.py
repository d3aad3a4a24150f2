"""A full or read-only disk, little memory, signals, closed pipes: one reason in one line, then the same command ends.
A machine that lacks something, or has set it for other programs: the command ends as always.

Each chain is one project, in which the command meets one fault after the other and in the end nothing any more.
"""

import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import experiment, processes, verdicts
from .campaign import Campaign, Outcome, say, table
from .processes import Ended

SHARES = (0.02, 0.1, 0.2, 0.3, 0.4, 0.5)  # of what a run writes, that fits on the disk
LIMITS = {"0.6 GB": 600_000, "1 GB": 1_000_000, "2 GB": 2_000_000}  # of the address space of each process, in KiB
SIGNALS = {
    "SIGTERM to make": (signal.SIGTERM, False),
    "SIGHUP to the group": (signal.SIGHUP, True),
    "Ctrl-C": (signal.SIGINT, True),
    "SIGTERM to the group": (signal.SIGTERM, True),
}
PIPES = {  # what is done to a command, and what it makes
    "`| head -n 1`": ("{} | head -n 1", "figures"),
    "`2>&1 | true`": ("{} 2>&1 | true", "figures"),
    "closed standard input": ("{} <&-", "nets_training"),
    "closed standard output": ("{} >&-", "nets_filters"),
    "full standard output": ("{} >/dev/full", "fig1_correlation"),
}
NOWHERE = "/proc/nobody"  # nobody can make a folder there
MACHINES = {  # what is set where a command has to end as always
    "a home that cannot be written": {"HOME": NOWHERE},
    "no folder for temporary files": {"TMPDIR": NOWHERE},
    "a notebook's display": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    "Python that does not search the folder": {"PYTHONSAFEPATH": "1"},
    "the home of another Python": {"PYTHONHOME": NOWHERE},
    "warnings that are errors": {"PYTHONWARNINGS": "error"},
    "no assertions": {"PYTHONOPTIMIZE": "1"},
    "parts of GPUs that are not there": {"CUDA_VISIBLE_DEVICES": "MIG-1,MIG-2"},
}
SPACE = r"[Nn]o space left|nothing can be written|but .* has .* free"
MEMORY = r"[Mm]emory|allocate"
READ_ONLY = r"[Rr]ead-only|can only be read"
SIGNALLED = r"Interrupted\."
NAMESPACE = "FAULTS_NAMESPACE"  # is set where this process may mount


@dataclass(frozen=True)
class Fault:
    """One thing that the environment does to a command, and what came of it."""

    name: str
    wrong: str = ""  # empty where nothing is
    skipped: str = ""  # why it was not tried


def in_namespace() -> None:
    """Start this campaign anew where it may mount disks that nobody else sees, if the system allows that."""
    users = [] if os.getuid() == 0 else ["--map-root-user"]
    unshare = ["unshare", "--mount", *users]
    if NAMESPACE not in os.environ and subprocess.run([*unshare, "true"], capture_output=True).returncode == 0:
        os.environ[NAMESPACE] = "1"
        os.execvp("unshare", [*unshare, sys.executable, "-m", "tests.faults", *sys.argv[1:]])


@contextmanager
def disk(folder: Path) -> Iterator[Callable[[str], int]]:
    """A disk of its own in a folder; the function remounts it with other options."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    try:
        yield lambda options: subprocess.check_call(["mount", "-o", f"remount,{options}", folder])
    finally:
        processes.kill_all(folder)
        subprocess.run(["umount", "--lazy", folder], check=True)


def used(folder: Path) -> int:
    """Bytes that a folder takes on a disk."""
    return sum(file.lstat().st_blocks * 512 for file in folder.rglob("*"))


def wrong(ended: Ended, reason: str) -> str:
    """What is wrong with a command that met a fault: it has to fail, with a reason, without a traceback."""
    if ended.status is None:
        return f"it did not end: {verdicts.shortened(ended.said)}"
    if verdicts.traceback(ended.said):
        return f"a traceback: {verdicts.shortened(ended.said)}"
    if ended.status == 0:
        return "it did not fail"
    said = any(verdicts.matches(reason, line) for line in ended.said.splitlines())
    return "" if said else f"no reason: {verdicts.shortened(ended.said)}"


def last(campaign: Campaign, project: Path, name: str) -> Fault:
    """The command once more, without a fault."""
    ended = processes.run(project, processes.make("figures"))
    differing = campaign.differing(project)
    if ended.status == 0 and not differing:
        return Fault(name)
    return Fault(
        name, f"status {ended.status}, differing: {', '.join(differing[:5])}: {verdicts.shortened(ended.said)}"
    )


def of_disks(campaign: Campaign) -> list[Fault]:
    """A disk that is full, a little later each time, and one that is read-only."""
    names = [f"disk full after {share:.0%} of a run's bytes" for share in SHARES]
    if NAMESPACE not in os.environ:
        return [Fault(name, skipped="this system lets nobody but root mount") for name in [*names, "read-only disk"]]
    needed = used(campaign.reference / "results") + used(campaign.reference / ".snakemake")
    found = []
    with disk(campaign.folder / "small") as remount:
        project = experiment.copied(campaign.reference, campaign.folder / "small/project", results=False)
        empty = used(project)
        for name, share in zip(names, SHARES, strict=True):
            remount(f"size={int(empty + share * needed)}")
            found.append(Fault(name, wrong(processes.run(project, processes.make("figures")), SPACE)))
            say("environment", name)
        remount(f"size={2 * (empty + needed)},ro")
        ended = processes.run(project, processes.make("figures"))
        found.append(Fault("read-only disk", wrong(ended, READ_ONLY)))
        remount("rw")
        return [*found, last(campaign, project, "then with room")]


def of_memory(campaign: Campaign) -> list[Fault]:
    """Processes that may not have enough memory."""
    project = experiment.copied(campaign.reference, campaign.folder / "memory", results=False)
    found = []
    for name, limit in LIMITS.items():
        command = ["bash", "-c", f"ulimit -v {limit}; {shlex.join(processes.make('figures'))}"]
        found.append(Fault(f"{name} of memory", wrong(processes.run(project, command), MEMORY)))
        say("environment", name)
    return [*found, last(campaign, project, "then with memory")]


def signalled(project: Path, number: signal.Signals, group: bool, rng: random.Random) -> str:
    """What is wrong with a run that gets a signal at a random time: it has to end with all of its processes."""
    running = processes.Running(project, processes.make("figures"))
    time.sleep(rng.uniform(2, 12))
    (os.killpg if group else os.kill)(running.process.pid, number)
    begun = time.monotonic()
    while running.process.poll() is None or processes.living(project):
        if time.monotonic() > begun + processes.LIMIT:
            left = ", ".join(sorted({processes.kind(each) for each in processes.living(project)}))
            running.end()
            return f"after {processes.LIMIT:.0f} s these were alive: {left}"
        time.sleep(0.1)
    return wrong(Ended(running.process.returncode, running.said(), 0.0), SIGNALLED)


def of_signals(campaign: Campaign) -> list[Fault]:
    """Pipes that close, then signals."""
    project = experiment.copied(campaign.reference, campaign.folder / "signals", results=False)
    rng, found = campaign.rng("signals"), []
    for name, (text, goal) in PIPES.items():
        ended = processes.run(project, ["bash", "-c", text.format(shlex.join(processes.make(goal)))])
        found.append(Fault(name, piped(ended)))
        say("environment", name)
    for name, (number, group) in SIGNALS.items():
        found.append(Fault(name, signalled(project, number, group, rng)))
        say("environment", name)
    return [*found, last(campaign, project, "then undisturbed")]


def piped(ended: Ended) -> str:
    """What is wrong with a run that cannot say anything: it has to end, and without a traceback."""
    if ended.status is None:
        return "it did not end"
    return f"a traceback: {verdicts.shortened(ended.said)}" if verdicts.traceback(ended.said) else ""


def of_machines(campaign: Campaign) -> list[Fault]:
    """What machines set, which changes nothing: each time a figure is drawn again."""
    project = experiment.copied(campaign.reference, campaign.folder / "machines", results=False)
    found = []
    for name, variables in MACHINES.items():
        shutil.rmtree(project / experiment.RESULTS / "figures", ignore_errors=True)
        ended = processes.run(project, processes.make("nets_training"), environment=variables)
        found.append(Fault(name, piped(ended) or (verdicts.shortened(ended.said) if ended.status else "")))
        say("environment", name)
    return [*found, last(campaign, project, "then without")]


def run(campaign: Campaign) -> Outcome:
    """Follow all chains."""
    _ = campaign.expected
    with ThreadPoolExecutor(2) as pool:
        chains = [pool.submit(chain, campaign) for chain in (of_disks, of_signals, of_memory, of_machines)]
        found = [fault for chain in chains for fault in chain.result()]
    rows = [
        [fault.name, f"not tried: {fault.skipped}" if fault.skipped else "no" if fault.wrong else "yes"]
        for fault in found
    ]
    tried = [fault for fault in found if not fault.skipped]
    goal = "an error with its reason and without a traceback, or a clean end; at last the digests of an undisturbed run"
    faults = [f"{fault.name}: {fault.wrong}" for fault in tried if fault.wrong]
    return Outcome(goal, len(tried), table(["fault", "as it should be"], rows), len(tried) - len(faults), faults)
