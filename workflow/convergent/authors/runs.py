"""The runs in a clone of the authors' repository: a folder for each trained mapping, with its weights and its losses.

A folder is called ``<source>_<target>_L1_<power>_<layer>``. Its penalty, the decay, is 10**power, and none for power 0.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..commands import InputError, cut
from ..files import read_bytes
from .pickles import read_array

FOLDER = "sparse_prediction"  # of the clone, which holds the runs
NAME = re.compile(r"([a-z]+\d+)_([a-z]+\d+)_L1_(-?\d+(?:\.\d+)?)_(\w+)")
LOSS = re.compile(r"(\d+) (train|val) loss is (\S+)")
WEIGHTS, LOG = "stitching.pkl", "log.log"
SPLITS = ("train", "val")


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


class Run(NamedTuple):
    """A trained mapping."""

    weights: np.ndarray  # (T, S) float64
    losses: dict[str, np.ndarray]  # split -> loss of each iteration (iterations,); of training of a batch of 32


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


def read_losses(path: Path) -> dict[str, np.ndarray]:
    """Losses of each split in the order of the iterations. Raises InputError where a split has none, or a gap."""
    text = read_bytes(path, "log").decode("utf-8", "replace")
    losses: dict[str, list[float]] = {split: [] for split in SPLITS}
    for line in text.splitlines():
        if match := LOSS.fullmatch(line.strip()):
            number, split, value = int(match[1]), match[2], as_number(match[3])
            if number != len(losses[split]) or not np.isfinite(value):
                raise InputError(f"{path}: '{cut(line, 80)}' is not the finite loss of iteration {len(losses[split])}")
            losses[split].append(value)
    if not all(losses.values()):
        raise InputError(f"{path}: no line '<iteration> train loss is <loss>', or none of val; fetch it again")
    return {split: np.array(values) for split, values in losses.items()}


def as_number(text: str) -> float:
    """The number that a text is; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return np.nan


def read_run(named: Named) -> Run:
    """The weights and losses of a run. Raises InputError where a file cannot be used."""
    path = named.folder / WEIGHTS
    weights = read_array(path)
    if weights.ndim == 4 and weights.shape[2:] == (1, 1):  # of a convolution
        weights = weights[:, :, 0, 0]
    if weights.ndim != 2 or not weights.size:
        shape = "x".join(map(str, weights.shape)) or "scalar"
        raise InputError(f"{path}: an array of shape {shape}; must be (target, source) or (target, source, 1, 1)")
    return Run(weights.astype(np.float64), read_losses(named.folder / LOG))
