"""Random rotations of a net's standardised units, which similarity and clusters are compared with.

A rotation keeps the subspace that the units span and destroys their axes.
"""

from typing import Any, TypeAlias

import numpy as np

PANEL = 128  # reflections that are applied together, as two matrix products

Array: TypeAlias = Any  # of numpy or, on a GPU, of torch


def reflections(units: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Householder reflections of Gaussian vectors of units, units - 1, ... entries, as the columns of a triangle.

    -> vectors whose first entry is 1 (units, units); half their squared lengths, signs of the reflected axes (units,)
    """
    vectors = np.tril(rng.standard_normal((units, units), dtype=np.float32))
    vectors[-1:, -1:] = np.copysign(1, vectors[-1:, -1:])  # of one entry the sign alone matters; in float32 it may be 0
    head = np.diagonal(vectors).astype(float)
    length = np.sqrt(np.einsum("ij,ij->j", vectors, vectors, dtype=float))
    sign = np.copysign(1, head)
    head += sign * length
    vectors /= head.astype(np.float32)
    np.fill_diagonal(vectors, 1)
    return vectors, (length / np.abs(head)).astype(np.float32), -sign.astype(np.float32)


def random_rotation(units: int, rng: np.random.Generator, place: Any = None) -> Array:
    """An orthogonal matrix drawn from the uniform (Haar) distribution, in float32. (units, units)

    A product of random reflections and signs (Stewart 1980): what the QR decomposition of a Gaussian matrix would
    give, without its first half. Reflections are applied PANEL by PANEL as I - V T V', where the inverse of T is the
    upper triangle of V'V with half of its diagonal. place: a torch device; without one it is an array of numpy
    """
    vectors, halves, signs = reflections(units, rng)
    xp: Any = np
    if place is not None:
        import torch as xp

        vectors, halves, signs = (xp.from_numpy(x).to(place) for x in (vectors, halves, signs))
    rotation = xp.diag(signs)
    for first in reversed(range(0, units, PANEL)):
        panel, rest = vectors[first:, first : first + PANEL], rotation[first:, first:]
        inverse = xp.triu(panel.T @ panel, 1) + xp.diag(halves[first : first + PANEL])
        rest -= panel @ (xp.linalg.inv(inverse) @ (panel.T @ rest))
    return rotation


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
