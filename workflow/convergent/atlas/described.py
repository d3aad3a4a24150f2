"""What the evidence says of a layer and of each of its units, as data of the atlas."""

from pathlib import Path
from typing import Any

import numpy as np

from ..evidence import summary
from ..evidence.compare import TRAINED
from ..evidence.units import VERDICTS, Units, verdicts
from .digits import share, shares

SHOWN = ("greedy_crossfit", "greedy_crossfit_excess", "mutual", "overlap")  # numbers of a layer that have intervals


def excess(value: np.ndarray, rotated: np.ndarray) -> np.ndarray:
    """How far units are more alike than on rotated axes: 0 where they are not, 1 where they are equal. (units,)"""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (value - rotated) / (1 - rotated)


def unit_columns(units: Units) -> dict[str, Any]:
    """Columns of the units of one net against another."""
    shown = {name: shares(getattr(units, name)) for name in ("crossfit", "p", "q", "influence", "stable", "r2")}
    verdict = verdicts(units)
    return {
        **shown,
        "rotated": shares(units.rotated_median),
        "excess": shares(excess(units.crossfit, units.rotated_median)),
        "mutual": units.mutual.astype(int).tolist(),
        "nets": units.nets.tolist(),
        "verdict": [VERDICTS.index(name) if name else -1 for name in verdict.tolist()],
    }


def with_ends(of: summary.Evidence, name: str, where: slice) -> list[float | None]:
    """A number of a layer with both ends of its interval."""
    found = of.interval(name, where)
    return shares([float(found.estimate), float(found.low), float(found.high)])


def layer_numbers(of: summary.Evidence) -> dict[str, Any]:
    """Numbers of a layer by pair of nets, and their mean over pairs: with intervals, and on rotated axes."""
    return {
        pair: {
            **{name: with_ends(of, name, where) for name in SHOWN},
            "rotated": share(float(of.value["greedy_crossfit_rotated"][where].mean())),
        }
        for pair, where in summary.of_pairs(of)
    }


def read(path: Path) -> tuple[dict[tuple[str, str], dict[str, Any]], dict[str, dict[str, Any]]]:
    """Columns of the units of every ordered pair of trained nets, and numbers of the layer by state."""
    evidence = summary.read(path)
    columns = {pair: unit_columns(units) for pair, units in evidence[TRAINED].described.items()}
    return columns, {state: layer_numbers(of) for state, of in evidence.items()}
