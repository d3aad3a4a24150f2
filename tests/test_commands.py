"""Commands: refused input is one line, and ``--help`` says what every option means."""

import argparse
import importlib
import re
import subprocess
import sys

import pytest

from tests import ROOT
from workflow.convergent.commands import InputError, command, new_parser

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


def test_other_errors_keep_their_traceback() -> None:
    @command
    def main(argv: list[str] | None = None) -> None:
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="a fault of ours"):
        main([])


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


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_means(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[argparse.Action] = []

    def look(parser: argparse.ArgumentParser, *_: object) -> None:
        seen.extend(parser._actions)
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                seen.extend(option for command in action.choices.values() for option in command._actions)
        raise KeyboardInterrupt

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", look)
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module(name).main(["x"])
    assert len(seen) > 1
    assert [action.dest for action in seen if not action.help] == []
