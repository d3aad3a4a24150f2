"""What the files that a figure is drawn from say of themselves, and whether they fit together.

Stores say in their attributes of which layer, nets and pair they are. Tables of matches and the names of nets say it by
where they lie, and only this module reads it there.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from .. import store
from ..alignment import matching
from ..commands import InputError

# Inputs that several figures have, with the meaning that their --help gives
WithinStores = Annotated[list[Path], "stores of the correlation of each of two nets with itself (zarr.json)"]
BetweenStore = Annotated[Path, "store of the correlation between the two nets (zarr.json)"]
MomentsStore = Annotated[Path, "store of the moments of one layer on the validation images (zarr.json)"]
MappingStore = Annotated[Path, "store of the sparse mapping of one layer and pair (zarr.json)"]
TreeStore = Annotated[Path, "store of the tree of a sparse mapping (zarr.json)"]
TreeScores = Annotated[Path, "table of the scores of the tree's subtrees (.csv)"]
PatchStores = Annotated[list[Path], "stores of the patches of each net, <net>.zarr, in any order (zarr.json)"]
MatchesTable = Annotated[Path, "table of matches; it lies at <similarity>/<layer>/<a>-<b>.csv"]
InformationTable = Annotated[Path, "table of the agreement of mutual information with correlation (.csv)"]
TableToWrite = Annotated[Path, "table to write with the numbers of the figure (.csv)"]

MATCHING = re.compile(r"/(correlation|mutual_information)/([^/]+)/(net\d+)-(net\d+)\.csv$")
NET = re.compile(r"/(net\d+)(?:\.csv|\.zarr/zarr\.json)$")


def net_of(path: Path) -> str:
    """The net that a store or table of one net is of, from its name: net0.csv, net0.zarr/zarr.json.

    Raises InputError where the path does not name a net.
    """
    if not (named := NET.search(path.absolute().as_posix())):
        raise InputError(f"{path}: does not name its net; allowed are net0.csv, net0.zarr/zarr.json, net1.csv, ...")
    return named[1]


class Matches(NamedTuple):
    """A table of matches, and what it is of."""

    layer: str
    pair: tuple[str, str]  # whose units have partners, and the net of the partners
    columns: dict[str, np.ndarray]  # (units,) each


def read_matches(path: Path, similarity: str) -> Matches:
    """A table of matches by a similarity, ``correlation`` or ``mutual_information``.

    Raises InputError where the path does not say similarity, layer and pair, or says another similarity.
    """
    if not (named := MATCHING.search(path.absolute().as_posix())):
        raise InputError(
            f"{path}: does not say its layer and pair; a table of matches lies at <similarity>/<layer>/<a>-<b>.csv, "
            "as matching/correlation/conv1/net0-net1.csv"
        )
    if named[1] != similarity:
        raise InputError(f"{path}: table of matches by {named[1]}; this figure shows matches by {similarity}")
    return Matches(named[2], (named[3], named[4]), matching.read(path))


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
    attributes = {path: store.attributes(path) for path in [*within, between]}
    for key in ("layer", "moments"):
        store.require_equal(key, **{str(path): own[key] for path, own in attributes.items()})
    a, b = pair = pair_of(between, attributes[between])
    paths = {" and ".join(own["nets"]): path for path, own in attributes.items() if path != between}
    if set(paths) != set(pair):
        raise InputError(f"--within: stores of {', '.join(paths)}; must be one of {a} and one of {b}, as {between} is")
    arrays = [store.load(path, "correlation")["correlation"] for path in (paths[a], paths[b], between)]
    return Correlations(attributes[between]["layer"], pair, attributes[between]["moments"], *arrays)


def pair_of(path: Path, attributes: Mapping[str, Any]) -> tuple[str, str]:
    """First and second net of a store between two nets. Raises InputError where it is of one net."""
    nets = tuple(attributes["nets"])
    if len(nets) != 2:
        raise InputError(f"{path}: store of {', '.join(nets)}; must be of two nets")
    return nets
