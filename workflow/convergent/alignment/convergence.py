"""How similar the matched units of every pair of nets are in one layer, with intervals and chance levels.

Everything is computed from moments, without images.

Interval: a bootstrap over blocks (whole photographs) gives the estimate -+ 1.96 standard errors. Resampled data hold
fewer different photographs, which raises the maxima: only the spread of the resamples is used, not their level.
Chance: random rotations of the second net's standardised units keep its subspace and destroy its axes.
Held out: partners are chosen on one half of the blocks and their similarity is measured on the other half, because a
maximum over candidates is biased upward.
"""

import argparse
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from .. import store, tables
from ..commands import command, new_parser
from ..moments.covariance import Arrays, compared, load_pair, pooled, variance
from ..seeds import derive
from . import matching
from .correlation import correlation
from .matching import MEASURES, measures
from .rotation import random_rotation, rotated_correlation

HELD_OUT = ["greedy_held_out", "assigned_held_out"]
CHUNK_BYTES = 128 * 2**20  # of co-moments of several resamples at a time

Row = dict[str, object]


@dataclass(frozen=True)
class ConvergenceSettings:
    """Sizes of the bootstrap, of the null and of the held-out estimate."""

    resamples: int  # bootstrap samples of the blocks
    rotations: int  # random rotations in the null
    halves: int  # random splits of the blocks into two halves
    seed: int


class PairStatistics(NamedTuple):
    """Numbers that a row of the table is summarised from. The five are MEASURES and HELD_OUT, the three MEASURES."""

    estimate: np.ndarray  # (5,)
    draws: np.ndarray  # (resamples, 3)
    null: np.ndarray  # (rotations, 5)


def weighted_correlations(blocks: Arrays, a: str, b: str, weights: np.ndarray) -> Iterator[np.ndarray]:
    """Correlation of two nets for each row of weights, where a block counts as often as its weight.

    (resamples, blocks) -> (units_a, units_b) each
    """
    size = 8 * blocks[f"mean/{a}"].shape[1] * blocks[f"mean/{b}"].shape[1]
    step = max(1, CHUNK_BYTES // size)
    for first in range(0, len(weights), step):
        chunk = weights[first : first + step]
        yield from correlation(pooled(blocks, a, b, chunk), variance(blocks, a, chunk), variance(blocks, b, chunk))


def resampled(blocks: Arrays, a: str, b: str, resamples: int, seed: int) -> np.ndarray:
    """MEASURES on blocks drawn with replacement. (resamples, 3)

    Every pair of nets gets equal draws, so that the mean over pairs has an interval too.
    """
    count = len(blocks["count"])
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    return np.array([measures(similarity) for similarity in weighted_correlations(blocks, a, b, weights)])


def chance(blocks: Arrays, a: str, b: str, halves: np.ndarray, rotations: int, seed: int) -> np.ndarray:
    """MEASURES and HELD_OUT after each random rotation of net b. (rotations, 5)

    Rotation k takes its held-out means from split k of the halves, which are used in turn.
    """
    everything = np.ones(len(blocks["count"]))
    live = int((variance(blocks, b, everything) > 0).sum())
    null = []
    for k in range(rotations):
        rotation = random_rotation(live, np.random.default_rng(derive(seed, k)))
        half = halves[k % len(halves)]
        whole, one, two = (
            rotated_correlation(blocks, a, b, weights, rotation) for weights in (everything, half, 1 - half)
        )
        null.append([*measures(whole), *transferred(one, two)])
    return np.array(null)


def random_halves(blocks: int, halves: int, seed: int) -> np.ndarray:
    """Several random splits: 1 for blocks of the first half, 0 for the others. (halves, blocks)"""
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(blocks) < blocks // 2 for _ in range(halves)]).astype(float)


def transferred(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Greedy and assigned mean similarity with partners from one half, measured on the other. -> (2,)

    Averaged over both directions. one, two: correlations on either half. (units_a, units_b) each
    """
    directions = [
        [
            matching.live_mean(matching.partner_similarity(test, match(chosen)))
            for match in (matching.greedy, matching.assignment)
        ]
        for chosen, test in ((one, two), (two, one))
    ]
    return np.mean(directions, axis=0)


def held_out(blocks: Arrays, a: str, b: str, halves: np.ndarray) -> np.ndarray:
    """HELD_OUT for each split: partners from one half of the blocks, measured on the other. (halves, 2)"""
    first, second = (weighted_correlations(blocks, a, b, weights) for weights in (halves, 1 - halves))
    return np.array([transferred(one, two) for one, two in zip(first, second, strict=True)])


def summarise(statistics: PairStatistics) -> dict[str, float]:
    """Columns of one row: each measure with its interval and its null's mean and 95 % range.

    HELD_OUT have no interval.
    """
    estimate, draws, null = statistics
    row: dict[str, float] = {}
    error = 1.96 * draws.std(axis=0, ddof=1)
    low, high = np.quantile(null, [0.025, 0.975], axis=0)
    for k, name in enumerate(MEASURES + HELD_OUT):
        row[name] = estimate[k]
        if k < len(error):
            row |= {f"{name}_low": estimate[k] - error[k], f"{name}_high": estimate[k] + error[k]}
        row |= {f"{name}_null": null[:, k].mean(), f"{name}_null_low": low[k], f"{name}_null_high": high[k]}
    return row


def live_counts(similarity: np.ndarray) -> Row:
    """Units of the first net, how many live, and the share of these with no partner of similarity 0.5 or more."""
    best = matching.partner_similarity(similarity, matching.greedy(similarity))
    return {
        "units": len(best),
        "live": int(np.isfinite(best).sum()),
        "below_half": matching.live_mean(np.where(np.isnan(best), np.nan, best < 0.5)),
    }


def pair_statistics(blocks: Arrays, a: str, b: str, settings: ConvergenceSettings) -> tuple[np.ndarray, PairStatistics]:
    """Correlation of two nets (units_a, units_b) and the statistics of their matched units."""
    count, seed = len(blocks["count"]), settings.seed
    halves = random_halves(count, settings.halves, derive(seed, "halves"))
    similarity = next(weighted_correlations(blocks, a, b, np.ones((1, count))))
    return similarity, PairStatistics(
        np.concatenate([measures(similarity), held_out(blocks, a, b, halves).mean(axis=0)]),
        resampled(blocks, a, b, settings.resamples, derive(seed, "resamples")),
        chance(blocks, a, b, halves, settings.rotations, derive(seed, "rotations", a, b)),
    )


def convergence_rows(
    nets: Iterable[str], load: Callable[[str, str], Arrays], settings: ConvergenceSettings
) -> Iterator[Row]:
    """A row for each pair of nets and one for the mean over pairs.

    ``load(a, b)`` gives the block moments of two nets; memory holds one pair at a time.
    """
    pairs = []
    for a, b in combinations(nets, 2):
        similarity, statistics = pair_statistics(load(a, b), a, b, settings)
        pairs.append(statistics)
        counts = live_counts(similarity)
        yield {"pair": f"{a}-{b}", "similarity": "correlation", **counts, **summarise(statistics)}
    means = PairStatistics(*(np.mean(parts, axis=0) for parts in zip(*pairs, strict=True)))
    yield {"pair": "mean", "similarity": "correlation", **dict.fromkeys(counts, ""), **summarise(means)}


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("moments", help="store of one layer's moments (zarr.json)")
    parser.add_argument("output", help="table to write (.csv)")
    parser.add_argument(
        "--resamples", type=int, default=200, help="bootstrap samples of the blocks, for intervals; at least 2"
    )
    parser.add_argument(
        "--rotations", type=int, default=40, help="random rotations in the null; at least 20 for its 95 %% range"
    )
    parser.add_argument(
        "--halves", type=int, default=20, help="random splits of the blocks in halves, for held-out similarity"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of bootstrap, rotations and splits")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    settings = ConvergenceSettings(args.resamples, args.rotations, args.halves, args.seed)
    attributes = store.attributes(args.moments, "moments")
    load = functools.partial(load_pair, args.moments)
    nets = compared(attributes)
    rows = [{"layer": attributes["layer"], **row} for row in convergence_rows(nets, load, settings)]
    about = {"images": attributes["images"], "nets": {net: attributes["nets"][net] for net in nets}}
    tables.write(args.output, rows, kind="convergence", layer=attributes["layer"], **about)


if __name__ == "__main__":
    main()
