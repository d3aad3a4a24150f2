"""What all commands share: their options' help, and how they refuse input."""

import argparse
from collections.abc import Callable
from functools import wraps


class InputError(ValueError):
    """Input that cannot be used. The text is one line that names the thing, its value and what is allowed."""


def command(main: Callable[[list[str] | None], None]) -> Callable[..., None]:
    """A stage's ``main`` as a command: refused input ends it with status 1 and the one line."""

    @wraps(main)
    def run(argv: list[str] | None = None) -> None:
        try:
            main(argv)
        except InputError as refusal:
            raise SystemExit(str(refusal)) from None

    return run


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """The description as it is written, and the default of each option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.required or action.default in (None, [], {}):
            return action.help
        return super()._get_help_string(action)


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser whose ``--help`` shows a module's docstring and the defaults."""
    return argparse.ArgumentParser(description=description, formatter_class=Help)
