"""One store of a layer's moments from its shards: the blocks that the layer keeps, and their total.

It takes one pair of nets after the other, so that co-moments of a single pair are in memory.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import store
from ..commands import InputError, command, new_parser
from .blocks import Node, TreeSum, covered, runs_of
from .covariance import total

SHARED = (  # attributes in which all shards agree, and which the merged store has too
    "layer",
    "images",
    "split",
    "limit",
    "nets",
    "controls",
    "blocks",
    "fine_blocks",
    "batch",
    "seed",
    "modules",
    "grid",
    "resampled",
)


OF_SHARDS = (
    "device",
    "products",
    "threads",
    "torch",
    "numpy",
)  # of shards alone: bits depend on them, so they agree too


class Shard(NamedTuple):
    """A store of a shard, and the node of each of its rows."""

    path: str
    nodes: list[Node]


def add_up(shards: Iterable[Shard], runs: Sequence[range], names: Sequence[str]) -> dict[str, np.ndarray]:
    """The named arrays of all kept blocks (blocks, ...), with the arrays of one shard at a time in memory."""
    kept: list[dict[str, np.ndarray]] = []
    tree = TreeSum(runs, kept)
    for shard in shards:
        arrays = store.load(shard.path, *names)
        for row, node in enumerate(shard.nodes):
            tree.push(node, {name: array[row] for name, array in arrays.items()})
    return {name: np.stack([moments[name] for moments in kept]) for name in kept[0]}


def require_complete(shards: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[list[Shard], list[range]]:
    """Shards, from their paths and attributes, and the fine blocks of each kept block.

    Raises InputError where a store is no shard, where shards differ in what they were made from or on, or do not hold
    each fine block once in order.
    """
    for path, attributes in shards:
        if missing := [key for key in (*SHARED, *OF_SHARDS, "nodes") if key not in attributes]:
            raise InputError(f"{path}: not a shard of moments, or one of an older version: it has no {missing[0]}")
    for key in (*SHARED, *OF_SHARDS):
        store.require_equal(key, **{path: attributes[key] for path, attributes in shards})
    store.require_equal("arrays", **{path: list(attributes["arrays"]) for path, attributes in shards})
    first = shards[0][1]
    runs = runs_of(first["fine_blocks"], first["blocks"])
    with_nodes = [Shard(path, [Node(*node) for node in attributes["nodes"]]) for path, attributes in shards]
    held = [number for shard in with_nodes for node in shard.nodes for number in covered(node, runs)]
    if held != list(range(first["fine_blocks"])):
        raise InputError(f"{first['layer']}: shards hold blocks {held}, not 0 to {first['fine_blocks'] - 1} in order")
    return with_nodes, runs


def names_of_pair(names: Iterable[str], pair: str) -> list[str]:
    """The arrays that are merged with a pair ``<a>-<b>``: its own, the counts and means that these need, and for a net
    with itself all that are of this net.
    """
    a, b = pair.split("-")
    needed, owners = ("count", f"mean/{a}", f"mean/{b}"), {pair, a} if a == b else {pair}
    return [name for name in names if name in needed or name.split("/")[-1] in owners]


def moments_of_pair(shards: Sequence[Shard], runs: Sequence[range], names: Sequence[str]) -> dict[str, np.ndarray]:
    """The named arrays, those of a pair: of each kept block, and under ``total/`` of all together."""
    kept = add_up(shards, runs, names)
    return kept | {f"total/{name}": np.asarray(array) for name, array in total(kept).items()}


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("shards", nargs="+", help="stores of the shards of one layer, in order of blocks (zarr.json)")
    parser.add_argument("output", help="store to write (zarr.json)")
    args = parser.parse_args(argv)
    attributes = [store.attributes(path, "moments of a shard") for path in args.shards]
    shards, runs = require_complete(list(zip(args.shards, attributes, strict=True)))
    names = list(attributes[0]["arrays"])
    store.create(args.output, {})
    digests: dict[str, list[str]] = {}
    for pair in (name.removeprefix("comoment/") for name in names if name.startswith("comoment/")):
        arrays = moments_of_pair(shards, runs, names_of_pair(names, pair))
        new = {name: array for name, array in arrays.items() if name not in digests}
        store.create(args.output, {name: (array.shape, array.dtype) for name, array in new.items()}, wipe=False)
        for name, array in new.items():
            store.write(args.output, name, array)
        digests |= {name: store.array_digests(array) for name, array in new.items()}
    ordered = {name: digests[name] for name in [*names, *(f"total/{name}" for name in names)]}
    store.finish(args.output, ordered, kind="moments", **{key: attributes[0][key] for key in SHARED})


if __name__ == "__main__":
    main()
