"""An interrupt ends Snakemake, whatever it does with the signal."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from workflow.runner import child

Begin = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Starts a process that answers SIGTERM by some code, in a session of its own, and returns when it is ready."""
    with ExitStack() as stack:

        def started(answer: str) -> subprocess.Popen[bytes]:
            code = (
                f"import signal, sys, time; signal.signal(signal.SIGTERM, {answer})\nprint(flush=True); time.sleep(60)"
            )
            command = [sys.executable, "-c", code]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True))
            assert process.stdout is not None
            process.stdout.readline()
            return process

        yield started


def test_what_cleans_up_is_waited_for(begin: Begin) -> None:
    process = begin("lambda *_: (time.sleep(0.1), sys.exit(7))")
    child.stop(process)
    assert process.returncode == 7


def test_what_does_not_end_is_killed(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "PATIENCE", 0.1)
    process = begin("signal.SIG_IGN")
    child.stop(process)
    assert process.returncode == -signal.SIGKILL


def test_what_has_ended_is_left(begin: Begin) -> None:
    process = begin("signal.SIG_DFL")
    process.kill()
    process.wait()
    child.stop(process)
    assert process.returncode == -signal.SIGKILL
