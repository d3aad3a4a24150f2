"""What the stores of the evidence say, as rows of a table: numbers of each pair of nets and of all, with intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import store
from ..moments.covariance import in_order
from . import inference

SHARES = ("overlap", "mutual")  # numbers that are shares of units
MEASURED = ("greedy_crossfit", "assigned_crossfit", "greedy", "assigned", *SHARES)

Row = dict[str, object]


class Evidence(NamedTuple):
    """Numbers of all pairs of nets of one layer, trained or untrained."""

    nets: list[str]
    units: dict[str, list[int]]  # of each net: all and live ones
    value: dict[str, np.ndarray]  # number -> (pairs,)
    without: dict[str, np.ndarray]  # number, without each block -> (pairs, B)
    floors: dict[str, np.ndarray]  # floor -> (pairs,)

    def pairs(self) -> list[tuple[int, int]]:
        """The two nets of each pair, counted from 0."""
        return [(i, j) for i in range(len(self.nets)) for j in range(i + 1, len(self.nets))]

    def live(self) -> int:
        """Live units of the net that has the fewest."""
        return min(live for _, live in self.units.values())

    def interval(self, name: str, pairs: slice = slice(None)) -> inference.Interval:
        """A number with its interval: the mean over pairs."""
        arguments = self.value[name][pairs], self.without[name][pairs], self.pairs()[pairs]
        if name.removesuffix("_rotated") in SHARES:
            return inference.share_interval(*arguments, self.live())
        return inference.interval(*arguments)


def read(path: str | Path) -> dict[str, Evidence]:
    """The evidence of a layer: of trained nets and, where there are any, of untrained ones and of snapshots."""
    attributes, arrays = store.attributes(path, "evidence"), store.load(path)
    names = attributes["numbers"]
    return {
        way: Evidence(
            in_order(attributes["units"][way]),
            attributes["units"][way],
            dict(zip(names, arrays[f"{way}/value"], strict=True)),
            dict(zip(names, arrays[f"{way}/without"], strict=True)),
            dict(zip(attributes["floors"], arrays.get(f"{way}/floors", ()), strict=True)),
        )
        for way in attributes["units"]
    }


def cells(of: Evidence, pairs: slice) -> Row:
    """The numbers of some pairs by column: those that are measured and the excess with their ends, others alone."""
    row: Row = {}
    for name in of.value:
        found = of.interval(name, pairs)
        row[name] = float(found.estimate)
        if name in MEASURED or name.endswith("_excess"):
            row |= {f"{name}_low": float(found.low), f"{name}_high": float(found.high)}
    return row | {name: float(floor[pairs].mean()) for name, floor in of.floors.items()}


def rows(layer: str, evidence: Mapping[str, Evidence]) -> Sequence[Row]:
    """Rows of a layer's table: one a pair and one for the mean over pairs, of trained and of untrained nets.

    Intervals of a single pair are over photographs alone, those of the mean over photographs and nets.
    """
    found: list[Row] = []
    for way, of in evidence.items():
        head = {"layer": layer, "state": way, "similarity": "correlation"}
        for number, (i, j) in enumerate(of.pairs()):
            units, live = of.units[of.nets[i]]
            pair = {"pair": f"{of.nets[i]}-{of.nets[j]}", "units": units, "live": live}
            found.append({**head, **pair, **cells(of, slice(number, number + 1))})
        found.append({**head, "pair": "mean", "units": "", "live": "", **cells(of, slice(None))})
    return found
