"""Principal angles between the subspaces that two sets of units span, from their correlation.

The canonical correlations of the two sets are the cosines of the principal angles.
"""

import numpy as np

CUTOFF = 1e-4  # share of the largest variance below which a direction is the rounding of float32 activations


def whitening(covariance: np.ndarray) -> np.ndarray:
    """Combinations of units that are uncorrelated and have variance 1. (units, units) -> (units, kept)

    Directions whose variance is below CUTOFF of the largest are dropped.
    """
    values, vectors = np.linalg.eigh(covariance)
    kept = values > CUTOFF * values[-1]
    return vectors[:, kept] / np.sqrt(values[kept])


def canonical_correlations(joint: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Canonical correlations between two sets of units, descending: cosines of the principal angles of their spans.

    joint: correlation or covariance (units, units); first, second: numbers of rows of it, for the two sets
    -> (dimensions of the smaller span,)
    """
    left, right = (whitening(joint[np.ix_(side, side)]) for side in (first, second))
    return np.linalg.svd(left.T @ joint[np.ix_(first, second)] @ right, compute_uv=False).clip(0, 1)


def smallest_principal_angle(cosines: np.ndarray) -> float:
    """Smallest principal angle between two subspaces in degrees. cosines: their canonical correlations, descending"""
    return np.degrees(np.arccos(cosines[0]))
