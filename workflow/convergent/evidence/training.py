"""How alike the units of nets are at steps of their training, from before the first to the last, in one layer.

All states are measured alike. Moments of snapshots have fewer blocks than those of trained and of untrained nets, which
saves disk and time, so that blocks of the latter are added up. Only greedy partners are looked at.
"""

import argparse
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import store
from ..commands import command, new_parser
from ..files import read_json
from ..moments.blocks import runs_of
from ..moments.covariance import joined, load_pair
from ..nets.names import twin_name
from ..seeds import derive
from .compare import TRAINED, UNTRAINED, units
from .crossfit import between
from .pairs import Numbers, Rotations, pair_numbers, stacked
from .summary import Evidence, Row, cells

DESCRIBED = ("sha256", "snapshot_of", "becomes", "step", "steps")  # entries of a snapshot's description
ROTATED = 400  # units that are rotated of each pair, at least: rotations of narrow layers vary more, and cost little


class State(NamedTuple):
    """Nets at one step of their training."""

    name: str  # untrained, snapshot1, ..., trained
    step: int
    moments: Path
    nets: list[str]  # as they are called in the moments


def states(trained: Path, untrained: Path, snapshots: Path, descriptions: Sequence[Path]) -> list[State]:
    """All states by step, of the nets that have snapshots, from stores of moments and descriptions of the snapshots.

    Raises InputError where these are of other weights, or not of the same steps of every net.
    """
    described = {file.stem: read_json(file, "description of a snapshot", DESCRIBED) for file in descriptions}
    weights = {path: store.attributes(path, "moments")["nets"] for path in (trained, snapshots)}
    at_step: dict[int, dict[str, str]] = {}
    for name, of in described.items():
        at_step.setdefault(of["step"], {})[of["snapshot_of"]] = name
        for path, net, digest in ((snapshots, name, of["sha256"]), (trained, of["snapshot_of"], of["becomes"])):
            store.require_equal(f"weights of {net}", **{name: digest, str(path): weights[path].get(net)})
    nets = list(dict.fromkeys(of["snapshot_of"] for of in described.values()))
    store.require_equal("nets", **{f"step {step}": sorted(names) for step, names in at_step.items()})
    store.require_equal("numbers of steps", **{name: of["steps"] for name, of in described.items()})
    between_ends = [
        State(f"snapshot{number}", step, snapshots, [names[net] for net in nets])
        for number, (step, names) in enumerate(sorted(at_step.items()), 1)
    ]
    first = State(UNTRAINED, 0, untrained, [twin_name(net) for net in nets])
    return [first, *between_ends, State(TRAINED, next(iter(described.values()))["steps"], trained, nets)]


def state_numbers(state: State, kept: int, rotations: int, seed: int) -> list[Numbers]:
    """Numbers of each pair of a state's nets. kept: number of blocks; rotations: of each pair, at least"""
    found = []
    for a, b in combinations(state.nets, 2):
        blocks = load_pair(state.moments, a, b)
        blocks = joined(blocks, runs_of(len(blocks["count"]), kept))
        turns = Rotations(derive(seed, "rotations", a, b), max(rotations, ROTATED // blocks[f"mean/{b}"].shape[1]))
        found.append(pair_numbers(between(blocks, a, b), between(blocks, b, b).products, turns, assign=False).named())
    return found


def rows(layer: str, steps: Sequence[int], evidence: Mapping[str, Evidence]) -> list[Row]:
    """Rows of a layer's table, one a state: means over pairs with intervals over photographs and nets.

    steps: of each state in order, the last of them the number of all steps
    """
    return [
        {"layer": layer, "state": state, "step": step, "share": step / steps[-1], **cells(of, of.value, slice(None))}
        for step, (state, of) in zip(steps, evidence.items(), strict=True)
    ]


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("trained", type=Path, help="store of one layer's moments of trained nets (zarr.json)")
    parser.add_argument("untrained", type=Path, help="the same before training")
    parser.add_argument("snapshots", type=Path, help="the same at steps of the training")
    parser.add_argument("output", type=Path, help="store to write (zarr.json)")
    parser.add_argument(
        "--descriptions", type=Path, nargs="+", required=True, help="descriptions of all snapshots of all nets (.json)"
    )
    parser.add_argument("--rotations", type=int, default=2, help="random rotations of each pair of nets, at least")
    parser.add_argument("--seed", type=int, default=0, help="seed of the rotations")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    paths = (args.trained, args.untrained, args.snapshots)
    attributes = {path: store.attributes(path, "moments") for path in paths}
    for key in ("layer", "images", "fine_blocks", "seed"):
        store.require_equal(key, **{str(path): of[key] for path, of in attributes.items()})
    known = states(*paths, args.descriptions)
    kept = min(of["blocks"] for of in attributes.values())
    arrays: dict[str, np.ndarray] = {}
    for state in known:
        found = state_numbers(state, kept, args.rotations, args.seed)
        arrays |= {f"{state.name}/{name}": array for name, array in stacked(found).items()}
    weights = attributes[args.trained]["nets"]
    about = {
        "layer": attributes[args.trained]["layer"],
        "images": attributes[args.trained]["images"],
        "nets": {net: weights[net] for net in known[-1].nets},
        "steps": {state.name: state.step for state in known},
        "units": {state.name: units(state.moments, state.nets) for state in known},
    }
    store.save(args.output, arrays, kind="training evidence", numbers=list(found[0]), floors=[], **about)


if __name__ == "__main__":
    main()
