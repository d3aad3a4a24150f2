"""What the files of the authors' runs hold: weights and losses."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..commands import InputError, cut
from ..files import read_bytes
from .pickles import read_array
from .runs import LOG, WEIGHTS, Named

LOSS = re.compile(r"(\d+) (train|val) loss is (\S+)")
SPLITS = ("train", "val")


class Run(NamedTuple):
    """A trained mapping."""

    weights: np.ndarray  # (T, S) float64
    losses: dict[str, np.ndarray]  # split -> loss of each iteration (iterations,); of training of a batch of 32


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
