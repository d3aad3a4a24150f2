"""Stored sparse mappings, a path of them in a store: which point is at a penalty, and its weights."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import store
from ..commands import InputError


class Scale(NamedTuple):
    """Means and deviations of the training images that a net's units are standardised with; a dead unit's is NaN."""

    mean: np.ndarray  # (units,)
    deviation: np.ndarray  # (units,)


def compressed(weights: np.ndarray) -> dict[str, np.ndarray]:
    """CSR arrays ``indptr``, ``indices`` and ``data`` of a mapping. (T, S)"""
    rows, columns = np.nonzero(weights)
    ends = np.bincount(rows, minlength=len(weights)).cumsum()
    return {"indptr": np.append(0, ends), "indices": columns.astype(np.int32), "data": weights[rows, columns]}


def read_weights(path: str | Path, point: int) -> np.ndarray:
    """Weights of one point of a stored path, dense or sparse on disk. (T, S)"""
    found = store.load(path, "weights", f"weights/{point}/*")
    if "weights" in found:
        return found["weights"][point]
    about = store.attributes(path)
    indptr, indices, data = (found[f"weights/{point}/{name}"] for name in ("indptr", "indices", "data"))
    weights = np.zeros([about["units"][about[side]] for side in ("target", "source")])
    weights[np.repeat(np.arange(len(weights)), np.diff(indptr)), indices] = data
    return weights


def path_point(path: str | Path, wanted: float) -> int:
    """First point of a mapping's path at an alpha; one line and out, naming those there are, where none is."""
    alphas = store.load(path, "alpha")["alpha"]
    points = np.flatnonzero(np.isclose(alphas, wanted))
    if not points.size:
        raise InputError(
            f"{path}: --alpha {wanted:g} is not on the path, which has {', '.join(f'{x:g}' for x in alphas)}"
        )
    return int(points[0])
