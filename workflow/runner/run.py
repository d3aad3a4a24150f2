"""Run the workflow as ``make`` does: one plan, one progress, and the numbers at the end.

``figures`` stands for all figures and tables, ``report`` for these and their report. Any other target is the name of a
figure, a table (``tables/summary.csv``) or a path below results.

Several Snakemakes do the work. The first plans. If nets are to be trained, the second stops after them and the third
does all else: once a job is planned everything below it runs, but where training gives the weights that were there
before, the third plans nothing that depends on them. All their messages are kept in `.snakemake/log`.
"""

import argparse
import json
import os
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workflow.convergent import experiment, memory, tables
from workflow.convergent.checks import checked
from workflow.convergent.commands import INTERRUPTED, command, new_parser
from workflow.convergent.configuration import same_weights
from workflow.runner import progress as state
from workflow.runner.alone import take_turn
from workflow.runner.child import run_snakemake
from workflow.runner.disk import check_room, shortage
from workflow.runner.estimate import training
from workflow.runner.numbers import numbers, published
from workflow.runner.progress import Progress
from workflow.runner.screen import Screen

STYLE = "workflow/report/report.css"
LOG_LINES = 30  # of a failed job
# What is said of Snakemake's profile, and of a failure besides the job's own log.
CHATTER = ("Using workflow specific profile", "RuleException", "Exiting because", "WorkflowError:\nAt least one job")


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def paths(results: Path, targets: Sequence[str]) -> list[str]:
    """Targets as Snakemake knows them: tables lie below the results of a run."""
    return [str(results / target) if target.startswith("tables/") else target for target in targets]


def last_lines(log: Path, said: set[str]) -> list[str]:
    """End of a log, without lines that the user has seen."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return [line for line in lines if line not in said][-LOG_LINES:]


def failure(job: str, logs: Sequence[str], said: set[str]) -> str:
    """What is said of a job that failed: its name, its logs and how they end."""
    lines = [line for log in logs for line in last_lines(Path(log), said)]
    return "\n".join([f"Failed: {job}. Log: {', '.join(logs) or 'none'}", *(f"    {line}" for line in lines)])


def phases(waiting: Counter[str]) -> list[list[str]]:
    """Arguments of the Snakemakes of a run with so many jobs by rule.

    Once a job is planned all below it runs. Images and nets come first, so that nothing reruns if they come out equal.
    """
    return [*(["--until", rule] for rule in ("images", "train") if waiting[rule]), []]


@dataclass
class Run:
    """One command of the user's."""

    options: list[str]  # of every Snakemake
    progress: Progress
    screen: Screen = field(default_factory=Screen)
    plans: bool = True  # whether the next job statistics are those of all that is left

    def snakemake(self, *arguments: str, quiet: bool = False) -> int:
        """Exit status of a Snakemake."""
        tick = (lambda: None) if quiet else self.show
        return run_snakemake([*self.options, *arguments], self.hear_plan if quiet else self.hear, self.relay, tick)

    def show(self) -> None:
        self.screen.show(state.status(self.progress, time.time()))

    def relay(self, line: str) -> None:
        state.hear(self.progress, line, time.time())
        if not line.startswith(CHATTER):
            self.screen.say(line)

    def hear_plan(self, event: dict[str, Any]) -> None:
        if event.get("event") == "job_info":
            self.progress.threads[event["rule_name"]] = event["threads"]
        self.hear_all(event)

    def hear(self, event: dict[str, Any]) -> None:
        state.update(self.progress, event)
        self.hear_all(event)

    def hear_all(self, event: dict[str, Any]) -> None:
        """Take in statistics of jobs, and tell the user of errors."""
        kind = event.get("event")
        if kind == "run_info" and self.plans:
            state.plan(self.progress, event["stats"])
        elif kind == "job_error":
            failed = self.progress.failed[-1:]
            name = state.at_work(failed) or event["rule_name"]
            self.screen.say(failure(name, event["log"], self.screen.said))
        elif event["level"] in ("ERROR", "CRITICAL") and not event["text"].startswith(CHATTER):
            self.screen.say(event["text"])

    def plan(self, targets: Sequence[str]) -> int:
        """Exit status of finding out which jobs wait."""
        if self.screen.terminal:
            self.screen.show("Planning")
        status = self.snakemake("--dry-run", "--", *targets, quiet=True)
        self.screen.end()
        return status

    def make(self, targets: Sequence[str]) -> int:
        """Exit status of making targets, or everything if there are none."""
        if status := self.plan(targets):
            return status
        if not self.progress.waiting:
            self.screen.say("Nothing to be done.")
            return 0
        self.screen.say(state.beginning(self.progress, time.time()))
        for phase in phases(self.progress.waiting):
            self.plans = not phase
            if status := self.snakemake(*phase, "--", *targets):
                break
        self.screen.end()
        if status:
            log = max(Path(".snakemake/log").glob("*.log"), default=".snakemake/log")
            number = len(self.progress.failed)
            failed = f": {state.counted(number, 'job')} failed" if number else ""
            for line in shortage():
                self.screen.say(line)
            self.screen.say(f"Not finished{failed}. The same command goes on from here. All messages: {log}")
        return status

    def report(self, file: Path) -> int:
        """Exit status of writing the report of what was made."""
        if status := self.snakemake("--report", str(file), "--report-stylesheet", STYLE, quiet=True):
            return status
        self.screen.say(f"Report: {file}. Unpack it and open report.html.")
        return 0


def made(results: Path, targets: Sequence[str]) -> list[str]:
    """Lines that say where results are, the names of figures as files."""
    if not targets:
        drawn = len(list((results / "figures").glob("*.png")))
        tables = results / "tables" if (results / "tables").exists() else results  # only some stages have tables there
        return [f"Figures: {results}/figures ({drawn}, each as PDF and PNG). Tables: {tables}."]
    if targets == ["published"]:
        return [str(file) for file in sorted((results / "figures").glob("published_*.pdf"))]
    files = [results / f"figures/{target}.pdf" for target in targets]
    return [str(file if file.exists() else target) for file, target in zip(files, targets, strict=True)]


def files_of(text: str) -> list[str]:
    """Names of the files of an experiment: one, which may have spaces, or several with spaces between them.

    Names with spaces among several are quoted. A leading dash is no option.
    """
    try:
        words = shlex.split(text)
    except ValueError:  # an apostrophe in a name
        words = [text]
    names = [text] if os.path.exists(text) or not any(map(os.path.exists, words)) else words
    return [f"./{name}" if name.startswith("-") else name for name in names]


def number_of_cores(text: str) -> str:
    """A number of cores as Snakemake takes it. Raises ArgumentTypeError."""
    if text != "all" and not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is not possible; all, or a number from 1")
    return text


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("target", help="figures, report, the name of a figure, or a path of a table or another result")
    parser.add_argument("--cores", default="all", type=number_of_cores, help="number of cores, or all")
    parser.add_argument(
        "--configfile",
        default=[],
        type=files_of,
        help="configuration of the experiment, instead of config.yaml; of several files, with spaces between their "
        "names, later ones replace entries of earlier ones",
    )
    parser.add_argument("--published", help="clone of the authors' repository, in place of published.folder")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    """Exit status of a command; prints where its results are and, after a whole run, the numbers."""
    begun = time.monotonic()
    given, options = experiment.together(args.configfile or ["config.yaml"]), []
    if args.published is not None:
        given["published"] = given.get("published", {}) | {"folder": args.published}
        options = ["--config", f"published={json.dumps(given['published'])}"]
    config = checked(given, memory.available())
    take_turn(Path.cwd())
    results = Path("results") / config["run"]
    whole = args.target in ("figures", "report")
    if whole:
        check_room(config, results)
    targets = [] if whole else paths(results, [args.target])
    options += ["--cores", args.cores, *(["--configfile", *args.configfile] if args.configfile else [])]
    warnings = same_weights(config)
    one = Run(options, Progress(usable_cores() if args.cores == "all" else int(args.cores), training(config)))
    for line in warnings:
        one.screen.say(line)
    if status := one.make(targets):
        return status
    summary = results / "tables/summary.csv"
    if whole and summary.exists():
        one.screen.say(f"\n{numbers(tables.read(summary), published())}\n")
    if args.target == "report" and (status := one.report(results / "report.zip")):
        return status
    one.screen.say("\n".join([*warnings, *made(results, targets), f"Took {state.elapsed(time.monotonic() - begun)}."]))
    return 0


def open_streams() -> None:
    """Put /dev/null in place of closed standard streams, so that no other file gets their numbers."""
    while (stream := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(stream, True)
    os.close(stream)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115, it stays open
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for text in (sys.stdout, sys.stderr):
        text.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def interrupted(line: str) -> int:
    """Exit status after an interruption, of which standard error tells if anybody still reads it."""
    with suppress(OSError):
        print(f"\n{line}", file=sys.stderr, flush=True)
    silent = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # Python writes out at its end what could not be written
        os.dup2(silent, stream)
    return INTERRUPTED


@command
def main(argv: list[str] | None = None) -> None:
    open_streams()
    args = parse(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, signal.default_int_handler)
    try:
        status = run(args)
    except KeyboardInterrupt:
        status = interrupted("Interrupted. The same command goes on from here.")
    except BrokenPipeError:
        status = interrupted("Interrupted: nobody reads the output any more. The same command goes on from here.")
    sys.exit(status)


if __name__ == "__main__":
    main()
