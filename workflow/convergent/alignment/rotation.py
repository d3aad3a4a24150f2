"""Random rotations of a net's standardised units, which keep their subspace and destroy their axes."""

import numpy as np

from ..moments.covariance import Arrays, pooled, variance
from .correlation import correlation


def random_rotation(units: int, rng: np.random.Generator) -> np.ndarray:
    """An orthogonal matrix from the uniform (Haar) distribution. (units, units)"""
    q, r = np.linalg.qr(rng.normal(size=(units, units)))
    return q * np.sign(np.diagonal(r))


def rotated(blocks: Arrays, a: str, b: str, weights: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Correlation after a rotation of b's live units, standardised on all blocks. (units_a, live units of b)"""
    deviation = np.sqrt(variance(blocks, b, np.ones(len(weights))))
    live = deviation > 0
    turn = rotation / deviation[live]  # (new, live)
    between = pooled(blocks, a, b, weights)[:, live] @ turn.T
    within = np.einsum("ij,ij->i", turn @ pooled(blocks, b, b, weights)[np.ix_(live, live)], turn)
    return correlation(between, variance(blocks, a, weights), within)
