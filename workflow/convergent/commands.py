"""What the commands of all stages share: how they refuse input, and how their ``--help`` looks.

Functions of the package raise InputError. A stage's ``main`` is decorated with ``command`` and parses its arguments
with ``new_parser``.
"""

import argparse
from collections.abc import Callable
from functools import wraps


class InputError(ValueError):
    """Input that cannot be used. Its text is one line that names the input, its value and what is allowed."""


def command(main: Callable[[list[str] | None], None]) -> Callable[..., None]:
    """``main`` as a command: an InputError becomes its one line on standard error and exit status 1.

    Other exceptions are faults of the program and keep their traceback.
    """

    @wraps(main)
    def run(argv: list[str] | None = None) -> None:
        try:
            main(argv)
        except InputError as refusal:
            raise SystemExit(str(refusal)) from None

    return run


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Help that keeps the line breaks of the description and adds the default to each option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.required or action.default in (None, [], {}):
            return action.help
        return super()._get_help_string(action)


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser without arguments, whose ``--help`` begins with ``description``, the docstring of a module."""
    return argparse.ArgumentParser(description=description, formatter_class=Help)
