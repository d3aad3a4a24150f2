"""Processes of a run are killed at random times, again and again, and the same command is called again each time.

In the end all results must be those of an undisturbed run, without anything else done by hand.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from . import experiment, processes
from .campaign import Campaign, Outcome, say, table
from .verdicts import shortened, traceback

KILLS = 50
SECONDS = 660.0
VICTIMS = ("job", "Snakemake", "runner", "make", "all")  # of which one is drawn; all: the whole group
PAUSE = 7.0  # seconds, the longest time before a kill
COMMANDS = {"make figures": [], "make figures CONFIG=": ["CONFIG=my own.yaml"]}


@dataclass
class Line:
    """A project in which a command is killed and called again, until its share of the kills is done."""

    project: Path
    command: list[str]
    rng: random.Random
    victims: list[str]  # those to come, the last one first
    killed: Counter[str] = field(default_factory=Counter)  # since the run was begun
    equal: Counter[str] = field(default_factory=Counter)  # kills of runs that ended with equal results
    faults: list[str] = field(default_factory=list)


def struck(project: Path, victim: str, rng: random.Random) -> bool:
    """Whether there was such a victim, which is dead now."""
    found = processes.living(project)
    if victim != "all":
        found = [process for process in found if processes.kind(process) == victim]
        rng.shuffle(found)
        del found[1:]
    processes.kill(found)
    psutil.wait_procs(found, timeout=10)
    return bool(found)


def disturb(line: Line, late: Callable[[], bool]) -> int | None:
    """Kill victims while the command runs; its exit status once it has ended."""
    running = processes.Running(line.project, line.command)
    pause = time.monotonic() + line.rng.uniform(0, PAUSE)
    while running.process.poll() is None:
        time.sleep(0.02)
        if late():
            running.end()
        elif line.victims and time.monotonic() > pause and struck(line.project, line.victims[-1], line.rng):
            line.killed[line.victims.pop()] += 1
            pause = time.monotonic() + line.rng.uniform(0, PAUSE)
    if traceback(said := running.said()):
        line.faults.append(f"after {dict(line.killed)} `{' '.join(line.command)}`, a traceback: {shortened(said)}")
    return running.process.returncode


def check(line: Line, campaign: Campaign) -> None:
    """Let the command end undisturbed, compare the results, and begin anew."""
    ended = processes.run(line.project, line.command)
    differing = campaign.differing(line.project)
    if ended.status == 0 and not differing:
        line.equal += line.killed
    else:
        what = f"status {ended.status}, differing: {', '.join(differing[:5]) or 'nothing'}: {shortened(ended.said)}"
        line.faults.append(f"after {dict(line.killed)} `{' '.join(line.command)}`: {what}")
    line.killed.clear()
    for name in ("results", ".snakemake"):
        experiment.remove(line.project / name)


def follow(line: Line, campaign: Campaign, late: Callable[[], bool]) -> Line:
    """Disturb and check until the line's kills are done."""
    share = len(line.victims)
    while line.victims and not late():
        status = disturb(line, late)
        if status == 0 or not line.victims:
            check(line, campaign)
            say("kills", f"{line.project.name}: {share - len(line.victims)} of {share}, {line.equal.total()} equal")
    return line


def lines(campaign: Campaign) -> list[Line]:
    """One line for each command; they share the kills, which hit each victim as often."""
    rng = campaign.rng("kills")
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(KILLS)]
    rng.shuffle(victims)
    found = []
    for number, goals in enumerate(COMMANDS.values()):
        project = experiment.copied(campaign.reference, campaign.folder / f"killed{number}", results=False)
        experiment.write_config(project, experiment.read_config(project), "my own.yaml")
        share = victims[number :: len(COMMANDS)]
        found.append(Line(project, processes.make("figures", *goals), campaign.rng("kills", number), share))
    return found


def run(campaign: Campaign) -> Outcome:
    """Kill, and count the kills of runs that ended as an undisturbed one."""
    late = campaign.deadline(SECONDS)
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda line: follow(line, campaign, late), lines(campaign)))
    equal = sum((line.equal for line in done), Counter[str]())
    rows = [[victim, KILLS // len(VICTIMS), equal[victim]] for victim in VICTIMS]
    goal = "every run ends with the digests of an undisturbed one, by the same command alone"
    faults = [fault for line in done for fault in line.faults]
    return Outcome(goal, KILLS, table(["killed", "times", "ended with equal digests"], rows), equal.total(), faults)
