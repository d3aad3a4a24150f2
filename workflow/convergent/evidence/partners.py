"""Shares of greedy partners: those that both halves of the photographs choose, and those of the same class."""

import numpy as np

from ..alignment.matching import UNMATCHED, greedy, overlap
from .crossfit import Between, Replicated, Ways, all_blocks, some_blocks, without_each_block


def greedy_ways(correlation: np.ndarray) -> Ways:
    """Greedy partners in both directions. (Ua, Ub) -> (Ua,), (Ub,)"""
    return greedy(correlation), greedy(correlation.T)


def mutually_best(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Which units are the partners of their partners. (units_a,), (units_b,) -> (units_a,) bool"""
    if not backward.size:
        return np.zeros(len(forward), bool)
    return (forward != UNMATCHED) & (backward[forward] == np.arange(len(forward)))


def stability(pair: Between) -> Replicated:
    """Share of units that have the same partner by even and by odd blocks; mean over both directions.

    Blocks are drawn by seed, so that these are random halves. A block is left out of its own half alone; NaN where that
    leaves none.
    """
    even = np.arange(len(pair.count)) % 2 == 0
    without = np.full(len(pair.count), np.nan)
    halves = [(kept, some_blocks(pair, kept)) for kept in (even, ~even)]
    chosen = [greedy_ways(all_blocks(half)) for _, half in halves]
    for (kept, half), others in zip(halves, chosen[::-1], strict=True):
        if len(half.count) > 1:
            without[kept] = [shared(greedy_ways(left), others) for left in without_each_block(half)]
    return Replicated(shared(*chosen), without)


def shared(first: Ways, second: Ways) -> float:
    """Share of units whose partner is equal in both matchings; mean over both directions."""
    return float(np.mean([overlap(*partners) for partners in zip(first, second, strict=True)]))


def same_class(pair: Between) -> Replicated:
    """Share of logits whose partner is the logit of the same class: a positive control. Mean over both directions."""
    own = np.arange(pair.products.shape[1]), np.arange(pair.products.shape[2])
    without = [shared(greedy_ways(left), own) for left in without_each_block(pair)]
    return Replicated(shared(greedy_ways(all_blocks(pair)), own), np.array(without))
