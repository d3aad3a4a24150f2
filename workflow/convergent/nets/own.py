"""A user's own code that makes a net: its files, and its errors in one line."""

import hashlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..commands import InputError, in_words
from ..sources import own_sources
from .architecture import ALEXNET

# Folders of Python, of its packages, and of this project. None of their files is of a user's.
OTHERS = tuple(f"{folder}{os.sep}" for folder in (os.path.dirname(os.__file__), sys.prefix, Path(__file__).parents[2]))
INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def is_own(architecture: str) -> bool:
    """Whether an architecture is a function of a user's own: neither this project's nor torchvision's."""
    return architecture != ALEXNET and not architecture.startswith("torchvision:")


def is_users(file: str) -> bool:
    """Whether there is this file, and it is of the user's."""
    path = os.path.abspath(file)
    return not path.startswith(OTHERS) and not any(part in path for part in INSTALLED) and os.path.isfile(path)


def loaded_files(module: str) -> Iterator[Path]:
    """The user's files that this process has loaded as modules: those in its folder, and those of one package."""
    here = Path.cwd()
    for name, loaded in list(sys.modules.items()):
        file = getattr(loaded, "__file__", None)
        if file and is_users(file):
            path = Path(file).absolute()
            if here in path.parents:
                yield path.relative_to(here)
            elif name.split(".")[0] == module.split(".")[0]:
                yield path


def files(architecture: str) -> list[str]:
    """The user's files that make a net, sorted: what its module imports, and what was loaded besides.

    Names are relative to the folder in which this process runs. Empty for architectures that are no user's.
    """
    if not is_own(architecture):
        return []
    module = architecture.split(":")[0]
    return sorted({*own_sources(module), *(file.as_posix() for file in loaded_files(module))})


def digests(architecture: str) -> dict[str, str]:
    """sha256 of each of the user's files that make a net, by its name."""
    return {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files(architecture)}


def changed(made_by: Mapping[str, str]) -> list[str]:
    """Files whose content is no longer that of their digest. Files that are not there may lie elsewhere by now."""
    files = {file: Path(file) for file in made_by if Path(file).is_file()}
    return [name for name, file in files.items() if hashlib.sha256(file.read_bytes()).hexdigest() != made_by[name]]


def where(error: BaseException) -> str:
    """Where in the user's code an error arose, as ``file:line``; elsewhere, where none of theirs was at work."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        frames.append((error.filename or "", error.lineno))
    theirs = [(file, line) for file, line in frames if is_users(file)]
    file, line = (theirs or frames)[-1]
    return f"{os.path.relpath(file)}:{line}"


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn an error of the block, which runs code of the user's, into an InputError of one line about ``what``."""
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # a module may end the process
        raise InputError(f"architecture: {what}: {in_words(error)} ({where(error)})") from error
