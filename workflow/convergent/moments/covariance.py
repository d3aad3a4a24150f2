"""Stored moments as covariances of any pair of nets, over all blocks or over blocks that count several times.

``pooled`` is the one place where blocks become moments of many images; its weights are what resampling needs.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import store

Arrays = Mapping[str, np.ndarray]


def net_names(arrays: Arrays) -> list[str]:
    """Nets whose moments are there, in their order: net2 before net10."""
    return sorted((name[5:] for name in arrays if name.startswith("mean/")), key=lambda net: (len(net), net))


def compared(about: Mapping[str, Any]) -> list[str]:
    """Nets of a store of moments, from its attributes, without those that are a control of mappings only."""
    return [net for net in about["nets"] if net not in about["controls"]]


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


def net_means(path: str) -> dict[str, np.ndarray]:
    """Mean activation over all images of the units of each net that is compared. net -> (units,)"""
    nets = compared(store.attributes(path))
    found = store.load(path, *(f"total/mean/{net}" for net in nets))
    return {net: found[f"total/mean/{net}"] for net in nets}
