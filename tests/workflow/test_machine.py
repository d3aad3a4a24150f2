"""A run in a container, on a cluster and from a notebook at once: with what these lack, and what they set."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.locks import can_fail, without_locks
from tests.runner.test_machine import NAMELESS, NOWHERE, may_be_nameless
from tests.workflow.test_run import make
from tests.workflow.tiny import copy_project

pytestmark = pytest.mark.slow

BY_HAND = {
    "HOME": NOWHERE,
    "TMPDIR": NOWHERE,
    "LC_ALL": "C",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PYTHONSAFEPATH": "1",
    "PYTHONOPTIMIZE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "CUDA_VISIBLE_DEVICES": "MIG-1,MIG-2",
}
# Before Snakemake reads the project Python has looked at these, and Snakemake has loaded numpy.
BY_MAKE = {**BY_HAND, "PYTHONHOME": NOWHERE, "PYTHONWARNINGS": "error"}


def other_packages(folder: Path, *names: str) -> dict[str, str]:
    """A search path that leads to packages of these names, which are of no use here."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise ImportError('made for another Python')")
    return {"PYTHONPATH": str(folder)}


def run(folder: Path, command: list[str], given: dict[str, str]) -> bytes:
    """The figure that a command draws anew, of a user without a name whose files nobody else may read."""
    shutil.rmtree(folder / "results/scenes/figures", ignore_errors=True)
    (folder / "results/scenes/nets/probe.json").unlink(missing_ok=True)
    nameless = ["bash", "-c", 'umask 077; exec "$@"', "-", *NAMELESS, "env", "-u", "LOGNAME", "-u", "USER", *command]
    ended = subprocess.run(
        nameless, cwd=folder, env={**os.environ, **given}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert (ended.returncode, "Traceback" in ended.stdout) == (0, False), ended.stdout
    return (folder / "results/scenes/figures/nets_training.png").read_bytes()


@can_fail
@may_be_nameless
def test_a_run_needs_nothing_of_the_machine_and_heeds_nothing_that_is_set_for_others(tmp_path: Path) -> None:
    """In a folder with a space in its name, with the user's settings of matplotlib and then without."""
    (folder := tmp_path / "a project").mkdir()
    copy_project(folder)
    (folder / "matplotlibrc").write_text("font.size: 30\n")
    locks = without_locks(tmp_path, errno.ENOSYS)
    packages = other_packages(tmp_path / "old", "numpy", "workflow")
    by_make = run(folder, make("nets_training"), {**BY_MAKE, **packages, **locks})
    (folder / "matplotlibrc").unlink()
    packages = other_packages(tmp_path / "other", "workflow")
    by_hand = run(folder, [sys.executable, "-m", "snakemake", "nets_training"], {**BY_HAND, **packages, **locks})
    assert by_make == by_hand
