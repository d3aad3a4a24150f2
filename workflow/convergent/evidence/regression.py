"""Held-out R2 of linear mappings from the units of net b to each unit of net a, from block moments.

Blocks are dealt into folds. A mapping is fitted without a fold, on source units standardised there, and evaluated on it
about the means of the training folds, which are what it knows.
"""

from typing import NamedTuple

import numpy as np

from ..alignment.matching import live_mean
from .crossfit import WIDEST, Between

FOLDS = 8  # at most
PENALTIES = 10.0 ** np.arange(
    -4, 4
)  # of a ridge regression, in units of the variance of a standardised source, the mean of its directions
RANK = 1e-6  # share of the largest variance below which a direction is the rounding of float32 products


class Sums(NamedTuple):
    """Moments of folds F about the means of all together, of source and target units; or those of one."""

    samples: np.ndarray  # (F,)
    within: np.ndarray  # co-moments of the sources (F, S, S)
    products: np.ndarray  # of sources and targets (F, S, T)
    source_squares: np.ndarray  # (F, S), 0 of dead units
    target_squares: np.ndarray  # (F, T)
    source_shift: np.ndarray  # mean of the fold less that of all (F, S)
    target_shift: np.ndarray  # (F, T)


class Held(NamedTuple):
    """Squared errors of each held-out fold F and penalty L, and squares about the training means."""

    errors: np.ndarray  # (F, L, T)
    squares: np.ndarray  # (F, T)


def dealt(pair: Between, own: np.ndarray) -> Sums:
    """Moments of at most FOLDS folds; block k belongs to fold k modulo their number.

    The sources are the units of b, the targets those of a. own: products of b with itself (B, S, S)
    """
    folds = min(FOLDS, len(pair.count))
    member = np.arange(len(pair.count)) % folds == np.arange(folds)[:, None]  # (folds, B)
    parts = (pair.count, own, pair.products.swapaxes(1, 2), pair.squares_b, pair.squares_a)
    added = [np.tensordot(member, part, 1) for part in parts]
    shares = member * pair.count / added[0][:, None]
    return Sums._make([*added, shares @ pair.shift_b, shares @ pair.shift_a])


def split(folds: Sums, k: int) -> tuple[Sums, Sums]:
    """Moments of all folds but k about their own means, and of fold k about these too. Shifts are those of fold k."""
    n, others = folds.samples[k], folds.samples.sum() - folds.samples[k]
    source, target = folds.source_shift[k], folds.target_shift[k]
    outer = (np.outer(source, source), np.outer(source, target), source**2, target**2)
    total, own = [part.sum(0) for part in folds[1:5]], [part[k] for part in folds[1:5]]
    train = [x - y - n**2 / others * z for x, y, z in zip(total, own, outer, strict=True)]
    gain = n * (((n + others) / others) ** 2 - 1)
    test = [y + gain * z for y, z in zip(own, outer, strict=True)]
    return Sums._make([others, *train, source, target]), Sums._make([n, *test, source, target])


def fold_errors(train: Sums, test: Sums, alive: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Squared errors on a fold of mappings that are fitted without it. (S,) bool, (L,) -> (L, T)

    Solved in the eigenvectors of the sources' correlation. Those below RANK of the largest are left out: without
    penalty this is the mapping of the least norm, and sources that depend on each other do no harm.
    """
    scale = np.where(alive, 1 / np.sqrt(np.where(alive, train.source_squares, 1)), 0)
    variances, vectors = np.linalg.eigh(train.within * scale * scale[:, None])
    kept = variances > RANK * variances[-1]
    directions, variances = scale[:, None] * vectors[:, kept], variances[kept]
    loads, held = directions.T @ train.products, directions.T @ test.products  # (directions, T)
    within = directions.T @ test.within @ directions
    errors = np.empty((len(penalties), len(test.target_squares)))
    for penalty, row in zip(penalties, errors, strict=True):
        weights = loads / (variances + penalty)[:, None]
        row[:] = test.target_squares + (weights * (within @ weights - 2 * held)).sum(0)
    return errors


def held_out(pair: Between, own: np.ndarray, penalties: np.ndarray) -> Held:
    """Squared errors of mappings with each penalty, in units of the variance of a standardised source. (L,)

    own: products of b with itself (B, Ub, Ub). A unit that varies in one fold alone is no source where that fold is
    held out.
    """
    folds = dealt(pair, own)
    held = []
    for k in range(len(folds.samples)):
        train, test = split(folds, k)
        alive = train.source_squares > RANK * folds.source_squares.sum(0)
        held.append((fold_errors(train, test, alive, penalties), test.target_squares))
    errors, squares = zip(*held, strict=True)
    return Held(np.array(errors), np.array(squares))


def r2(errors: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """R2 over all folds; NaN of a dead target. (F, T) each -> (T,)"""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - errors.sum(0) / np.where(squares.sum(0) > 0, squares.sum(0), np.nan)


def linear_r2(pair: Between, own: np.ndarray) -> np.ndarray:
    """Held-out R2 of each unit of a from all live units of b without a penalty. -> (Ua,)

    NaN of a dead unit, and of all where b has more than WIDEST units. own: products of b with itself (B, Ub, Ub)
    """
    if own.shape[1] > WIDEST:
        return np.full(pair.products.shape[1], np.nan)
    held = held_out(pair, own, np.zeros(1))
    return r2(held.errors[:, 0], held.squares)


def ridge_r2(pair: Between, own: np.ndarray) -> np.ndarray:
    """Held-out R2 of each unit of a from all live units of b by ridge regression. -> (Ua,)

    NaN of a dead unit, and of all where b has more than WIDEST units. One penalty of PENALTIES serves all units: in
    each fold the one of the largest mean R2 in the others.
    own: products of b with itself (B, Ub, Ub)
    """
    if own.shape[1] > WIDEST:
        return np.full(pair.products.shape[1], np.nan)
    held = held_out(pair, own, PENALTIES)
    chosen = []
    for k in range(len(held.squares)):
        others = np.arange(len(held.squares)) != k
        found = [r2(errors[others], held.squares[others]) for errors in held.errors.swapaxes(0, 1)]
        chosen.append(held.errors[k, np.argmax([live_mean(values) for values in found])])
    return r2(np.array(chosen), held.squares)
