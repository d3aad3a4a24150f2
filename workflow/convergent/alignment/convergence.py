"""How far the nets of every pair converged in a layer, with intervals and chance levels; all from moments.

Interval: a bootstrap over blocks (whole photographs), estimate -+ 1.96 standard errors. Resampled data hold fewer
different photographs, so that the maxima in resamples are higher: their spread is used, not their level.
Chance: random rotations of the second net's standardised units, which keep its subspace and destroy its axes.
Held out: partners chosen on one half of the blocks, similarity measured on the other, because a maximum over candidates
is biased upward.
"""

import argparse
import functools
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations

import numpy as np

from .. import store, tables
from ..commands import command, new_parser
from ..moments.covariance import Arrays, compared, load_pair, pooled, variance
from ..seeds import derive
from . import matching
from .correlation import correlation
from .matching import MEASURES, measures
from .rotation import random_rotation, rotated

HELD_OUT = ["greedy_held_out", "assigned_held_out"]
CHUNK_BYTES = 128 * 2**20  # of co-moments of several resamples at a time

Compared = tuple[np.ndarray, np.ndarray, np.ndarray]  # estimate (5,), draws (resamples, 3), null (rotations, 5)


def correlations(blocks: Arrays, a: str, b: str, weights: np.ndarray) -> Iterator[np.ndarray]:
    """Correlation of a pair for each row of weights on the blocks. (resamples, blocks) -> (units_a, units_b) each"""
    size = 8 * blocks[f"mean/{a}"].shape[1] * blocks[f"mean/{b}"].shape[1]
    step = max(1, CHUNK_BYTES // size)
    for first in range(0, len(weights), step):
        some = weights[first : first + step]
        yield from correlation(pooled(blocks, a, b, some), variance(blocks, a, some), variance(blocks, b, some))


def resampled(blocks: Arrays, a: str, b: str, resamples: int, seed: int) -> np.ndarray:
    """Measures on blocks drawn with replacement, the same draws for every pair. (resamples, 3)"""
    count = len(blocks["count"])
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    return np.array([measures(similarity) for similarity in correlations(blocks, a, b, weights)])


def chance(blocks: Arrays, a: str, b: str, halves: np.ndarray, rotations: int, seed: int) -> np.ndarray:
    """Measures after random rotations, and held-out means each on one of the halves. (rotations, 3 + 2)"""
    everything = np.ones(len(blocks["count"]))
    live = int((variance(blocks, b, everything) > 0).sum())
    found = []
    for k in range(rotations):
        rotation = random_rotation(live, np.random.default_rng(derive(seed, k)))
        half = halves[k % len(halves)]
        one, two = (rotated(blocks, a, b, weights, rotation) for weights in (half, 1 - half))
        found.append([*measures(rotated(blocks, a, b, everything, rotation)), *transferred(one, two)])
    return np.array(found)


def random_halves(blocks: int, halves: int, seed: int) -> np.ndarray:
    """Which blocks belong to the first half, in each of several splits. (halves, blocks) of 0 and 1"""
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(blocks) < blocks // 2 for _ in range(halves)]).astype(float)


def transferred(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Greedy and assigned means with partners from one similarity measured on the other, both ways. -> (2,)"""
    sides = [
        [matching.live_mean(matching.taken(test, match(chosen))) for match in (matching.greedy, matching.assignment)]
        for chosen, test in ((one, two), (two, one))
    ]
    return np.mean(sides, axis=0)


def held_out(blocks: Arrays, a: str, b: str, halves: np.ndarray) -> np.ndarray:
    """Greedy and assigned means with partners from one half of the blocks, measured on the other. (halves, 2)"""
    pairs = zip(correlations(blocks, a, b, halves), correlations(blocks, a, b, 1 - halves), strict=True)
    return np.array([transferred(one, two) for one, two in pairs])


def summarise(estimate: np.ndarray, draws: np.ndarray, null: np.ndarray) -> dict[str, float]:
    """Columns of one row. estimate (5,), draws (resamples, 3), null (rotations, 5)"""
    row: dict[str, float] = {}
    error = 1.96 * draws.std(axis=0, ddof=1)
    low, high = np.quantile(null, [0.025, 0.975], axis=0)
    for k, name in enumerate(MEASURES + HELD_OUT):
        row[name] = estimate[k]
        if k < len(error):
            row |= {f"{name}_low": estimate[k] - error[k], f"{name}_high": estimate[k] + error[k]}
        row |= {f"{name}_null": null[:, k].mean(), f"{name}_null_low": low[k], f"{name}_null_high": high[k]}
    return row


def pair_statistics(blocks: Arrays, a: str, b: str, settings: argparse.Namespace) -> tuple[dict[str, object], Compared]:
    """What describes a pair of nets, and what its row of the table is summarised from."""
    count, seed = len(blocks["count"]), settings.seed
    halves = random_halves(count, settings.halves, derive(seed, "halves"))
    similarity = next(correlations(blocks, a, b, np.ones((1, count))))
    best = matching.taken(similarity, matching.greedy(similarity))
    described: dict[str, object] = {
        "units": len(best),
        "live": int(np.isfinite(best).sum()),
        "below_half": matching.live_mean(np.where(np.isnan(best), np.nan, best < 0.5)),
    }
    return described, (
        np.concatenate([measures(similarity), held_out(blocks, a, b, halves).mean(axis=0)]),
        resampled(blocks, a, b, settings.resamples, derive(seed, "resamples")),
        chance(blocks, a, b, halves, settings.rotations, derive(seed, "rotations", a, b)),
    )


def converged(
    nets: Iterable[str], load: Callable[[str, str], Arrays], settings: argparse.Namespace
) -> Iterator[dict[str, object]]:
    """A row for each pair of nets and one for the mean over all pairs; of a pair at a time the blocks are loaded."""
    every = []
    for a, b in combinations(nets, 2):
        described, found = pair_statistics(load(a, b), a, b, settings)
        every.append(found)
        yield {"pair": f"{a}-{b}", "similarity": "correlation", **described, **summarise(*found)}
    means = [np.mean(parts, axis=0) for parts in zip(*every, strict=True)]
    empty = {"units": "", "live": "", "below_half": ""}
    yield {"pair": "mean", "similarity": "correlation", **empty, **summarise(*means)}


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("moments", help="store of one layer (zarr.json)")
    parser.add_argument("output", help="table to write (.csv)")
    parser.add_argument("--resamples", type=int, default=200, help="bootstrap samples of the blocks")
    parser.add_argument("--rotations", type=int, default=40, help="of the null, 20 at least")
    parser.add_argument("--halves", type=int, default=20, help="splits of the blocks")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    about = store.attributes(args.moments)
    load = functools.partial(load_pair, args.moments)
    rows = [{"layer": about["layer"], **row} for row in converged(compared(about), load, args)]
    tables.write(args.output, rows)


if __name__ == "__main__":
    main()
