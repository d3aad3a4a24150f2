"""Random rotations of a net's standardised units, the chance level of alignment and of clusters.

A rotation keeps the subspace that the units span and destroys their axes.
"""

import numpy as np

from ..moments.covariance import Arrays, pooled, variance
from .correlation import correlation


def random_rotation(units: int, rng: np.random.Generator) -> np.ndarray:
    """An orthogonal matrix drawn from the uniform (Haar) distribution. (units, units)"""
    q, r = np.linalg.qr(rng.normal(size=(units, units)))
    return q * np.sign(np.diagonal(r))


def rotated_correlation(blocks: Arrays, a: str, b: str, weights: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Correlation of net a with net b after a rotation of b's live units, from block moments.

    Block i counts ``weights[i]`` times. b's units are standardised on all blocks before they are rotated.
    weights: (blocks,); rotation: (live units of b, live units of b) -> (units_a, live units of b)
    """
    deviation = np.sqrt(variance(blocks, b, np.ones(len(weights))))
    live = deviation > 0
    varies = variance(blocks, b, weights)[live] > 0  # on these blocks
    combinations = rotation / deviation[live] * varies  # (rotated units, live units)
    between = pooled(blocks, a, b, weights)[:, live] @ combinations.T
    within = pooled(blocks, b, b, weights)[np.ix_(live, live)]
    variances = np.einsum("ij,ij->i", combinations @ within, combinations)
    return correlation(between, variance(blocks, a, weights), variances)


def rotated_joint_correlation(joint: np.ndarray, split: int, rotation: np.ndarray) -> np.ndarray:
    """Joint correlation of two nets after a rotation of the second net's standardised units.

    joint: (units, units) with the first net's ``split`` units first, all units live
    rotation: (units - split, units - split) -> (units, units)
    """
    rotated = joint.copy()
    first, second = slice(split), slice(split, None)
    rotated[first, second] = joint[first, second] @ rotation.T
    rotated[second, second] = rotation @ joint[second, second] @ rotation.T
    deviation = np.sqrt(np.diagonal(rotated)[second])
    rotated[:, second] /= deviation
    rotated[second, second] /= deviation[:, None]
    rotated[second, first] = rotated[first, second].T
    return rotated
