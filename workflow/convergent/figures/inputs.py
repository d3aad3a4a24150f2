"""What the files that a figure is drawn from say of themselves, and whether they fit together.

Stores say in their attributes of which layer, nets and pair they are, tables in the file of their digest.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from .. import store, tables
from ..alignment import matching
from ..commands import InputError
from ..files import Named

# Inputs that several figures have, with the meaning that their --help gives
WithinStores = Annotated[list[Path], "stores of the correlation of each of two nets with itself (zarr.json)"]
BetweenStore = Annotated[Path, "store of the correlation between the two nets (zarr.json)"]
MomentsStore = Annotated[Path, "store of the moments of one layer on the validation images (zarr.json)"]
MappingStore = Annotated[Path, "store of the sparse mapping of one layer and pair (zarr.json)"]
TreeStore = Annotated[Path, "store of the tree of a sparse mapping (zarr.json)"]
TreeScores = Annotated[Path, "table of the scores of the tree's subtrees (.csv)"]
PatchStores = Annotated[list[Path], "stores of the patches of each net, in any order (zarr.json)"]
MatchesTable = Annotated[Path, "table of matches of the units of two nets in one layer (.csv)"]
InformationTable = Annotated[Path, "table of the agreement of mutual information with correlation (.csv)"]
TableToWrite = Annotated[Path, "table to write with the numbers of the figure (.csv)"]


class Matches(NamedTuple):
    """A table of matches, and what it is of."""

    similarity: str
    layer: str
    pair: tuple[str, str]  # whose units have partners, and the net of the partners
    nets: dict[str, str]  # digests of their weights, in this order
    images: str  # digest of the images that the similarity was computed on
    columns: dict[str, np.ndarray]  # (units,) each


def read_matches(path: Path, similarity: str) -> Matches:
    """A table of matches by a similarity, ``correlation`` or ``mutual_information``.

    Raises InputError for one by another similarity.
    """
    about = tables.about(path, "matches")
    if (by := about["similarity"]) != similarity:
        raise InputError(f"{path}: table of matches by {by}; this figure shows matches by {similarity}")
    pair = store.pair_of(path, about)
    return Matches(by, about["layer"], pair, about["nets"], about["images"], matching.read(path))


class Correlations(NamedTuple):
    """Correlations of the units of two nets in a layer."""

    layer: str
    pair: tuple[str, str]
    moments: str  # digest of the moments that they were computed from
    first: np.ndarray  # (units_a, units_a)
    second: np.ndarray  # (units_b, units_b)
    between: np.ndarray  # (units_a, units_b)


def read_correlations(within: Iterable[Path], between: Path) -> Correlations:
    """Correlations of two nets from the stores of each with itself, in any order, and the store between them.

    Raises InputError where the stores are of different layers, moments or nets.
    """
    attributes = {path: store.attributes(path, "correlation") for path in [*within, between]}
    for key in ("layer", "moments"):
        store.require_equal(key, **{str(path): own[key] for path, own in attributes.items()})
    a, b = pair = store.pair_of(between, attributes[between])
    paths = {" and ".join(own["nets"]): path for path, own in attributes.items() if path != between}
    if set(paths) != set(pair):
        raise InputError(f"--within: stores of {', '.join(paths)}; must be one of {a} and one of {b}, as {between} is")
    arrays = [store.load(path, "correlation")["correlation"] for path in (paths[a], paths[b], between)]
    return Correlations(attributes[between]["layer"], pair, attributes[between]["moments"], *arrays)


def read_between(paths: Sequence[Path]) -> tuple[Named, dict[tuple[str, str], np.ndarray]]:
    """What the stores of the correlation of pairs of nets say of themselves, with all nets, and the arrays by pair.

    Raises InputError where they are of different layers or moments, or where a pair of their nets is missing.
    """
    about = {path: store.attributes(path, "correlation") for path in paths}
    for key in ("layer", "moments"):
        store.require_equal(key, **{str(path): of[key] for path, of in about.items()})
    pairs = {store.pair_of(path, of): path for path, of in about.items()}
    nets = store.same_nets({str(path): of["nets"] for path, of in about.items()})
    if missing := [f"{a}-{b}" for a, b in combinations(nets, 2) if (a, b) not in pairs]:
        raise InputError(f"--between: no store of {', '.join(missing)}; every two nets must have one")
    arrays = {pair: store.load(path, "correlation")["correlation"] for pair, path in pairs.items()}
    return Named(paths[0], "attribute", {**about[paths[0]], "nets": nets}), arrays
