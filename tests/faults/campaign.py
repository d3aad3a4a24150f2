"""What all subjects share: the seed, the finished experiment, the time that is left; counts, faults and their page."""

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests import ROOT

from . import experiment, processes

PAGE = ROOT / "docs/reliability.md"


@dataclass
class Outcome:
    """What a subject has found."""

    goal: str
    planned: int
    table: str  # Markdown
    reached: int = 0  # of the planned
    faults: list[str] = field(default_factory=list)  # one line each, with the command that shows it

    def missed(self) -> bool:
        return self.reached < self.planned or bool(self.faults)

    def text(self, seed: int) -> str:
        """The section's part that is written anew: goal, table, faults."""
        goal = f"Seed {seed}. Goal: {self.goal}. Reached: {self.reached} of {self.planned}."
        open_faults = [f"- {fault}" for fault in self.faults]
        return "\n\n".join([goal, self.table, *(["Open:\n\n" + "\n".join(open_faults)] if open_faults else [])])


@dataclass
class Campaign:
    """One call of ``make faults``."""

    folder: Path  # for everything that is written
    seed: int
    patience: float = 1.0  # times the seconds that a subject may take

    def rng(self, *name: object) -> random.Random:
        """Random numbers of a purpose."""
        return random.Random(" ".join(map(str, [self.seed, *name])))

    @cached_property
    def reference(self) -> Path:
        """The tiny experiment after an undisturbed run."""
        project = experiment.tiny_project(self.folder / "reference")
        say("reference", "an undisturbed run")
        ended = processes.run(project, processes.make("figures"))
        if ended.status != 0:
            raise SystemExit(f"An undisturbed run failed:\n{ended.said}")
        say("reference", f"{ended.seconds:.0f} s")
        return project

    @cached_property
    def expected(self) -> dict[str, str]:
        """Digests of its results."""
        return experiment.digests(self.reference / experiment.RESULTS)

    def differing(self, project: Path) -> list[str]:
        """Results of a project that are not those of the undisturbed run."""
        return experiment.differences(self.expected, experiment.digests(project / experiment.RESULTS))

    def deadline(self, seconds: float) -> Callable[[], bool]:
        """Whether so many seconds have passed."""
        end = time.monotonic() + seconds * self.patience
        return lambda: time.monotonic() > end


def say(subject: str, text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {subject}: {text}", flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def counted(head: str, columns: Sequence[str], counts: Mapping[str, Counter[str]]) -> str:
    """A table with a row for each name and a column for each kind of result."""
    rows = [[name, counter.total(), *(counter[column] for column in columns)] for name, counter in counts.items()]
    return table([head, "tried", *columns], rows)


def write(page: Path, subject: str, text: str) -> None:
    """Replace a section's part between its markers."""
    begin, end = f"<!-- {subject}:begin -->", f"<!-- {subject}:end -->"
    before = page.read_text()
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(before):
        raise SystemExit(f"{page}: no {begin} and {end}")
    page.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", before))


Subject = Callable[[Campaign], Outcome]
Details = dict[str, Any]
