"""How alike the units of every pair of nets are in one layer, and what the number has to be compared with.

Beside it stand the same nets before training, rotated axes, what the layout of the images gives, and shuffled
photographs. Everything is computed from moments, without images. The store has each number of each pair of nets, and
the same number without each block, from which intervals follow (``inference``).
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from .. import store
from ..commands import command, new_parser
from ..moments.covariance import Arrays, compared, load_pair, own_variance
from ..seeds import derive
from . import floors
from .crossfit import between
from .pairs import Numbers, Rotations, numbers, pair_numbers, stacked

TRAINED, UNTRAINED = WAYS = ("trained", "untrained")
FLOORS = ("layout", "shuffled")


@dataclass(frozen=True)
class EvidenceSettings:
    """How many random rotations and derangements there are, and their seed."""

    rotations: int
    derangements: int
    seed: int


def pair_evidence(blocks: Arrays, a: str, b: str, settings: EvidenceSettings) -> tuple[Numbers, list[float]]:
    """All numbers of a pair of nets, and FLOORS. blocks: moments and position means of both"""
    pair, own = between(blocks, a, b), between(blocks, b, b).products
    turns = Rotations(derive(settings.seed, "rotations", a, b), settings.rotations)  # independent for each pair
    found = pair_numbers(pair, own, turns)
    maps = blocks[f"positions/{a}"], blocks[f"positions/{b}"]
    content = numbers(floors.content(pair, *maps)) if maps[0].shape[1] > 1 else found.measured
    rng = np.random.default_rng(derive(settings.seed, "derangements", a, b))
    orders = floors.derangements(len(pair.count), settings.derangements, rng)
    of_content = {f"{name}_content": content[name] for name in ("greedy_crossfit", "assigned_crossfit")}
    return found.named() | of_content, [floors.layout_floor(pair, *maps), floors.shuffled_floor(pair, *maps, orders)]


def evidence(path: Path, settings: EvidenceSettings) -> tuple[list[str], dict[str, np.ndarray]]:
    """Names of the numbers, and arrays of all pairs of nets: the numbers, these without each block, the floors."""
    nets = compared(store.attributes(path, "moments"))
    found = [pair_evidence(load_pair(path, a, b, positions=True), a, b, settings) for a, b in combinations(nets, 2)]
    arrays = stacked([of_pair for of_pair, _ in found])
    return list(found[0][0]), arrays | {"floors": np.array([of_pair for _, of_pair in found]).T}


def units(path: Path, nets: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Number of all units and of live ones of some nets, each called as the trained net that it is or becomes."""
    totals = store.load(path, "total/count", *(f"total/*/{each}" for net in nets for each in (net, f"{net}-{net}")))
    moments = {name.removeprefix("total/"): array for name, array in totals.items()}
    live = {net: own_variance(moments, net) > 0 for net in nets}
    return {net.split("_")[0]: (len(of), int(of.sum())) for net, of in live.items()}


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("moments", type=Path, help="store of one layer's moments (zarr.json)")
    parser.add_argument("output", type=Path, help="store to write (zarr.json)")
    parser.add_argument(
        "--untrained", type=Path, nargs="*", default=[], help="the same of the nets before training (default: none)"
    )
    parser.add_argument("--rotations", type=int, default=10, help="random rotations of each pair of nets")
    parser.add_argument("--derangements", type=int, default=10, help="ways to shuffle the photographs")
    parser.add_argument("--seed", type=int, default=0, help="seed of both")
    return parser.parse_args(argv)


def require_same(paths: Mapping[str, Path]) -> None:
    """Raise InputError where stores of moments are of different layers, images or blocks."""
    attributes = {path: store.attributes(path, "moments") for path in paths.values()}
    for key in ("layer", "images", "fine_blocks", "blocks", "seed"):
        store.require_equal(key, **{str(path): of[key] for path, of in attributes.items()})


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    settings = EvidenceSettings(args.rotations, args.derangements, args.seed)
    paths = dict(zip(WAYS, [args.moments, *args.untrained], strict=False))
    require_same(paths)
    attributes = store.attributes(args.moments, "moments")
    arrays: dict[str, np.ndarray] = {}
    of_units: dict[str, dict[str, tuple[int, int]]] = {}
    for way, path in paths.items():
        names, found = evidence(path, settings)
        arrays |= {f"{way}/{name}": array for name, array in found.items()}
        of_units[way] = units(path, compared(store.attributes(path, "moments")))
    nets = {net: attributes["nets"][net] for net in compared(attributes)}
    about = {"layer": attributes["layer"], "images": attributes["images"], "nets": nets}
    store.save(args.output, arrays, kind="evidence", numbers=names, floors=FLOORS, units=of_units, **about)


if __name__ == "__main__":
    main()
