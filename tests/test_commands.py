"""Commands: refused input is one line, and ``--help`` says what every option means."""

import argparse
import errno
import importlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests import ROOT
from workflow.convergent import experiment, schema
from workflow.convergent.commands import BATCHES, InputError, command, line_of, new_parser, one_line

PACKAGE = ROOT / "workflow/convergent"
COMMANDS = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for file in sorted(PACKAGE.rglob("*.py"))
    if re.search(r"^def main\(", file.read_text(), flags=re.M)
]


def test_refused_input_ends_a_command_with_its_line() -> None:
    @command
    def main(argv: list[str] | None = None) -> None:
        raise InputError(f"{argv}: too many")

    with pytest.raises(SystemExit, match=r"\['a'\]: too many"):
        main(["a"])


def chained() -> None:
    try:
        {}["chunk"]
    except KeyError as error:
        raise ValueError("a store\n  of nothing") from error


def in_group() -> None:
    raise ExceptionGroup("workers", [InputError("a.png: unreadable"), ValueError("other")])


def raised(error: BaseException) -> Callable[[], None]:
    def stage() -> None:
        raise error

    return stage


class OutOfMemoryError(RuntimeError):
    """As torch's."""


NAMED = OSError(errno.ENOSPC, "No space left on device", "results/x.zarr/c/0")
CUDA = OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 is full")
ALLOCATOR = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
LIBRARY = ImportError("libtorch_cpu.so: failed to map segment from shared object")
FORBIDDEN = ImportError("libtorch_cpu.so: failed to map segment from shared object: Operation not permitted")
HINT = "; DEBUG=1 shows the traceback"


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (raised(InputError("a.csv: no\nsuch table")), "a.csv: no such table"),
        (raised(ValueError("a fault of ours")), f"stage: ValueError: a fault of ours{HINT}"),
        (raised(AssertionError()), f"stage: AssertionError{HINT}"),
        (raised(ValueError("\x1b[31m" + "x" * 600)), f"stage: ValueError: \\x1b[31m{'x' * 479}…{HINT}"),
        (chained, f"stage: ValueError: a store of nothing, because of KeyError: 'chunk'{HINT}"),
        (in_group, "a.png: unreadable"),
        (raised(NAMED), f"stage: results/x.zarr/c/0: no space left on the disk{HINT}"),
        (raised(OSError(errno.ENOSPC, "No space")), f"stage: no space left on the disk{HINT}"),
        (raised(PermissionError(errno.EACCES, "Permission denied", "x")), f"stage: x: Permission denied{HINT}"),
        (raised(OSError(errno.EROFS, "Read-only", "x")), f"stage: x: the disk can only be read{HINT}"),
        (
            raised(OSError(errno.EMFILE, "Too many open files", "x")),
            f"stage: x: too many files are open at once; raise the limit: ulimit -n{HINT}",
        ),
        (raised(BrokenPipeError(errno.EPIPE, "Broken pipe")), f"stage: whoever read what is printed is gone{HINT}"),
        (raised(OSError("of its own")), f"stage: OSError: of its own{HINT}"),
        (raised(MemoryError()), f"stage: not enough memory (MemoryError); run fewer jobs at a time{HINT}"),
        (raised(LIBRARY), f"stage: not enough memory (ImportError: {LIBRARY}); run fewer jobs at a time{HINT}"),
        (raised(FORBIDDEN), f"stage: ImportError: {FORBIDDEN}{HINT}"),
        (
            raised(CUDA),
            "stage: not enough memory (OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 is "
            f"full); run fewer jobs at a time{HINT}",
        ),
    ],
)
def test_whatever_goes_wrong_is_one_line(stage: Callable[[], None], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEBUG", raising=False)
    with pytest.raises(SystemExit) as stopped, one_line("stage"):
        stage()
    assert stopped.value.code == line
    assert line.isprintable()


@pytest.mark.parametrize(("stage", "key"), BATCHES.items())
def test_without_memory_the_batch_of_the_stage_is_named(stage: str, key: str) -> None:
    assert f"lower {key}, or run fewer jobs at a time" in line_of(ALLOCATOR, stage)
    assert importlib.import_module(f"workflow.convergent.{stage}").main  # there is such a stage
    config = schema.conform(experiment.read(ROOT / "config.yaml"))
    section, name = key.split(".")
    assert name in config[section]


def test_a_named_stage_and_tracebacks_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    @command
    def main(argv: list[str] | None = None) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setenv("DEBUG", "0")
    with pytest.raises(SystemExit, match=r"^tests\.test_commands: ValueError: a fault of ours; DEBUG=1"):
        main([])
    monkeypatch.setenv("DEBUG", "1")
    with pytest.raises(ValueError, match="a fault of ours"):
        main([])


STAGE = """
import os, signal, sys
from workflow.convergent.commands import command

@command
def main(argv=None):
    {}

main()
"""


def ended(body: str, shell: str = "{}", **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of a stage that does so, as a shell runs it."""
    command = shell.format(shlex.join([sys.executable, "-c", STAGE.format(body)]))
    variables = {name: value for name, value in os.environ.items() if name != "DEBUG"} | environment
    return subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, env=variables)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "shell", "status", "said"),
    [
        ("signal.signal(2, signal.default_int_handler); os.kill(os.getpid(), 2)", "{}", 130, ""),  # if it was ignored
        ("os.kill(os.getpid(), signal.SIGTERM)", "exec {}", -signal.SIGTERM, ""),
        ("print('x' * 10**6)", "set -o pipefail; {} | true", 1, "__main__: whoever read what is printed is gone"),
        ("print('x')", "{} > /dev/full", 1, "__main__: no space left on the disk"),
        ("print('x')", "{} >&-", 0, ""),
        ("raise KeyError('x')", "{} 2>&-", 1, ""),
        (r"print('\udcff \u0416')", "PYTHONIOENCODING=latin-1 {} | grep -q '^.udcff .u0416$'", 0, ""),
        ("int('x')", "{}", 1, "__main__: ValueError: invalid literal for int() with base 10: 'x'; DEBUG=1"),
    ],
    ids=["ctrl-c", "kill", "closed pipe", "full disk", "closed output", "closed errors", "odd names", "fault"],
)
def test_a_process_ends_quietly_and_with_its_status(body: str, shell: str, status: int, said: str) -> None:
    done = ended(body, shell)
    assert done.returncode == status
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == bool(said)
    assert done.stdout == ""


@pytest.mark.slow
def test_what_goes_wrong_while_a_stage_is_imported_is_one_line(tmp_path: Path) -> None:
    """Here numpy, which is damaged."""
    (tmp_path / "numpy.py").write_text("raise ImportError('libopenblas: cannot map segment\\nsecond line')\n")
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")  # the folder of the command comes before all packages
    stage = [sys.executable, "-m", "workflow.convergent.nets.filters"]
    said = {
        debug: subprocess.run(
            stage, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "DEBUG": debug}
        ).stderr
        for debug in ("0", "1")
    }
    assert said["0"] == f"nets.filters: ImportError: libopenblas: cannot map segment second line{HINT}\n"
    assert "Traceback" in said["1"]


GOMP = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*"))  # where torch has its own


@pytest.mark.skipif(not GOMP, reason="torch has its threads from another library, or from the system's")
def test_idle_threads_of_torch_leave_the_core_to_others_unless_a_user_wants_them_to_stay() -> None:
    """What the library says that it has read."""

    def turns(module: str, **given: str) -> int:
        code = f"import ctypes, sys, {module}; ctypes.CDLL(sys.argv[1])"
        own = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
        command = [sys.executable, "-c", code, str(GOMP[0])]
        environment = own | {"OMP_DISPLAY_ENV": "VERBOSE"} | given
        said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stderr
        return int(re.search(r"GOMP_SPINCOUNT = '(\d+)'", said)[1])

    assert 0 < turns("workflow.convergent") < turns("os") / 10
    assert turns("workflow.convergent", GOMP_SPINCOUNT="77") == 77


@pytest.mark.slow
def test_a_refusal_is_one_line_on_standard_error() -> None:
    stage = [sys.executable, "-m", "workflow.convergent.alignment.correlation", "nowhere.zarr/zarr.json", "out"]
    done = subprocess.run(stage, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "nowhere.zarr/zarr.json: no such store\n")


def test_help_shows_defaults_where_there_are_any(capsys: pytest.CaptureFixture[str]) -> None:
    parser = new_parser("What it does.")
    parser.add_argument("--seed", type=int, default=3, help="of the draw")
    parser.add_argument("--nets", nargs="*", default=[], help="paths")
    parser.add_argument("--size", required=True, help="pixels")
    text = parser.format_help()
    assert text.count("default") == 1
    assert "of the draw (default: 3)" in text


class Seen(BaseException):
    """Ends a command that has said which options it takes."""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_means(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[argparse.Action] = []

    def look(parser: argparse.ArgumentParser, *_: object) -> None:
        seen.extend(parser._actions)
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                seen.extend(option for command in action.choices.values() for option in command._actions)
        raise Seen

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", look)
    with pytest.raises(Seen):
        importlib.import_module(name).main(["x"])
    assert len(seen) > 1
    assert [action.dest for action in seen if not action.help] == []


@pytest.mark.slow
def test_what_fails_while_a_stage_is_imported_is_one_line_too(tmp_path: Path) -> None:
    """A library that does not load; to import the package itself changes nothing about exceptions."""
    (tmp_path / "torch.py").write_text('raise ImportError("libcudart.so: cannot open\\nshared object file")')
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    environment = {name: value for name, value in os.environ.items() if name != "DEBUG"}
    commands = {"m": "workflow.convergent.nets.filters", "c": "import workflow.convergent.nets.filters"}
    said = {
        option: subprocess.run(
            [sys.executable, f"-{option}", argument], cwd=tmp_path, env=environment, capture_output=True, text=True
        ).stderr
        for option, argument in commands.items()
    }
    assert said["m"] == f"nets.filters: ImportError: libcudart.so: cannot open shared object file{HINT}\n"
    assert said["c"].startswith("Traceback")
