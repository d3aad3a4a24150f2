"""Similarity of units to partners in another net that were chosen on other photographs, from block moments.

A maximum over candidates is biased upward where it is chosen and measured on the same images. Here a unit's partner is
chosen without a block and measured on that block, for each block in turn; the products of all blocks together give one
similarity.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..alignment.matching import UNMATCHED
from ..moments.covariance import Arrays, comoment, mean_deviations, variance

CONSTANT = 1e-12  # share of a unit's squares below which it is constant in the blocks that are left
WIDEST = 1_024  # units of a net up to which all is computed that needs eigenvectors, or a linear program, of each pair
RESOLUTION = 1e-6  # moments are sums of float32 products: a similarity as near to 1 as this is that of equal units

Maps = tuple[np.ndarray, np.ndarray]  # means of blocks by position, and a mean of these
Match = Callable[[np.ndarray], np.ndarray]  # partner of each row: matching.greedy or matching.assignment
Ways = tuple[np.ndarray, np.ndarray]  # partners of a's units in b, and of b's in a


class Replicated(NamedTuple):
    """A number, and the same number without each block."""

    value: float
    without: np.ndarray  # (B,)


@dataclass(frozen=True)
class Between:
    """Sums of block moments of nets a and b in one layer, about the means of all blocks together. No unit is dropped.

    A dead unit has squares of 0. The shifts are means of blocks, of all positions together or of each.
    """

    count: np.ndarray  # samples (B,)
    products: np.ndarray  # (B, Ua, Ub)
    squares_a: np.ndarray  # (B, Ua)
    squares_b: np.ndarray  # (B, Ub)
    shift_a: np.ndarray  # (B, Ua), or (B, positions, Ua) where samples are centred by position
    shift_b: np.ndarray  # (B, Ub), or (B, positions, Ub)

    def reversed(self) -> "Between":
        """Moments from b to a; a view."""
        turned = self.products.swapaxes(1, 2)
        return Between(self.count, turned, self.squares_b, self.squares_a, self.shift_b, self.shift_a)


def between(blocks: Arrays, a: str, b: str) -> Between:
    """Moments of net a with net b, or with itself."""
    everything = np.ones(len(blocks["count"]))
    (shift_a, samples, _), (shift_b, _, _) = (mean_deviations(blocks, net, everything) for net in (a, b))
    products = (samples[:, None] * shift_a)[:, :, None] * shift_b[:, None, :]
    products += comoment(blocks, a, b)
    squares_a, squares_b = (_squares(blocks, net, shift) for net, shift in ((a, shift_a), (b, shift_b)))
    return Between(blocks["count"], products, squares_a, squares_b, shift_a, shift_b)


def _squares(blocks: Arrays, net: str, shift: np.ndarray) -> np.ndarray:
    """Sums of squares of a net's units in each block about their means over all blocks; 0 of dead ones. (B, units)"""
    within = np.diagonal(comoment(blocks, net, net), axis1=1, axis2=2)
    live = variance(blocks, net, np.ones(len(within))) > 0
    return (blocks["count"][:, None] * shift**2 + within) * live


def by_position(shift: np.ndarray) -> np.ndarray:
    """Shifts with an axis of positions, of one where all have the same. -> (B, positions, units)"""
    return shift if shift.ndim == 3 else shift[:, None]


def rotated_axes(pair: Between, rotation: np.ndarray) -> np.ndarray:
    """Live standardised units of b after a rotation, as sums of b's units. (live, live) -> (live, Ub)"""
    squares = pair.squares_b.sum(0)
    live = squares > 0
    axes = np.zeros((len(rotation), len(live)))
    axes[:, live] = rotation / np.sqrt(squares[live])
    return axes


def rotated(pair: Between, own: np.ndarray, rotation: np.ndarray) -> Between:
    """Moments after a rotation of net b's live standardised units.

    own: products of b with itself, as of ``between`` (B, Ub, Ub); rotation: (live units of b, live units of b)
    """
    axes = rotated_axes(pair, rotation)
    squares_b = np.array([np.einsum("ij,ij->i", axes @ block, axes) for block in own])
    return replace(pair, products=pair.products @ axes.T, squares_b=squares_b, shift_b=pair.shift_b @ axes.T)


def similarity(products: np.ndarray, squares_a: np.ndarray, squares_b: np.ndarray) -> np.ndarray:
    """Signed correlation from sums of products and of squares, NaN where one of these is 0. (...) each -> (...)

    Equal units have exactly 1: rounding is taken off within RESOLUTION of it.
    """
    scale = np.sqrt(squares_a * squares_b)
    empty = np.full(np.broadcast(products, scale).shape, np.nan, np.result_type(products, scale))
    return exact_ones(np.divide(products, scale, out=empty, where=scale > 0))


def exact_ones(correlation: np.ndarray) -> np.ndarray:
    """Values that are 1 in size but for rounding, made so; no value is larger. (...) -> (...)"""
    return np.where(np.abs(correlation) > 1 - RESOLUTION, np.sign(correlation), correlation)


def less_means(pair: Between, of_a: Maps, of_b: Maps) -> np.ndarray:
    """Products of samples less a mean, which may differ by position. (B, Ua, Ub)

    of_a, of_b: means of each block (B, positions, units) and what is taken off (positions, units), about the means that
    the products are about
    """
    products = pair.products.copy()
    (maps_a, mean_a), (maps_b, mean_b) = ([x.astype(products.dtype) for x in of] for of in (of_a, of_b))
    for k, samples in enumerate(pair.count / len(mean_a)):
        products[k] -= samples * ((maps_a[k] - mean_a).T @ mean_b + mean_a.T @ maps_b[k])
    return products


def squares_less_means(squares: np.ndarray, count: np.ndarray, maps: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Squares of samples less a mean, as of ``less_means``. (B, U)"""
    return squares - (count / len(mean))[:, None] * ((2 * maps - mean) * mean).sum(axis=1)


def some_blocks(pair: Between, kept: np.ndarray) -> Between:
    """Moments of some blocks about the means of these. A unit that is constant there is dead. kept: (B,) bool"""
    count, maps = pair.count[kept], [by_position(shift)[kept] for shift in (pair.shift_a, pair.shift_b)]
    of_a, of_b = ((each, np.tensordot(count / count.sum(), each, 1)) for each in maps)
    some = replace(pair, count=count, products=pair.products[kept])
    squares = []
    for each, of in ((pair.squares_a, of_a), (pair.squares_b, of_b)):
        left = squares_less_means(each[kept], count, *of)
        squares.append(np.where(left.sum(0) > CONSTANT * each.sum(0), left, 0))
    return Between(count, less_means(some, of_a, of_b), *squares, *(means - mean for means, mean in (of_a, of_b)))


def all_blocks(pair: Between) -> np.ndarray:
    """Correlation on all blocks, of the type of the products; NaN of dead units. (Ua, Ub)"""
    squares_a, squares_b = (squares.sum(0).astype(pair.products.dtype) for squares in (pair.squares_a, pair.squares_b))
    return similarity(pair.products.sum(0), squares_a[:, None], squares_b)


def without_each_block(pair: Between) -> Iterator[np.ndarray]:
    """Correlation on all blocks but the first, but the second, ...; each is valid until the next. (Ua, Ub)

    It has the type of the products.

    It is about the means of the blocks that are left: means of all blocks would let the one that is left out through.
    A unit that is constant in these blocks correlates 0 with all others, so that any partner is as good; a dead unit
    is NaN.
    """
    maps_a, maps_b = by_position(pair.shift_a), by_position(pair.shift_b)
    leak = pair.count**2 / (pair.count.sum() - pair.count) / maps_a.shape[1]  # of the means of all blocks (B,)
    scale_a = _inverse_deviation(pair.squares_a, maps_a, leak)
    scale_b = _inverse_deviation(pair.squares_b, maps_b, leak)
    total = pair.products.sum(0)
    scale_a, scale_b = scale_a.astype(total.dtype), scale_b.astype(total.dtype)
    left = np.empty_like(total)
    for k, products in enumerate(pair.products):
        leaking, into = (x.astype(total.dtype, copy=False) for x in (leak[k] * maps_a[k].T, maps_b[k]))
        np.matmul(leaking, into, out=left)
        left += products
        np.subtract(total, left, out=left)
        left *= scale_a[k][:, None]
        left *= scale_b[k]
        yield left


def _inverse_deviation(squares: np.ndarray, maps: np.ndarray, leak: np.ndarray) -> np.ndarray:
    """1 / sqrt of the squares on all blocks but one, 0 of a constant and NaN of a dead unit.

    squares: (B, U); maps: (B, positions, U), leak: (B,) as in ``without_each_block`` -> (B, U)
    """
    total = squares.sum(0)
    left = total - squares - leak[:, None] * np.einsum("bpu,bpu->bu", maps, maps)
    varies = left > CONSTANT * total
    scale = np.where(varies, 1 / np.sqrt(np.where(varies, left, 1)), 0)
    return np.where(total > 0, scale, np.nan)


def inverse(partners: np.ndarray, units: int) -> np.ndarray:
    """Partners of the units of b from one-to-one partners of those of a. (..., Ua) -> (..., units)"""
    turned = np.full((*partners.shape[:-1], units), UNMATCHED)
    *fold, unit = np.nonzero(partners != UNMATCHED)
    turned[(*fold, partners[partners != UNMATCHED])] = unit
    return turned


def partners_without(pair: Between, match: Match) -> np.ndarray:
    """Partner of each unit of a, chosen without each block. (B, Ua)"""
    return np.array([match(correlation) for correlation in without_each_block(pair)])


def _left(each: np.ndarray) -> np.ndarray:
    """Sums over all rows but each, exactly 0 where nothing but rounding is left of squares. (B, U) -> (B, U)"""
    total = each.sum(0)
    left = total - each
    return np.where(left > CONSTANT * total, left, 0)


def crossfit(pair: Between, partners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Similarity of each unit of a on blocks that did not choose its partner, and without each block. (Ua,), (B, Ua)

    The partners are kept where a block is left out. Blocks without which a unit got no partner (a wider net has
    more units than partners) do not count for it. NaN without any partner, and of a unit that is constant.
    partners: (B, Ua) as of ``partners_without``
    """
    matched = partners != UNMATCHED
    block, unit = np.arange(len(partners))[:, None], np.arange(partners.shape[1])
    products = pair.products[block, unit, partners] * matched
    squares_a, squares_b = pair.squares_a * matched, pair.squares_b[block, partners] * matched
    value = similarity(products.sum(0), squares_a.sum(0), squares_b.sum(0))
    return value, similarity(products.sum(0) - products, _left(squares_a), _left(squares_b))
