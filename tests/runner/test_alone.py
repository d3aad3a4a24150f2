"""Who is at work in a folder, with processes that live, and that they take turns."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import ROOT
from tests.locks import can_fail, without_locks
from workflow.convergent.commands import InputError
from workflow.runner import alone
from workflow.runner.alone import alive, role
from workflow.runner.clean import LOCK

PYTHON = "/a folder/.venv/bin/python3.11"
IMPORT = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom pathlib import Path\nfrom workflow.runner.alone import *\n"
)
SHELL = "set -euo pipefail; PATH=/x:$PATH;  python -m workflow.convergent.nets.train a b 2>&1 | tee log"
NAP = "import time; print('up', flush=True); time.sleep(60)"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ([PYTHON, "/a folder/.venv/bin/snakemake", "--cores", "2"], "snakemake"),
        ([PYTHON, "-m", "snakemake"], "snakemake"),
        ([PYTHON, "-m", "snakemake", "--snakefile", "x", "--mode", "remote"], "job"),
        (["/usr/Python.app/Contents/MacOS/Python", "-m", "workflow.runner.run", "figures"], "make"),
        ([PYTHON, "-m", "workflow.convergent.nets.train", "x"], "nets.train"),
        (["/bin/bash", "-c", SHELL], "nets.train"),
        (["bash", "-c", "grep 'python -m workflow.convergent.nets.train' Snakefile"], None),
        ([PYTHON, "-m", "pytest", "-m", "snakemake"], None),
        (["vim", "snakemake"], None),
        (["tail", "-f", "workflow.convergent.nets.train"], None),
        ([PYTHON], None),
        ([], None),
    ],
)
def test_roles_are_read_from_command_lines(command: list[str], expected: str | None) -> None:
    assert role(command) == expected


@contextmanager
def napping(folder: Path, *command: str, stdin: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that lives in a folder until the block ends."""
    with (
        open(stdin or os.devnull) as file,
        subprocess.Popen(command, cwd=folder, stdin=file, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project whose only stage, and whose Snakemake, sleep."""
    for name in ("workflow/convergent/nap.py", "bin/snakemake", "nap.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(NAP)
    (tmp_path / LOCK).touch()
    return tmp_path


@pytest.mark.slow
def test_jobs_of_this_folder_are_seen_and_runs_that_have_their_turn(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A run without the lock waits for it, or looks on only. The lock is one even if somebody removes its file."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(folder / "workflow", elsewhere / "workflow")
    by_hand = [sys.executable, str(folder / "bin/snakemake")]
    with (
        napping(folder, sys.executable, "-m", "workflow.convergent.nap") as job,
        napping(folder, *by_hand, stdin=folder / LOCK) as run,
        napping(folder, *by_hand),
        napping(folder, sys.executable, "nap.py", stdin=folder / LOCK),
        napping(elsewhere, sys.executable, "-m", "workflow.convergent.nap"),
    ):
        assert alive(folder) == {job.pid: "nap", run.pid: "snakemake"}
        (folder / LOCK).unlink()
        assert alive(folder) == {job.pid: "nap", run.pid: "snakemake"}
    assert alive(folder) == {}


def test_a_process_does_not_see_itself_and_its_parents(folder: Path) -> None:
    """Here a parent counts as a run, and its child looks."""
    (folder / "bin/snakemake").write_text(
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {IMPORT + 'print(alive(Path.cwd()))'!r}])"
    )
    with (folder / LOCK).open() as lock:
        done = subprocess.run(
            [sys.executable, "bin/snakemake"], cwd=folder, stdin=lock, capture_output=True, text=True, check=True
        )
    assert done.stdout == "{}\n"


@pytest.mark.slow
def test_the_lock_is_held_until_the_last_job_has_ended(folder: Path) -> None:
    """A job that outlives its run holds the lock through its standard input; the next run says so and waits."""
    (folder / "workflow/convergent/nap.py").write_text("import time; time.sleep(3)")
    (folder / ".snakemake/locks").mkdir(parents=True)
    take = IMPORT + "take_turn(Path.cwd())\n"
    orphan = "import subprocess; print(subprocess.Popen([sys.executable, '-m', 'workflow.convergent.nap']).pid)"

    def run(code: str, closed: str = "") -> tuple[str, str]:
        with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
            command = ["bash", "-c", f'exec "$@" {closed}', "-", sys.executable, "-c", code]
            subprocess.run(command, cwd=folder, stdout=out, stderr=err, check=True, timeout=30)
        return (folder / "out").read_text(), (folder / "err").read_text()

    pid, said = run(take + orphan, closed="<&-")  # as from a shell that has closed standard input
    assert not said
    assert not (folder / ".snakemake/locks").exists()
    assert run(take)[1] == f"Another run is at work in this folder. Waiting for nap (pid {pid.strip()}).\n"
    assert alive(folder) == {}


# What a run does; "busy" is there while it is at work.
RUN = """
import time
take_turn(Path.cwd())
Path("busy").touch(exist_ok=False)
if "remove" in sys.argv:
    Path(".running").unlink(missing_ok=True)
time.sleep(0.7)
Path("busy").unlink()
"""


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["none", pytest.param("nolocks", marks=can_fail), "remove"])
def test_runs_that_start_together_work_one_after_the_other(folder: Path, trouble: str) -> None:
    """Also on a disk without locks, and where somebody removes the lock's file."""
    (folder / "bin/snakemake").write_text(IMPORT + RUN)
    command = [sys.executable, str(folder / "bin/snakemake"), trouble]
    given = {**os.environ, **(without_locks(folder, errno.ENOSYS) if trouble == "nolocks" else {})}
    runs = [
        subprocess.Popen(command, cwd=folder, env=given, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [run.communicate(timeout=60)[1] for run in runs]
    assert [run.returncode for run in runs] == [0] * 4, said
    assert any("Waiting for snakemake" in each for each in said)
    assert all(("cannot be locked" in each) == (trouble == "nolocks") for each in said)


def test_the_lock_of_somebody_else_is_taken() -> None:
    """Its file cannot be opened for writing."""
    code = IMPORT + "if not os.getuid(): os.setuid(65534)\ntake_turn(Path('.'))\nprint(has_turn(os.getpid()))"
    with tempfile.TemporaryDirectory() as folder:  # pytest's folders are closed to others
        Path(folder).chmod(0o777)
        (Path(folder) / LOCK).touch()
        (Path(folder) / LOCK).chmod(0o444)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_folder_that_cannot_be_locked_is_refused_in_one_line(folder: Path) -> None:
    (folder / LOCK).unlink()
    (folder / LOCK).mkdir()
    with pytest.raises(InputError, match=r"\.running: Is a directory; a run needs a folder that it can write to"):
        alone.take_lock(folder)


@pytest.fixture
def squeue(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of what the command answers: first the file "1", then "2" ...; it fails where that is missing."""
    (folder / alone.SUBMITTED).mkdir(parents=True)
    answers = folder / "answers"
    answers.mkdir()
    (answers / "asked").write_text("1")
    script = f"#!/bin/sh\ncd {answers}\nn=$(cat asked)\necho $((n + 1)) > asked\ncat $n\n"
    (folder / "bin/squeue").write_text(script)
    (folder / "bin/squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=os.pathsep)
    return answers


def test_jobs_in_slurms_queue_are_those_of_this_folder(folder: Path, squeue: Path) -> None:
    mine = f"7|rule_train_wildcards_scenes_net0|{folder}\n8||{folder}\n"
    (squeue / "1").write_text(mine + "9|rule_train|/elsewhere\n10|rule_patches|/a|b\n")
    assert alone.queued(folder) == ["7"]
    with pytest.raises(OSError, match="No such file"):
        alone.queued(folder)
    (folder / alone.SUBMITTED).rmdir()
    assert alone.queued(folder) == []


def test_a_run_waits_for_jobs_of_a_killed_one_in_slurms_queue(
    folder: Path, squeue: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """SLURM is silent, then has a job, then none."""
    (squeue / "2").write_text(f"7|rule_train|{folder}\n")
    (squeue / "3").touch()
    monkeypatch.setattr(alone, "ASK", 0.01)
    alone.wait_for_queue(folder)
    assert capfd.readouterr().err.splitlines() == [
        "SLURM may have jobs of a killed run. Waiting for its answer (cat: 1: No such file or directory).",
        "Jobs of a killed run are in SLURM's queue. Waiting for 7.",
    ]
