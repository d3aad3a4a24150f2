"""Similarity that features do not explain: by the layout of images, and of photographs that do not belong together.

Maps are the mean activations of each unit at each position, block by block, as stored: ``positions/<net>``.
B blocks, P positions, Ua and Ub units.
"""

from dataclasses import replace
from itertools import permutations

import numpy as np

from ..alignment.matching import greedy, live_mean, partner_similarity
from .crossfit import Between, less_means, similarity, squares_less_means
from .pairs import greedy_crossfit

FLOAT32 = 1e-6  # rounding of a stored map, generously, as a share of its values
LISTED = 6  # blocks up to which all derangements are listed, of 6 there are 265


def _centred(maps: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps of the blocks and of all blocks together about the mean of all, and this mean.

    (B, P, units), samples of each block (B,) -> (B, P, units), (P, units), (units,)
    """
    maps = maps.astype(float)
    mean = np.tensordot(count / count.sum(), maps, 1)
    overall = mean.mean(axis=0)
    return maps - overall, mean - overall, overall


def layout(pair: Between, maps_a: np.ndarray, maps_b: np.ndarray) -> np.ndarray:
    """Similarity that the mean maps alone give, as a share of the full deviations; NaN of dead units. (Ua, Ub)

    pair: moments of the two nets, maps_a: (B, P, Ua), maps_b: (B, P, Ub)
    """
    _, mean_a, _ = _centred(maps_a, pair.count)
    _, mean_b, _ = _centred(maps_b, pair.count)
    products = pair.count.sum() / len(mean_a) * mean_a.T @ mean_b
    return similarity(products, pair.squares_a.sum(0)[:, None], pair.squares_b.sum(0))


def layout_floor(pair: Between, maps_a: np.ndarray, maps_b: np.ndarray) -> float:
    """Mean similarity by layout alone of units with those most similar by layout; mean over both directions."""
    by_layout = layout(pair, maps_a, maps_b)
    return float(np.mean([live_mean(partner_similarity(x, greedy(x))) for x in (by_layout, by_layout.T)]))


def content(pair: Between, maps_a: np.ndarray, maps_b: np.ndarray) -> Between:
    """Moments of what is left when each sample is centred by the mean of its position over all images.

    Exact: with m the maps and M their mean over blocks, about the overall means, the products of block k lose
    n_k / P sum_p (m_ak M_b' + M_a m_bk' - M_a M_b'). A unit of which only rounding is left is dead.
    """
    of_a, of_b = _centred(maps_a, pair.count), _centred(maps_b, pair.count)
    (blocks_a, mean_a, _), (blocks_b, mean_b, _) = of_a, of_b
    products = less_means(pair, (blocks_a, mean_a), (blocks_b, mean_b))
    squares_a = _content_squares(pair.squares_a, pair.count, *of_a)
    squares_b = _content_squares(pair.squares_b, pair.count, *of_b)
    return Between(pair.count, products, squares_a, squares_b, blocks_a - mean_a, blocks_b - mean_b)


def _content_squares(
    squares: np.ndarray, count: np.ndarray, blocks: np.ndarray, mean: np.ndarray, overall: np.ndarray
) -> np.ndarray:
    """Sums of squares of what is left, 0 of a unit of which no more than the rounding of its map is left. (B, U)"""
    left = squares_less_means(squares, count, blocks, mean)
    total = squares.sum(0)
    size = total + count.sum() * overall**2  # of the activations themselves
    return np.where(left.sum(0) > FLOAT32 * np.sqrt(total * size), left.clip(0), 0)


def shuffled(pair: Between, maps_a: np.ndarray, maps_b: np.ndarray, order: np.ndarray) -> Between:
    """Moments where each block of a meets another block of b: images that do not belong together.

    Products are what images of the two blocks give on average, whichever of them meet: n_k / P sum_p m_ak[p]' m_bl[p]
    with l = order[k]. Squares are those of the images themselves, not of the maps, so that a similarity is the
    correlation of activations, as the cross-fitted one is. Averages over images spread less than single images: the
    partner is chosen a little better than it would be on shuffled images, so that the floor is rather too high.
    order: (B,) a permutation of the blocks
    """
    count = pair.count
    blocks_a, _, _ = _centred(maps_a, count)
    taken = maps_b[order]
    blocks_b, _, overall = _centred(taken, count)  # about their own mean, which differs where counts do
    _, _, before = _centred(maps_b, count)
    step = overall - before
    products = (count / blocks_a.shape[1])[:, None, None] * (blocks_a.swapaxes(1, 2) @ blocks_b)
    shift_b = pair.shift_b[order]
    mean_squares = pair.squares_b[order] / count[order, None] - 2 * shift_b * step + step**2
    live = pair.squares_b.sum(0) > 0
    return replace(pair, products=products, squares_b=count[:, None] * mean_squares * live, shift_b=shift_b - step)


def derangements(blocks: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Random permutations that leave no block in its place; all there are, where these are no more than wanted.

    -> (up to wanted, blocks); 2 blocks have 1, 3 have 2, 4 have 9
    """
    places = np.arange(blocks)
    if blocks <= LISTED:
        listed = np.array(list(permutations(range(blocks))))
        every = listed[(listed != places).all(axis=1)]
        return every if len(every) <= wanted else rng.permutation(every)[:wanted]
    found = np.empty((0, blocks), int)
    while len(found) < wanted:  # one permutation in e is one
        drawn = rng.permuted(np.tile(places, (4 * wanted, 1)), axis=1)
        found = np.concatenate([found, drawn[(drawn != places).all(axis=1)]])
    return found[:wanted]


def shuffled_floor(pair: Between, maps_a: np.ndarray, maps_b: np.ndarray, orders: np.ndarray) -> float:
    """Mean cross-fitted greedy similarity over shuffled photographs; mean over both directions.

    orders: (orders, B) as of ``derangements``. Of six pairs on 52 photographs, 10 orders each tell it to .001 in
    convolutions and .004 in fc8, 200 to a quarter of that.
    """
    return float(np.mean([greedy_crossfit(shuffled(pair, maps_a, maps_b, order)) for order in orders]))
