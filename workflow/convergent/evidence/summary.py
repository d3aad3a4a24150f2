"""What the stores of the evidence say, as rows of tables: numbers of pairs of nets with intervals, and single units."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import store, tables
from . import inference
from .measures import MEASURES
from .units import Units, shares, unpacked, verdicts
from .units import rows as unit_cells

SHARES = ("overlap", "mutual", "stability", "same_class")  # numbers that are shares of units

SIMILARITY, EXCESS = "greedy_crossfit", "greedy_crossfit_excess"  # the numbers that most is said of
KINDS = EVIDENCE, THROUGH_TRAINING = ("evidence", "training evidence")  # of stores
PAPER = ("layer", "greedy", "assigned", "overlap")  # columns of the paper's numbers

Row = dict[str, object]


class Evidence(NamedTuple):
    """Numbers of all pairs of nets of one layer, trained or untrained."""

    nets: list[str]
    units: dict[str, list[int]]  # of each net: all and live ones
    value: dict[str, np.ndarray]  # number -> (pairs,)
    without: dict[str, np.ndarray]  # number, without each block -> (pairs, B)
    floors: dict[str, np.ndarray]  # floor -> (pairs,)
    described: dict[tuple[str, str], Units]  # units of the first of two nets against the other

    def pairs(self) -> list[tuple[int, int]]:
        """The two nets of each pair, counted from 0."""
        return [(i, j) for i in range(len(self.nets)) for j in range(i + 1, len(self.nets))]

    def live(self) -> int:
        """Live units of the net that has the fewest."""
        return min(live for _, live in self.units.values())

    def verdict_shares(self) -> np.ndarray:
        """Share of units of each of VERDICTS, the mean over ordered pairs of nets; NaN where a unit has none. (5,)"""
        return np.mean([shares(verdicts(units)) for units in self.described.values()], axis=0)

    def interval(self, name: str, pairs: slice = slice(None)) -> inference.Interval:
        """A number with its interval: the mean over pairs."""
        arguments = self.value[name][pairs], self.without[name][pairs], self.pairs()[pairs]
        if name.removesuffix("_rotated") in SHARES:
            return inference.share_interval(*arguments, self.live())
        return inference.interval(*arguments)


Layers = dict[str, dict[str, Evidence]]  # layer -> trained or untrained -> its numbers


def read(path: str | Path) -> dict[str, Evidence]:
    """The evidence of a layer: of trained nets and, where there are any, of untrained ones and of snapshots."""
    attributes, arrays = store.attributes(path, *KINDS), store.load(path)
    names = attributes["numbers"]
    found = {}
    for way in attributes["units"]:
        nets = list(attributes["units"][way])
        found[way] = Evidence(
            nets,
            attributes["units"][way],
            dict(zip(names, arrays[f"{way}/value"], strict=True)),
            dict(zip(names, arrays[f"{way}/without"], strict=True)),
            dict(zip(attributes["floors"], arrays.get(f"{way}/floors", ()), strict=True)),
            {
                pair: unpacked(arrays[name])
                for pair in permutations(nets, 2)
                if (name := f"{way}/units/{'-'.join(pair)}") in arrays
            },
        )
    return found


def read_layers(paths: Sequence[Path], *others: Path, kind: str = EVIDENCE) -> Layers:
    """The evidence of each layer. Raises InputError where stores, or other tables, are of other nets or images."""
    about = {str(path): store.attributes(path, kind) for path in paths}
    store.require_distinct(f"stores of {kind}", (of["layer"] for of in about.values()))
    about |= {str(path): tables.about(path, "agreement") for path in others}
    store.same_nets({path: of["nets"] for path, of in about.items()})
    store.require_equal("images", **{path: of["images"] for path, of in about.items()})
    return {about[str(path)]["layer"]: read(path) for path in paths}


def read_paper(path: Path) -> dict[str, dict[str, float]]:
    """The paper's numbers by layer."""
    return {row["layer"]: row for row in tables.read_resource(path, PAPER)}


def cells(of: Evidence, names: Iterable[str], pairs: slice) -> Row:
    """Numbers of some pairs by column: those on rotated axes alone, others with the ends of their interval."""
    row: Row = {}
    for name in names:
        found = inference.ends(name, of.interval(name, pairs))
        row |= {name: found[name]} if name.endswith(("_rotated", "_content")) else found
    return row


def of_pairs(of: Evidence) -> list[tuple[str, slice]]:
    """Each pair of nets and, as ``mean``, all of them: name and where they are."""
    names = [f"{of.nets[i]}-{of.nets[j]}" for i, j in of.pairs()]
    return [*((name, slice(number, number + 1)) for number, name in enumerate(names)), ("mean", slice(None))]


def rows(layer: str, evidence: Mapping[str, Evidence]) -> Sequence[Row]:
    """Rows of a layer's table: one a pair and one for the mean over pairs, of trained and of untrained nets.

    Intervals of a single pair are over photographs alone, those of the mean over photographs and nets.
    """
    found: list[Row] = []
    for way, of in evidence.items():
        names = [name for name in of.value if name.removesuffix("_rotated") not in MEASURES]
        for pair, where in of_pairs(of):
            units, live = ("", "") if pair == "mean" else of.units[pair.split("-")[0]]
            head = {"layer": layer, "state": way, "pair": pair, "similarity": "correlation"}
            floors = {name: float(floor[where].mean()) for name, floor in of.floors.items()}
            found.append({**head, "units": units, "live": live, **cells(of, names, where), **floors})
    return found


def measure_rows(layer: str, evidence: Mapping[str, Evidence]) -> list[Row]:
    """Rows of the table of measures of whole layers, as those of ``rows``."""
    names = [name for measure in MEASURES for name in (measure, f"{measure}_rotated")]
    return [
        {"layer": layer, "state": way, "pair": pair, **cells(of, names, where)}
        for way, of in evidence.items()
        for pair, where in of_pairs(of)
    ]


def unit_rows(layer: str, evidence: Mapping[str, Evidence]) -> list[Row]:
    """Rows of the table of units: each unit of each net against each other net, trained and untrained."""
    return [
        {"layer": layer, "state": way, "net": a, "other": b, **row}
        for way, of in evidence.items()
        for (a, b), units in of.described.items()
        for row in unit_cells(units)
    ]
