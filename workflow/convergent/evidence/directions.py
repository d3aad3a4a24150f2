"""How surprising a unit's best similarity is among random directions of the other net's standardised units.

A direction d, uniform on the sphere, has similarity w'd / sqrt(d' R d) with a unit whose correlations with the other
net's units are w, where R is the correlation of these among themselves. It reaches T > 0 where d' (w w' - T^2 R) d > 0
and w'd > 0. Of that quadratic form one eigenvalue alone is positive, and the contour of the inversion of its moment
generating function shrinks to one branch cut. With R = diag(r) in its eigenvectors, h(s) = sum w^2 s / (1 + s r) and
h(s0) = T^2,

    F(T) = 1 / (2 pi) integral from s0 to infinity of ds / (s sqrt(prod(1 + s r)) sqrt(h(s) / T^2 - 1)),

which is what the share among infinitely many random directions tends to, without their noise and their smallest share.
"""

import numpy as np

from ..alignment.matching import greedy, partner_similarity
from .crossfit import WIDEST

RANK = 1e-6  # share of the largest variance below which a direction is the rounding of float32 products
NODES = 40  # of the integral, whose integrand is analytic: twice as many change its ninth digit at most
ROUNDS = 16  # of Newton's method, which approaches both roots from one side; 10 give all digits
NEGLIGIBLE = 80.0  # logarithm of the squared fall at which the integrand has ended


def crossing(levels: np.ndarray, loads: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """1 / s0 of each row, where h(s0) is its level; tiny where h stays below. (rows,), (rows, rank), (rank,) -> (rows,)

    1 / h is concave in 1 / s, and linear where one direction dominates.
    """
    inverse = loads.sum(1) / levels
    for _ in range(ROUNDS):
        parts = loads / (inverse[:, None] + variances)
        value, slope = parts.sum(1), (parts / (inverse[:, None] + variances)).sum(1)
        inverse = np.maximum(inverse - (1 / value - 1 / levels) * value**2 / slope, RANK**2 * variances.max())
    return inverse


def extent(start: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Logarithm of s / s0 at which the product over s r has risen by NEGLIGIBLE. (rows, rank), (rank,) -> (rows,)"""
    end = np.minimum(NEGLIGIBLE / (start / (1 + start)).sum(1), 300)
    for _ in range(ROUNDS):
        grown = start * np.exp(end)[:, None]
        gain = (np.log1p(grown) - np.log1p(start)).sum(1) - NEGLIGIBLE
        end = np.maximum(end - gain / (grown / (1 + grown)).sum(1), 1e-300)
    return end


def upper_tail(levels: np.ndarray, loads: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Share of directions whose similarity is sqrt(levels) or more. (rows,), (rows, rank), (rank,) -> (rows,)

    loads: squares of the correlations with the eigenvectors, whose variances are ``variances``, at least two.
    With s = s0 exp(x^2) the integrand is even and analytic: the midpoint rule converges exponentially.
    """
    inverse = crossing(levels, loads, variances)
    start = variances / inverse[:, None]
    step = np.sqrt(extent(start, variances)) / NODES
    tail = np.zeros_like(levels)
    for node in range(NODES):
        x = (node + 0.5) * step
        grown = start * np.exp(x**2)[:, None]
        excess = np.expm1(x**2) / inverse * (loads / ((1 + grown) * (1 + start))).sum(1) / levels
        tail += step * x / np.sqrt(excess) * np.exp(-0.5 * np.log1p(grown).sum(1))
    return tail / np.pi


def direction_share(best: np.ndarray, similarity: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Share F of random directions of net b whose similarity with a unit is ``best`` or more. -> (units_a,)

    best: (units_a,); similarity: correlations with b's units (units_a, units_b); within: correlations of these among
    themselves (units_b, units_b). NaN for a dead unit; dead units of b span no direction.
    """
    rows, columns = (~np.isnan(similarity).all(axis=axis) for axis in (1, 0))
    share = np.full(len(similarity), np.nan)
    if not rows.any():
        return share
    variances, vectors = np.linalg.eigh(within[np.ix_(columns, columns)])
    kept = variances > RANK * variances[-1]
    loads = (similarity[np.ix_(rows, columns)] @ vectors[:, kept]) ** 2
    levels = np.maximum(best[rows] ** 2, np.finfo(float).tiny ** 0.5)
    tail = upper_tail(levels, loads, variances[kept]) if kept.sum() > 1 else np.full(len(levels), 0.5)
    share[rows] = np.where(best[rows] > 0, tail, 1 - tail)
    return share


def best_direction_p(similarity: np.ndarray, within: np.ndarray) -> np.ndarray:
    """p of the best similarity of each unit of net a: would as many random directions of b do as well? -> (units_a,)

    similarity: (units_a, units_b), within: (units_b, units_b), as of ``direction_share``. The best of u live units is
    compared with the best of u directions: p = 1 - (1 - F)^u. NaN for a dead unit, and for all where b has more than
    WIDEST units.
    """
    if len(within) > WIDEST:
        return np.full(len(similarity), np.nan)
    share = direction_share(partner_similarity(similarity, greedy(similarity)), similarity, within)
    live = (~np.isnan(similarity).all(axis=0)).sum()
    with np.errstate(divide="ignore"):
        return -np.expm1(live * np.log1p(-share))


def false_discovery_rate(p: np.ndarray) -> np.ndarray:
    """q of each p: the rate of false discoveries if all as small are called (Benjamini & Hochberg 1995). (units,)

    NaN, of dead units, stays NaN and counts as no test.
    """
    from scipy.stats import false_discovery_control  # here, for a second that those who only read q need not wait

    q, tested = np.full(len(p), np.nan), ~np.isnan(p)
    q[tested] = false_discovery_control(p[tested])
    return q
