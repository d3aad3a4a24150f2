"""What a machine lacks, or has set for other programs, as a module that is run as a command finds it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT

SAY = """
import getpass, json, os, sys
import numpy
print(json.dumps({"variables": dict(os.environ), "path": sys.path, "name": getpass.getuser(), "numpy": numpy.__file__}))
"""
NOWHERE = "/proc/nobody"  # nobody, root included, can make a folder there
OWN = ("XDG_CACHE_HOME", "MPLCONFIGDIR")
# A user whom the system has no name for, as in a container that is given a number.
NAMELESS = ["unshare", "--user", "--map-user=12345", "--map-group=12345"]
may_be_nameless = pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run([*NAMELESS, "true"], capture_output=True).returncode != 0,
    reason="this system lets nobody have another number",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project, its name with a space, whose only command says what it finds; and a home."""
    project = tmp_path / "a project"
    for name in ("workflow/__init__.py", "workflow/runner/__init__.py", "workflow/runner/machine.py"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, project / name)
    (project / "workflow/say.py").write_text(SAY)
    (tmp_path / "home").mkdir()
    return project


def found(folder: Path, *command: str, **variables: str) -> dict[str, Any]:
    """What the command finds where these variables are set."""
    kept = {name: value for name, value in os.environ.items() if name not in (*OWN, "PYTHONPATH", "LOGNAME", "USER")}
    given = {**kept, "HOME": str(folder.parent / "home"), **variables}
    run = [*command, sys.executable, "-m", "workflow.say"]
    done = subprocess.run(run, cwd=folder, env=given, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_home_that_can_be_written_is_used(folder: Path) -> None:
    said = found(folder)["variables"]
    assert not {*OWN} & said.keys()
    assert not (folder / ".snakemake").exists()
    assert list((folder.parent / "home/.cache").iterdir()) == []


@pytest.mark.parametrize("names", [["HOME"], OWN], ids=str)
def test_files_that_programs_keep_go_to_the_project_where_no_home_takes_them(folder: Path, names: list[str]) -> None:
    cache = folder / ".snakemake/cache"
    said = found(folder, **dict.fromkeys(names, NOWHERE))["variables"]
    assert [said[name] for name in OWN] == [str(cache), str(cache / "matplotlib")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MPLBACKEND", "module://matplotlib_inline.backend_inline"),
        ("PYTHONWARNINGS", "default"),
        ("PYTHONINSPECT", "1"),
        ("PYTHONOPTIMIZE", "1"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ],
)
def test_variables_of_other_programs_are_not_passed_on(folder: Path, name: str, value: str) -> None:
    assert name not in found(folder, **{name: value})["variables"]


def test_packages_of_other_pythons_do_not_replace_those_of_this_one(folder: Path) -> None:
    """Nor does another package of the project's name; what else lies there can be imported."""
    theirs = folder.parent / "theirs"
    for name in ("numpy", "workflow"):
        (theirs / name).mkdir(parents=True)
        (theirs / name / "__init__.py").write_text("raise ImportError('made for another Python')")
    said = found(folder, PYTHONPATH=f"{theirs}{os.pathsep}relative")
    assert Path(said["numpy"]).is_relative_to(sys.prefix)
    assert said["path"][0] == str(folder)
    assert {*said["path"][-2:]} == {str(theirs), str(folder / "relative")}


@may_be_nameless
@pytest.mark.parametrize("home", [["HOME=/"], ["-u", "HOME"]], ids=str)
def test_a_user_without_a_name_has_one(folder: Path, home: list[str]) -> None:
    """Without a home too: it is that of containers, whatever can be written there."""
    said = found(folder, *NAMELESS, "env", *home)
    assert said["name"] == "uid12345"
    assert said["variables"]["HOME"] == "/"


def test_a_program_that_imports_the_package_keeps_its_settings(folder: Path) -> None:
    """A notebook has a display of its own."""
    given = {**os.environ, "MPLBACKEND": "inline", "HOME": NOWHERE}
    code = "import os; before = dict(os.environ); import workflow; assert os.environ == before"
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=given, check=True)
