"""Copies of experiments in which files are damaged, jobs run, and everything is put back."""

import os
import random
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from . import experiment, files, processes, stages
from .stages import Job, Said
from .verdicts import lines

PROBLEMS = ("not one line", "file not named", "wrong result", "no end")
VERDICTS = ("one line", "no consequence", *PROBLEMS)
LIMIT = 300.0  # seconds of one job
NUMBERS = re.compile(r"^\S+ +(?:-|\d\.\d{3}) .*$", re.M)  # rows of the table that make prints


@dataclass(frozen=True)
class Case:
    """A file of a scene (an experiment in some state), what happens to it, and the job that reads it then."""

    scene: str
    job: Job
    path: Path  # relative to the project
    damage: str
    seed: str
    how: str = "fork"  # how the job runs: in a fork, afresh as its rule runs it, or as a whole make


@dataclass(frozen=True)
class Found:
    """What came of a case."""

    case: Case
    verdict: str
    change: str  # of the file
    said: str


def wholes(job: Job) -> list[Path]:
    """The folders of a job's stores, its other files, and their digests."""
    paths = [Path(name).parent if name.endswith("zarr.json") else Path(name) for name in job.outputs]
    return [each for path in paths for each in (path, path.with_name(f"{path.name}.sha256"))]


def put_back(ours: Path, theirs: Path) -> None:
    """Make a file or folder as it is in another place, with its times."""
    experiment.remove(ours)
    ours.parent.mkdir(parents=True, exist_ok=True)
    if theirs.is_dir():
        shutil.copytree(theirs, ours, symlinks=True)
    elif theirs.exists():
        shutil.copy2(theirs, ours)


def named(path: Path, line: str) -> bool:
    """Whether a line names a damaged file, or the store, net or table that it belongs to."""
    store = next((parent for parent in path.parents if parent.suffix == ".zarr"), None)
    whole = store or path.with_name(path.name.split(".")[0])
    return whole.as_posix() in line


def verdict(case: Case, said: Said, usual: Said, differing: list[str]) -> tuple[str, str]:
    """The verdict on a case, and what shows it. usual: what the job says when all is well"""
    unusual = [line for line in lines(said.err) if line not in usual.err.splitlines()]
    if said.status is None:
        return "no end", ""
    if said.status == 0:
        return ("wrong result", ", ".join(differing[:3])) if differing else ("no consequence", "")
    if len(unusual) != 1:
        return "not one line", " … ".join([*unusual[:1], *unusual[1:][-1:]]) or f"status {said.status}"
    return "one line" if named(case.path, unusual[0]) else "file not named", unusual[0]


class Bench:
    """The scenes of one process."""

    def __init__(self, templates: dict[str, Path], folder: Path) -> None:
        self.templates = templates
        self.projects = {name: experiment.copied(path, folder / name) for name, path in templates.items()}
        self.usual: dict[tuple[str, Job], tuple[Said, dict[str, str]]] = {}

    def restore(self, scene: str, job: Job, path: Path | None = None) -> None:
        """Put back what a job wrote, and a file that was damaged."""
        compiled = {path.parent} if path and path.parent.name == "__pycache__" else set()
        for each in {*wholes(job), *([path] if path else []), *compiled}:
            put_back(self.projects[scene] / each, self.templates[scene] / each)

    def results(self, scene: str, job: Job, said: Said) -> dict[str, str]:
        """Digests of what a job wrote; of a job without files, what it printed."""
        if not job.outputs:
            return {"output": said.out}
        below = tuple(path.relative_to("results").as_posix() for path in wholes(job))
        found = experiment.digests(self.projects[scene] / "results")
        return {path: digest for path, digest in found.items() if path.startswith(below)}

    def run(self, scene: str, job: Job, how: str) -> tuple[Said, dict[str, str]]:
        """What a job says, and digests of what it writes."""
        project = self.projects[scene]
        if how == "make":
            ended = processes.run(project, list(job.words))
            printed = "\n".join(NUMBERS.findall(ended.said))
            return Said(ended.status, "", ended.said), {"numbers": printed, **experiment.digests(project / "results")}
        for name in job.outputs:  # as Snakemake does
            (project / name).unlink(missing_ok=True)
        said = (stages.run if how == "fork" else stages.run_afresh)(job.words, project, LIMIT)
        return said, self.results(scene, job, said)

    def healthy(self, case: Case) -> tuple[Said, dict[str, str]]:
        """The same of a job whose files are whole."""
        key = (case.scene, case.job)
        if key not in self.usual:
            self.usual[key] = self.run(case.scene, case.job, case.how)
            self.restore(case.scene, case.job)
        return self.usual[key]

    def attempt(self, case: Case) -> Found:
        """Damage a file, run its reader, and put everything back."""
        usual, expected = self.healthy(case)
        file = self.projects[case.scene] / case.path
        if not file.exists():  # a training that ends well removes its checkpoint
            put_back(file, self.templates[case.scene] / case.path)
        before = file.read_bytes()
        after = files.of(case.path)[case.damage](before, random.Random(case.seed))
        file.unlink() if after is None else file.write_bytes(after)
        said, found = self.run(case.scene, case.job, case.how)
        self.restore(case.scene, case.job, case.path)
        result = verdict(case, said, usual, experiment.differences(expected, found))
        return Found(case, result[0], files.described(before, after), result[1])


bench: Bench


def prepare(templates: dict[str, Path], folder: Path) -> None:
    """Make this process's bench."""
    global bench
    sys.stdout.flush()
    bench = Bench(templates, folder / f"bench{os.getpid()}")


def attempt(case: Case) -> Found:
    return bench.attempt(case)
