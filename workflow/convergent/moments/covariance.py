"""Covariances of any pair of nets from stored moments, over all blocks or over a resample of them.

``pooled`` is the one place where moments of blocks become moments of many images. Its weights say how often each block
counts; the bootstrap draws them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import store
from .blocks import is_mean

Arrays = Mapping[str, np.ndarray]

# A unit whose deviation is at most this share of its mean varies no more than the rounding of float32 activations,
# which differs between batches of different sizes; see docs/accuracy.md.
ROUNDING = 32 * float(np.finfo(np.float32).eps)


def compared(attributes: Mapping[str, Any]) -> list[str]:
    """Names of the nets that are compared, from the attributes of a store of moments: all but the control nets."""
    return [net for net in attributes["nets"] if net not in attributes["controls"]]


def comoment(arrays: Arrays, a: str, b: str) -> np.ndarray:
    """Co-moments of a pair, of which one direction is stored. (..., units_a, units_b)"""
    if f"comoment/{a}-{b}" in arrays:
        return arrays[f"comoment/{a}-{b}"]
    return np.swapaxes(arrays[f"comoment/{b}-{a}"], -1, -2)


def dead(variance: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Which units are dead: all that do not vary by more than the rounding of their activations.

    variance: mean square of the deviations from the mean. (..., units) each -> (..., units) bool
    """
    return variance <= (ROUNDING * mean) ** 2


def live_squares(squares: np.ndarray, mean: np.ndarray, samples: np.ndarray | int) -> np.ndarray:
    """Sums of squares of each unit, exactly 0 of a dead one. (..., units), (..., units), (...) -> (..., units)"""
    return np.where(dead(squares / np.asarray(samples)[..., None], mean), 0, squares)


def own_variance(moments: Arrays, net: str) -> np.ndarray:
    """Sums of squares of a net's units from one set of moments; 0 of a dead unit. (units,)"""
    return live_squares(np.diagonal(comoment(moments, net, net)), moments[f"mean/{net}"], moments["count"])


def mean_deviations(blocks: Arrays, net: str, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Differences of the block means from the pooled mean, weighted samples of each block, and the pooled mean.

    (..., blocks) -> (..., blocks, units), (..., blocks), (..., units)

    The mean of the first block that counts is subtracted first, so that a unit that is constant in all blocks that
    count gives exactly 0.
    """
    samples, means = weights * blocks["count"], blocks[f"mean/{net}"]
    first = means[(weights > 0).argmax(-1)][..., None, :]
    deviations = means - first
    pooled_deviation = (samples / samples.sum(-1, keepdims=True))[..., None, :] @ deviations
    deviations -= pooled_deviation
    return deviations, samples, (first + pooled_deviation)[..., 0, :]


def pooled(blocks: Arrays, a: str, b: str, weights: np.ndarray) -> np.ndarray:
    """Co-moments of all images of the blocks together, each block counted ``weights`` times.

    weights: (blocks,), or (resamples, blocks) for many at once -> (..., units_a, units_b)
    """
    (deviations_a, samples, _), (deviations_b, _, _) = (
        mean_deviations(blocks, a, weights),
        mean_deviations(blocks, b, weights),
    )
    between = np.swapaxes(deviations_a * samples[..., None], -1, -2) @ deviations_b
    return np.tensordot(weights, comoment(blocks, a, b), 1) + between


def variance(blocks: Arrays, net: str, weights: np.ndarray) -> np.ndarray:
    """Sums of squares of each unit, the diagonal of ``pooled`` of a net with itself; 0 of a dead unit. (..., units)"""
    deviations, samples, mean = mean_deviations(blocks, net, weights)
    within = np.diagonal(comoment(blocks, net, net), axis1=1, axis2=2)
    squares = weights @ within + np.einsum("...b,...bu,...bu->...u", samples, deviations, deviations)
    return live_squares(squares, mean, samples.sum(-1))


def total(blocks: Arrays) -> dict[str, np.ndarray]:
    """``count``, all means and ``comoment/<a>-<b>`` of all blocks together, each of the type that it has by blocks."""
    count = blocks["count"]
    moments: dict[str, np.ndarray] = {"count": count.sum()}
    for name, array in blocks.items():
        if is_mean(name):
            difference = np.subtract(array, array[0], dtype=np.float64).reshape(len(count), -1)
            pooled_difference = (count @ difference / count.sum()).reshape(array.shape[1:])
            moments[name] = (array[0] + pooled_difference).astype(array.dtype)
        elif name.startswith("comoment/"):
            a, b = name.removeprefix("comoment/").split("-")
            moments[name] = pooled(blocks, a, b, np.ones(len(count)))
    return moments


def joined(blocks: Arrays, runs: Sequence[range]) -> dict[str, np.ndarray]:
    """``count``, ``mean/<net>`` and co-moments of fewer blocks, of which each is a run of the blocks that there are."""
    weights = np.zeros((len(runs), len(blocks["count"])))
    for row, run in zip(weights, runs, strict=True):
        row[run] = 1
    moments = {"count": (weights @ blocks["count"]).astype(blocks["count"].dtype)}
    for name in blocks:
        if name.startswith("mean/"):
            moments[name] = mean_deviations(blocks, name.removeprefix("mean/"), weights)[2]
        elif name.startswith("comoment/"):
            a, b = name.removeprefix("comoment/").split("-")
            moments[name] = pooled(blocks, a, b, weights)
    return moments


def load_pair(path: str | Path, a: str, b: str, prefix: str = "", positions: bool = False) -> dict[str, np.ndarray]:
    """Stored moments of two nets and of each with itself; prefix ``total/`` loads those of all blocks together.

    With ``positions`` the means of each position are among them.
    """
    means = ("mean", "positions") if positions else ("mean",)
    names = ["count", *(f"{mean}/{net}" for mean in means for net in (a, b))]
    names += [f"comoment/{x}-{y}" for x in (a, b) for y in (a, b)]
    arrays = store.load(path, *(prefix + name for name in names))
    return {name.removeprefix(prefix): array for name, array in arrays.items()}


def net_means(path: str | Path) -> dict[str, np.ndarray]:
    """Mean activation of each unit over all images, of the nets that are compared. net -> (units,)"""
    nets = compared(store.attributes(path, "moments"))
    means = store.load(path, *(f"total/mean/{net}" for net in nets))
    return {net: means[f"total/mean/{net}"] for net in nets}
