"""What a machine lacks, or has set for other programs, is put right before the project's work begins.

``settle`` is called where Python is about to run a module of this project (``workflow/__init__.py``) and by the
Snakefile. What it sets holds for all processes that are started from there. A program that only imports the package,
such as a notebook, keeps its own settings. It runs on any Python 3, as ``workflow.runner.clean`` does.
"""

import getpass
import os
import site
import sys
import tempfile

# Set for other programs. Python would not search this folder, take a warning for an error, not end with a job's status,
# or translate all modules anew in each job; matplotlib would look for the display of a notebook.
NOT_OURS = (
    *("PYTHONSAFEPATH", "PYTHONWARNINGS", "PYTHONINSPECT", "PYTHONOPTIMIZE", "PYTHONDONTWRITEBYTECODE"),
    "MPLBACKEND",
)
# Variables that name a folder of files that programs keep, where it is without the variable, and a folder in its place.
KEPT_FILES = (
    ("XDG_CACHE_HOME", "~/.cache", ".snakemake/cache"),
    ("MPLCONFIGDIR", "~/.config/matplotlib", ".snakemake/cache/matplotlib"),
)


def takes_files(folder: str) -> bool:
    """Whether something can be written to a folder, which is made if it is missing."""
    try:
        os.makedirs(folder, exist_ok=True)
        os.rmdir(tempfile.mkdtemp(dir=folder))
    except OSError:
        return False
    return True


def has_name() -> bool:
    """Whether the system knows a name of the user, which Snakemake asks for. A container need not."""
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        return False
    return True


def ordered(path: "list[str]", foreign: "set[str]") -> "list[str]":
    """Python's search path with foreign folders at its end; the first folder, that of the command, stays the first.

    >>> ordered(["project", "cluster", "python"], {"cluster"})
    ['project', 'python', 'cluster']
    """
    return path[:1] + sorted(path[1:], key=lambda folder: folder in foreign)


def foreign_folders() -> "set[str]":
    """Folders of PYTHONPATH and of the user's own packages: these may be old, or made for another Python."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {os.path.abspath(folder) for folder in given if folder} | {site.getusersitepackages()}


def settle() -> None:
    """Put the environment right for this process, and for all that it starts.

    What PYTHONPATH leads to is still found, as a user's nets, but nothing takes the place of this Python's packages.
    """
    for name in NOT_OURS:
        os.environ.pop(name, None)
    os.environ["PYTHONUTF8"] = "1"  # files are UTF-8 in any locale
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = "/"  # as containers do
    if not has_name():
        os.environ["LOGNAME"] = f"uid{os.getuid()}"
    for name, usual, instead in KEPT_FILES:
        if not takes_files(os.environ.get(name) or os.path.expanduser(usual)):
            os.environ[name] = os.path.abspath(instead)
    sys.path[:] = ordered(sys.path, foreign_folders())
