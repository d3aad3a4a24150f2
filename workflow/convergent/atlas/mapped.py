"""Sparse sources of the units of each net, and what they are sources of, from stored mappings."""

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from .. import store
from ..stitching.mappings import path_point, read_weights
from .digits import share, shares
from .inputs import store_of

MOST = 8  # sources, or targets, of a unit that are shown


def largest(weights: np.ndarray) -> list[list[Any]]:
    """Columns with the largest weights of each row and these weights, by turns. (rows, columns)"""
    columns = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, :MOST]
    return [
        [cell for column in row if weights[number, column] for cell in (column, share(weights[number, column]))]
        for number, row in enumerate(columns.tolist())
    ]


def side(weights: np.ndarray) -> dict[str, Any]:
    """The largest weights of each row, and how many are not zero. (rows, columns)"""
    return {"top": largest(weights), "count": np.count_nonzero(weights, axis=1).tolist()}


def read(folder: Path, nets: list[str], alpha: float) -> dict[str, dict[str, dict[str, Any]]]:
    """For each net ``sources`` of its units in each other net, with R2, and ``targets``, at one penalty."""
    found: dict[str, dict[str, dict[str, Any]]] = {net: {"sources": {}, "targets": {}} for net in nets}
    for source, target in permutations(nets, 2):
        path = store_of(folder, source, target)
        store.attributes(path, "mapping")
        point = path_point(path, alpha)
        weights = read_weights(path, point)  # (T, S)
        r2 = store.load(path, "r2")["r2"][point]
        found[target]["sources"][source] = {**side(weights), "r2": shares(r2)}
        found[source]["targets"][target] = side(weights.T)
    return found
