"""Random rotations of a net's standardised units, which similarity and clusters are compared with.

A rotation keeps the subspace that the units span and destroys their axes.
"""

import numpy as np


def random_rotation(units: int, rng: np.random.Generator) -> np.ndarray:
    """An orthogonal matrix drawn from the uniform (Haar) distribution. (units, units)"""
    q, r = np.linalg.qr(rng.normal(size=(units, units)))
    return q * np.sign(np.diagonal(r))


def rotated_joint_correlation(joint: np.ndarray, split: int, rotation: np.ndarray) -> np.ndarray:
    """Correlation of two nets' units after a rotation of the second net's; NaN of a unit without variance.

    joint: correlation, or covariance of units of a scale of their own (units, units), the first net's ``split`` first
    rotation: (units - split, units - split) -> (units, units)
    """
    rotated = joint.copy()
    first, second = slice(split), slice(split, None)
    rotated[first, second] = joint[first, second] @ rotation.T
    rotated[second, second] = rotation @ joint[second, second] @ rotation.T
    rotated[second, first] = rotated[first, second].T
    variance = np.diagonal(rotated)
    scale = np.divide(1, np.sqrt(variance), out=np.full(len(joint), np.nan), where=variance > 0)
    return rotated * scale[:, None] * scale
