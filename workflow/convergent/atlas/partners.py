"""Partners of the units of every two nets, in both directions, and groups of units of all nets."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import store
from ..alignment.matching import UNMATCHED, greedy, partner_similarity
from ..alignment.matching import read as read_matches
from ..evidence.crossfit import inverse
from .inputs import store_of

Pair = tuple[str, str]
Member = tuple[str, int]  # net and unit


class Partners(NamedTuple):
    """Partners of the units of one net in another by one similarity. (units,) each"""

    greedy: np.ndarray  # UNMATCHED without one
    greedy_similarity: np.ndarray  # NaN without one
    assigned: np.ndarray
    assigned_similarity: np.ndarray


def both_ways(similarity: np.ndarray, stored: Mapping[str, np.ndarray]) -> tuple[Partners, Partners]:
    """Partners of a in b and of b in a. similarity: (units_a, units_b); stored: columns of their table of matches"""
    forward = Partners(*(stored[name] for name in Partners._fields))
    chosen, assigned = greedy(similarity.T), inverse(stored["assigned"], similarity.shape[1])
    back = (partner_similarity(similarity.T, partner) for partner in (chosen, assigned))
    return forward, Partners(chosen, next(back), assigned, next(back))


def read(nets: list[str], similarities: Path, matches: Path, kind: str) -> dict[Pair, Partners]:
    """Partners in the second net of every ordered pair of nets.

    similarities, matches: folders of the stores and of the tables of all pairs; kind: of the stores
    """
    found: dict[Pair, Partners] = {}
    for a, b in combinations(nets, 2):
        path = store_of(similarities, a, b)
        store.attributes(path, kind)
        found[a, b], found[b, a] = both_ways(store.load(path, kind)[kind], read_matches(matches / f"{a}-{b}.csv"))
    return found


def groups(partners: Mapping[Pair, Partners]) -> dict[Member, list[Member]]:
    """The largest group that holds a unit: units of different nets, every two of them assigned to each other.

    In the order of the nets. A unit without partners is in none.
    """
    import networkx as nx

    nets = list(dict.fromkeys(a for a, _ in partners))
    graph = nx.Graph()
    for a, b in combinations(nets, 2):
        assigned = partners[a, b].assigned
        matched = np.flatnonzero(assigned != UNMATCHED).tolist()
        graph.add_edges_from(((a, unit), (b, int(assigned[unit]))) for unit in matched)
    found: dict[Member, list[Member]] = {}
    for clique in sorted((sorted(each, key=lambda m: nets.index(m[0])) for each in nx.find_cliques(graph)), key=str):
        for member in clique:
            if len(clique) > len(found.get(member, [])):
                found[member] = clique
    return found


class Best(NamedTuple):
    """The most similar of the groups of most nets."""

    group: list[Member]  # empty where there is none
    similarity: float  # mean over every two of its units; NaN where there is none
    groups: int  # of as many nets


def best_group(partners: Mapping[Pair, Partners], found: Mapping[Member, list[Member]]) -> Best:
    """The group of most nets, and among these of the largest mean similarity of its units."""

    def mean(group: list[Member]) -> float:
        return float(np.mean([partners[a, b].assigned_similarity[i] for (a, i), (b, _) in combinations(group, 2)]))

    most = max(map(len, found.values()), default=0)
    largest = {tuple(group): mean(group) for group in found.values() if len(group) == most}
    if not largest:
        return Best([], np.nan, 0)
    best = max(largest, key=lambda group: (largest[group], group))
    return Best(list(best), largest[best], len(largest))
