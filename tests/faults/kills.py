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

from . import experiment, processes
from .campaign import Campaign, Outcome, say, table
from .verdicts import shortened, traceback

SECONDS = 660.0
PAUSE = 15.0  # seconds, the longest time before a kill
OWN = "my own.yaml"
ALL = "all of them"
COMMANDS = {
    "make figures": processes.make("figures"),
    'make figures CONFIG="my own.yaml"': processes.make("figures", f"CONFIG={OWN}"),
    'snakemake --configfile "my own.yaml"': processes.snakemake("--configfile", OWN),
}
# How often each process of each command is killed: 50 times in all.
TIMES = {
    "make figures": {"job": 4, "Snakemake": 4, "runner": 4, "make": 4, ALL: 4},
    'make figures CONFIG="my own.yaml"': {"job": 3, "Snakemake": 3, "runner": 3, "make": 3, ALL: 3},
    'snakemake --configfile "my own.yaml"': {"job": 5, "Snakemake": 5, ALL: 5},
}
KILLS = sum(map(sum, (times.values() for times in TIMES.values())))


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
    if victim != ALL:
        found = [process for process in found if processes.kind(process) == victim]
        rng.shuffle(found)
        del found[1:]
    processes.kill(found)
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
            say("kills", f"{line.project.name}: {len(line.victims)} left")
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
    """One line for each command."""
    found = []
    for number, (name, command) in enumerate(COMMANDS.items()):
        project = experiment.copied(campaign.reference, campaign.folder / f"killed{number}", results=False)
        experiment.write_config(project, experiment.read_config(project), OWN)
        rng = campaign.rng("kills", name)
        victims = [victim for victim, times in TIMES[name].items() for _ in range(times)]
        rng.shuffle(victims)
        found.append(Line(project, command, rng, victims))
    return found


def run(campaign: Campaign) -> Outcome:
    """Kill, and count the kills of runs that ended as an undisturbed one."""
    late = campaign.deadline(SECONDS)
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda line: follow(line, campaign, late), lines(campaign)))
    rows = [
        [f"`{name}`", victim, times, line.equal[victim]]
        for line, (name, victims) in zip(done, TIMES.items(), strict=True)
        for victim, times in victims.items()
    ]
    head = ["command", "killed", "times", "ended with equal digests"]
    goal = "every run ends with the digests of an undisturbed one, by the same command alone"
    faults = [fault for line in done for fault in line.faults]
    return Outcome(goal, KILLS, table(head, rows), sum(line.equal.total() for line in done), faults)
