"""Moments of a pair of nets between standardised units, and what a mapping loses and explains on them.

S source units, T target units, B blocks.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..alignment.matching import live_mean
from ..moments.covariance import Arrays, comoment, mean_deviations, own_variance, pooled
from .mappings import Scale


class Standardised(NamedTuple):
    """Moments of a pair of nets after standardising with a scale.

    If the scale comes from the moments' own images, offsets are 0 and variances 1.
    """

    gram: np.ndarray  # (S, S), zero where a unit is dead
    cross: np.ndarray  # (S, T), zero where a unit is dead
    variance: np.ndarray  # (T,), NaN where dead
    source_offset: np.ndarray  # (S,), zero where dead
    target_offset: np.ndarray  # (T,), NaN where dead


def scale_of(moments: Arrays, net: str) -> Scale:
    """Mean and deviation of a net's units, from total moments; the deviation of a dead unit is NaN. (units,) each"""
    deviation = np.sqrt(own_variance(moments, net) / moments["count"])
    return Scale(moments[f"mean/{net}"], np.where(deviation > 0, deviation, np.nan))


def standardised(moments: Arrays, source: str, target: str, scales: Mapping[str, Scale]) -> Standardised:
    """Moments of a pair of nets after standardising with scales by net, which may come from other images."""
    within, between = (comoment(moments, source, net) / moments["count"] for net in (source, target))
    variance = own_variance(moments, target) / moments["count"]
    source_scale, target_scale = scales[source], scales[target]
    return Standardised(
        gram=np.nan_to_num(within / source_scale.deviation[:, None] / source_scale.deviation),
        cross=np.nan_to_num(between / source_scale.deviation[:, None] / target_scale.deviation),
        variance=variance / target_scale.deviation**2,
        source_offset=np.nan_to_num((moments[f"mean/{source}"] - source_scale.mean) / source_scale.deviation),
        target_offset=(moments[f"mean/{target}"] - target_scale.mean) / target_scale.deviation,
    )


def without_each_block(blocks: Arrays, source: str, target: str, scales: Mapping[str, Scale]) -> list[Standardised]:
    """Standardised moments of all blocks but the first, but the second, ... (B of them)"""
    left = 1 - np.eye(len(blocks["count"]))  # (sets of blocks, B)
    moments = {"count": left @ blocks["count"]}
    moments |= {f"mean/{net}": mean_deviations(blocks, net, left)[2] for net in (source, target)}
    pairs = {(source, source), (source, target), (target, target)}
    moments |= {f"comoment/{a}-{b}": pooled(blocks, a, b, left) for a, b in pairs}
    return [
        standardised({name: array[k] for name, array in moments.items()}, source, target, scales)
        for k in range(len(left))
    ]


def evaluate(weights: np.ndarray, moments: Standardised) -> tuple[np.ndarray, np.ndarray]:
    """Loss (half the mean squared error) and R2 of each target on the moments' images. (..., T, S) -> 2 x (..., T)

    A mapping has no bias between standardised units, so that it pays for means that differ from the scale's. Both are
    NaN for dead targets; R2 also is for targets that do not vary on these images.
    """
    explained = np.einsum("...ts,...ts->...t", weights, 2 * moments.cross.T - weights @ moments.gram)
    offset = moments.target_offset - weights @ moments.source_offset
    error = moments.variance - explained + offset**2
    variance = np.where(moments.variance > 0, moments.variance, np.nan)
    return error / 2, 1 - error / variance


def mean_r2(weights: np.ndarray, moments: Standardised) -> float:
    """Mean R2 over live targets; NaN where there are none. (T, S)"""
    return live_mean(evaluate(weights, moments)[1])


def zero_loss(moments: Standardised) -> np.ndarray:
    """Loss of predicting zero, which is the mean on the training images, for each target. (T,)"""
    return (moments.variance + moments.target_offset**2) / 2
