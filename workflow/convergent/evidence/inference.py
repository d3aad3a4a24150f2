"""Intervals of numbers of pairs of nets, over photographs and over nets.

A number stands for all photographs and all seeds, of which a run has a few dozen and a few. Two delete-one jackknives
say how far it depends on each of them, and their variances add. Contrasts (trained less untrained, one layer less
another, measured less rotated) are the functions below on differences, block by block and pair by pair.

Shapes may have leading axes, for many numbers at once.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

LEVEL = 0.95  # of all intervals

Pairs = Sequence[tuple[Any, Any]]  # the two nets of each pair, by numbers or by names


class Interval(NamedTuple):
    """Means over pairs of nets with 95 % intervals, standard errors and degrees of freedom of their t. (...) each"""

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error_photographs: np.ndarray
    error_nets: np.ndarray  # NaN with fewer than three nets: the interval is then one over photographs alone
    df: np.ndarray


def photographs_error(without: np.ndarray) -> np.ndarray:
    """Standard error over photographs: the delete-one jackknife over blocks. (..., B) -> (...)"""
    return np.sqrt((without.shape[-1] - 1) * without.var(axis=-1))


def _known_mean(value: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean of the known values, NaN of none. (..., pairs) each -> (...)"""
    with np.errstate(invalid="ignore"):
        return np.where(known, value, 0).sum(-1) / known.sum(-1)


def _apart(pairs: Pairs) -> np.ndarray:
    """Whether a pair is without a net. (nets, pairs)"""
    of: np.ndarray = np.array(pairs)
    return np.array([(of != net).all(axis=1) for net in np.unique(of)])


def nets_known(value: np.ndarray, pairs: Pairs) -> np.ndarray:
    """How many nets are in pairs that have a value. (..., pairs) -> (...)"""
    return (np.isfinite(value)[..., None, :] & ~_apart(pairs)).any(-1).sum(-1)


def nets_error(value: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Standard error over nets of a mean over pairs: the delete-one jackknife over nets. (..., pairs) -> (...)

    sqrt((n - 1) / n sum of (mean without a net - mean of these)^2). Pairs share nets, so that they are not independent:
    a standard error over pairs is far too small. NaN with fewer than three nets, and where one net is in all pairs.
    """
    apart, known = _apart(pairs), np.isfinite(value)[..., None, :]
    present = (known & ~apart).any(-1)  # (..., nets)
    means = _known_mean(value[..., None, :], known & apart)
    deviations = np.where(present, means - _known_mean(means, present)[..., None], 0)
    nets = present.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt((nets - 1) / nets * (deviations**2).sum(-1))
    return np.where(nets >= 3, error, np.nan)[()]


def t_quantile(df: np.ndarray) -> np.ndarray:
    """What Student's t lies within, on both sides of 0, with probability LEVEL. (...) -> (...)"""
    from scipy.special import stdtrit

    return stdtrit(df, (1 + LEVEL) / 2)


def half_width(errors: np.ndarray, freedom: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half an interval's width and its degrees of freedom from standard errors that add. (..., sources) each -> (...)

    The degrees of freedom are those of Satterthwaite (1946, Biometrics Bulletin 2) and Welch. They are too many where a
    source with few of them (two blocks, three nets) is small by luck: with 2 blocks, 4 to 6 nets and small differences
    between nets, intervals cover 88 to 90 %. So none is narrower than that of one source alone: 94 % and more.
    errors: NaN of a source that is not known; where none is, the width is NaN
    """
    variances = np.nan_to_num(errors**2)
    total = variances.sum(-1)
    weights = np.divide(variances, total[..., None], out=np.full_like(variances, 0.5), where=total[..., None] > 0)
    df = 1 / (weights**2 / freedom).sum(-1)
    alone = (t_quantile(freedom) * np.sqrt(variances)).max(-1)
    half = np.maximum(t_quantile(df) * np.sqrt(total), alone)
    return np.where(np.isnan(errors).all(-1), np.nan, half)[()], df


def interval(value: np.ndarray, without: np.ndarray, pairs: Pairs) -> Interval:
    """Interval of a mean over pairs. (..., pairs), and without each block (..., pairs, B) -> (...)

    A pair without a value (NaN: one of its nets has no live unit) is left out.
    """
    known = np.isfinite(value)
    estimate = _known_mean(value, known)
    replicates = _known_mean(np.swapaxes(without, -1, -2), known[..., None, :])
    errors = np.stack([photographs_error(replicates), nets_error(value, pairs)], axis=-1)
    nets = np.maximum(nets_known(value, pairs) - 1, 1)
    half, df = half_width(errors, np.stack([np.full_like(nets, without.shape[-1] - 1), nets], axis=-1))
    return Interval(estimate, estimate - half, estimate + half, errors[..., 0], errors[..., 1], df)


def share_interval(value: np.ndarray, without: np.ndarray, pairs: Pairs, units: int) -> Interval:
    """Interval of a mean share, on the logit scale, so that it lies within [0, 1]. Its errors are those of the share.

    At exactly 0 or 1 the logit is infinite, and a jackknife sees little or nothing vary. The interval is then Wilson's
    (1927, JASA 22) for independent units: from 0 to t^2 / (units + t^2), or from 1 as far down.
    units: how many the share is of, in one net; value, without: as of ``interval``
    """
    plain = interval(value, without, pairs)
    share = plain.estimate
    inside = (share > 0) & (share < 1)
    odds = np.where(inside, share, 0.5) / (1 - np.where(inside, share, 0.5))
    step = (plain.high - share) * (1 + odds) ** 2 / odds  # of the logarithm of the odds
    squared = t_quantile(plain.df) ** 2
    reach = squared / (units + squared)
    with np.errstate(over="ignore"):
        low, high = (1 / (1 + np.exp(-sign * step) / odds) for sign in (-1, 1))
    low = np.where(inside, low, np.where(share == 1, 1 - reach, share))[()]
    high = np.where(inside, high, np.where(share == 0, reach, share))[()]
    return plain._replace(low=np.minimum(low, share), high=np.maximum(high, share))  # rounding may put them beyond


def ends(name: str, found: Interval) -> dict[str, float]:
    """A number with the ends of its interval, by column of a table."""
    return {name: float(found.estimate), f"{name}_low": float(found.low), f"{name}_high": float(found.high)}


class OfPairs(NamedTuple):
    """A number of several pairs of nets, and without each block."""

    value: np.ndarray  # (pairs,)
    without: np.ndarray  # (pairs, B)
    pairs: Pairs

    def interval(self) -> Interval:
        """The mean over pairs with its interval."""
        return interval(*self)


def difference(first: OfPairs, second: OfPairs) -> OfPairs:
    """One number less another, pair by pair and block by block.

    Of pairs of nets that both have. Layers that keep different blocks have no block in common: NaN without each.
    """
    both = [pair for pair in first.pairs if pair in second.pairs]
    (x, without_x), (y, without_y) = (
        (of.value[where], of.without[where])
        for of in (first, second)
        for where in [[list(of.pairs).index(pair) for pair in both]]
    )
    same = without_x.shape == without_y.shape
    return OfPairs(x - y, without_x - without_y if same else np.full((len(both), 2), np.nan), both)
