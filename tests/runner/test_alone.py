"""Who is at work in a folder, with processes that live."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import ROOT
from workflow.runner.alone import alive, role

PYTHON = "/a folder/.venv/bin/python3.11"
SHELL = "set -euo pipefail; PATH=/x:$PATH;  python -m workflow.convergent.nets.train a b 2>&1 | tee log"
NAP = "import sys; print('up', flush=True); sys.stdin.readline()"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ([PYTHON, "/a folder/.venv/bin/snakemake", "--cores", "2"], "snakemake"),
        ([PYTHON, "-m", "snakemake"], "snakemake"),
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
def napping(folder: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A process that lives in a folder until the block ends."""
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        yield process
        process.communicate("\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project whose only stage, and whose Snakemake, wait for a line."""
    for name in ("workflow/convergent/nap.py", "bin/snakemake", "nap.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(NAP)
    return tmp_path


def test_runs_and_jobs_of_this_folder_are_seen(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(folder / "workflow", elsewhere / "workflow")
    with (
        napping(folder, sys.executable, "-m", "workflow.convergent.nap") as job,
        napping(folder, sys.executable, str(folder / "bin/snakemake")) as run,
        napping(folder, sys.executable, "nap.py"),
        napping(elsewhere, sys.executable, "-m", "workflow.convergent.nap"),
    ):
        assert alive(folder) == {job.pid: "nap", run.pid: "snakemake"}
    assert alive(folder) == {}


def test_a_process_does_not_see_itself_and_its_parents(folder: Path) -> None:
    """Here a parent counts as a run, and its child looks."""
    look = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom pathlib import Path\n"
    look += "from workflow.runner.alone import alive\n"
    (folder / "bin/snakemake").write_text(
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {look + 'print(alive(Path.cwd()))'!r}])"
    )
    done = subprocess.run([sys.executable, "bin/snakemake"], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "{}\n"


@pytest.mark.slow
def test_the_lock_is_held_until_the_last_job_has_ended(folder: Path) -> None:
    """A job that outlives its run holds the lock through its standard input; the next run says so and waits."""
    (folder / "workflow/convergent/nap.py").write_text("import time; time.sleep(3)")
    (folder / ".snakemake/locks").mkdir(parents=True)
    take = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    take += "from workflow.runner.alone import take_lock, wait_until_alone\n"
    take += "from pathlib import Path; take_lock(Path.cwd()); wait_until_alone(Path.cwd())\n"
    orphan = "import subprocess; print(subprocess.Popen([sys.executable, '-m', 'workflow.convergent.nap']).pid)"

    def run(code: str) -> tuple[str, str]:
        with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
            subprocess.run([sys.executable, "-c", code], cwd=folder, stdout=out, stderr=err, check=True, timeout=30)
        return (folder / "out").read_text(), (folder / "err").read_text()

    pid, said = run(take + orphan)
    assert not said
    assert not (folder / ".snakemake/locks").exists()
    assert run(take)[1] == f"Another run is at work in this folder. Waiting for nap (pid {pid.strip()}).\n"
    assert alive(folder) == {}
