"""Shards of a layer's moments to one store: blocks in order, and their total.

``pooled`` is the one place where blocks become moments of many images; its weights are what resampling needs.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from . import store

Arrays = Mapping[str, np.ndarray]
KEPT = ("layer", "images", "limit", "nets", "blocks", "batch", "seed", "modules", "grid", "resampled")  # of the shards


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


def concatenate(shards: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """The blocks of all shards, in the order of the shards."""
    return {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", nargs="+", help="stores of one layer, in the order of their blocks (zarr.json)")
    parser.add_argument("output", help="store to write (zarr.json)")
    args = parser.parse_args(argv)
    about = [(path, store.attributes(path)) for path in args.shards]
    for key in KEPT:
        store.require_equal(key, **{path: found[key] for path, found in about})
    order = [number for _, found in about for number in found["block"]]
    first = about[0][1]
    if order != list(range(first["blocks"])):
        raise SystemExit(f"{args.output}: shards hold blocks {order}, not 0 to {first['blocks'] - 1} in order")
    blocks = concatenate([store.load(path) for path in args.shards])
    kept = {key: first[key] for key in KEPT}
    store.save(args.output, {**blocks, **{f"total/{name}": array for name, array in total(blocks).items()}}, **kept)


if __name__ == "__main__":
    main()
