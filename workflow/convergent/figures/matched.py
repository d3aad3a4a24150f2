"""Units of several nets that belong together, as columns: a unit of the first net above its partners in all others."""

from collections.abc import Mapping, Sequence
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np

from ..alignment.matching import UNMATCHED, greedy
from .inputs import Matches


class Columns(NamedTuple):
    """Units of several nets that belong together, one of each net in a column."""

    units: np.ndarray  # (nets, columns), UNMATCHED where a net has none
    similarity: np.ndarray  # mean over pairs of nets (columns,), NaN of a unit without any partner

    def chosen(self, which: np.ndarray | slice) -> "Columns":
        """Some of the columns, in this order."""
        return Columns(self.units[:, which], self.similarity[which])


def assigned(matches: Sequence[Matches]) -> Columns:
    """Each unit of the first net over its assigned partners, the most similar first.

    matches: of the first net with each other one. The similarity is the mean over these.
    """
    partners = np.array([of.columns["assigned"] for of in matches])
    similarities = np.array([of.columns["assigned_similarity"] for of in matches])
    known = np.isfinite(similarities)
    mean = np.where(known.any(0), np.where(known, similarities, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan)
    units = np.vstack([np.arange(len(mean)), partners])
    return Columns(units, mean).chosen(np.argsort(-mean, kind="stable"))


def groups(
    correlation: Mapping[tuple[str, str], np.ndarray], nets: Sequence[str], most: int
) -> tuple[Columns, np.ndarray]:
    """Groups of units, one of each net, and in how many pairs of nets each is the other's most similar unit.

    A group is a unit of any net with its most similar units in the others. Those in which most pairs agree come first,
    of equals the most similar; no unit is in two of them.
    correlation: of each pair of the nets, (units_a, units_b) each; most: groups -> columns, agreeing pairs (columns,)
    """
    both = {
        (a, b): correlation[a, b] if (a, b) in correlation else correlation[b, a].T for a, b in permutations(nets, 2)
    }
    best = {pair: greedy(each) for pair, each in both.items()}
    own = {a: np.arange(len(best[a, b])) for a, b in both}
    units = np.hstack([[own[a] if a == b else best[a, b] for b in nets] for a in nets])  # (nets, all units)
    units = units[:, (units != UNMATCHED).all(0)]
    of = dict(zip(nets, units, strict=True))
    pairs = list(combinations(nets, 2))
    agreed = np.sum([(best[a, b][of[a]] == of[b]) & (best[b, a][of[b]] == of[a]) for a, b in pairs], axis=0)
    found = Columns(units, np.mean([both[a, b][of[a], of[b]] for a, b in pairs], axis=0))
    chosen: list[int] = []
    for column in np.lexsort((-found.similarity, -agreed)).tolist():
        if len(chosen) < most and not (units[:, chosen] == units[:, [column]]).any():
            chosen.append(column)
    return found.chosen(np.array(chosen, int)), agreed[chosen]
