"""This project beside what else a user would take, on equal activations and with results checked to be equal.

``make peers`` installs the packages that the product does without, and runs this.
"""

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import correlation, deconvolution, layers, mappings
from .contest import HEAD, Contest, held, missing

PACKAGES = ("numpy", "torch", "scikit-learn", "skglm", "networkx", "captum", "pytorch-cka")


def versions() -> list[str]:
    """Names and versions of PACKAGES that are installed."""
    found = []
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return found


def print_table(contests: Sequence[Contest]) -> None:
    """Print the rows of contests, and in one line what is missing for others."""
    absent = sorted({name for contest in contests for name in missing(contest.ways)})
    if absent:
        print(f"peers: left out, because not installed: {', '.join(absent)}; make peers installs what is needed")
    print("\n".join(HEAD), flush=True)
    for contest in contests:
        print("\n".join(held(contest)), flush=True)
    print("versions:", ", ".join(versions()))


def bench_peers() -> None:
    """Print a table of seconds, memory and errors: correlation, information, matching, CKA, mappings, pictures."""
    with tempfile.TemporaryDirectory() as folder:
        files = layers.prepare(Path(folder))
        print_table(
            [
                *correlation.contests(),
                *layers.contests(*files),
                *mappings.contests(*files),
                *deconvolution.contests(),
            ]
        )
