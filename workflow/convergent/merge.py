"""Shards of a layer's moments to one store: the blocks that it keeps, in order, and their total; a pair at a time.

``pooled`` is the one place where blocks become moments of many images; its weights are what resampling needs.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import blocks, store
from .blocks import Node

Arrays = Mapping[str, np.ndarray]


def net_names(arrays: Arrays) -> list[str]:
    """Nets whose moments are there, in their order: net2 before net10."""
    return sorted((name[5:] for name in arrays if name.startswith("mean/")), key=lambda net: (len(net), net))


def trained(nets: Iterable[str]) -> list[str]:
    """Without the nets before training, which are a control of mappings only."""
    return [net for net in nets if not net.endswith("_untrained")]


def comoment(arrays: Arrays, a: str, b: str) -> np.ndarray:
    """Stored co-moments of a pair in either direction. (..., units_a, units_b)"""
    if f"comoment/{a}-{b}" in arrays:
        return arrays[f"comoment/{a}-{b}"]
    return np.swapaxes(arrays[f"comoment/{b}-{a}"], -1, -2)


def spread(blocks: Arrays, net: str, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Block means as differences from the pooled mean, and samples of each block. (..., blocks, units), (..., blocks)

    Means enter as differences from those of the first block that counts, so that a unit without variance in the blocks
    that count gives exactly 0.
    """
    samples, means = weights * blocks["count"], blocks[f"mean/{net}"]
    moved = means - means[(weights > 0).argmax(-1)][..., None, :]
    moved -= (samples / samples.sum(-1, keepdims=True))[..., None, :] @ moved
    return moved, samples


def pooled(blocks: Arrays, a: str, b: str, weights: np.ndarray) -> np.ndarray:
    """Co-moments of blocks taken together, each ``weights`` times (one row for each resample).

    (resamples, blocks) or (blocks,) -> (..., units_a, units_b)
    """
    (moved_a, samples), (moved_b, _) = spread(blocks, a, weights), spread(blocks, b, weights)
    between = np.swapaxes(moved_a * samples[..., None], -1, -2) @ moved_b
    return np.tensordot(weights, comoment(blocks, a, b), 1) + between


def variance(blocks: Arrays, net: str, weights: np.ndarray) -> np.ndarray:
    """The diagonal of ``pooled`` of a net with itself, alone. (..., units)"""
    moved, samples = spread(blocks, net, weights)
    within = np.diagonal(comoment(blocks, net, net), axis1=1, axis2=2)
    return weights @ within + np.einsum("...b,...bu,...bu->...u", samples, moved, moved)


def total(blocks: Arrays) -> dict[str, np.ndarray]:
    """``count``, ``mean/<net>`` and ``comoment/<a>-<b>`` of all blocks together, added in their order."""
    count = blocks["count"]
    found: dict[str, np.ndarray] = {"count": count.sum()}
    for net in net_names(blocks):
        mean = blocks[f"mean/{net}"]
        found[f"mean/{net}"] = mean[0] + count @ (mean - mean[0]) / count.sum()
    for name in blocks:
        if name.startswith("comoment/"):
            a, b = name.removeprefix("comoment/").split("-")
            found[name] = pooled(blocks, a, b, np.ones(len(count)))
    return found


def load_pair(path: str, a: str, b: str, prefix: str = "") -> dict[str, np.ndarray]:
    """Stored moments of a pair of nets and of each with itself; ``total/`` is a prefix."""
    names = ["count", *(f"mean/{net}" for net in (a, b)), *(f"comoment/{x}-{y}" for x in (a, b) for y in (a, b))]
    found = store.load(path, *(prefix + name for name in names))
    return {name.removeprefix(prefix): array for name, array in found.items()}


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


SAME = ["layer", "images", "limit", "nets", "blocks", "fine_blocks", "batch", "seed", "modules", "grid", "resampled"]


def checked(about: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[list[tuple[str, list[Node]]], list[range]]:
    """Nodes of each shard, and which fine blocks make up each kept one; one line and out where not all are there."""
    for key in SAME:
        store.require_equal(key, **{path: found[key] for path, found in about})
    first = about[0][1]
    kept = blocks.runs(first["fine_blocks"], first["blocks"])
    shards = [(path, [Node(*node) for node in found["nodes"]]) for path, found in about]
    order = [number for _, nodes in shards for node in nodes for number in blocks.covered(node, kept)]
    if order != list(range(first["fine_blocks"])):
        raise SystemExit(f"{first['layer']}: shards hold blocks {order}, not 0 to {first['fine_blocks'] - 1} in order")
    return shards, kept


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
