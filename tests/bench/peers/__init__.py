"""This project beside what else a user would take, on equal activations and with results checked to be equal.

``make peers`` installs the packages that the product does without, and runs this.
"""

from collections.abc import Sequence
from importlib.metadata import version

from .contest import HEAD, Contest, held, missing

PACKAGES = ("numpy", "torch", "scikit-learn", "skglm", "networkx", "captum", "pytorch-cka")


def table(contests: Sequence[Contest]) -> None:
    """Print the rows of contests, and in one line what is missing for others."""
    absent = sorted({name for contest in contests for name in missing(contest.ways)})
    if absent:
        print(f"peers: left out, because not installed: {', '.join(absent)}; make peers installs what is needed")
    print("\n".join(HEAD), flush=True)
    for contest in contests:
        print("\n".join(held(contest)), flush=True)
    print("versions:", ", ".join(f"{name} {version(name)}" for name in PACKAGES if name not in absent))


def bench_peers() -> None:
    """Print a table of seconds, memory and errors: correlation, information, mappings, matching, pictures, CKA."""
    import tempfile
    from pathlib import Path

    from . import correlation, deconvolution, layers, mappings

    with tempfile.TemporaryDirectory() as folder:
        small, wide = layers.prepare(Path(folder))
        table(
            [
                *correlation.contests(),
                *layers.contests(small, wide),
                *mappings.contests(small, wide),
                *deconvolution.contests(),
            ]
        )
