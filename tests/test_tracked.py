"""What reruns a stage: contents, not times; versions of packages; in large folders names, sizes and times."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import ROOT
from tests.configurations import ODD
from workflow.convergent import tracked


def test_a_file_is_known_by_its_content_alone(tmp_path: Path) -> None:
    file = tmp_path / ODD
    file.write_text("one")
    first = tracked.file_digest(file)
    os.utime(file, (0, 0))
    assert tracked.file_digest(file) == first
    file.write_text("two")  # as long, and made older than it was
    os.utime(file, (0, 1))
    assert tracked.file_digest(file) != first


def test_a_file_is_read_once_while_it_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"weights")
    first = tracked.file_digest(file)
    file.chmod(0)
    monkeypatch.setattr(tracked, "open", None, raising=False)
    assert tracked.file_digest(file) == first


def photographs(folder: Path) -> Path:
    (folder / "a" / ODD).mkdir(parents=True)
    for name, content in {"a/1.jpg": b"1", f"a/{ODD}/2.jpg": b"2", "3.jpg": b"3"}.items():
        (folder / name).write_bytes(content)
    return folder


def swap(folder: Path) -> None:
    (folder / "3.jpg").rename(folder / "x")
    (folder / "a/1.jpg").rename(folder / "3.jpg")
    (folder / "x").rename(folder / "a/1.jpg")


CHANGES = {
    "replaced by an older one": lambda folder: (
        (folder / "3.jpg").write_bytes(b"4"),
        os.utime(folder / "3.jpg", (0, 0)),
    ),
    "swapped": swap,
    "added": lambda folder: (folder / "a/4.jpg").write_bytes(b""),
    "removed": lambda folder: (folder / f"a/{ODD}/2.jpg").unlink(),
    "renamed": lambda folder: (folder / "3.jpg").rename(folder / "4.jpg"),
}


@pytest.mark.parametrize("small", [tracked.SMALL, 0], ids=["by content", "by time"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_photograph_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: object, small: int
) -> None:
    monkeypatch.setattr(tracked, "SMALL", small)
    folder = photographs(tmp_path / "images")
    before = tracked.folder_digest(folder)
    assert tracked.folder_digest(folder) == before
    change(folder)
    assert tracked.folder_digest(folder) != before


def test_a_touch_and_another_place_change_a_large_folder_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = photographs(tmp_path / "images")
    shutil.copytree(folder, tmp_path / "copy")  # with the times of the files
    os.utime(folder / "3.jpg", (0, 0))
    digests = {place: tracked.folder_digest(tmp_path / place) for place in ("images", "copy")}
    assert digests["images"] == digests["copy"]
    monkeypatch.setattr(tracked, "SMALL", 3 * tracked.OPENING - 1)
    assert tracked.folder_digest(folder) != tracked.folder_digest(tmp_path / "copy")


def test_code_is_told_by_its_files_and_by_the_packages_that_they_import(tmp_path: Path) -> None:
    code = {
        "a.py": "import numpy.linalg as la\ndef late():\n    from PIL import Image\n",
        "b.py": "from . import a\nimport os, not_installed\n",
        "c.so": "\x7fELF",
        "d.py": "from nowhere import (",
    }
    for name, text in code.items():
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in code]
    before = tracked.tracked(reversed(files))
    assert [entry.split()[0] for entry in before] == [*files, "numpy", "pillow"]
    assert f"numpy {np.__version__}" in before
    Path(files[2]).write_text("another")
    after = tracked.tracked(files)
    assert [entry.split()[0] for entry in set(after) - set(before)] == [files[2]]


def test_another_version_of_a_package_changes_what_imports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    files = ["workflow/convergent/alignment/counters.py", "workflow/convergent/seeds.py"]
    before = [tracked.tracked([file]) for file in files]
    tracked.packages.cache_clear()
    monkeypatch.setattr(tracked, "installed", lambda package: f"{package} 0" if package == "numba" else None)
    after = [tracked.tracked([file]) for file in files]
    tracked.packages.cache_clear()
    assert "numba 0" in after[0]
    assert "numba 0" not in before[0]
    assert after[1][0] == before[1][0]
    assert len(after[1]) == 1
