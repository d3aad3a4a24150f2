"""Configurations with a mistake: each is refused in one line, at once, before any job; nothing is executed."""

import shlex
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from . import experiment, processes
from .campaign import Campaign, Outcome, counted, say
from .mistakes import CANARY, Mistake, mistakes
from .processes import Running
from .verdicts import lines, shortened

COUNT = 120
SECONDS = 300.0
AT_ONCE = 5.0  # seconds
VERDICTS = ("one line", "slow", "not one line", "a job began", "executed", "no end")
LIMIT = 120.0  # seconds
COMMANDS: tuple[Callable[[str], list[str]], ...] = (
    lambda name: processes.make("figures", f"CONFIG={name}"),
    lambda name: processes.snakemake("--configfile", name),
)


def watched(project: Path, command: list[str]) -> tuple[str, str, float]:
    """The verdict on a command that has to refuse its configuration, what it said, and its seconds."""
    running, begun = Running(project, command), time.monotonic()
    verdict = ""
    while running.process.poll() is None and not verdict:
        time.sleep(0.02)
        if (project / "results").exists():
            verdict = "a job began"
        elif time.monotonic() > begun + LIMIT:
            verdict = "no end"
    seconds = time.monotonic() - begun
    running.end()
    said = running.said()
    if not verdict:
        refused = running.process.returncode != 0 and len(lines(said)) == 1
        verdict = "one line" if refused else "not one line"
    if any((place / CANARY).exists() for place in (project, Path.cwd())):
        verdict = "executed"
    return verdict, said, seconds


def tried(project: Path, mistake: Mistake, number: int) -> tuple[str, str, str]:
    """The verdict on a mistake, the command and what it said. What takes long is tried again: cores are shared."""
    name = f"mistake{number}.yaml"
    (project / name).write_bytes(mistake.content)
    command = COMMANDS[number % len(COMMANDS) if mistake.readable else 0](name)
    for _ in range(3):
        for left in ("results", ".snakemake"):
            experiment.remove(project / left)
        verdict, said, seconds = watched(project, command)
        if verdict != "one line" or seconds <= AT_ONCE:
            return verdict, shlex.join(command), said
    return "slow", shlex.join(command), f"{seconds:.1f} s: {said}"


def attempts(campaign: Campaign, cases: list[Mistake]) -> Iterator[tuple[Mistake, tuple[str, str, str]]]:
    """What came of each mistake, in two projects at a time."""
    projects: SimpleQueue[Path] = SimpleQueue()
    for name in ("first", "second"):
        projects.put(experiment.copied(campaign.reference, campaign.folder / f"{name} mistakes", results=False))
    late = campaign.deadline(SECONDS)

    def attempt(numbered: tuple[int, Mistake]) -> tuple[str, str, str] | None:
        if late():
            return None
        project = projects.get()
        try:
            return tried(project, numbered[1], numbered[0])
        finally:
            projects.put(project)

    with ThreadPoolExecutor(2) as pool:
        for number, (case, result) in enumerate(zip(cases, pool.map(attempt, enumerate(cases)), strict=True), 1):
            if result:
                yield case, result
            if number % 20 == 0:
                say("configurations", f"{number} of {len(cases)}")


def run(campaign: Campaign) -> Outcome:
    """Try all mistakes."""
    config = experiment.read_config(campaign.reference)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    faults = []
    for mistake, (verdict, command, said) in attempts(
        campaign, mistakes(config, COUNT, campaign.rng("configurations"))
    ):
        counts[mistake.kind][verdict] += 1
        if verdict != "one line":
            faults.append(f"{mistake.kind}, {mistake.name}, {verdict}: `{command}`: {shortened(said)}")
    good = sum(counter["one line"] for counter in counts.values())
    goal = f"one line, within {AT_ONCE:.0f} s, before any job, and nothing is executed"
    return Outcome(goal, COUNT, counted("mistake", VERDICTS, counts), good, faults)
