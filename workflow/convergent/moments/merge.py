"""Shards of a layer's moments to one store: the blocks that it keeps, in order, and their total; a pair at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import store
from ..commands import InputError, command, new_parser
from . import blocks
from .blocks import Node
from .covariance import total


def joined(
    shards: Sequence[tuple[str, Sequence[Node]]], kept: Sequence[range], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Some arrays of the kept blocks, added up from the nodes of all shards, of which one at a time is in memory."""
    nodes: list[Node] = []
    rows: list[dict[str, np.ndarray]] = []
    for path, held in shards:
        arrays = store.load(path, *names)
        for row, node in enumerate(held):
            blocks.push(nodes, rows, node, {name: array[row] for name, array in arrays.items()}, kept)
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


SAME = [
    "layer",
    "images",
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
]


def checked(about: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[list[tuple[str, list[Node]]], list[range]]:
    """Nodes of each shard, and which fine blocks make up each kept one; one line and out where not all are there."""
    for key in SAME:
        store.require_equal(key, **{path: found[key] for path, found in about})
    first = about[0][1]
    kept = blocks.runs(first["fine_blocks"], first["blocks"])
    shards = [(path, [Node(*node) for node in found["nodes"]]) for path, found in about]
    order = [number for _, nodes in shards for node in nodes for number in blocks.covered(node, kept)]
    if order != list(range(first["fine_blocks"])):
        raise InputError(f"{first['layer']}: shards hold blocks {order}, not 0 to {first['fine_blocks'] - 1} in order")
    return shards, kept


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("shards", nargs="+", help="stores of one layer, in the order of their blocks (zarr.json)")
    parser.add_argument("output", help="store to write (zarr.json)")
    args = parser.parse_args(argv)
    about = [(path, store.attributes(path)) for path in args.shards]
    shards, kept = checked(about)
    first = about[0][1]
    store.create(args.output, {})
    digests: dict[str, str] = {}
    for pair in (name.removeprefix("comoment/") for name in first["arrays"] if name.startswith("comoment/")):
        found = joined(shards, kept, ["count", *(f"mean/{net}" for net in pair.split("-")), f"comoment/{pair}"])
        found |= {f"total/{name}": np.asarray(array) for name, array in total(found).items()}
        new = {name: array for name, array in found.items() if name not in digests}
        store.create(args.output, {name: (array.shape, array.dtype) for name, array in new.items()}, wipe=False)
        for name, array in new.items():
            store.write(args.output, name, array)
        digests |= {name: store.array_digest(array) for name, array in new.items()}
    names = [*first["arrays"], *(f"total/{name}" for name in first["arrays"])]
    store.finish(args.output, {name: digests[name] for name in names}, **{key: first[key] for key in SAME})


if __name__ == "__main__":
    main()
