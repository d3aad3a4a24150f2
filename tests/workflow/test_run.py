"""``make`` and its goals as a user calls them, in a copy of the project with a tiny configuration."""

import errno
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests import ROOT
from tests.configurations_refused import REFUSED, write
from tests.locks import can_fail, without_locks
from tests.workflow.tiny import DIVERGING, SAID, done, edit, longer, make, snakemake
from workflow.runner import run as runner
from workflow.runner.alone import alive


def hear_ctrl_c() -> None:
    """What pytest does not, where it runs in the background of a shell."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def started(folder: Path, command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """A command at work, in a group of processes of its own as from a terminal, and what it has said so far."""
    output = folder / f"output{len(list(folder.glob('output*')))}"
    with output.open("w") as file:
        process = subprocess.Popen(
            command, cwd=folder, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=hear_ctrl_c
        )
    try:
        yield process, output.read_text
        process.wait(timeout=300)
    finally:
        process.terminate()


def wait_until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def digests(folder: Path) -> list[str]:
    return [(folder / f"results/scenes/nets/net{number}.json").read_text() for number in (0, 1)]


def test_a_failure_shows_the_end_of_its_log_without_what_was_seen(tmp_path: Path) -> None:
    log = tmp_path / "net0.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    lines = runner.failure("train net0", [str(log)], {"line 99"}).splitlines()
    assert lines == [f"Failed: train net0. Log: {log}", *(f"    line {number}" for number in range(69, 99))]
    assert runner.failure("train net0", [str(tmp_path / "none.log")], set()).count("\n") == 0


def test_images_and_nets_are_made_first_where_there_are_any_to_make() -> None:
    first = {rule: ["--until", rule] for rule in ("images", "train")}
    assert runner.phases(Counter(images=1, train=4, merge_val=8)) == [first["images"], first["train"], []]
    assert runner.phases(Counter(train=1)) == [first["train"], []]
    assert runner.phases(Counter(merge_val=8)) == [[]]


def test_tables_are_named_below_the_results() -> None:
    assert runner.paths(Path("results/mine"), ["tables/summary.csv", "fig1_correlation", "results/x.csv"]) == [
        "results/mine/tables/summary.csv",
        "fig1_correlation",
        "results/x.csv",
    ]


def test_help_lists_every_goal() -> None:
    said = subprocess.run(["make"], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    goals = re.search(r"^COMMANDS := (.*)", (ROOT / "Makefile").read_text(), flags=re.M)
    assert goals
    assert set(re.findall(r"^make ([a-z-]+) ", said, flags=re.M)) == set(goals[1].split())


@pytest.mark.parametrize(
    "cores", ["abc", *(pytest.param(cores, marks=pytest.mark.slow) for cores in ("0", "-1", "1.5"))]
)
def test_an_impossible_number_of_cores_is_one_line(cores: str) -> None:
    said = done(ROOT, "figures", f"CORES={cores}", ok=False)
    assert f"{cores} is not possible; all, or a number from 1" in said or "expected one argument" in said
    assert "Traceback" not in said


def with_clean(folder: Path) -> None:
    """Put what ``make clean`` needs into a folder."""
    runner = (f"workflow/runner/{name}.py" for name in ("__init__", "clean", "machine"))
    for name in ("Makefile", "workflow/__init__.py", *runner):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text((ROOT / name).read_text())


@can_fail
def test_clean_sees_a_run_on_a_disk_without_locks(tmp_path: Path) -> None:
    with_clean(tmp_path)
    (tmp_path / "results/scenes").mkdir(parents=True)
    given = {**os.environ, **without_locks(tmp_path, errno.EOPNOTSUPP)}

    def cleaned() -> str:
        ended = subprocess.run(make("clean"), cwd=tmp_path, env=given, text=True, capture_output=True)
        return ended.stdout + ended.stderr

    with (tmp_path / ".running").open("w") as lock, subprocess.Popen(["sleep", "60"], stdin=lock) as run:
        assert cleaned().startswith("A run is at work in this folder; nothing was removed.")
        run.kill()
    assert cleaned().startswith("Removed results/scenes (0 MB).")


@pytest.mark.slow
def test_clean_removes_one_run_and_says_what_is_left(tmp_path: Path) -> None:
    with_clean(tmp_path)
    for run in ("scenes", "my_images"):
        (tmp_path / f"results/{run}/figures").mkdir(parents=True)
        (tmp_path / f"results/{run}/figures/one.png").write_bytes(bytes(3_000_000))
    lock_of_snakemake = tmp_path / ".snakemake/locks/0.output.lock"
    lock_of_snakemake.parent.mkdir(parents=True)
    lock_of_snakemake.touch()
    assert "nothing was removed" in done(tmp_path, "clean", ok=False)
    lock_of_snakemake.unlink()
    left = "Left: results/my_images (3 MB; make clean RUN=my_images removes it).\n"
    records = "Left: .snakemake (Snakemake's records and messages).\n"
    assert done(tmp_path, "clean") == f"Removed results/scenes (3 MB).\n{left}{records}"
    assert done(tmp_path, "clean") == f"There is no results/scenes.\n{left}{records}"
    for wrong in ("", "..", "my_images/figures"):
        assert "a run is a folder below results" in done(tmp_path, "clean", f"RUN={wrong}", ok=False)
    with (tmp_path / ".running").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert done(tmp_path, "clean", "RUN=my_images", ok=False).startswith("A run is at work in this folder")
    assert done(tmp_path, "clean", "RUN=my_images").startswith("Removed results/my_images")
    assert not list((tmp_path / "results").iterdir())


@pytest.fixture(scope="module")
def first(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project after its first ``make figures``, to be changed, and what this said."""
    folder = shutil.copytree(made, tmp_path_factory.mktemp("first") / "made")
    return folder, (folder / SAID).read_text()


@pytest.mark.slow
def test_a_run_has_one_plan_one_progress_and_numbers(first: tuple[Path, str]) -> None:
    said = first[1]
    assert said.startswith("41 jobs, 2 trainings among them: about ")
    assert len(re.findall("jobs, ", said)) == 1
    assert re.search(r"^about \d+ \w+ left, \d+ of 41 jobs done", said, flags=re.M)
    assert "\r" not in said
    for net in ("net0", "net1"):
        assert re.search(rf"^{net}: epoch \d+/\d+, loss", said, flags=re.M)
    for chatter in ("steps (", "rule ", "jobid", "Using", "Building DAG"):
        assert chatter not in said
    end = said[said.index("Mean correlation") :].splitlines()
    assert re.fullmatch(r"conv1( +0\.\d{3}){4} +0\.703", end[3])
    assert end[5] == "Figures: results/scenes/figures (15, each as PDF and PNG). Tables: results/scenes/tables."
    assert re.fullmatch(r"Took (\d+ min )?\d+ s\.", end[6])


@pytest.mark.slow
def test_nothing_is_done_twice(first: tuple[Path, str]) -> None:
    assert done(first[0], "figures").startswith("Nothing to be done.\n")
    assert "Nothing to be done" in snakemake(first[0], "-n")


@pytest.mark.slow
def test_one_figure_and_one_table_alone(first: tuple[Path, str]) -> None:
    figure, table = (
        first[0] / f"results/scenes/{name}" for name in ("figures/fig1_correlation.pdf", "tables/summary.csv")
    )
    content = table.read_bytes()
    for file in (figure, table):
        file.unlink()
    said = done(first[0], "fig1_correlation")
    assert said.startswith("2 jobs: about ")
    assert "\nresults/scenes/figures/fig1_correlation.pdf\nTook " in said
    assert figure.exists()
    assert not table.exists()
    done(first[0], "tables/summary.csv")
    assert table.read_bytes() == content
    assert done(first[0], "results/scenes/tables/summary.csv").startswith("Nothing to be done.\n")


@pytest.mark.slow
def test_unknown_targets_are_one_line_that_lists_the_known(first: tuple[Path, str]) -> None:
    """Besides it there is Snakemake's own on its profile, or make's last one."""
    names = ["README.md", "correlation", "nonsense", "tables/nonsense.csv"]
    by_hand = subprocess.run([sys.executable, "-m", "snakemake", *names], cwd=first[0], text=True, capture_output=True)
    assert by_hand.returncode != 0
    (_, of_snakemake), (of_make, _) = by_hand.stderr.splitlines(), done(first[0], "nonsense", ok=False).splitlines()
    known = r"\. Figures: overview, fig1_correlation, .*\. Tables: .*summary.csv, .*units.csv.*"
    assert re.fullmatch(f"There is no target {', '.join(names)}{known}", of_snakemake)
    assert re.fullmatch(f"There is no target nonsense{known}", of_make)


@pytest.mark.slow
def test_the_report_is_written(first: tuple[Path, str]) -> None:
    said = done(first[0], "report")
    assert "Report: results/scenes/report.zip." in said
    run = first[0] / "results/scenes"
    with zipfile.ZipFile(run / "report.zip") as report:
        page = report.read("report/report.html").decode()
        held = {Path(name).name for name in report.namelist()}
    assert held == {file.name for end in ("figures/*.png", "**/*.csv") for file in run.glob(end)} | {"report.html"}
    results, start, categories = (
        json.loads(re.search(rf'<script id="{script}">\s*var \w+ = (.*);$', page, flags=re.M)[1])
        for script in ("results", "workflow-desc", "categories")
    )
    assert set(categories) == {"1 Overview", "2 Matches", "5 Nets"}
    figures = {path: entry for path, entry in results.items() if path.endswith(".png")}
    assert all(entry["labels"]["shows"].endswith("?") for entry in figures.values())
    assert all("Paper: " in entry["caption"] for entry in figures.values())
    with Image.open(run / "figures/fig3_assignment_conv1.png") as drawn:
        numbers = drawn.info["Description"]
    assert numbers in figures["results/scenes/figures/fig3_assignment_conv1.png"]["caption"]
    assert "columns layer, state, pair" in results["results/scenes/tables/summary.csv"]["caption"]
    (shown,) = re.findall('<img .*src="(data/raw/[^"]+)"', start)
    with zipfile.ZipFile(run / "report.zip") as report:
        assert report.getinfo(f"report/{shown}").file_size > 10_000
    assert first[1][first[1].index("conv1 ") :].splitlines()[0] in start  # the numbers that the run ended with
    assert "#rulegraph, #brand { display: none; }" in page


WRONG = ["nul", "list", "training.steps: inf", "moments.blocks: 53"]


@pytest.mark.parametrize("name", ["latin-1", *(pytest.param(name, marks=pytest.mark.slow) for name in WRONG)])
def test_a_wrong_configuration_is_one_line_before_anything_begins(tmp_path: Path, name: str) -> None:
    (refused,) = (each for each in REFUSED if each.name == name)
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    begun = time.monotonic()
    said = done(tmp_path, "figures", f"CONFIG={write(refused, tmp_path)}", ok=False).splitlines()
    assert time.monotonic() - begun < 5
    assert refused.said in said[0]
    assert [line for line in said[1:] if not line.startswith("make: ***")] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Makefile", "workflow", "wrong.yaml"]


@pytest.mark.slow
def test_a_mistyped_configuration_is_said_with_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    (tmp_path / "my_images.yaml").touch()
    line = "my_image.yaml: no such configuration; there are my_images.yaml"
    assert done(tmp_path, "nets_training", "CONFIG=my_image.yaml", ok=False).splitlines()[0] == line


@pytest.mark.parametrize(
    ("config", "files"),
    [
        ("a.yaml", ["a.yaml"]),
        ("a.yaml b.yaml", ["a.yaml", "b.yaml"]),
        ("my own.yaml", ["my own.yaml"]),
        ("'my own.yaml' a.yaml", ["my own.yaml", "a.yaml"]),
        ("-x.yaml a.yaml", ["./-x.yaml", "a.yaml"]),
        ("it's.yaml", ["it's.yaml"]),
        ("a.yaml gone.yaml", ["a.yaml", "gone.yaml"]),
        ("gone too.yaml", ["gone too.yaml"]),
        ("n" * 5000, ["n" * 5000]),
    ],
)
def test_config_is_one_file_or_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str, files: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml", "my own.yaml", "-x.yaml"):
        Path(name).touch()
    assert runner.files_of(config) == files


@pytest.mark.slow
def test_make_reads_several_files(tmp_path: Path) -> None:
    """The later one replaces what the earlier one says; the last lacks nothing but what is wrong."""
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    (tmp_path / "a.yaml").write_bytes((ROOT / "config.yaml").read_bytes())
    (tmp_path / "my own.yaml").write_text("data: {size: 7}\n")
    said = done(tmp_path, "figures", "CONFIG=a.yaml 'my own.yaml'", ok=False)
    assert said.splitlines()[0].endswith(
        "Configuration, data.size: 7 is not possible; at least 8. Width and height of "
        "a stored image, in pixels. A batch of larger images fits into no memory."
    )


@pytest.mark.slow
def test_snakemake_needs_no_cores_but_takes_them(first: tuple[Path, str]) -> None:
    """Among them `-j`, which is no number of cores where the profile has one."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--forcerun",
        "draw_fig1_correlation",
        "-j",
        "1",
        "--",
        "fig1_correlation",
    ]
    said = subprocess.run(command, cwd=first[0], text=True, capture_output=True, check=True).stderr
    assert "Provided cores: " in said
    assert "Provided cores: 1 " not in said


@pytest.mark.slow
def test_a_failed_job_of_another_configuration_shows_its_log_and_what_to_do(first: tuple[Path, str]) -> None:
    text = (first[0] / "config.yaml").read_text().replace("run: scenes", "run: mine").replace(*DIVERGING)
    name = "-my 'own$(touch INJECTED)`touch INJECTED`\".yaml"
    (first[0] / name).write_text(text)
    said = done(first[0], "figures", f"CONFIG={name}", ok=False)
    assert not (first[0] / "INJECTED").exists()
    refusal = "; lower training.learning_rate or training.clip"
    assert said.count(refusal) == 2  # once a net, as it is printed; not again from its log
    assert "Failed: train net0. Log: results/mine/logs/train/net0.log\n" in said
    assert re.search(r"^Not finished: 2 jobs failed\. .* All messages: \.snakemake/log/\S+\.log$", said, flags=re.M)
    for noise in ("Traceback", "RuleException", "set -euo", "Mean correlation", "nothing can be written"):
        assert noise not in said
    assert (first[0] / "results/mine/images/val.zarr/zarr.json").exists()


@pytest.mark.slow
def test_a_net_that_cannot_be_built_is_one_line_and_no_job_fails(first: tuple[Path, str]) -> None:
    (first[0] / "odd.py").write_text("def net(num_classes):\n    raise ValueError('no such net')\n")
    text = (first[0] / "config.yaml").read_text().replace("run: scenes", "run: odd")
    (first[0] / "odd.yaml").write_text(text.replace("- seed: 0", "- {seed: 0, architecture: 'odd:net'}"))
    said = done(first[0], "figures", "CONFIG=odd.yaml", ok=False).splitlines()
    (where,) = (number for number, line in enumerate(said) if "no such net" in line)
    assert said[where + 1].startswith("Not finished. The same command goes on from here.")
    assert not (first[0] / "results/odd/images").exists()


@pytest.mark.slow
def test_a_run_that_does_not_fit_on_the_disk_begins_no_job(first: tuple[Path, str]) -> None:
    """Here every byte is too much; what is there needs none."""
    (first[0] / "large.yaml").write_text((first[0] / "config.yaml").read_text().replace("run: scenes", "run: large"))
    line = r"results/large: about .* MB are needed \(images 0\.6 MB, .*\), but /.* has .* free; make room, .*"
    for _ in edit(first[0] / "workflow/runner/disk.py", "CLEARLY = 1.1", "CLEARLY = 0.0"):
        by_hand = snakemake(first[0], "--configfile", "large.yaml", ok=False)
        by_make = done(first[0], "figures", "CONFIG=large.yaml", ok=False)
    assert re.fullmatch(line, by_hand.splitlines()[-1])
    assert re.fullmatch(line, by_make.splitlines()[0])
    assert not (first[0] / "results/large").exists()


@pytest.mark.slow
def test_a_disk_that_takes_no_more_is_named(first: tuple[Path, str]) -> None:
    """Files of more than 100 kB are refused, as those of a full disk are; logs can be written."""
    text = (first[0] / "config.yaml").read_text().replace("run: scenes", "run: limited")
    (first[0] / "limited.yaml").write_text(text)
    by_hand = [sys.executable, "-m", "snakemake", "--configfile", "limited.yaml", "--until", "images"]
    for command in (make("figures", "CONFIG=limited.yaml"), by_hand):
        limited = ["bash", "-c", 'ulimit -f 100; exec "$@"', "-", *command]
        ended = subprocess.run(limited, cwd=first[0], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert ended.returncode != 0
        assert re.search(
            r"^File too large: nothing can be written to /.*; /.* has .* free\.$", ended.stdout, flags=re.M
        )
        assert "Traceback" not in ended.stdout


def epochs(folder: Path) -> int:
    """How many epochs all commands have told of so far."""
    return sum(file.read_text().count(": epoch ") for file in folder.glob("output*"))


def at_work(running: subprocess.Popen[bytes], pattern: str) -> list[psutil.Process]:
    """Processes that a command has started whose command line has a pattern."""
    children = psutil.Process(running.pid).children(recursive=True)
    return [process for process in children if re.search(pattern, " ".join(process.cmdline()))]


@contextmanager
def in_training(folder: Path, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command that is training: it has told of two epochs."""
    before = epochs(folder)
    with started(folder, command) as (running, _):
        wait_until(lambda: epochs(folder) >= before + 2)
        assert not (folder / "results/scenes/nets/net0.json").exists()
        yield running


BY_HAND = [sys.executable, "-m", "snakemake", "nets_training"]
TRAINING = r"python -m workflow\.convergent\.nets\.train"


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose trainings are interrupted again and again, each time where the one before ended."""
    folder = longer(tmp_path_factory.mktemp("interrupted"))
    snakemake(folder, "--until", "images")
    return folder


# Tests of one folder follow each other.
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_jobs(interrupted: Path, number: signal.Signals) -> None:
    """Ctrl-C reaches make and the runner; other signals reach make, which passes them on."""
    with in_training(interrupted, make("nets_training")) as running:
        if number == signal.SIGINT:
            os.killpg(running.pid, number)
        else:
            running.send_signal(number)
    assert running.returncode != 0
    assert alive(interrupted) == {}
    assert not list(interrupted.glob(".snakemake/locks/*"))
    said = max(interrupted.glob("output*")).read_text()
    assert "Interrupted. The same command goes on from here." in said
    for wrong in ("Failed", "Traceback"):
        assert wrong not in said


@pytest.mark.slow
def test_a_reader_that_goes_ends_all_jobs(interrupted: Path) -> None:
    """As in ``make | head``."""
    command = f"{shlex.join(make('nets_training'))} | sed '/: epoch/q'"
    ended = subprocess.run(["bash", "-c", command], cwd=interrupted, text=True, capture_output=True)
    assert alive(interrupted) == {}
    assert "Interrupted: nobody reads the output any more. The same command goes on from here." in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_all_goes_on_after_kills_and_no_two_runs_work_at_a_time(first: tuple[Path, str], interrupted: Path) -> None:
    """Snakemake is killed, then its jobs, which leaves its lock; then the runner, whose Snakemake goes on.

    Another Snakemake and another `make` wait for it, and for each other. Weights are those of an undisturbed run.
    """
    with in_training(interrupted, BY_HAND) as by_hand:
        jobs = at_work(by_hand, TRAINING)
        by_hand.kill()
        by_hand.wait()
        assert alive(interrupted).keys() >= {job.pid for job in jobs} != set()
        for job in jobs:
            job.kill()
    assert list(interrupted.glob(".snakemake/locks/*"))
    with in_training(interrupted, make("nets_training")) as running:
        (runner_process,) = at_work(running, r"python\S* -m workflow\.runner\.run")
        runner_process.kill()
    assert "snakemake" in alive(interrupted).values()
    with (
        started(interrupted, BY_HAND) as (one, one_said),
        started(interrupted, make("nets_training")) as (two, two_said),
    ):
        pass
    assert (one.returncode, two.returncode) == (0, 0), one_said() + two_said()
    for said in (one_said(), two_said()):
        assert re.search(r"^Another run .* Waiting for snakemake \(pid \d+\)\.$", said, flags=re.M)
        assert "Traceback" not in said
    assert digests(interrupted) == digests(first[0])
    assert "Nothing to be done" in snakemake(interrupted, "-n", "nets_training")
