"""Correlations of the units of two nets as the picture of the atlas, which answers with stored numbers."""

import base64
from pathlib import Path
from typing import Any

import numpy as np

from .. import store
from ..alignment.matching import diagonal_order
from .digits import thousandths

MOST_CELLS = 1_200_000  # of one matrix, 2.7 bytes each as text; ten pairs of 4,096 units would take 450 MB


def read(path: Path) -> np.ndarray | None:
    """Correlations of two nets, or of one with itself, (units_a, units_b); None where they are too many for a page."""
    store.attributes(path, "correlation")
    array = store.StoredArray(path, "correlation")
    return array.whole() if np.prod(array.shape) <= MOST_CELLS else None


def as_data(matrix: np.ndarray, assigned: np.ndarray | None) -> dict[str, Any]:
    """A matrix as data: its shape, its cells in thousandths, row by row, and orders with partners on the diagonal.

    assigned: partners of the rows among the columns (units_a,); None within one net, which has no such order
    """
    data = {"shape": matrix.shape, "cells": base64.b64encode(thousandths(matrix).tobytes()).decode()}
    if assigned is None:
        return data
    return data | {"assigned": [order.tolist() for order in diagonal_order(assigned, matrix.shape[1])]}
