"""Files that are written atomically."""

import os
from pathlib import Path

import pytest

from workflow.convergent.files import write_atomically


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with write_atomically(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_text("old")

    def fail() -> None:
        with write_atomically(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_power_cut_leaves_no_half_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is on the disk before it has its name, the name before anything goes on."""
    path, synchronise = tmp_path / "table.csv", os.fsync
    brought: list[tuple[int, bool]] = []

    def watched(number: int) -> None:
        synchronise(number)
        brought.append((os.fstat(number).st_ino, path.exists()))

    monkeypatch.setattr(os, "fsync", watched)
    with write_atomically(path) as temporary:
        temporary.write_text("whole")
    assert brought == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]
