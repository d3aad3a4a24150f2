"""Remove the results of one run, ``python -m workflow.runner.clean scenes``, and say what is left.

It runs on any Python 3, because .venv may be missing.
"""

import fcntl
import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path

LOCK = Path(".running")  # of make figures
KEPT = {".venv": "the installation", ".snakemake": "Snakemake's records and messages"}


def size(folder: Path) -> str:
    """Size of a folder's files, in megabytes."""
    return f"{sum(file.stat().st_size for file in folder.rglob('*') if file.is_file()) / 1e6:.0f} MB"


def left(results: Path) -> "list[str]":
    """What is left: other runs with the command that removes them, and the folders beside the results."""
    runs = sorted(folder for folder in results.glob("*") if folder.is_dir())
    return [
        *(f"{run} ({size(run)}; make clean RUN={run.name} removes it)" for run in runs),
        *(f"{name} ({content})" for name, content in KEPT.items() if (results.parent / name).exists()),
    ]


def held(lock: Path) -> bool:
    """Whether some process of this machine has the lock as its standard input, as a run and its jobs have."""
    for stdin in Path("/proc").glob("[0-9]*/fd/0"):
        with suppress(OSError):  # the process has ended, or is somebody else's
            if stdin.samefile(lock):
                return True
    return False


def remove(folder: Path) -> None:
    """Remove a folder, or what a link leads to."""
    shutil.rmtree(folder.resolve())
    if folder.is_symlink():
        folder.unlink()


def main() -> None:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if not re.fullmatch("[A-Za-z0-9_-]+", name):
        sys.exit(f"make clean RUN={name}: a run is a folder below results, of letters, digits, - and _")
    folder = Path("results") / name
    if any(Path(".snakemake/locks").glob("*")):
        sys.exit(
            "A run is at work in this folder, or was killed (then make figures goes on with it); nothing was removed."
        )
    with LOCK.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            busy = False
        except BlockingIOError:
            busy = True
        except OSError:  # some shared disks have no locks
            busy = held(LOCK)
        if busy:
            sys.exit("A run is at work in this folder; nothing was removed.")
        if folder.is_dir():
            removed = size(folder)
            remove(folder)
            print(f"Removed {folder} ({removed}).")
        else:
            print(f"There is no {folder}.")
    for each in left(Path("results")):
        print(f"Left: {each}.")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
