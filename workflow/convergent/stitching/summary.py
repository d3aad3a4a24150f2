"""What stored mappings and stitched nets say, with intervals over photographs and, over all ordered pairs, over nets.

P penalties, B blocks. A pair is the names of its source and its target.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import store
from ..alignment.matching import live_mean
from ..evidence import inference
from ..evidence.inference import OfPairs, difference, ends
from .mappings import MAPPED, RELU, UNTRAINED

COLUMNS = {"top1_relu": RELU, "top1": MAPPED, "untrained_relu": UNTRAINED}  # of tables
GAIN = "gain"  # top-1 accuracy of a stitched net less that of its control
MEAN = "mean"  # in place of a pair: the mean over all ordered pairs

Row = dict[str, object]


class StitchedNets(NamedTuple):
    """The store of the stitched nets of a layer."""

    layer: str
    whole: list[str]  # pairs whose whole path is stitched
    photographs: int  # independent groups of the images that nets are evaluated on
    of_images: int  # that there are, from which these are drawn
    images: np.ndarray  # number of those in each block (B,)
    penalties: dict[str, np.ndarray]  # pair -> alpha (P,)
    hits: dict[str, np.ndarray]  # <kind>/<pair> -> (P, B); whole/<net>, self/<net>, zero/<net> -> (B,)

    def pairs(self, kind: str) -> list[str]:
        """Names of the pairs that have stitched nets of a kind."""
        return [pair for pair in self.penalties if f"{kind}/{pair}" in self.hits]

    def at(self, kind: str, pair: str, alpha: float) -> np.ndarray:
        """Hits of a pair's stitched nets of a kind at the first point of a penalty. (B,)"""
        (points,) = np.nonzero(np.isclose(self.penalties[pair], alpha, rtol=1e-9, atol=0))
        return self.hits[f"{kind}/{pair}"][points[0]]


def read(path: Path | str) -> StitchedNets:
    """The stitched nets of a layer."""
    attributes, arrays = store.attributes(path, "stitched nets"), store.load(path)
    return StitchedNets(
        attributes["layer"],
        attributes["whole"],
        attributes["photographs"],
        attributes["of_images"],
        arrays["images"],
        {pair: arrays[f"alpha/{pair}"] for pair in attributes["pairs"]},
        {name: array for name, array in arrays.items() if name.split("/")[0] not in ("images", "alpha", "decay")},
    )


def evaluated_on(evaluated: int, of_images: int) -> str:
    """How many of the images nets are evaluated on, in words; empty where on all.

    >>> evaluated_on(500, 50_000)
    'on 500 of 50,000 images'
    """
    return f"on {evaluated:,} of {of_images:,} images" if evaluated < of_images else ""


def nets_of(pairs: Iterable[str]) -> list[tuple[str, str]]:
    """Names of the two nets of each pair."""
    return [(source, target) for source, target in (pair.split("-") for pair in pairs)]


def accuracy(hits: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Top-1 accuracy on all blocks, and without each. (..., B), images of each block (B,) -> (...), (..., B)"""
    total = hits.sum(-1)
    return total / images.sum(), (total[..., None] - hits) / (images.sum() - images)


def accuracy_of(nets: StitchedNets, kind: str, pairs: Sequence[str], alpha: float) -> OfPairs:
    """Top-1 accuracy of the stitched nets of a kind at a penalty."""
    hits = np.array([nets.at(kind, pair, alpha) for pair in pairs])
    return OfPairs(*accuracy(hits, nets.images), nets_of(pairs))


def gain(nets: StitchedNets, pairs: Sequence[str], alpha: float) -> OfPairs:
    """Top-1 accuracy of stitched nets with a ReLU less that of their controls from the source before its training."""
    return difference(*(accuracy_of(nets, kind, pairs, alpha) for kind in (RELU, UNTRAINED)))


def stitched_less_untrained(path: Path | str) -> OfPairs:
    """The gain by the unpenalised mapping, of all ordered pairs whose source has an untrained twin.

    path: store of the stitched nets of a layer; no pairs where no net was trained here or classes are others
    """
    nets = read(path)
    if not (pairs := nets.pairs(UNTRAINED)):
        return OfPairs(np.empty(0), np.empty((0, len(nets.images))), [])
    return gain(nets, pairs, 0.0)


def best_share(r2: np.ndarray, weights: np.ndarray, unpenalised: int, most: float) -> np.ndarray:
    """Largest R2 of the points with few weights as a share of the unpenalised R2; NaN without either. (P, ...) -> (...)

    weights: share of the weights that are not zero (P,); most: the largest share that counts as few
    """
    few = r2[weights <= most]
    largest = few.max(axis=0) if len(few) else np.full(r2.shape[1:], np.nan)
    return np.where(r2[unpenalised] > 0, largest / np.where(r2[unpenalised] > 0, r2[unpenalised], 1), np.nan)


def sparse_share(paths: Sequence[Path | str], most: float = 0.1) -> OfPairs:
    """Largest held-out R2 with at most a share of the weights, as a share of the unpenalised R2, of each mapping.

    R2 is a mean over live targets. paths: stores of the mappings of a layer, with their whole paths
    """
    found = []
    for path in paths:
        attributes, arrays = store.attributes(path, "mapping"), store.load(path, "r2", "r2_without", "nonzero", "decay")
        live = np.isfinite(arrays["r2"])
        counted = np.where(live, arrays["nonzero"], np.nan)
        weights = np.array([live_mean(row) for row in counted]) / attributes["units"][attributes["source"]]
        unpenalised = int(np.flatnonzero(arrays["decay"] == 0)[0])
        r2 = np.array([live_mean(row) for row in arrays["r2"]])
        both = np.column_stack([r2, arrays["r2_without"]])  # (P, 1 + B)
        found.append((attributes["pair"], best_share(both, weights, unpenalised, most)))
    shares = np.array([share for _, share in found])
    return OfPairs(shares[:, 0], shares[:, 1:], nets_of(pair for pair, _ in found))


def cells(nets: StitchedNets, pairs: Sequence[str], alpha: float) -> Row:
    """Top-1 accuracies at a penalty by column, each with its interval, as means over those pairs that have them."""
    row: Row = {}
    known = {column: [pair for pair in pairs if pair in nets.pairs(kind)] for column, kind in COLUMNS.items()}
    for column, kind in COLUMNS.items():
        if known[column] and (kind != MAPPED or len(pairs) == 1):
            of = accuracy_of(nets, kind, known[column], alpha)
            row |= ends(column, inference.share_interval(*of, nets.photographs))
    if known["untrained_relu"]:
        row |= ends(GAIN, gain(nets, known["untrained_relu"], alpha).interval())
    return row


def rows(nets: StitchedNets, shown: str) -> list[Row]:
    """Rows of a layer's table: one for each penalty of one pair, two for each other pair and the mean over pairs."""
    source, target = shown.split("-")
    whole = {
        "source": f"whole/{source}",
        "target": f"whole/{target}",
        "self": f"self/{target}",
        "zero": f"zero/{target}",
    }
    alone = {column: nets.hits[name].sum() / nets.images.sum() for column, name in whole.items() if name in nets.hits}
    few: list[float] = next((alphas.tolist() for pair, alphas in nets.penalties.items() if pair not in nets.whole), [])
    found: list[Row] = []
    for pair, alphas in nets.penalties.items():
        points, beside = (alphas.tolist(), alone) if pair == shown else (few, {})
        found += [{"pair": pair, "alpha": alpha, **cells(nets, [pair], alpha), **beside} for alpha in points]
    found += [{"pair": MEAN, "alpha": alpha, **cells(nets, list(nets.penalties), alpha)} for alpha in few]
    evaluated = {"images": int(nets.images.sum()), "of_images": nets.of_images}
    return [{"layer": nets.layer, **row, **evaluated} for row in found]
