"""The tiny experiment: a copy of the project with a configuration of seconds, and commands in it."""

import atexit
import compileall
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests import ROOT

ALIASES = {"all"}
# A change of a configuration with which training diverges at once.
DIVERGING = tuple(f"clip: {clip}\n  decay: linear\n  learning_rate: {rate}" for clip, rate in ((5, 0.02), (0, 999.0)))
SAID = "said"  # file with what the first `make figures` printed
PYTHON = Path(sys.executable)


def copy_project(folder: Path, optional: bool = False, photographs: int = 6) -> Path:
    """Everything a run needs, with a configuration of seconds; optional stages in one layer, or left out.

    Of its two nets only the second has a name where there are optional stages, else none. Its modules are translated
    already, and such kernels compiled as the repository's own are: else each copy would do that again.
    """
    compileall.compile_dir(ROOT / "workflow", quiet=1)
    being_written = shutil.ignore_patterns("*.pyc.*", "*.tmp.*")
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=being_written)
    for name in ("Snakefile", "Makefile", "environment.yml", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    scenes = folder / "workflow/resources/scenes"
    for file in sorted(scenes.glob("*.jpg"))[photographs:]:
        file.unlink()
    config["data"]["crops"] |= {"train": 20, "val": 6}
    config["nets"] = [{"seed": 0}, {"seed": 1} | ({"name": "My.net_1"} if optional else {})]
    del config["figures"]
    for conv in config["architecture"]["conv"]:
        conv["units"] = 6
    config["architecture"]["fc"] = [{"units": 8}, {"units": 8}]
    config["training"] |= {"steps": 60, "batch": 20, "warmup": 1, "snapshots": [0.3]}
    config["moments"] |= {"blocks": 6, "shards": 2, "batch": 6}
    config["evidence"] |= {"rotations": 2, "derangements": 2}
    config["stitching"] |= {"images": 100, "blocks": 2, "decays": [0, 0.01], "alphas": [0.1]}
    config["clustering"] |= {"resamples": 2}
    config["layers"] = ["conv1", "conv2", "fc7"] if optional else ["conv1"]
    for section in ("information", "stitching", "clustering"):
        config[section]["layers"] = ["conv1"] if optional else []
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@cache
def preloaded() -> subprocess.Popen[str]:
    """The process that runs all commands; it ends with the tests."""
    program = [sys.executable, Path(__file__).with_name("preloaded.py")]
    process = subprocess.Popen(program, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(process.communicate)
    return process


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m snakemake`` in a folder, until it ends."""
    process = preloaded()
    assert process.stdin
    assert process.stdout
    with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as err:
        asked = {"folder": str(folder), "arguments": arguments, "environment": {**os.environ}}
        print(json.dumps({**asked, "files": [out.name, err.name]}), file=process.stdin, flush=True)
        return subprocess.CompletedProcess(arguments, int(process.stdout.readline()), out.read(), err.read())


def snakemake(folder: Path, *arguments: str, ok: bool = True) -> str:
    """Output of a finished command."""
    done = command(folder, "--cores", "2", *arguments)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(folder: Path, *arguments: str) -> set[str]:
    """Names of the rules that a dry run would execute, aliases left out."""
    lines = snakemake(folder, "-n", *arguments).splitlines()
    return {line.split()[1].rstrip(":") for line in lines if line.startswith(("rule ", "localrule "))} - ALIASES


def edit(path: Path, old: str, new: str) -> Iterator[None]:
    """Change a file for the time of a test."""
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new, 1))
    yield
    path.write_text(before)


def longer(folder: Path) -> Path:
    """A project whose trainings take seconds, long enough to be caught at work."""
    project = copy_project(folder)
    config = project / "config.yaml"
    config.write_text(config.read_text().replace("steps: 60", "steps: 300"))
    return project


def make(*goals: str) -> list[str]:
    """The command, which takes the Python of these tests for an installed one."""
    options = ["--no-print-directory", "-o", ".venv/installed"]
    return ["make", *options, f"BIN={PYTHON.parent}", f"PYTHON={PYTHON}", "CORES=2", *goals]


def done(folder: Path, *goals: str, ok: bool = True) -> str:
    """Output of a finished command."""
    ended = subprocess.run(make(*goals), cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (ended.returncode == 0) == ok, ended.stdout
    return ended.stdout


def once(factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], object]) -> Path:
    """A folder that the first worker of the tests fills, for all of them to read."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = factory.mktemp(name)
            fill(unfinished)
            unfinished.rename(folder)
    return folder
