"""Similarity of two nets' layers as a whole, by measures of other publications, from moments of blocks.

Each has its replicates, the number without each block, for a jackknife. What a measure has fitted is kept there, which
changes its maximum by the second order alone: the rotation of Procrustes, the plan of soft matching.
"""

import numpy as np

from ..alignment.matching import assignment, live_mean
from .crossfit import WIDEST, Between, Replicated, all_blocks
from .regression import ridge_r2
from .units import similarity_without

MEASURES = ("cka", "procrustes", "ridge_r2", "soft_matching")


def block_overlaps(products: np.ndarray) -> np.ndarray:
    """Inner products of the co-moments of every two blocks. (B, units_a, units_b) -> (B, B)"""
    flat = products.reshape(len(products), -1)
    return flat @ flat.T


def between_blocks(overlaps: np.ndarray) -> np.ndarray:
    """Sum over pairs of different blocks, of all blocks and without each. (B, B) -> (1 + B,)"""
    different = overlaps - np.diag(np.diagonal(overlaps))
    return different.sum() - np.append(0, 2 * different.sum(1))


def cka(pair: Between, own_a: np.ndarray, own_b: np.ndarray) -> Replicated:
    """Linear CKA (Kornblith et al. 2019) between different photographs.

    own_a, own_b: products of each net with itself (B, Ua, Ua), (B, Ub, Ub). It is the correlation of the inner products
    of two samples in net a with those in net b, over all pairs of samples of different blocks. So what samples of one
    photograph have in common counts for nothing: unrelated nets have 0, and equal ones 1. The usual correction (Song et
    al. 2012) leaves out each sample with itself, which is not enough where samples depend on each other. Centring takes
    the means of these pairs from 0; they are subtracted. NaN where a net is dead.
    """
    overlaps = [block_overlaps(products) for products in (pair.products, own_a, own_b)]
    pairs = between_blocks(np.outer(pair.count, pair.count))
    sums = [pair.count[:, None] * shift for shift in (pair.shift_a, pair.shift_b)]
    mean_a, mean_b = (between_blocks(part @ part.T) / np.sqrt(pairs) for part in sums)
    means = (mean_a * mean_b, mean_a**2, mean_b**2)
    shared, within_a, within_b = (between_blocks(part) - mean for part, mean in zip(overlaps, means, strict=True))
    scale = np.sqrt(within_a * within_b)
    found = np.divide(shared, scale, out=np.full_like(scale, np.nan), where=scale > 0)
    return Replicated(float(found[0]), found[1:])


def procrustes(pair: Between) -> Replicated:
    """Nuclear norm of the co-moments by the root of the total variances; the cosine of Williams et al. (2021).

    It is 1 for nets that are equal up to a rotation and a scale, and NaN where a net is dead.
    """
    left, _, right = np.linalg.svd(pair.products.sum(0), full_matrices=False)
    aligned = np.tensordot(pair.products, left @ right, 2)
    sums = [aligned, pair.squares_a.sum(1), pair.squares_b.sum(1)]
    together, total_a, total_b = (np.append(part.sum(), part.sum() - part) for part in sums)
    scale = np.sqrt(total_a * total_b)
    found = np.divide(together, scale, out=np.full_like(scale, np.nan), where=scale > 0)
    return Replicated(float(found[0]), found[1:])


def transport(similarity: np.ndarray) -> np.ndarray:
    """Plan of uniform margins with the largest total similarity. (units_a, units_b), all live -> (units_a, units_b)

    At equal widths it is the assignment, by the theorem of Birkhoff.
    """
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, kron, vstack

    a, b = similarity.shape
    if a == b:
        plan = np.zeros((a, b))
        plan[np.arange(a), assignment(similarity)] = 1 / a
        return plan
    margins = vstack([kron(eye_array(a), np.ones((1, b))), kron(np.ones((1, a)), eye_array(b))], format="csr")
    sums = np.concatenate([np.full(a, 1 / a), np.full(b, 1 / b)])
    return linprog(-similarity.ravel(), A_eq=margins, b_eq=sums, method="highs-ds").x.reshape(a, b)


def soft_matching(pair: Between) -> Replicated:
    """Soft matching score (Khosla & Williams 2024): mean correlation under the best transport of live units.

    It is symmetric; at equal numbers of live units it is the mean of the assigned similarity. NaN where a net is dead,
    and where these numbers differ and exceed WIDEST.
    """
    correlations = all_blocks(pair)
    live_a, live_b = (np.flatnonzero(squares.sum(0) > 0) for squares in (pair.squares_a, pair.squares_b))
    widths = {len(live_a), len(live_b)}
    if min(widths) == 0 or (len(widths) > 1 and max(widths) > WIDEST):
        return Replicated(np.nan, np.full(len(pair.count), np.nan))
    plan = transport(correlations[np.ix_(live_a, live_b)])
    rows, columns = np.nonzero(plan)
    weights, chosen = plan[rows, columns], (live_a[rows], live_b[columns])
    return Replicated(float(correlations[chosen] @ weights), similarity_without(pair, *chosen) @ weights)


def mean_ridge_r2(pair: Between, own_a: np.ndarray, own_b: np.ndarray) -> Replicated:
    """Mean held-out R2 over live units and both directions by ridge regression; NaN of nets wider than WIDEST.

    It has no replicates: they are NaN.
    """
    ways = ((pair, own_b), (pair.reversed(), own_a))
    value = np.mean([live_mean(ridge_r2(*way)) for way in ways])
    return Replicated(float(value), np.full(len(pair.count), np.nan))


def means_apart(count: np.ndarray, means_a: np.ndarray, means_b: np.ndarray) -> Replicated:
    """Difference between the sorted mean activations of two nets, by their size (paper, figure S10).

    sum |a - b| / (sum (|a| + |b|) / 2) over ranks; those of unequal widths are interpolated to the larger one. It is 0
    for equal distributions. count: samples of blocks (B,); means of each block (B, Ua), (B, Ub)
    """
    kept = np.vstack([np.ones(len(count)), 1 - np.eye(len(count))]) * count
    kept /= kept.sum(1, keepdims=True)
    ranks = (np.arange(max(means_a.shape[1], means_b.shape[1])) + 0.5) / max(means_a.shape[1], means_b.shape[1])
    a, b = (_at_ranks(np.sort(kept @ means), ranks) for means in (means_a, means_b))
    size = (np.abs(a) + np.abs(b)).sum(1) / 2
    found = np.divide(np.abs(a - b).sum(1), size, out=np.full_like(size, np.nan), where=size > 0)
    return Replicated(float(found[0]), found[1:])


def _at_ranks(ascending: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Values at ranks from 0 to 1, between those of units. (rows, units), (ranks,) -> (rows, ranks)"""
    own = (np.arange(ascending.shape[1]) + 0.5) / ascending.shape[1]
    return np.array([np.interp(ranks, own, row) for row in ascending])


def measures(pair: Between, own_a: np.ndarray, own_b: np.ndarray) -> dict[str, Replicated]:
    """All measures of an unordered pair by name. own_a, own_b: products of each net with itself, as of ``cka``."""
    found = cka(pair, own_a, own_b), procrustes(pair), mean_ridge_r2(pair, own_a, own_b), soft_matching(pair)
    return dict(zip(MEASURES, found, strict=True))
