"""How alike the units of every pair of nets are in one layer, and what the number has to be compared with.

Beside it stand the same nets before training, rotated axes, what the layout of the images gives, and shuffled
photographs. Everything is computed from moments, without images. The store has each number of each pair of nets, and
the same number without each block, from which intervals follow (``inference``), and what is known of each unit.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import store
from ..allocation import keep_freed_memory
from ..commands import command, new_parser
from ..moments.covariance import compared, load_pair, own_variance
from ..nets.names import trained_name
from ..seeds import derive
from . import floors
from .crossfit import WIDEST, Between, Replicated, between, rotated, rotated_axes
from .measures import MEASURES, means_apart, measures
from .pairs import Numbers, PairNumbers, Rotations, numbers, pair_numbers, stacked
from .partners import same_class
from .turning import nth_rotation
from .units import Units, best_on_rotated_axes, describe, with_groups

TRAINED, UNTRAINED = WAYS = ("trained", "untrained")
FLOORS = ("layout", "shuffled")


@dataclass(frozen=True)
class EvidenceSettings:
    """How many random rotations and derangements there are, and their seed."""

    rotations: int
    derangements: int
    seed: int
    logits: bool = False  # whether the layer's units are the classes of the images


class Found(NamedTuple):
    """What there is to say of all pairs of nets of a layer."""

    numbers: list[Numbers]  # of each pair
    floors: list[list[float]]  # FLOORS of each pair
    units: dict[tuple[str, str], Units]  # of the first net of each ordered pair


class Compared(NamedTuple):
    """Two nets in one layer."""

    a: str
    b: str
    pair: Between
    own_a: np.ndarray  # products of each with itself (B, Ua, Ua), (B, Ub, Ub)
    own_b: np.ndarray
    means: tuple[np.ndarray, np.ndarray]  # mean activations of blocks, of each (B, U)
    maps: tuple[np.ndarray, np.ndarray]  # the same at each position (B, P, U)

    def seed(self, seed: int, what: str) -> int:
        """Of something random that differs from pair to pair."""
        return derive(seed, what, self.a, self.b)

    def reversed(self) -> "Compared":
        turned = self.pair.reversed(), self.own_b, self.own_a, self.means[::-1], self.maps[::-1]
        return Compared(self.b, self.a, *turned)


def load(path: Path, a: str, b: str) -> Compared:
    """Two nets of a store of moments."""
    blocks = load_pair(path, a, b, positions=True)
    own_a, own_b = (between(blocks, net, net).products for net in (a, b))
    means, maps = (blocks[f"mean/{a}"], blocks[f"mean/{b}"]), (blocks[f"positions/{a}"], blocks[f"positions/{b}"])
    return Compared(a, b, between(blocks, a, b), own_a, own_b, means, maps)


def of_pair(nets: Compared, settings: EvidenceSettings) -> PairNumbers:
    """Numbers of a pair of nets, and the best similarity of the first net's units on rotated axes of the second."""
    turns = Rotations(nets.seed(settings.seed, "rotations"), settings.rotations)
    return pair_numbers(nets.pair, nets.own_b, turns)


def all_numbers(nets: Compared, found: PairNumbers, settings: EvidenceSettings) -> Numbers:
    """All numbers of a pair of nets. found: as of ``of_pair``"""
    seed = nets.seed(settings.seed, "rotations")
    content = numbers(floors.content(nets.pair, *nets.maps)) if nets.maps[0].shape[1] > 1 else found.measured
    return {
        **found.named(),
        **{f"{name}_content": content[name] for name in ("greedy_crossfit", "assigned_crossfit")},
        "means_apart": means_apart(nets.pair.count, *nets.means),
        **({"same_class": same_class(nets.pair)} if settings.logits else {}),
        **measures(nets.pair, nets.own_a, nets.own_b),
        **{f"{name}_rotated": number for name, number in rotated_measures(nets, seed).items()},
    }


def rotated_measures(nets: Compared, seed: int) -> Numbers:
    """Measures of whole layers after the first random rotation of the pair; NaN where b has no axes, or is too wide."""
    live = int((nets.pair.squares_b.sum(0) > 0).sum())
    if not 0 < live <= WIDEST:
        nothing = Replicated(np.nan, np.full(len(nets.pair.count), np.nan))
        return dict.fromkeys(MEASURES, nothing)
    turn = nth_rotation(0, live, seed)
    axes = rotated_axes(nets.pair, turn)
    return measures(rotated(nets.pair, nets.own_b, turn), nets.own_a, axes @ nets.own_b @ axes.T)


def all_floors(nets: Compared, settings: EvidenceSettings) -> list[float]:
    """FLOORS of a pair of nets."""
    rng = np.random.default_rng(nets.seed(settings.seed, "derangements"))
    orders = floors.derangements(len(nets.pair.count), settings.derangements, rng)
    return [floors.layout_floor(nets.pair, *nets.maps), floors.shuffled_floor(nets.pair, *nets.maps, orders)]


def described(nets: Compared, rotated: np.ndarray, settings: EvidenceSettings) -> dict[tuple[str, str], Units]:
    """What is known of the units of both nets, each against the other.

    rotated: best similarity of the first net's units on rotated axes of the second (rotations, Ua)
    """
    back = nets.reversed()
    rotated_back = best_on_rotated_axes(back.pair, back.own_b, back.seed(settings.seed, "rotations"), len(rotated))
    ways = ((nets, rotated), (back, rotated_back))
    return {(way.a, way.b): describe(way.pair, way.own_b, best) for way, best in ways}


def evidence(path: Path, settings: EvidenceSettings) -> Found:
    """All evidence of a store of moments."""
    found = Found([], [], {})
    for a, b in combinations(compared(store.attributes(path, "moments")), 2):
        nets = load(path, a, b)
        of = of_pair(nets, settings)
        found.numbers.append(all_numbers(nets, of, settings))
        found.floors.append(all_floors(nets, settings))
        found.units.update(described(nets, of.best, settings))
    return found._replace(units=with_groups(found.units))


def arrays_of(found: Found) -> dict[str, np.ndarray]:
    """Arrays of all pairs of nets: the numbers, these without each block, the floors; units of each ordered pair."""
    of_units = {f"units/{trained_name(a)}-{trained_name(b)}": np.array(of) for (a, b), of in found.units.items()}
    return {
        **stacked(found.numbers),
        "floors": np.array(found.floors).T,
        **of_units,
    }


def units(path: Path, nets: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Number of all units and of live ones of some nets, each called as the trained net that it is or becomes."""
    totals = store.load(path, "total/count", *(f"total/*/{each}" for net in nets for each in (net, f"{net}-{net}")))
    moments = {name.removeprefix("total/"): array for name, array in totals.items()}
    live = {net: own_variance(moments, net) > 0 for net in nets}
    return {trained_name(net): (len(of), int(of.sum())) for net, of in live.items()}


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
    parser.add_argument("--logits", action="store_true", help="the layer's units are the classes of the images")
    return parser.parse_args(argv)


def require_same(paths: Mapping[str, Path]) -> None:
    """Raise InputError where stores of moments are of different layers, images or blocks."""
    attributes = {path: store.attributes(path, "moments") for path in paths.values()}
    for key in ("layer", "images", "fine_blocks", "blocks", "seed"):
        store.require_equal(key, **{str(path): of[key] for path, of in attributes.items()})


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    keep_freed_memory()
    settings = EvidenceSettings(args.rotations, args.derangements, args.seed, args.logits)
    paths = dict(zip(WAYS, [args.moments, *args.untrained], strict=False))
    require_same(paths)
    attributes = store.attributes(args.moments, "moments")
    arrays: dict[str, np.ndarray] = {}
    of_units: dict[str, dict[str, tuple[int, int]]] = {}
    for way, path in paths.items():
        found = evidence(path, settings)
        arrays |= {f"{way}/{name}": array for name, array in arrays_of(found).items()}
        of_units[way] = units(path, compared(store.attributes(path, "moments")))
    nets = {net: attributes["nets"][net] for net in compared(attributes)}
    about = {"layer": attributes["layer"], "images": attributes["images"], "nets": nets}
    store.save(
        args.output,
        arrays,
        kind="evidence",
        numbers=list(found.numbers[0]),
        floors=FLOORS,
        units=of_units,
        columns=Units._fields,
        **about,
    )


if __name__ == "__main__":
    main()
