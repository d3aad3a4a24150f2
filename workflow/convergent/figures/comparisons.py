"""What matches of one layer and pair are compared with: the same units on rotated axes, and the paper's matches."""

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from .. import store, tables
from ..evidence import summary
from ..evidence.compare import TRAINED
from .inputs import Matches

EvidenceStore = Annotated[Path, "store of the evidence of the layer (zarr.json), for the level of rotated axes"]
PaperTable = Annotated[Path, "table of the paper's numbers (.csv)"]
PaperBest = Annotated[Path, "table of the paper's best and worst similarities (.csv)"]
BEST = ("layer", "similarity", "rank", "value")  # columns of the latter; the worst unit has rank -1


class Printed(NamedTuple):
    """The paper's mean similarities of a layer, and its share of units whose two partners are the same."""

    greedy: float
    assigned: float
    overlap: float


def rotated(evidence: Path | None, matches: Matches) -> np.ndarray:
    """Median of each unit's best similarity over rotations of the other net's axes; NaN where it is not known. (units,)

    Raises InputError where the store is of another layer, of other nets or other images than the table of matches.
    """
    unknown = np.full(len(matches.columns["unit"]), np.nan)
    if evidence is None:
        return unknown
    attributes = store.attributes(evidence, summary.EVIDENCE)
    for name, own in (("layers", "layer"), ("images", "images")):
        store.require_equal(name, matches=getattr(matches, own), **{str(evidence): attributes[own]})
    store.same_nets({"matches": matches.nets, str(evidence): attributes["nets"]})
    described = summary.read(evidence)[TRAINED].described
    return described[matches.pair].rotated_median if matches.pair in described else unknown


def printed(paper: Path | None, layer: str) -> Printed | None:
    """The paper's means of a layer, if it has the layer."""
    numbers = summary.read_paper(paper) if paper else {}
    return Printed(*(numbers[layer][name] for name in Printed._fields)) if layer in numbers else None


def printed_best(paper: Path, layer: str, similarity: str) -> dict[int, float]:
    """The paper's best similarities of a layer by rank, 1 for the best, and its worst ones, -1 for the worst."""
    rows = tables.read_resource(paper, BEST)
    return {row["rank"]: row["value"] for row in rows if (row["layer"], row["similarity"]) == (layer, similarity)}


def of_paper(paper: Path, matches: Matches, half: int, count: int) -> list[str]:
    """The paper's similarities of the ranks of so many units, as text; "" where unknown.

    half: how many are the best, and how many the worst; none where there are fewer units
    """
    best = printed_best(paper, matches.layer, matches.similarity)
    ranks = [*range(1, half + 1), *range(-half, 0)] if count == 2 * half else []
    return [f"{best[rank]:.2f}" if rank in best else "" for rank in ranks]
