"""Clusters of the units of two nets by average linkage of a sparse mapping's weights (paper, section 3.3, Fig 5).

Rows of every matrix and leaves of the tree are the target net's units first, then the source net's.

With exact zeros most distances tie at the largest one, ``top``. Merges at that height join clusters that share no
weight: they carry no information and are taken for one merge of all that is left, neither scored nor drawn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import store, tables
from ..commands import command, new_parser
from ..stitching import mappings

TARGET, SOURCE = 0, 1  # values of the stored array ``net``


class Subtree(NamedTuple):
    """A merge below the top: leaves first to first + size of the leaf order."""

    node: int  # as in the linkage: leaves come first, then merges
    first: int
    size: int
    target: int  # how many of its units belong to the target net
    source: int
    height: float
    gap: float  # how far above it its parent is, or the top if it has none below
    within: float  # mean of M over its distinct pairs of units


def joined(weights: np.ndarray) -> np.ndarray:
    """M = [[I, \\|W\\|], [\\|W\\|', I]], target rows first. (target, source) -> (target + source, target + source)"""
    targets = len(weights)
    matrix = np.eye(sum(weights.shape))
    matrix[:targets, targets:] = np.abs(weights)
    matrix[targets:, :targets] = matrix[:targets, targets:].T
    return matrix


def distance(matrix: np.ndarray) -> np.ndarray:
    """max(M) - M with a diagonal of zeros. (leaves, leaves)"""
    found = matrix.max() - matrix
    np.fill_diagonal(found, 0)
    return found


def average_linkage(matrix: np.ndarray) -> np.ndarray:
    """scipy's linkage of the distances of M: two nodes, height, size of each merge. (leaves, leaves) -> (leaves - 1, 4)

    Distances enter as shares of the largest, because averages of exactly 1 are exactly 1: ties stay ties.
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    top = matrix.max()
    tree = linkage(squareform(distance(matrix) / top, checks=False), "average")
    tree[:, 2] *= top
    return tree


def leaf_order(tree: np.ndarray, top: float) -> np.ndarray:
    """Leaves by depth-first traversal; of siblings the larger first, then the lower, then that with the smallest leaf.

    So a cluster begins with its core and ends with what joins late, the matrix begins with the largest clusters and
    ends with single leaves, and how ties at the top were broken does not matter. (leaves,)
    """
    leaves, pairs, informative = len(tree) + 1, tree[:, :2].astype(int), tree[:, 2] < top
    size, height = np.r_[np.ones(leaves), tree[:, 3]], np.r_[np.zeros(leaves), tree[:, 2]]
    smallest = np.arange(len(size))
    for node, pair in enumerate(pairs, leaves):
        smallest[node] = smallest[pair].min()
    place = np.empty(len(size), int)
    place[np.lexsort((smallest, height, -size))] = np.arange(len(size))

    def last_first(siblings: np.ndarray) -> list[int]:
        return siblings[np.argsort(-place[siblings])].tolist()

    under_top = np.r_[np.ones(leaves, bool), informative]
    under_top[pairs[informative]] = False
    stack, order = last_first(np.flatnonzero(under_top)), []
    while stack:
        node = stack.pop()
        if node < leaves:
            order.append(node)
        else:
            stack += last_first(pairs[node - leaves])
    return np.array(order)


def subtrees(tree: np.ndarray, order: np.ndarray, targets: int, top: float) -> list[Subtree]:
    """Every merge below the top, the best first: by gap, then by height, then in leaf order.

    The mean of M between two merged nodes is top - height, so that the tree alone gives every mean within.
    """
    leaves, nodes = len(order), len(order) + len(tree)
    first, target, similarity, parent = np.zeros(nodes, int), np.zeros(nodes, int), np.zeros(nodes), np.full(nodes, top)
    first[order] = np.arange(leaves)
    target[:targets] = 1
    sizes = np.r_[np.ones(leaves), tree[:, 3]]
    for node, (pair, height) in enumerate(zip(tree[:, :2].astype(int), tree[:, 2], strict=True), leaves):
        parent[pair] = height
        first[node], target[node] = first[pair].min(), target[pair].sum()
        similarity[node] = similarity[pair].sum() + sizes[pair].prod() * (top - height)
    found = []
    for node in (leaves + np.flatnonzero(tree[:, 2] < top)).tolist():
        size, height = int(sizes[node]), float(tree[node - leaves, 2])
        counts = int(target[node]), size - int(target[node])
        within = float(similarity[node] / (size * (size - 1) / 2))
        found.append(Subtree(node, int(first[node]), size, *counts, height, float(parent[node] - height), within))
    return sorted(found, key=lambda subtree: (-subtree.gap, subtree.height, subtree.first))


def best_mixed(scored: Sequence[Subtree], most: int, smallest: int = 2) -> list[Subtree]:
    """The first of the scored that hold units of both nets and at least ``smallest`` in all, none inside another."""
    chosen: list[Subtree] = []
    for one in scored:
        apart = all(one.first + one.size <= two.first or two.first + two.size <= one.first for two in chosen)
        if one.target and one.source and one.size >= smallest and apart and len(chosen) < most:
            chosen.append(one)
    return chosen


def read(path: str | Path) -> list[Subtree]:
    """Scored subtrees of a table, in the order of their rank."""
    return [Subtree(*(row[name] for name in Subtree._fields)) for row in tables.read(path, allow_no_rows=True)]


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("stitching", help="store of a sparse mapping of one layer (zarr.json)")
    parser.add_argument("output", help="store to write (zarr.json)")
    parser.add_argument("table", help="scores of all subtrees to write (.csv)")
    parser.add_argument("--alpha", type=float, default=0.24, help="point of the path, units x decay")
    args = parser.parse_args(argv)
    about, point = store.attributes(args.stitching), mappings.path_point(args.stitching, args.alpha)
    weights = mappings.read_weights(args.stitching, point)
    matrix = joined(weights)
    tree, top = average_linkage(matrix), float(matrix.max())
    order = leaf_order(tree, top)
    scored = subtrees(tree, order, len(weights), top)
    tables.write(args.table, [{"rank": rank, **subtree._asdict()} for rank, subtree in enumerate(scored, 1)])
    store.save(
        args.output,
        {
            "linkage": tree,
            "order": order,
            "net": np.repeat([TARGET, SOURCE], weights.shape),
            "unit": np.concatenate([np.arange(units) for units in weights.shape]),
        },
        **{key: about[key] for key in ("layer", "source", "target", "nets")},
        stitching=about["sha256"],
        alpha=args.alpha,
        point=point,
        top=top,
    )


if __name__ == "__main__":
    main()
