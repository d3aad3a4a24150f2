"""Stored files are changed, cut, emptied and removed; then every stage that reads them is run.

A stage has to say so in one line that names the file, or its results have to be those of the whole file.
"""

import multiprocessing
import random
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from . import bench, experiment, own, processes, stages
from .bench import PROBLEMS, VERDICTS, Case, Found
from .campaign import Campaign, Outcome, counted, say
from .files import DAMAGES, kind, of
from .stages import Job

CASES = 600  # of stages that read results
SECONDS = 600.0
NEVER_READ = "store: provenance"  # of one store for each job, to save time
CODE = {
    "stitching": "stitching",
    "information": "alignment",
}  # rules whose stages compile, and the folders of their code


def parts_of(project: Path, stored: Path) -> list[Path]:
    """All files of what a job's input stands for: a store, a net or a table."""
    whole = project / stored
    if whole.name == "zarr.json":
        found = sorted(file for file in whole.parent.rglob("*") if file.is_file())
    else:
        beside = (whole, whole.with_name(f"{whole.name}.sha256"), whole.with_suffix(".pt"))
        found = [file for file in beside if file.is_file()]
    return [file.relative_to(project) for file in found]


def read_by(project: Path, job: Job, rng: random.Random) -> list[Path]:
    """For each result that a job reads, files of each kind: the largest and another."""
    chosen = set()
    for stored in sorted({Path(name) for name in job.inputs if name.startswith("results/")}):
        by_kind: defaultdict[str, list[Path]] = defaultdict(list)
        for path in parts_of(project, stored):
            by_kind[kind(path)].append(path)
        for paths in by_kind.values():
            chosen |= {max(paths, key=lambda path: (project / path).stat().st_size), rng.choice(paths)}
    unread = sorted(path for path in chosen if kind(path) == NEVER_READ)
    return sorted(chosen - set(unread[1:]))


class Turns:
    """The kinds of damage that come next, for each kind of file, so that each comes as often as the others."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.left: dict[str, Iterator[str]] = {}

    def next(self, path: Path) -> str:
        damage = next(self.left.get(kind(path), iter(())), None)
        if damage is None:
            names = list(of(path))
            self.rng.shuffle(names)
            self.left[kind(path)] = iter(names)
            return self.next(path)
        return damage


def of_stages(project: Path, jobs: list[Job], count: int, rng: random.Random) -> list[Case]:
    """Cases in which each job meets damage in each kind of file of each result that it reads."""
    pairs = [(job, path) for job in jobs for path in read_by(project, job, rng)]
    rng.shuffle(pairs)
    turns = Turns(rng)
    cases: dict[tuple[Job, Path, str], Case] = {}
    for _ in range(1 + count // len(pairs)):
        for job, path in pairs:
            damage = turns.next(path)
            cases.setdefault((job, path, damage), Case("stages", job, path, damage, str(rng.random())))
    return list(cases.values())[:count]


def every(scene: str, job: Job, paths: list[Path], rng: random.Random, damages: list[str], how: str) -> list[Case]:
    """All of these kinds of damage to each of these files."""
    return [Case(scene, job, path, damage, str(rng.random()), how) for path in paths for damage in damages]


def leave_checkpoint(project: Path, job: Job) -> Path:
    """The checkpoint of a training that is killed after its first epoch, relative to the project."""
    checkpoints = project / experiment.RESULTS / "checkpoints"
    for _ in range(20):
        training = subprocess.Popen(
            [processes.PYTHON, *job.words[1:]], cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        found: list[Path] = []
        while training.poll() is None and not found:
            found = sorted(checkpoints.glob("*/*.pt"))
            time.sleep(0.001)
        training.kill()
        training.wait()
        if found and found[0].exists():
            return found[0].relative_to(project)
    raise SystemExit(f"{checkpoints}: no training left a checkpoint")


def of_checkpoints(campaign: Campaign, project: Path, jobs: list[Job]) -> list[Case]:
    """Damage to the state of an interrupted training; the project is left with that state."""
    job = next(job for job in jobs if job.rule == "train")
    path = leave_checkpoint(project, job)
    for whole in bench.wholes(job):
        bench.put_back(project / whole, campaign.reference / whole)
    return every("stages", job, [path], campaign.rng("checkpoints"), [*DAMAGES, *["random byte"] * 5], "fork")


def of_parts(campaign: Campaign, project: Path) -> list[Case]:
    """Damage to an interrupted build of an image folder, to a picture and to a file of weights."""
    image = next(file for file in sorted((project / "photographs/val").rglob("*.png")))
    content, rng = image.read_bytes(), campaign.rng("parts")
    image.write_bytes(content[:100])
    processes.run(project, processes.make("figures"))
    image.write_bytes(content)
    job = next(job for job in stages.jobs(project) if job.rule == "images")
    parts = [path for path in sorted((project / "results").rglob("parts/*")) if path.is_file()]
    if not parts:
        raise SystemExit(f"{project}: the interrupted build left no parts")
    chunk = parts[0].parents[1] / "images/c/0/0/0/0"
    records = [path.relative_to(project) for path in [*parts, chunk]]
    pictures = every("own", job, [image.relative_to(project)], rng, ["half", "empty"], "fork")
    return every("own", job, records, rng, list(DAMAGES), "fork") + pictures


def of_compiled_code(project: Path, jobs: list[Job], rng: random.Random) -> list[Case]:
    """Damage to compiled code that numba has kept."""
    cases = []
    for rule, folder in CODE.items():
        job = next(job for job in jobs if job.rule == rule)
        for ending in ("nbi", "nbc"):
            paths = [path.relative_to(project) for path in project.rglob(f"{folder}/__pycache__/*.{ending}")]
            damages = ["random byte", "half", "empty", "deleted"]
            cases += [
                every("stages", job, [rng.choice(sorted(paths))], rng, [damage], "afresh")[0] for damage in damages
            ]
    return cases


def of_make(project: Path, rng: random.Random) -> list[Case]:
    """Damage to what make itself reads: the table that it prints, and Snakemake's records."""
    job = Job("make figures", (), (), tuple(processes.make("figures")))
    summary = experiment.RESULTS / "tables/summary.csv"
    records = [path.relative_to(project) for path in (project / ".snakemake/metadata").rglob("*") if path.is_file()]
    return [
        *every("stages", job, [summary], rng, ["a digit", "half", "empty", "deleted"], "make"),
        *every("stages", job, [rng.choice(sorted(records))], rng, ["random byte", "half", "empty"], "make"),
    ]


def planned(campaign: Campaign) -> tuple[dict[str, Path], list[Case]]:
    """The scenes and all cases."""
    project = experiment.copied(campaign.reference, campaign.folder / "damaged")
    jobs, rng = stages.jobs(project), campaign.rng("damage")
    read = tuple(path.as_posix() for path in parts_of_results(project))
    reader = Job("api", read, (), ("python", "-m", "tests.faults.readers", str(experiment.RESULTS)))
    others = own.own_project(campaign.folder / "own")
    cases = [
        *of_stages(project, [*jobs, reader], CASES, rng),
        *of_checkpoints(campaign, project, jobs),
        *of_parts(campaign, others),
        *of_compiled_code(project, jobs, rng),
        *of_make(project, rng),
    ]
    rng.shuffle(cases)  # so that a campaign whose time is over has tried all kinds
    return {"stages": project, "own": others}, cases


def parts_of_results(project: Path) -> list[Path]:
    """Results that ``api.Run`` reads."""
    results = project / experiment.RESULTS
    found = [*results.glob("tables/*.csv"), *results.glob("correlation/*/net0-net1.zarr/zarr.json")]
    return [path.relative_to(project) for path in [*found, *results.glob("mutual_information/*/*.zarr/zarr.json")]]


def attempts(campaign: Campaign, scenes: dict[str, Path], cases: list[Case]) -> Iterator[Found]:
    """What came of each case, on two cores, until the time is over."""
    late = campaign.deadline(SECONDS)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn, bench.prepare, (scenes, campaign.folder)) as pool:
        futures = [pool.submit(bench.attempt, case) for case in cases]
        for number, future in enumerate(as_completed(futures), 1):
            yield future.result()
            if number % 50 == 0:
                say("damage", f"{number} of {len(cases)} cases")
            if late():
                pool.shutdown(cancel_futures=True)
                return


def fault(found: list[Found]) -> str:
    """One line for all cases of a kind: how many there are, and the first."""
    case = found[0].case
    return (
        f"{kind(case.path)}, read by {case.job.rule}, {found[0].verdict} ({len(found)} cases): `{case.path}`, "
        f"{found[0].change}; `{case.job.command()}`: {found[0].said[:300]}"
    )


def run(campaign: Campaign) -> Outcome:
    """Try all cases."""
    scenes, cases = planned(campaign)
    found = list(attempts(campaign, scenes, cases))
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    problems: defaultdict[tuple[str, str, str], list[Found]] = defaultdict(list)
    for each in found:
        counts[kind(each.case.path)][each.verdict] += 1
        if each.verdict in PROBLEMS:
            problems[kind(each.case.path), each.case.job.rule, each.verdict].append(each)
    good = sum(each.verdict not in PROBLEMS for each in found)
    table = counted("stored file", VERDICTS, dict(sorted(counts.items())))
    goal = "damage is found in one line that names the file, or has no consequence, in every case"
    return Outcome(goal, len(cases), table, good, [fault(each) for _, each in sorted(problems.items())])
