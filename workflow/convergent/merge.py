"""Shards of a layer's moments to one store: blocks in order, and their total.

``pooled`` is the one place where blocks become moments of many images; with weights it is what resampling needs.
"""

import argparse
from collections.abc import Mapping, Sequence

import numpy as np

from . import store

Arrays = Mapping[str, np.ndarray]


def net_names(arrays: Arrays) -> list[str]:
    """Nets whose moments are there, in their order: net2 before net10."""
    return sorted((name[5:] for name in arrays if name.startswith("mean/")), key=lambda net: (len(net), net))


def comoment(arrays: Arrays, a: str, b: str) -> np.ndarray:
    """Stored co-moments of a pair in either direction. (..., units_a, units_b)"""
    if f"comoment/{a}-{b}" in arrays:
        return arrays[f"comoment/{a}-{b}"]
    return np.swapaxes(arrays[f"comoment/{b}-{a}"], -1, -2)


def pooled(blocks: Arrays, a: str, b: str, weights: np.ndarray | None = None) -> np.ndarray:
    """Co-moments of blocks taken together, each ``weights`` times (once without). (units_a, units_b)

    Block means enter as differences from the first block's, so that a unit without variance gives exactly 0. ``weights``
    may be (resamples, blocks); then the result is (resamples, units_a, units_b).
    """
    count, products = blocks["count"].astype(float), comoment(blocks, a, b)
    weights = np.ones(len(count)) if weights is None else np.asarray(weights, float)
    share = weights * count / (weights * count).sum(-1, keepdims=True)  # (..., blocks)
    step = {net: blocks[f"mean/{net}"] - blocks[f"mean/{net}"][0] for net in {a, b}}
    mean = {net: share @ step[net] for net in step}  # (..., units)
    within = np.tensordot(weights, products, 1)
    samples = (weights * count)[..., None, :]
    moved = {net: step[net] - mean[net][..., None, :] for net in step}  # (..., blocks, units)
    return within + (np.swapaxes(moved[a], -1, -2) * samples) @ moved[b]


def total(blocks: Arrays) -> dict[str, np.ndarray]:
    """``count``, ``mean/<net>`` and ``comoment/<a>-<b>`` of all blocks together, added in their order."""
    count = blocks["count"]
    found: dict[str, np.ndarray] = {"count": count.sum()}
    for net in net_names(blocks):
        mean = blocks[f"mean/{net}"]
        found[f"mean/{net}"] = mean[0] + count @ (mean - mean[0]) / count.sum()
    for name in blocks:
        if name.startswith("comoment/"):
            found[name] = pooled(blocks, *name.removeprefix("comoment/").split("-"))
    return found


def concatenate(shards: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """The blocks of all shards, in the order of the shards."""
    return {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", nargs="+", help="stores of one layer, in the order of their blocks (zarr.json)")
    parser.add_argument("output", help="store to write (zarr.json)")
    args = parser.parse_args(argv)
    about = {path: store.attributes(path) for path in args.shards}
    for key in ("layer", "images", "nets", "blocks", "batch", "seed"):
        store.require_equal(key, **{path: found[key] for path, found in about.items()})
    order = [number for found in about.values() for number in found["block"]]
    first = next(iter(about.values()))
    if order != list(range(first["blocks"])):
        raise SystemExit(f"{args.output}: shards hold blocks {order}, not 0 to {first['blocks'] - 1} in order")
    blocks = concatenate([store.load(path) for path in args.shards])
    kept = {key: first[key] for key in ("layer", "images", "nets", "blocks", "batch", "seed")}
    store.save(args.output, {**blocks, **{f"total/{name}": array for name, array in total(blocks).items()}}, **kept)


if __name__ == "__main__":
    main()
