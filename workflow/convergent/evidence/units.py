"""What can be said of each unit of a net against another net: partner, groups, influence, stability, verdict."""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ..alignment.matching import UNMATCHED, greedy, partner_similarity
from .crossfit import CONSTANT, Between, all_blocks, crossfit, exact_ones, partners_without, similarity
from .directions import best_direction_p, false_discovery_rate
from .partners import mutually_best
from .regression import linear_r2
from .turning import gpu_of, nth_rotation, on_place, own_squares, to_numpy

VERDICTS = ("dead", "one photograph", "matched", "several", "unmatched")
HALF = 0.5  # share of the match in one block, a photograph or several, above which it is no match of features
DISCOVERIES = 0.05  # rate of false discoveries
BETTER = 0.1  # R2 by which several units must predict better than the partner


class Units(NamedTuple):
    """Columns of the table, one entry a unit of a net, against one other net. (units,) each"""

    partner: np.ndarray  # greedy, on all images; UNMATCHED of a dead unit
    similarity: np.ndarray  # with the partner, on the images that chose it
    crossfit: np.ndarray  # on images that did not choose it
    rotated_median: np.ndarray  # best similarity on rotated axes, median over rotations
    p: np.ndarray
    q: np.ndarray
    mutual: np.ndarray
    influence: np.ndarray
    stable: np.ndarray
    nets: np.ndarray
    r2: np.ndarray  # held out, of the mapping from all units of the other net


def similarity_without(pair: Between, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Correlation of chosen pairs of units on all blocks but each, about the means of these. -> (B, chosen)

    rows: units of a, columns: units of b (chosen,). It is 0 where one of both is constant in the other blocks, and NaN
    where one is dead.
    """
    leak = (pair.count**2 / (pair.count.sum() - pair.count))[:, None]  # of the means of all blocks
    shift_a, shift_b = pair.shift_a[:, rows], pair.shift_b[:, columns]
    squares = pair.squares_a[:, rows], pair.squares_b[:, columns]

    def left(each: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        return each.sum(0) - each - leak * shifts

    left_a, left_b = left(squares[0], shift_a**2), left(squares[1], shift_b**2)
    varies = (left_a > CONSTANT * squares[0].sum(0)) & (left_b > CONSTANT * squares[1].sum(0))
    products = left(pair.products[:, rows, columns], shift_a * shift_b)
    found = similarity(products, np.where(varies, left_a, 1), np.where(varies, left_b, 1)) * varies
    return np.where((squares[0].sum(0) > 0) & (squares[1].sum(0) > 0), found, np.nan)


def influence(value: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Share of the similarity with the partner that goes without the block that it needs most. (units,)

    value: (units,); without: with that partner, by ``similarity_without`` (B, units). It is 0 where there is no
    similarity to lose, 1 where the units are not similar without that block, and NaN of a dead unit.
    """
    lost = np.divide(value - without.min(0), value, out=np.zeros_like(value), where=value > 0)
    return np.where(np.isnan(value), np.nan, lost.clip(0, 1))


def stable(partner: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Share of the blocks without which the partner is the one of all blocks. (units,), (B, units) -> (units,)

    NaN of a dead unit.
    """
    return np.where(partner == UNMATCHED, np.nan, (partner == without).mean(0))


def group_sizes(partners: Mapping[tuple[str, str], np.ndarray]) -> dict[str, np.ndarray]:
    """Size of the largest group that holds a unit: units of different nets, every two of them mutually best.

    partners: those in the second net of each ordered pair, (units of the first,). net -> (units,); 1 where there is no
    group
    """
    import networkx as nx

    graph = nx.Graph()
    sizes = {a: np.ones(len(partner), int) for (a, _), partner in partners.items()}
    for a, b in combinations(sizes, 2):
        forward = partners[a, b]
        found = np.flatnonzero(mutually_best(forward, partners[b, a]))
        graph.add_edges_from(((a, int(unit)), (b, int(forward[unit]))) for unit in found)
    for group in nx.find_cliques(graph):
        for net, unit in group:
            sizes[net][unit] = max(sizes[net][unit], len(group))
    return sizes


def best_on_rotated_axes(pair: Between, own: np.ndarray, seed: int, rotations: int) -> np.ndarray:
    """Best similarity of each unit of a after random rotations of b's live standardised units. (rotations, Ua)

    It is that of ``pair_numbers``, on all blocks alone. own: products of b with itself (B, Ub, Ub). NaN of a dead unit.
    """
    squares_a, squares_b = pair.squares_a.sum(0), pair.squares_b.sum(0)
    best = np.full((rotations, len(squares_a)), np.nan)
    if not (live := squares_b > 0).any():
        return best
    place, known = gpu_of(int(live.sum())), squares_a > 0
    within, correlations = own.sum(0)[np.ix_(live, live)], all_blocks(pair)[np.ix_(known, live)]
    scale = 1 / np.sqrt(squares_b[live])
    within, correlations = on_place(place, within * scale[:, None] * scale, correlations)
    for k in range(rotations):
        rotation = nth_rotation(k, int(live.sum()), seed, place)
        similarity = to_numpy(correlations @ rotation.T)
        best[k, known] = (similarity / np.sqrt(own_squares(rotation, within)).astype(np.float32)).max(axis=1)
    return best


def describe(pair: Between, own: np.ndarray, rotated: np.ndarray) -> Units:
    """What is known of each unit of a against b but for its group, which other nets decide: ``with_groups``.

    own: products of b with itself (B, Ub, Ub); rotated: as of ``best_on_rotated_axes`` (rotations, Ua)
    """
    correlations, squares = all_blocks(pair), pair.squares_b.sum(0)
    within = similarity(own.sum(0), squares[:, None], squares)
    partner, chosen = greedy(correlations), partners_without(pair, greedy)
    value = partner_similarity(correlations, partner)
    p = best_direction_p(correlations, within)
    return Units(
        partner=partner,
        similarity=exact_ones(value),
        crossfit=crossfit(pair, chosen)[0],
        rotated_median=np.median(rotated, axis=0),
        p=p,
        q=false_discovery_rate(p),
        mutual=mutually_best(partner, greedy(correlations.T)),
        influence=influence(value, similarity_without(pair, np.arange(len(partner)), partner)),
        stable=stable(partner, chosen),
        nets=np.ones(len(partner)),
        r2=linear_r2(pair, own),
    )


def with_groups(described: Mapping[tuple[str, str], Units]) -> dict[tuple[str, str], Units]:
    """The same with the sizes of groups, from the units of every ordered pair of nets."""
    sizes = group_sizes({pair: units.partner for pair, units in described.items()})
    return {(a, b): units._replace(nets=sizes[a]) for (a, b), units in described.items()}


def unpacked(stored: np.ndarray) -> Units:
    """Units as they were before they became one array. (columns, units)"""
    units = Units._make(stored)
    return units._replace(partner=units.partner.astype(int), mutual=units.mutual > 0, nets=units.nets.astype(int))


def verdicts(units: Units) -> np.ndarray:
    """One of VERDICTS for each unit, the first that is true of it; "" where there is no q to tell. (units,)

    A partner whose cross-fitted similarity is negative predicts nothing. Against a net of dead units alone a live unit
    is unmatched.
    """
    alone = units.partner == UNMATCHED
    predicted = np.maximum(units.crossfit, 0) ** 2
    choices = {
        "dead": alone & np.isnan(units.r2),
        "one photograph": units.influence > HALF,
        "": np.isnan(units.q) & ~alone,
        "matched": (units.q <= DISCOVERIES) & units.mutual,
        "several": units.r2 > predicted + BETTER,
    }
    return np.select(list(choices.values()), list(choices), VERDICTS[-1])


def shares(verdict: np.ndarray) -> np.ndarray:
    """Share of the units of each of VERDICTS; all NaN where a unit has none. (units,) -> (5,)"""
    if (verdict == "").any() or not verdict.size:
        return np.full(len(VERDICTS), np.nan)
    return np.array([(verdict == name).mean() for name in VERDICTS])


def rows(units: Units) -> list[dict[str, object]]:
    """Rows of the table, one a unit, with its number and verdict. Empty cells are those of ``tables``."""
    columns = {name: column.tolist() for name, column in units._asdict().items()}
    columns["partner"] = ["" if partner == UNMATCHED else partner for partner in columns["partner"]]
    columns["mutual"] = [int(both) for both in columns["mutual"]]
    columns = {"unit": list(range(len(units.partner))), **columns, "verdict": verdicts(units).tolist()}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
