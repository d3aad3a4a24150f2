"""Block moments about the means of all blocks, from activations."""

import numpy as np

from workflow.convergent.evidence.crossfit import Between


def edges(samples: int, blocks: int) -> list[np.ndarray]:
    """Samples of blocks of unequal sizes."""
    sizes = np.linspace(1, 2, blocks)
    return np.split(np.arange(samples), (sizes.cumsum()[:-1] / sizes.sum() * samples).astype(int))


def between(x: np.ndarray, y: np.ndarray, parts: list[np.ndarray]) -> Between:
    """Moments of two nets. (samples, units_x), (samples, units_y)"""
    alive = [np.ptp(z, axis=0) > 0 for z in (x, y)]
    x, y = x - x.mean(0), y - y.mean(0)
    squares = [
        np.array([(z[part] ** 2).sum(0) for part in parts]) * live for z, live in zip((x, y), alive, strict=True)
    ]
    shifts = [np.array([z[part].mean(0) for part in parts]) for z in (x, y)]
    return Between(
        np.array([len(part) for part in parts]), np.array([x[part].T @ y[part] for part in parts]), *squares, *shifts
    )


def correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlations, NaN of constant units. (samples, units_x), (samples, units_y) -> (units_x, units_y)"""
    with np.errstate(invalid="ignore", divide="ignore"):
        x, y = ((z - z.mean(0)) / np.where(np.ptp(z, axis=0) > 0, z.std(0), np.nan) for z in (x, y))
    return x.T @ y / len(x)
