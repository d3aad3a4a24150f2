"""Numbers of a pair of nets, cross-fitted and on the same images, on rotated axes and in excess of these.

All are means over both directions, a to b and b to a. Each comes with its replicates, the same number without each
block, from which ``inference`` makes intervals.

Replicates of cross-fitted numbers keep the partners, so that the luck in choosing these is not in the error over
photographs: for one pair alone it is a sixth to two fifths too small, and a 95 % interval covers 73 to 94 %. The luck
differs from pair to pair and is in the error over nets: of three and more nets, intervals cover about 94 to 98 %.
Chosen again without each block, partners jump, and the error would be up to twice too large. That is how it is with the
shares (mutual, overlap), which have no other replicates: with 52 blocks their errors are two to three times too large.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..alignment import matching
from ..alignment.matching import UNMATCHED, greedy, live_mean, overlap, partner_similarity
from .crossfit import (
    Between,
    Replicated,
    Ways,
    all_blocks,
    crossfit,
    exact_ones,
    inverse,
    without_each_block,
)
from .partners import greedy_ways, mutually_best, stability
from .turning import gpu_of, standardised, turns

FEW = 8  # blocks up to which each changes the correlation so much that prices of its own make the assignment faster
EXCEEDING = ("greedy_crossfit", "assigned_crossfit")  # numbers whose excess over rotated axes is computed

Numbers = dict[str, Replicated]


class PairNumbers(NamedTuple):
    """Numbers of a pair of nets, named as in ``numbers``. Without rotations the last two are empty."""

    measured: Numbers
    rotated: Numbers  # means over random rotations of b's standardised units
    excess: Numbers  # of the cross-fitted ones: (measured - rotated) / (1 - rotated)
    best: np.ndarray  # best similarity of each unit of a after each rotation; NaN of a dead unit (rotations, Ua)

    def named(self) -> Numbers:
        """All numbers, with ``_rotated`` and ``_excess`` behind the names of the latter."""
        endings = zip(("", "_rotated", "_excess"), self[:3], strict=True)
        return {f"{name}{ending}": number for ending, of in endings for name, number in of.items()}


class Rotations(NamedTuple):
    """How many random rotations of a pair. Only the first few are assigned and halved: that takes most of the time."""

    seed: int
    greedy: int = 10
    assigned: int = 3


def _mean_over_units(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of the values that are not NaN, NaN of none. (..., units), (units,) -> (...)"""
    weights = np.where(np.isnan(values), 0, weights)
    total = weights.sum(-1)
    sums = np.where(weights > 0, values * weights, 0).sum(-1)
    return np.divide(sums, total, out=np.full(np.shape(total), np.nan), where=total > 0)


def mean_crossfit(pair: Between, partners: Ways) -> Replicated:
    """Mean cross-fitted similarity over live units and both directions. A unit counts by its share of blocks matched.

    partners: those of a's units and those of b's, without each block. (B, Ua), (B, Ub)
    """
    directions = []
    for moments, chosen in zip((pair, pair.reversed()), partners, strict=True):
        value, without = crossfit(moments, chosen)
        weights = (chosen != UNMATCHED).mean(0)
        directions.append([_mean_over_units(value, weights), *_mean_over_units(without, weights)])
    value, *left = np.mean(directions, axis=0)
    return Replicated(float(value), np.array(left))


def both_ways(correlation: np.ndarray, assign: bool, prices: np.ndarray | float = 0) -> dict[str, Ways]:
    """Greedy and assigned partners in both directions. (Ua, Ub) -> name -> (Ua,), (Ub,)

    prices: as of ``matching.prices``, of similar values, to save time
    """
    chosen = {"greedy": greedy_ways(correlation)}
    if assign:
        assigned = matching.assignment(correlation, prices)
        chosen["assigned"] = (assigned, inverse(assigned, correlation.shape[1]))
    return chosen


def mutual(partners: Ways) -> float:
    """Share of units that are the partner of their partner, among those that have one; mean over both directions."""
    shares = []
    for first, second in (partners, partners[::-1]):
        matched = first != UNMATCHED
        shares.append(mutually_best(first, second)[matched].mean() if matched.any() else np.nan)
    return float(np.mean(shares))


def same_images(correlation: np.ndarray, chosen: dict[str, Ways]) -> dict[str, float]:
    """Numbers of partners that were chosen on the images they are measured on. Means over both directions.

    greedy, assigned: mean similarity of live units; mutual: share of live units that are mutually best; overlap: share
    of units whose greedy and assigned partners are equal.
    """
    found = {"mutual": mutual(chosen["greedy"])}
    for name, (of_a, of_b) in chosen.items():
        values = partner_similarity(correlation, of_a), partner_similarity(correlation.T, of_b)
        found[name] = float(np.mean([live_mean(exact_ones(x)) for x in values]))
    if "assigned" in chosen:
        ways = zip(chosen["greedy"], chosen["assigned"], strict=True)
        found["overlap"] = float(np.mean([overlap(greedy, assigned) for greedy, assigned in ways]))
    return found


def numbers(pair: Between, assign: bool = True, whole: np.ndarray | None = None) -> Numbers:
    """Numbers of an unordered pair: ``same_images``, ``greedy_crossfit``, ``assigned_crossfit`` and ``stability``.

    Without ``assign`` those of assigned partners and of halves are left out. Replicates of ``same_images`` choose
    partners again. whole: ``all_blocks`` of the pair, where it is known (Ua, Ub)
    """
    whole = all_blocks(pair) if whole is None else whole
    prices = matching.prices(whole) if assign else 0
    value = same_images(whole, both_ways(whole, assign, prices))
    chosen, without = [], []
    for correlation in without_each_block(pair):
        if assign and len(pair.count) <= FEW:
            prices = matching.prices(correlation)
        chosen.append(both_ways(correlation, assign, prices))
        without.append(same_images(correlation, chosen[-1]))
    found = {name: Replicated(value[name], np.array([row[name] for row in without])) for name in value}
    for name in chosen[0]:
        of_a, of_b = (np.array(side) for side in zip(*(fold[name] for fold in chosen), strict=True))
        found[f"{name}_crossfit"] = mean_crossfit(pair, (of_a, of_b))
    return found | ({"stability": stability(pair)} if assign else {})


def greedy_crossfit(pair: Between) -> float:
    """The number of this name alone."""
    of_a, of_b = zip(*map(greedy_ways, without_each_block(pair)), strict=True)
    return mean_crossfit(pair, (np.array(of_a), np.array(of_b))).value


def stacked(pairs: Sequence[Numbers]) -> dict[str, np.ndarray]:
    """Numbers of several pairs as arrays: value (numbers, pairs), and without each block (numbers, pairs, B)."""
    of_pairs = [[pair[name] for pair in pairs] for name in pairs[0]]
    return {
        "value": np.array([[number.value for number in row] for row in of_pairs]),
        "without": np.array([[number.without for number in row] for row in of_pairs]),
    }


def mean_numbers(several: Iterable[Numbers]) -> Numbers:
    """Mean of each number over those that have it."""
    names: dict[str, list[Replicated]] = {}
    for found in several:
        for name, number in found.items():
            names.setdefault(name, []).append(number)
    return {
        name: Replicated(float(np.mean([x.value for x in rows])), np.mean([x.without for x in rows], axis=0))
        for name, rows in names.items()
    }


def excess(measured: Replicated, rotated: Replicated) -> Replicated:
    """(measured - rotated) / (1 - rotated): 0 where axes are no more alike than rotated ones, 1 where all are equal."""
    with np.errstate(invalid="ignore", divide="ignore"):
        value, without = ((np.asarray(x) - y) / (1 - np.asarray(y)) for x, y in zip(measured, rotated, strict=True))
    return Replicated(float(value), without)


def pair_numbers(
    pair: Between, own: np.ndarray | None = None, rotations: Rotations | None = None, assign: bool = True
) -> PairNumbers:
    """All numbers of an unordered pair: measured, on rotated axes of net b, and in excess of these.

    own: products of b with itself, as of ``between`` (B, Ub, Ub); needed for rotations
    assign: whether numbers of assigned partners are among them
    """
    measured = numbers(pair, assign)
    best = np.full((rotations.greedy if rotations else 0, pair.products.shape[1]), np.nan)
    if own is None or rotations is None:
        return PairNumbers(measured, {}, {}, best)
    live = int((pair.squares_b.sum(0) > 0).sum())
    if not live:  # no axes to rotate: all numbers are NaN
        nothing = {name: measured[name] for name in EXCEEDING if name in measured}
        return PairNumbers(measured, measured, nothing, best)
    found = []
    for k, turned in enumerate(turns(standardised(pair, own, gpu_of(live)), rotations.seed, rotations.greedy)):
        whole = all_blocks(turned)
        best[k] = partner_similarity(whole, greedy(whole))
        found.append(numbers(turned, assign and k < rotations.assigned, whole))
    null = mean_numbers(found)
    names = [name for name in EXCEEDING if name in null]
    return PairNumbers(measured, null, {name: excess(measured[name], null[name]) for name in names}, best)
