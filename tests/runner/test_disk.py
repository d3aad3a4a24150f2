"""Room on the disk: a file that cannot be written is reported with its reason, and what cannot fit is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from workflow.convergent.commands import InputError
from workflow.convergent.configuration import complete
from workflow.runner import disk

LIMITED = """
import resource, sys
from workflow.runner.disk import shortage
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
print(*shortage(sys.argv[1:]), sep="\\n")
"""


@pytest.fixture
def config(config: dict) -> dict:
    complete(config)
    return config


def test_what_can_be_written_is_no_shortage(tmp_path: Path) -> None:
    assert disk.shortage([str(tmp_path)]) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_folder_for_temporary_files_that_nobody_can_use_is_none() -> None:
    """Python takes another one then."""
    code = "from workflow.runner.disk import shortage; print(shortage())"
    given = {**os.environ, "TMPDIR": "/proc/nobody"}
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=given, text=True) == "[]\n"


@pytest.mark.slow
def test_a_shortage_names_its_reason_folder_and_room(tmp_path: Path) -> None:
    """Once for a disk, whatever lies on it, and in a folder that exists."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "results/scenes"), str(tmp_path)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = said.splitlines()
    assert line.startswith(f"File too large: nothing can be written to {tmp_path}; {disk.mount(tmp_path)} has ")
    assert line.endswith(" free.")


@pytest.mark.parametrize(("size", "said"), [(2_500_000, "2.5 MB"), (5e9, "5,000.0 MB"), (2.5e11, "250 GB")])
def test_sizes_are_readable(size: float, said: str) -> None:
    assert disk.megabytes(size) == said


def test_a_run_that_fits_is_not_refused(config: dict, tmp_path: Path) -> None:
    disk.check_room(config, tmp_path / "results/scenes")


def test_a_run_that_does_not_fit_is_refused_in_one_line(config: dict, tmp_path: Path) -> None:
    """18,720 images of a million pixels squared are 56 petabytes."""
    config["data"]["size"] = 1_000_000
    with pytest.raises(InputError) as refusal:
        disk.check_room(config, tmp_path / "results/scenes")
    line = str(refusal.value)
    assert "\n" not in line
    assert "(images 56,160,000 GB, moments 3,209.0 MB, stitching 66.8 MB, patches 113.8 MB)" in line
    assert f"but {disk.mount(tmp_path)} has " in line


def test_results_that_are_there_need_no_room(config: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store of images is there, as a file without content; it may be a bit smaller than was estimated."""
    monkeypatch.setattr(disk, "estimate", lambda _: {"images": 2**40})
    monkeypatch.setattr(disk, "free", lambda _: 2**30)
    store = tmp_path / "images/train.zarr/c0"
    store.parent.mkdir(parents=True)
    with store.open("w") as file:
        file.truncate(int(0.95 * 2**40))
        disk.check_room(config, tmp_path)
        file.truncate(2**39)
        with pytest.raises(InputError, match=r"about 550 GB are needed \(images 550 GB\), but .* has 1,073\.7 MB free"):
            disk.check_room(config, tmp_path)
