"""How stable clusters of two nets' units are under resampled photographs, also after a rotation of the second net."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from sklearn.metrics import adjusted_rand_score

from ..alignment.correlation import joint_correlation
from ..alignment.rotation import rotated_joint_correlation
from ..moments.covariance import Arrays, variance
from ..seeds import derive
from .graphs import UNCLUSTERED, affinity, partition


def resampled(blocks: Arrays, a: str, b: str, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Covariance of the live units of both nets in each draw of blocks with replacement, a's units first.

    Each unit is scaled by its deviation in all blocks, as for the rotations; one that is constant in a draw is 0.
    """
    count = len(blocks["count"])
    draws = np.random.default_rng(derive(seed, "resamples")).multinomial(count, np.full(count, 1 / count), resamples)
    everything = np.concatenate([variance(blocks, net, np.ones(count)) for net in (a, b)])
    live = everything > 0
    for weights in draws:
        drawn = np.concatenate([variance(blocks, net, weights) for net in (a, b)])
        deviation = np.sqrt(drawn[live] / everything[live])
        joint = joint_correlation(blocks, a, b, weights)[np.ix_(live, live)]
        yield np.nan_to_num(joint * deviation[:, None] * deviation)


def rand_index(first: np.ndarray, second: np.ndarray) -> float:
    """Adjusted Rand index over the units that have a cluster in both; NaN where there are none. (units,) each"""
    both = (first != UNCLUSTERED) & (second != UNCLUSTERED)
    return adjusted_rand_score(first[both], second[both]) if both.any() else np.nan


def stability(draws: Iterable[np.ndarray], label: np.ndarray, rotations: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """Adjusted Rand index between clusters after each rotation and those of each draw after it. (draws, rotations)

    draws: covariances, as of ``resampled``; label: (rotations, units); rotations: (units_b, units_b) each
    """

    def index(covariance: np.ndarray, own: np.ndarray, rotation: np.ndarray) -> float:
        k = int(own.max(initial=UNCLUSTERED)) + 1
        if not k:
            return np.nan
        rotated = rotated_joint_correlation(covariance, len(covariance) - len(rotation), rotation)
        return rand_index(own, partition(affinity(rotated), k, k, derive(seed, "k-means"))[0])

    found = [[index(covariance, *way) for way in zip(label, rotations, strict=True)] for covariance in draws]
    return np.reshape(found, (-1, len(label)))
