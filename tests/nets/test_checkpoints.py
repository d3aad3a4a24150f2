"""Checkpoints: a file is whole or the one before, and a folder has one training at a time."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from tests import ROOT
from tests.locks import can_fail, without_locks
from workflow.convergent.nets import checkpoints


def test_death_while_saving_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    """The second save dies half way, because torch cannot pickle a generator object."""
    checkpoints.save(tmp_path / "state.pt", {"step": 1})
    with pytest.raises(TypeError, match="pickle"):
        checkpoints.save(tmp_path / "state.pt", {"weights": torch.ones(3), "step": (i for i in range(3))})
    assert checkpoints.load(tmp_path / "state.pt") == {"step": 1}


def test_one_training_at_a_time_in_a_folder(tmp_path: Path) -> None:
    def enter() -> None:
        with checkpoints.lock(tmp_path, "net0"):
            pass

    second = threading.Thread(target=enter, daemon=True)
    with checkpoints.lock(tmp_path, "net0"):
        second.start()
        second.join(0.2)
        assert second.is_alive()
    second.join(10)
    assert not second.is_alive()


@pytest.mark.slow
@can_fail
def test_a_training_goes_on_where_there_are_no_locks(tmp_path: Path) -> None:
    code = "from pathlib import Path; from workflow.convergent.nets import checkpoints\n"
    code += f"with checkpoints.lock(Path({str(tmp_path)!r}), 'net0'): print('at work')"
    given = {**os.environ, **without_locks(tmp_path, errno.ENOLCK)}
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=given, capture_output=True, text=True, check=True)
    assert run.stdout == f"net0: {tmp_path} cannot be locked (No locks available)\nat work\n"
