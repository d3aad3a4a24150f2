"""What the commands of all stages share: how whatever goes wrong becomes one line, and how their ``--help`` looks.

Functions of the package raise InputError. A stage's ``main`` is decorated with ``command`` and parses its arguments
with ``new_parser``. With DEBUG=1 in the environment exceptions keep their traceback.
"""

import argparse
import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from io import TextIOWrapper
from types import TracebackType

LONGEST = 500  # characters of a text that is not ours
INTERRUPTED = 130  # exit status after Ctrl-C, as a shell gives it
# What an error of the system means to the user, where its own words do not say it.
SYSTEM = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "your share of the disk is used up",
    errno.EROFS: "the disk can only be read",
    errno.EMFILE: "too many files are open at once; raise the limit: ulimit -n",
    errno.EPIPE: "whoever read what is printed is gone",
}
MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "not enough memory", "Cannot allocate memory")
UNLOADED = "failed to map segment from shared object"  # with a reason behind it where it is not for want of memory
BATCHES = {  # key of the configuration that a stage's memory grows with
    "nets.train": "training.batch",
    "moments.accumulate": "moments.batch",
    "alignment.information": "information.batch",
    "patches.pictures": "patches.batch",
    "stitching.stitched": "moments.batch",
}


class InputError(ValueError):
    """Input that cannot be used. Its text is one line that names the input, its value and what is allowed."""


def flat(text: str) -> str:
    r"""A text as one line that a terminal can show.

    >>> flat("a file\n  called \x1b")
    'a file called \\x1b'
    """
    line = " ".join(filter(None, map(str.strip, text.splitlines())))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def cut(text: str, length: int = LONGEST) -> str:
    """A text as one line of at most so many characters."""
    line = flat(text)
    return line if len(line) <= length else line[: length - 1] + "…"


def causes(error: BaseException) -> list[BaseException]:
    """An exception and those that it was raised from, the first cause last."""
    found: list[BaseException] = []
    last: BaseException | None = error
    while last and last not in found:
        found.append(last)
        last = last.exceptions[0] if isinstance(last, BaseExceptionGroup) else last.__cause__
    return [each for each in found if type(each).__name__ != "_RemoteTraceback"]  # of another process, as text


def lacks_memory(error: BaseException) -> bool:
    """Whether memory of the machine or of the GPU was not enough, in the words of Python, numpy and torch."""
    said = str(error)
    return isinstance(error, MemoryError) or said.endswith(UNLOADED) or any(word in said for word in MEMORY)


def in_words(error: BaseException) -> str:
    """What an exception says, in one line."""
    if isinstance(error, InputError):
        return flat(str(error))
    if isinstance(error, OSError) and error.errno:
        file = f"{flat(str(error.filename))}: " if error.filename else ""
        return f"{file}{SYSTEM.get(error.errno, error.strerror)}"
    return cut(f"{type(error).__name__}: {error}".removesuffix(": "))


def line_of(error: BaseException, stage: str) -> str:
    """The line that an exception ends a stage with: the refusal, or what was raised and what it came from."""
    chain = causes(error)
    for each in chain:
        if isinstance(each, InputError):
            return in_words(each)
    if short := [each for each in chain if lacks_memory(each)]:
        what, key = in_words(short[0]), BATCHES.get(stage)
        lower = f"lower {key}, or run" if key else "run"
        return f"{stage}: not enough memory ({what}); {lower} fewer jobs at a time; DEBUG=1 shows the traceback"
    told = list(dict.fromkeys(map(in_words, (chain[0], chain[-1]))))
    return f"{stage}: {', because of '.join(told)}; DEBUG=1 shows the traceback"


def debugging() -> bool:
    """Whether the user asks for tracebacks."""
    return os.environ.get("DEBUG") == "1"


def let_go_of_output() -> None:
    """Point standard output to nowhere if it cannot be written to, so that the end of Python does not fail on it."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def one_line(stage: str) -> Iterator[None]:
    """What is raised in the block becomes SystemExit with one line, and exit status 1; 130 and no line after Ctrl-C."""
    try:
        yield
        if sys.stdout:
            sys.stdout.flush()  # what cannot be printed is found here, not at the end of Python
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        let_go_of_output()
        if debugging():
            raise
        raise SystemExit(line_of(error, stage)) from None


def stage_of(module: str) -> str:
    """Name of a stage in messages, from its module's. As a command a module is called __main__, which knows its name.

    >>> stage_of("workflow.convergent.nets.train")
    'nets.train'
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    name = spec.name if module == "__main__" and spec else module
    return name.removeprefix("workflow.").removeprefix("convergent.")


def command(main: Callable[[list[str] | None], None]) -> Callable[..., None]:
    """``main`` as a command: whatever is raised in it becomes one line on standard error (``one_line``)."""

    @wraps(main)
    def run(argv: list[str] | None = None) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal's encoding lacks
        with one_line(stage_of(main.__module__)):
            main(argv)

    return run


def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """In place of ``sys.excepthook``: one line for what goes wrong outside of ``main``, while modules are imported."""
    if debugging():
        sys.__excepthook__(kind, error, trace)
    elif not isinstance(error, KeyboardInterrupt):
        print(line_of(error, stage_of("__main__")), file=sys.stderr)


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Help that keeps the line breaks of the description and adds the default to each option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.required or action.default in (None, [], {}):
            return action.help
        return super()._get_help_string(action)


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser without arguments, whose ``--help`` begins with ``description``, the docstring of a module."""
    return argparse.ArgumentParser(description=description, formatter_class=Help)
