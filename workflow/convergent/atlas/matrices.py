"""Correlations of the units of two nets as the picture of the atlas, which answers with stored numbers."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import store
from ..alignment.matching import diagonal_order
from . import scripts
from .digits import thousandths
from .partners import Partners

MOST_CELLS = 1_200_000  # of one matrix: 2 bytes each, and a third more as text. Those of fc6 would take 45 MB


def as_data(matrix: np.ndarray) -> dict[str, Any]:
    """A matrix as data of the atlas: its shape, and its cells in thousandths, row by row."""
    return {"shape": list(matrix.shape), "cells": base64.b64encode(thousandths(matrix).tobytes()).decode()}


def write(
    folder: Path, correlations: Path, key: str, pair: tuple[str, str], partners: Mapping[tuple[str, str], Partners]
) -> bool:
    """Write the correlation of two nets, or of one with itself, unless it is too large. -> whether it was written"""
    name = "-".join(pair)
    array = store.StoredArray(correlations / f"{name}.zarr" / "zarr.json", "correlation")
    if np.prod(array.shape) > MOST_CELLS:
        return False
    data = as_data(array.whole())
    if pair in partners:
        rows, columns = diagonal_order(partners[pair].assigned, array.shape[1])
        data["assigned"] = [rows.tolist(), columns.tolist()]
    scripts.write(folder / f"{name}.js", f"{key}/{name}", data)
    return True
