"""Spectral clusters of the units of two nets together, from moments (paper, section 3.3 and supplement).

Graph: the live units of both nets are vertices. Positive correlations, within a net and between nets, are edges.
Clusters: k-means of the rows, scaled to length 1, of the first k eigenvectors of I - D^-1/2 A D^-1/2 (Ng, Jordan and
Weiss 2002). k lies at the largest gap of the eigenvalues in a range. The best of ten seeded starts is kept.
Span: canonical correlations between a cluster's units of one net and its units of the other. Each is the cosine of a
principal angle between the two subspaces. All are 1 where one subspace contains the other.
Stability: adjusted Rand index between the clusters and those of resampled blocks (whole photographs), with equal k.
Rotated axes: all this after random rotations of the second net's standardised units, with equal k. They keep its
subspace and destroy its axes. Stability is measured after the first few of them, in the same resamples.

The stored array ``net`` is 0 for units of the pair's first net and 1 for units of the second.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits  # only of libraries that are loaded by then: no imports in functions here

from .. import store, tables
from ..alignment.correlation import joint_correlation
from ..alignment.matching import live_mean
from ..alignment.rotation import random_rotation, rotated_joint_correlation
from ..commands import InputError, command, new_parser
from ..moments.covariance import Arrays, load_pair
from ..seeds import derive
from .graphs import UNCLUSTERED, affinity, densities, partition
from .stability import resampled, stability
from .subspaces import canonical_correlations, smallest_principal_angle

SUMMARY = ["density_inside", "contrast", "span"]
TURNED = 5  # rotations after which stability is measured: each takes as long as that of the nets themselves


@dataclass(frozen=True)
class SpectralSettings:
    """How many clusters are wanted, and how often resamples and rotations are clustered."""

    clusters: str  # a number, or auto: from the gap of the eigenvalues
    range: tuple[int, int]  # lowest and highest number of clusters for auto
    resamples: int  # bootstrap samples of the blocks
    rotations: int  # random rotations of the second net
    seed: int


class Cluster(NamedTuple):
    """A row of the table. A mean over no pairs is NaN, and so are span and angle of units of one net alone."""

    cluster: int  # 0 is the densest
    size: int  # units
    units_a: int  # units of the first net
    units_b: int  # units of the second net
    density_inside: float  # mean weight of the pairs of its units
    density_outside: float  # mean weight of the pairs of one of its units with one of another cluster
    span: float  # mean squared canonical correlation between its units of the first net and those of the second
    smallest_angle: float  # smallest principal angle between the subspaces of these units, degrees


class Clustering(NamedTuple):
    """Clusters of the live units of both nets."""

    label: np.ndarray  # (units,): number of the cluster, or UNCLUSTERED
    eigenvalues: np.ndarray  # (high + 1,) or fewer: the smallest of the Laplacian, ascending
    clusters: list[Cluster]


def cluster_units(joint: np.ndarray, split: int, low: int, high: int, seed: int) -> Clustering:
    """``low`` to ``high`` clusters of live units, from their correlation.

    joint: (units, units), the first net's ``split`` units first
    """
    graph = affinity(joint)
    label, eigenvalues = partition(graph, low, high, derive(seed, "k-means"))
    clusters = []
    for cluster, (inside, outside) in enumerate(zip(*densities(graph, label), strict=True)):
        members = np.flatnonzero(label == cluster)
        a, b = members[members < split], members[members >= split]
        cosines = canonical_correlations(joint, a, b) if len(a) and len(b) else np.array([np.nan])
        span, angle = (cosines**2).mean(), smallest_principal_angle(cosines)
        clusters.append(Cluster(cluster, len(members), len(a), len(b), inside, outside, span, angle))
    return Clustering(label, eigenvalues, clusters)


def summary(clusters: Sequence[Cluster]) -> np.ndarray:
    """SUMMARY of all clusters together. (3,)

    - density_inside: mean density inside, weighted by size
    - contrast: density_inside by the mean density outside
    - span: mean span of the clusters that hold units of both nets
    """
    if not clusters:
        return np.full(len(SUMMARY), np.nan)
    sizes = [cluster.size for cluster in clusters]
    inside, outside = (
        live_mean(np.repeat([getattr(cluster, name) for cluster in clusters], sizes))
        for name in ("density_inside", "density_outside")
    )
    contrast = inside / outside if outside else np.inf
    return np.array([inside, contrast, live_mean(np.array([cluster.span for cluster in clusters]))])


def nth_rotation(number: int, units: int, seed: int) -> np.ndarray:
    """A random rotation of the second net's live units. (units, units)"""
    return random_rotation(units, np.random.default_rng(derive(seed, "rotations", number)))


def rotated_axes(joint: np.ndarray, split: int, k: int, rotations: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """SUMMARY of k clusters after each random rotation of the second net, and the clusters after the first few.

    joint: correlation of live units (units, units), the first net's ``split`` units first
    -> (rotations, 3), (at most TURNED, units)
    """
    summaries = np.full((rotations, len(SUMMARY)), np.nan)
    label = np.full((min(TURNED, rotations), len(joint)), UNCLUSTERED)
    for number in range(rotations if k else 0):
        rotated = rotated_joint_correlation(joint, split, nth_rotation(number, len(joint) - split, seed))
        found = cluster_units(rotated, split, k, k, seed)
        summaries[number] = summary(found.clusters)
        label[number : number + 1] = found.label  # beyond the first few: nowhere
    return summaries, label


def cluster_range(clusters: str, wanted: tuple[int, int], units: int) -> tuple[int, int]:
    """Lowest and highest number of clusters to choose from: at most half of the live units, or the number that is set.

    clusters: a number, or auto for the range ``wanted``. Raises InputError for numbers that are not possible.
    """
    if clusters != "auto":
        if not clusters.isdecimal() or not 2 <= int(clusters) < units:
            raise InputError(f"--clusters {clusters}: must be auto or from 2 to {units - 1}, fewer than live units")
        return int(clusters), int(clusters)
    low, high = wanted
    if not 2 <= low <= high:
        raise InputError(f"--range {low} {high}: must be two numbers from 2 on, the smaller first")
    return min(low, units // 2), min(high, units // 2)


def cluster_pair(
    blocks: Arrays, a: str, b: str, settings: SpectralSettings
) -> tuple[dict[str, np.ndarray], list[Cluster]]:
    """Arrays to store and clusters of the units of two nets, from block moments.

    Resamples and rotations are cut into as many clusters as the nets themselves.
    """
    seed = settings.seed
    joint = joint_correlation(blocks, a, b, np.ones(len(blocks["count"])))
    widths = [blocks[f"mean/{net}"].shape[1] for net in (a, b)]
    live = ~np.isnan(np.diagonal(joint))
    split = int(live[: widths[0]].sum())
    if not live.all():
        joint = joint[np.ix_(live, live)]
    low, high = cluster_range(settings.clusters, settings.range, len(joint))
    live_label, eigenvalues, clusters = cluster_units(joint, split, low, high, seed)
    label = np.full(len(live), UNCLUSTERED)
    label[live] = live_label
    rotated, rotated_label = rotated_axes(joint, split, len(clusters), settings.rotations, seed)
    turns = [nth_rotation(number, len(joint) - split, seed) for number in range(len(rotated_label))]
    rotations = [np.eye(len(joint) - split), *turns]  # the nets as they are first
    draws = resampled(blocks, a, b, settings.resamples, seed)
    stable = stability(draws, np.vstack([live_label[None], rotated_label]), rotations, seed)
    arrays = {
        "label": label,
        "net": np.repeat([0, 1], widths),
        "unit": np.concatenate([np.arange(units) for units in widths]),
        "order": np.argsort(np.where(label == UNCLUSTERED, len(label), label), stable=True),
        "eigenvalue": eigenvalues,
        "stability": stable[:, 0],
        "rotated/stability": stable[:, 1:].T,
        **dict(zip(SUMMARY, summary(clusters), strict=True)),
        **{f"rotated/{name}": rotated[:, k] for k, name in enumerate(SUMMARY)},
    }
    return arrays, clusters


def table_rows(clusters: Sequence[Cluster], arrays: Arrays, nets: Sequence[str]) -> list[dict[str, object]]:
    """Rows of the table: the clusters and the names of their members, as net0:12. nets: names of the pair's nets"""
    names = np.array([f"{nets[net]}:{unit}" for net, unit in zip(arrays["net"], arrays["unit"], strict=True)])
    label = arrays["label"]
    return [{**row._asdict(), "members": " ".join(names[label == row.cluster])} for row in clusters]


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("moments", help="store of one layer's moments (zarr.json)")
    parser.add_argument("output", help="store to write the clusters to (zarr.json)")
    parser.add_argument("table", help="table to write the clusters to (.csv)")
    parser.add_argument("--pair", required=True, help="two nets, as net0-net1; the second is rotated")
    parser.add_argument(
        "--clusters", default="auto", help="number of clusters, or auto: from the largest gap of the eigenvalues"
    )
    parser.add_argument(
        "--range",
        type=int,
        nargs=2,
        default=[2, 32],
        metavar=("LOW", "HIGH"),
        help="lowest and highest number of clusters for auto, at least 2",
    )
    parser.add_argument("--resamples", type=int, default=20, help="bootstrap samples of the blocks, for stability")
    parser.add_argument(
        "--rotations", type=int, default=20, help="random rotations of the second net; at least 20 for the 95 %% range"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of k-means, bootstrap and rotations")
    parser.add_argument("--threads", type=int, default=2, help="threads of BLAS; results may differ in the last bits")
    return parser.parse_args(argv)


def parse_pair(pair: str, moments: str, known: Sequence[str]) -> tuple[str, str]:
    """The two nets of ``net0-net1``. Raises InputError unless both are known and differ. moments: path of the store"""
    a, _, b = pair.partition("-")
    if a == b or not {a, b} <= set(known):
        raise InputError(f"{moments}: --pair {pair}: must be two of the nets {', '.join(known)}, as net0-net1")
    return a, b


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    settings = SpectralSettings(args.clusters, tuple(args.range), args.resamples, args.rotations, args.seed)
    attributes = store.attributes(args.moments, "moments")
    a, b = parse_pair(args.pair, args.moments, list(attributes["nets"]))
    with threadpool_limits({"blas": args.threads, "openmp": 1}):  # k-means is quick, and exact on one thread alone
        arrays, clusters = cluster_pair(load_pair(args.moments, a, b), a, b, settings)
    store.save(
        args.output,
        arrays,
        kind="clusters",
        layer=attributes["layer"],
        pair=args.pair,
        moments=attributes["sha256"],
        images=attributes["images"],
        nets={net: attributes["nets"][net] for net in (a, b)},
        k=len(clusters),
        **asdict(settings),
        threads=args.threads,
    )
    rows, of = table_rows(clusters, arrays, (a, b)), {"layer": attributes["layer"], "pair": args.pair}
    digest = store.attributes(args.output)["sha256"]
    tables.write(args.table, rows, header=(*Cluster._fields, "members"), kind="clusters", clusters=digest, **of)


if __name__ == "__main__":
    main()
