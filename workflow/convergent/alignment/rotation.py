"""Random rotations of a net's standardised units, which similarity and clusters are compared with.

A rotation keeps the subspace that the units span and destroys their axes.
"""

import numpy as np


def random_rotation(units: int, rng: np.random.Generator) -> np.ndarray:
    """An orthogonal matrix drawn from the uniform (Haar) distribution. (units, units)"""
    q, r = np.linalg.qr(rng.normal(size=(units, units)))
    return q * np.sign(np.diagonal(r))


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
