"""Sparse mappings as they are stored: the scale of their units, and the weights of each penalty.

A store holds a path: one mapping for each penalty, called a point. ``fit`` writes it; stitched nets, clusters and
figures read it through this module, so that they do not depend on how mappings are fitted.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import store
from ..commands import InputError

ABOVE = 0.01  # size from which the paper counts a weight
# Kinds of stitched nets of a pair at one penalty: with a ReLU behind the mapping, likewise from the source's untrained
# twin, and without the ReLU.
RELU, UNTRAINED, MAPPED = "relu", "untrained", "mapped"


class Scale(NamedTuple):
    """Mean and deviation with which a net's units are standardised, those of the training images."""

    mean: np.ndarray  # (units,)
    deviation: np.ndarray  # (units,); of a dead unit NaN in memory and 0 in a store


def compressed(weights: np.ndarray) -> dict[str, np.ndarray]:
    """CSR arrays of a mapping by name: ``indptr`` (T + 1,), ``indices`` and ``data`` (nonzero,). (T, S)"""
    rows, columns = np.nonzero(weights)
    ends = np.bincount(rows, minlength=len(weights)).cumsum()
    return {"indptr": np.append(0, ends), "indices": columns.astype(np.int32), "data": weights[rows, columns]}


def read_weights(path: str | Path, point: int) -> np.ndarray:
    """Weights of one point of a stored path, whether they are dense or sparse in the store. (T, S)"""
    arrays = store.load(path, "weights", f"weights/{point}/*")
    if "weights" in arrays:
        return arrays["weights"][point]
    attributes = store.attributes(path)
    indptr, indices, data = (arrays[f"weights/{point}/{name}"] for name in ("indptr", "indices", "data"))
    weights = np.zeros([attributes["units"][attributes[side]] for side in ("target", "source")])
    weights[np.repeat(np.arange(len(weights)), np.diff(indptr)), indices] = data
    return weights


def path_point(path: str | Path, penalty: float, kind: str = "alpha") -> int:
    """Index of the first point of a stored path at a penalty. Raises InputError where the path has none there.

    kind: ``alpha``, or ``decay``
    """
    penalties = store.load(path, kind)[kind]
    points = np.flatnonzero(np.isclose(penalties, penalty))
    if not points.size:
        raise InputError(
            f"{path}: --{kind} {penalty:g} is not on the path, which has {', '.join(f'{x:g}' for x in penalties)}"
        )
    return int(points[0])
