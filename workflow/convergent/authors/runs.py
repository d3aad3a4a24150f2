"""The runs in a clone of the authors' repository: a folder for each trained mapping, with its weights and its losses.

A folder is called ``<source>_<target>_L1_<power>_<layer>``. Its penalty, the decay, is 10**power, and none for power 0.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..commands import InputError

FOLDER = "sparse_prediction"  # of the clone, which holds the runs
NAME = re.compile(r"([a-z]+\d+)_([a-z]+\d+)_L1_(-?\d+(?:\.\d+)?)_(\w+)")
WEIGHTS, LOG = "stitching.pkl", "log.log"


class Named(NamedTuple):
    """What the name of a run says."""

    folder: Path
    source: str
    target: str
    layer: str
    power: float  # 10**power is the decay; 0 stands for none

    @property
    def pair(self) -> str:
        return f"{self.source}-{self.target}"

    @property
    def decay(self) -> float:
        return 10**self.power if self.power else 0.0

    @property
    def files(self) -> list[Path]:
        """Its weights and its log."""
        return [self.folder / WEIGHTS, self.folder / LOG]


def runs_of(clone: str | Path) -> Iterator[Named]:
    """The runs by name, from the smallest penalty, of one layer and pair after the other."""
    folder = Path(clone) / FOLDER
    named = [(match, path) for path in folder.glob("*") if path.is_dir() and (match := NAME.fullmatch(path.name))]
    runs = [Named(path, match[1], match[2], match[4], float(match[3])) for match, path in named]
    yield from sorted(runs, key=lambda run: (run.layer, run.pair, run.decay))


def mappings_of(clone: str | Path) -> dict[tuple[str, str], list[Named]]:
    """Runs of each layer and pair. Raises InputError where there are none, or a file of one is missing."""
    found: dict[tuple[str, str], list[Named]] = {}
    for run in runs_of(clone):
        for file in run.files:
            if not file.is_file():
                raise InputError(f"published.folder: {file} is missing; clone the repository again")
        found.setdefault((run.layer, run.pair), []).append(run)
    if not found:
        needed = f"{FOLDER}/<source>_<target>_L1_<power>_<layer>"
        raise InputError(f"published.folder: {clone} has no {needed}; it must be a clone of the authors' repository")
    return found
