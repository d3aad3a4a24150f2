"""Spectral clusters of the units of two nets together, from moments (paper, section 3.3 and supplement).

Graph: the live units of both nets, joined by the positive part of their correlation, within a net and between nets.
Clusters: k-means of the rows, scaled to length 1, of the first k eigenvectors of I - D^-1/2 A D^-1/2 (Ng, Jordan and
Weiss 2002), with k at the largest gap of the eigenvalues in a range. Of ten seeded starts the best is kept.
Span: canonical correlations of a cluster's units of one net with those of the other; all 1 where one spans the other.
Stability: adjusted Rand index with the clusters of resampled blocks (whole photographs), for the same k.
Chance: random rotations of the second net's standardised units, which keep its subspace and destroy its axes, for the
same k.
"""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits  # only of libraries that are loaded by then: no imports in functions here

from .. import store, tables
from ..alignment.correlation import correlation
from ..alignment.matching import live_mean
from ..alignment.rotation import random_rotation
from ..commands import InputError, command, new_parser
from ..moments.covariance import Arrays, net_names, pooled, variance
from ..seeds import derive
from .graphs import UNCLUSTERED, affinity, densities, partition

CUTOFF = 1e-4  # share of the largest variance below which a direction is the rounding of float32 activations
SUMMARY = ["density_inside", "contrast", "span", "mixed"]


class Cluster(NamedTuple):
    """A row of the table; NaN where a cluster has no pair or no unit to compare."""

    cluster: int  # 0 is the densest
    size: int
    units_a: int
    units_b: int
    density_inside: float  # mean weight of the pairs of its units
    density_outside: float  # of the pairs of one of its units with one of another cluster
    span: float  # mean squared canonical correlation of its units of either net
    smallest_angle: float  # between their subspaces, degrees


def joint_correlation(blocks: Arrays, a: str, b: str, weights: np.ndarray) -> np.ndarray:
    """Correlation of all units of both nets, a's first, from blocks that count ``weights`` times; NaN for the dead.

    (blocks,) -> (units_a + units_b, units_a + units_b)
    """
    spread = {net: variance(blocks, net, weights) for net in (a, b)}
    split = len(spread[a])
    found = np.empty((split + len(spread[b]),) * 2)
    found[:split, :split] = correlation(pooled(blocks, a, a, weights), spread[a], spread[a])
    found[split:, split:] = correlation(pooled(blocks, b, b, weights), spread[b], spread[b])
    found[:split, split:] = correlation(pooled(blocks, a, b, weights), spread[a], spread[b])
    found[split:, :split] = found[:split, split:].T
    return found


def whitening(covariance: np.ndarray) -> np.ndarray:
    """Combinations of units that are uncorrelated and of variance 1; those below CUTOFF are dropped. (units, kept)"""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > CUTOFF * values[-1]
    return vectors[:, kept] / np.sqrt(values[kept])


def canonical(joint: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Canonical correlations, descending: cosines of the principal angles between the spans of two sets of units.

    joint: correlation or covariance; first, second: rows of it. -> (the smaller number of dimensions,)
    """
    left, right = (whitening(joint[np.ix_(side, side)]) for side in (first, second))
    return np.linalg.svd(left.T @ joint[np.ix_(first, second)] @ right, compute_uv=False).clip(0, 1)


def clustered(
    joint: np.ndarray, split: int, low: int, high: int, seed: int
) -> tuple[np.ndarray, np.ndarray, list[Cluster]]:
    """Cluster of each unit, the eigenvalues, and what is to say of each cluster; the second net begins at ``split``."""
    graph = affinity(joint)
    label, eigenvalues = partition(graph, low, high, derive(seed, "k-means"))
    found = []
    for cluster, (inside, outside) in enumerate(zip(*densities(graph, label), strict=True)):
        members = np.flatnonzero(label == cluster)
        a, b = members[members < split], members[members >= split]
        cosines = canonical(joint, a, b) if len(a) and len(b) else np.array([np.nan])
        span, angle = (cosines**2).mean(), np.degrees(np.arccos(cosines[0]))
        found.append(Cluster(cluster, len(members), len(a), len(b), inside, outside, span, angle))
    return label, eigenvalues, found


def summary(rows: Sequence[Cluster]) -> np.ndarray:
    """Of all clusters together: mean density inside by size, the ratio of that to the mean outside, mean span of the
    mixed clusters, share of clusters that are mixed. -> (4,)
    """
    if not rows:
        return np.full(len(SUMMARY), np.nan)
    inside, outside = (
        live_mean(np.repeat([getattr(row, name) for row in rows], [row.size for row in rows]))
        for name in ("density_inside", "density_outside")
    )
    contrast = inside / outside if outside else np.inf
    mixed = np.mean([row.units_a > 0 and row.units_b > 0 for row in rows])
    return np.array([inside, contrast, live_mean(np.array([row.span for row in rows])), mixed])


def stability(blocks: Arrays, a: str, b: str, label: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Adjusted Rand index of the clusters with those of blocks drawn with replacement. (resamples,)

    Over the units that have a cluster in both.
    """
    count, k = len(blocks["count"]), int(label.max(initial=UNCLUSTERED)) + 1
    draws = np.random.default_rng(derive(seed, "resamples")).multinomial(count, np.full(count, 1 / count), resamples)
    found = np.full(resamples, np.nan)
    for draw, weights in enumerate(draws if k else []):
        again, _ = partition(affinity(joint_correlation(blocks, a, b, weights)), k, k, derive(seed, "k-means"))
        both = (label != UNCLUSTERED) & (again != UNCLUSTERED)
        if both.any():
            found[draw] = adjusted_rand_score(label[both], again[both])
    return found


def rotated(joint: np.ndarray, split: int, rotation: np.ndarray) -> np.ndarray:
    """Correlation after a rotation of the second net's standardised units; all units live. (units, units)"""
    found = joint.copy()
    first, second = slice(split), slice(split, None)
    found[first, second] = joint[first, second] @ rotation.T
    found[second, second] = rotation @ joint[second, second] @ rotation.T
    deviation = np.sqrt(np.diagonal(found)[second])
    found[:, second] /= deviation
    found[second, second] /= deviation[:, None]
    found[second, first] = found[first, second].T
    return found


def chance(joint: np.ndarray, split: int, k: int, rotations: int, seed: int) -> np.ndarray:
    """Summaries of k clusters after random rotations of the second net; all units live. (rotations, 4)"""
    found = np.full((rotations, len(SUMMARY)), np.nan)
    for turn in range(rotations if k else 0):
        rotation = random_rotation(len(joint) - split, np.random.default_rng(derive(seed, "rotations", turn)))
        _, _, rows = clustered(rotated(joint, split, rotation), split, k, k, seed)
        found[turn] = summary(rows)
    return found


def cluster_range(clusters: str, wanted: Sequence[int], units: int) -> tuple[int, int]:
    """Numbers of clusters to choose from, at most half of the units; only one if it is set by hand."""
    if clusters != "auto":
        if not clusters.isdecimal() or not 2 <= int(clusters) < units:
            raise InputError(f"--clusters {clusters}: must be auto or from 2 to {units - 1}, fewer than live units")
        return int(clusters), int(clusters)
    low, high = wanted
    if not 2 <= low <= high:
        raise InputError(f"--range {low} {high}: must be two numbers from 2 on, the smaller first")
    return min(low, units // 2), min(high, units // 2)


def analysed(blocks: Arrays, a: str, b: str, args: argparse.Namespace) -> tuple[dict[str, np.ndarray], list[Cluster]]:
    """Arrays to store and rows of the table; resamples and rotations take the number of clusters found."""
    joint = joint_correlation(blocks, a, b, np.ones(len(blocks["count"])))
    widths = [blocks[f"mean/{net}"].shape[1] for net in (a, b)]
    live = ~np.isnan(np.diagonal(joint))
    split = int(live[: widths[0]].sum())
    if not live.all():
        joint = joint[np.ix_(live, live)]
    low, high = cluster_range(args.clusters, args.range, len(joint))
    label, eigenvalues, rows = clustered(joint, split, low, high, args.seed)
    every = np.full(len(live), UNCLUSTERED)
    every[live] = label
    null = chance(joint, split, len(rows), args.rotations, args.seed)
    arrays = {
        "label": every,
        "net": np.repeat([0, 1], widths),  # of the pair
        "unit": np.concatenate([np.arange(units) for units in widths]),
        "order": np.argsort(np.where(every == UNCLUSTERED, len(every), every), stable=True),
        "eigenvalue": eigenvalues,
        "stability": stability(blocks, a, b, every, args.resamples, args.seed),
        **dict(zip(SUMMARY, summary(rows), strict=True)),
        **{f"null/{name}": null[:, k] for k, name in enumerate(SUMMARY)},
    }
    return arrays, rows


def described(rows: Sequence[Cluster], arrays: Arrays, nets: Sequence[str]) -> list[dict[str, object]]:
    """Rows of the table: the clusters with their members, named net0:12."""
    names = np.array([f"{nets[net]}:{unit}" for net, unit in zip(arrays["net"], arrays["unit"], strict=True)])
    return [{**row._asdict(), "members": " ".join(names[arrays["label"] == row.cluster])} for row in rows]


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("moments", help="store of one layer (zarr.json)")
    parser.add_argument("output", help="store to write (zarr.json)")
    parser.add_argument("table", help="clusters to write (.csv)")
    parser.add_argument("--pair", required=True, help="two nets, as net0-net1; the second is rotated in the null")
    parser.add_argument("--clusters", default="auto", help="how many, or auto: from the gap of the eigenvalues")
    parser.add_argument("--range", type=int, nargs=2, default=[2, 32], metavar=("LOW", "HIGH"), help="of auto")
    parser.add_argument("--resamples", type=int, default=20, help="bootstrap samples of the blocks")
    parser.add_argument("--rotations", type=int, default=20, help="of the null, 20 at least for an interval")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="of BLAS; fixed, as results may depend on it")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    about = store.attributes(args.moments)
    a, _, b = args.pair.partition("-")
    known = net_names(about["arrays"])
    if a == b or not {a, b} <= set(known):
        raise InputError(
            f"{args.moments}: --pair {args.pair}: must be two of the nets {', '.join(known)}, as net0-net1"
        )
    names = ["count", *(f"mean/{net}" for net in (a, b)), *(f"comoment/{x}-{y}" for x in (a, b) for y in (a, b))]
    with threadpool_limits({"blas": args.threads, "openmp": 1}):  # k-means is quick, and exact on one thread alone
        arrays, rows = analysed(store.load(args.moments, *names), a, b, args)
    tables.write(args.table, described(rows, arrays, (a, b)))
    store.save(
        args.output,
        arrays,
        layer=about["layer"],
        pair=args.pair,
        moments=about["sha256"],
        images=about["images"],
        nets={net: about["nets"][net] for net in (a, b)},
        k=len(rows),
        **{name: getattr(args, name) for name in ("clusters", "range", "resamples", "rotations", "seed", "threads")},
    )


if __name__ == "__main__":
    main()
