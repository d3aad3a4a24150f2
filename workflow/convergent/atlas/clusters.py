"""Clusters of two nets' units, by the spectrum of their correlations and by the tree of a mapping, and their orders."""

from pathlib import Path
from typing import Any

import numpy as np

from .. import store, tables
from ..clustering import hierarchy
from .digits import share
from .inputs import store_of


def orders(order: np.ndarray, net: np.ndarray, unit: np.ndarray) -> list[list[int]]:
    """Units of a pair's first and of its second net in an order of both. (leaves,) each"""
    return [unit[order][net[order] == side].tolist() for side in (0, 1)]


def spectral(folder: Path, pair: str) -> dict[str, Any]:
    """Spectral clusters of a pair: of each unit of both nets its cluster, -1 without one, and what the table says."""
    path = store_of(folder, pair)
    store.attributes(path, "clusters")
    arrays = store.load(path, "label", "net", "unit", "order")
    label: list[list[int]] = []
    for side in (0, 1):
        own = arrays["net"] == side
        label.append(arrays["label"][own][np.argsort(arrays["unit"][own])].tolist())
    rows = tables.read(folder / f"{pair}.csv", allow_no_rows=True)
    numbers = ("density_inside", "density_outside", "span")
    return {
        "label": label,
        "rows": [[share(np.nan if row[name] == "" else row[name]) for name in numbers] for row in rows],
        "order": orders(arrays["order"], arrays["net"], arrays["unit"]),
    }


def subtrees_of(leaves: int, scored: list[hierarchy.Subtree]) -> np.ndarray:
    """The best subtree of both nets that holds each place of the leaf order, by its rank from 0; -1 without one."""
    found = np.full(leaves, -1)
    for rank, subtree in reversed(list(enumerate(scored))):
        if subtree.source and subtree.target:
            found[subtree.first : subtree.first + subtree.size] = rank
    return found


def tree(folder: Path, pair: str) -> dict[str, Any]:
    """The tree of a pair's mapping: the best mixed subtree of each unit, its scores, and the leaf order."""
    path = store_of(folder, pair)
    attributes, arrays = store.attributes(path, "tree"), store.load(path, "order", "net", "unit")
    scored = hierarchy.read(folder / f"{pair}.csv")
    order = arrays["order"]
    rank = np.empty(len(order), int)
    rank[order] = subtrees_of(len(order), scored)
    label = [rank[arrays["net"] == side][np.argsort(arrays["unit"][arrays["net"] == side])].tolist() for side in (0, 1)]
    used = sorted({number for each in label for number in each} - {-1})
    return {
        "alpha": attributes["alpha"],
        "label": [[used.index(number) if number >= 0 else -1 for number in each] for each in label],
        "rows": [[share(scored[number].within), share(scored[number].gap)] for number in used],
        "order": orders(order, arrays["net"], arrays["unit"]),
    }
