"""How much of a run is done, and how long the rest takes.

The estimate of a job, in core-seconds (seconds times threads):

- The mean of the jobs of its rule that have finished in this run, if there are any.
- Otherwise SECONDS, which was measured in the embedded experiment, times a factor: what the finished jobs of all rules
  took, divided by what SECONDS expects of them. PRIOR is added to both, so that the first short jobs do not decide.
- Of a training SECONDS is multiplied by its work (``estimate.training``). Once a training has printed an epoch, its own
  pace counts, for itself and for trainings that wait.
- A running job takes what is left of its estimate; one that is overdue takes a tenth of its time more.

The jobs of one wave (WAVES) can run side by side, and waves follow each other. A wave takes the longer of two times:
its core-seconds divided by the cores, and its longest job.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

PRIOR = 30.0  # core-seconds
# Core-seconds of one job of each rule on two cores of an AMD EPYC; figures and rules that are missing here take OTHER.
SECONDS = {
    "all": 0.0,
    "images": 2.0,
    "train": 155.0,
    "given": 3.0,
    "untrained": 3.0,
    "filters": 3.0,
    "moments_val": 27.0,
    "moments_train": 44.0,
    "moments_untrained": 24.0,
    "moments_snapshots": 30.0,
    "merge_val": 1.1,
    "merge_train": 1.0,
    "merge_untrained": 1.1,
    "merge_snapshots": 1.5,
    "patches": 8.5,
    "information": 24.0,
    "agreement": 1.5,
    "correlation": 1.5,
    "matching": 0.8,
    "compare": 13.0,
    "tabulate": 2.0,
    "scorecard_table": 2.0,
    "compare_training": 2.2,
    "stitching": 9.0,
    "functional": 27.0,
    "hierarchy": 1.0,
    "published_mappings": 2.0,
    "published_hierarchy": 1.0,
    "spectral": 4.7,
    "atlas": 0.0,
    "atlas_layer": 3.3,
    "atlas_page": 2.0,
}
OTHER = 2.7
WAVES = (
    {"images"},
    {"train", "given", "untrained"},
    {"filters", *(f"moments_{nets}" for nets in ("val", "train", "untrained", "snapshots")), "patches", "information"},
)
EPOCH = re.compile(r"([\w.]+): epoch (\d+)/(\d+)")


@dataclass
class Job:
    """A job that runs."""

    rule: str
    name: str  # the values of its wildcards
    threads: int
    started: float
    epochs: list[tuple[float, int, int]] = field(default_factory=list)  # time, epoch, number of epochs

    def epoch_seconds(self) -> float | None:
        """Seconds of an epoch of training, None before the first has been printed."""
        if not self.epochs:
            return None
        (first, start, _), (last, end, _) = self.epochs[0], self.epochs[-1]
        return (last - first) / (end - start) if end > start else first - self.started

    def seconds_left(self, expected: float, now: float) -> float:
        """Wall seconds left of a job of so many expected core-seconds."""
        pace = self.epoch_seconds()
        if pace is None:
            left = expected / self.threads - (now - self.started)
        else:
            last, epoch, epochs = self.epochs[-1]
            left = pace * (epochs - epoch) - (now - last)
        return left if left > 0 else (now - self.started) / 10


@dataclass
class Progress:
    """State of a run: jobs that wait, run and have finished."""

    cores: int
    training: float = 1.0  # work of one training, as a multiple of the embedded experiment's
    waiting: Counter[str] = field(default_factory=Counter)  # number of jobs by rule
    running: dict[int, Job] = field(default_factory=dict)
    finished: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # core-seconds by rule
    threads: dict[str, int] = field(default_factory=dict)
    failed: list[Job] = field(default_factory=list)

    def done(self) -> int:
        return sum(map(len, self.finished.values()))

    def total(self) -> int:
        return self.done() + len(self.running) + len(self.failed) + self.waiting.total()


def tabled(progress: Progress, rule: str) -> float:
    """Core-seconds of a job by SECONDS."""
    return SECONDS.get(rule, OTHER) * (progress.training if rule == "train" else 1)


def expected(progress: Progress, rule: str) -> float:
    """Core-seconds of a job of a rule, estimated from what this run has measured so far."""
    if progress.finished.get(rule):
        return mean(progress.finished[rule])
    paces = [(job, job.epoch_seconds()) for job in progress.running.values() if job.rule == rule]
    trainings = [pace * job.epochs[-1][2] * job.threads for job, pace in paces if pace is not None]
    if trainings:
        return mean(trainings)
    measured = PRIOR + sum(map(sum, progress.finished.values()))
    table = PRIOR + sum(tabled(progress, other) * len(jobs) for other, jobs in progress.finished.items())
    return tabled(progress, rule) * measured / table


def wave(rule: str) -> int:
    return next((number for number, rules in enumerate(WAVES) if rule in rules), len(WAVES))


def seconds_left(progress: Progress, now: float) -> float:
    """Wall seconds until all jobs have finished."""
    work: dict[int, float] = defaultdict(float)  # core-seconds by wave
    longest: dict[int, float] = defaultdict(float)  # wall seconds by wave
    for rule, count in progress.waiting.items():
        one = expected(progress, rule)
        work[wave(rule)] += one * count
        longest[wave(rule)] = max(longest[wave(rule)], one / min(progress.threads.get(rule, 1), progress.cores))
    for job in progress.running.values():
        left = job.seconds_left(expected(progress, job.rule), now)
        work[wave(job.rule)] += left * job.threads
        longest[wave(job.rule)] = max(longest[wave(job.rule)], left)
    return sum(max(work[number] / progress.cores, longest[number]) for number in work)


def plan(progress: Progress, stats: dict[str, int]) -> None:
    """Set the jobs that wait to those that Snakemake is going to run, by rule, under "total" their sum."""
    progress.waiting = Counter({rule: count for rule, count in stats.items() if rule != "total"})


def job_of(event: dict[str, Any]) -> Job:
    """The job that an event ``job_info`` describes."""
    name = " ".join(value for key, value in event["wildcards"].items() if key != "run")
    return Job(event["rule_name"], name, event["threads"], event["time"])


def update(progress: Progress, event: dict[str, Any]) -> None:
    """Take in an event of a Snakemake at work."""
    kind = event.get("event")
    if kind == "job_info":
        job = job_of(event)
        progress.running[event["jobid"]] = job
        progress.threads[job.rule] = job.threads
        progress.waiting[job.rule] -= 1
        progress.waiting = +progress.waiting
    elif kind == "job_finished" and event["job_id"] in progress.running:
        job = progress.running.pop(event["job_id"])
        progress.finished[job.rule].append((event["time"] - job.started) * job.threads)
    elif kind == "job_error" and event["jobid"] in progress.running:
        progress.failed.append(progress.running.pop(event["jobid"]))
    elif kind == "resources_info" and event.get("cores"):
        progress.cores = event["cores"]


def hear(progress: Progress, line: str, now: float) -> None:
    """Take in a line that a job has printed: a training tells its epochs."""
    said = EPOCH.search(line)
    for job in progress.running.values():
        if said and job.rule == "train" and job.name == said[1]:
            job.epochs.append((now, int(said[2]), int(said[3])))


def duration(seconds: float) -> str:
    """Text of a time, rounded up: "40 s", "9 min", "5 h", "3 days".

    >>> duration(33), duration(500), duration(20000)
    ('40 s', '9 min', '6 h')
    """
    if seconds < 60:
        return f"{10 * max(1, math.ceil(seconds / 10))} s"
    for unit, length, most in (("min", 60, 90), ("h", 3600, 48)):
        if seconds <= length * most:
            return f"{math.ceil(seconds / length)} {unit}"
    return f"{math.ceil(seconds / 86400)} days"


def elapsed(seconds: float) -> str:
    """Text of a time that has passed: "9 min 40 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def beginning(progress: Progress, now: float) -> str:
    """What is going to happen and how long it takes."""
    trainings = progress.waiting["train"]
    among = f", {counted(trainings, 'training')} among them" if trainings else ""
    cores = counted(progress.cores, "core")
    return f"{counted(progress.total(), 'job')}{among}: about {duration(seconds_left(progress, now))} on {cores}."


def at_work(jobs: Iterable[Job]) -> str:
    return ", ".join(f"{job.rule} {job.name}".strip() for job in jobs)


def status(progress: Progress, now: float) -> str:
    """Minutes left, jobs done, and the jobs at work."""
    jobs = f"{progress.done()} of {counted(progress.total(), 'job')} done"
    running = f"; now {at_work(progress.running.values())}" if progress.running else ""
    return f"about {duration(seconds_left(progress, now))} left, {jobs}{running}"
