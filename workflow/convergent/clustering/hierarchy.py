"""Clusters of the units of two nets by average linkage of a sparse mapping's weights (paper, section 3.3, Fig 5).

Rows of every matrix and leaves of the tree are the target net's units, followed by the source net's units. The stored
array ``net`` is 0 for units of the pair's first net, the source, and 1 for units of the second, the target.

Because the mapping has exact zeros, most distances tie at the largest one, ``top``. A merge at that height joins
clusters that share no weight. Such merges carry no information: they are taken for one merge of all that is left, and
are neither scored nor drawn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import store, tables
from ..commands import command, new_parser
from ..stitching import mappings

SOURCE, TARGET = 0, 1  # values of the stored array ``net``: the source is the first net of the pair


class Subtree(NamedTuple):
    """A merge below the top, whose units are contiguous in the leaf order."""

    node: int  # number in the linkage, which counts leaves first, then merges
    first: int  # place of its first unit in the leaf order
    size: int  # units
    target: int  # units of the target net
    source: int  # units of the source net
    height: float
    gap: float  # height of its parent (of the top if the parent is not below it) less its own height
    within: float  # mean of M over its distinct pairs of units


def joined(weights: np.ndarray) -> np.ndarray:
    """M = [[I, \\|W\\|], [\\|W\\|', I]], target rows first. (T, S) -> (T + S, T + S)"""
    targets = len(weights)
    matrix = np.eye(sum(weights.shape))
    matrix[:targets, targets:] = np.abs(weights)
    matrix[targets:, :targets] = matrix[:targets, targets:].T
    return matrix


def distance(matrix: np.ndarray) -> np.ndarray:
    """Distances max(M) - M, 0 on the diagonal. (leaves, leaves)"""
    distances = matrix.max() - matrix
    np.fill_diagonal(distances, 0)
    return distances


def average_linkage(matrix: np.ndarray) -> np.ndarray:
    """scipy's linkage of the distances of M: both nodes, height and size of each merge. -> (leaves - 1, 4)

    Distances enter as shares of the largest one, because an average of ones is exactly 1: ties stay ties.
    matrix: M (leaves, leaves)
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    top = matrix.max()
    tree = linkage(squareform(distance(matrix) / top, checks=False), "average")
    tree[:, 2] *= top
    return tree


def leaf_order(tree: np.ndarray, top: float) -> np.ndarray:
    """Leaves in the order of a depth-first traversal. (leaves,)

    Of two siblings the larger comes first; of equally large ones the lower, then that with the smallest leaf. Thus a
    cluster begins with its core and ends with units that join late; the matrix begins with the largest clusters and
    ends with single leaves. The way in which ties at the top were broken does not matter.
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
    """Every merge below the top, sorted by gap (largest first), then by height, then by place in the leaf order.

    The mean of M between two merged nodes is top - height. Therefore the tree alone gives the mean within each subtree.
    tree: (leaves - 1, 4); order: (leaves,); targets: units of the target net
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
    scored = []
    for node in (leaves + np.flatnonzero(tree[:, 2] < top)).tolist():
        size, height = int(sizes[node]), float(tree[node - leaves, 2])
        counts = int(target[node]), size - int(target[node])
        within = float(similarity[node] / (size * (size - 1) / 2))
        scored.append(Subtree(node, int(first[node]), size, *counts, height, float(parent[node] - height), within))
    return sorted(scored, key=lambda subtree: (-subtree.gap, subtree.height, subtree.first))


def best_mixed(scored: Sequence[Subtree], most: int, smallest: int = 2) -> list[Subtree]:
    """At most ``most`` of the best subtrees with units of both nets, none inside another.

    scored: the best first; smallest: units that a subtree must have
    """
    chosen: list[Subtree] = []
    for subtree in scored:
        first, last = subtree.first, subtree.first + subtree.size
        apart = all(last <= other.first or other.first + other.size <= first for other in chosen)
        if subtree.target and subtree.source and subtree.size >= smallest and apart and len(chosen) < most:
            chosen.append(subtree)
    return chosen


def read(path: str | Path) -> list[Subtree]:
    """Scored subtrees of a table that this stage wrote, in the order of their rank."""
    rows = tables.read(path, Subtree._fields, allow_no_rows=True)
    return [Subtree(*(row[name] for name in Subtree._fields)) for row in rows]


def grow(weights: np.ndarray) -> tuple[dict[str, np.ndarray], list[Subtree], float]:
    """Arrays to store, scored subtrees and the top of the tree of a mapping. weights: (T, S)"""
    matrix = joined(weights)
    tree, top = average_linkage(matrix), float(matrix.max())
    order = leaf_order(tree, top)
    arrays = {
        "linkage": tree,
        "order": order,
        "net": np.repeat([TARGET, SOURCE], weights.shape),
        "unit": np.concatenate([np.arange(units) for units in weights.shape]),
    }
    return arrays, subtrees(tree, order, len(weights), top), top


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("stitching", help="store of one layer's sparse mappings between two nets (zarr.json)")
    parser.add_argument("output", help="store to write the tree to (zarr.json)")
    parser.add_argument("table", help="table to write the scores of all subtrees to (.csv)")
    parser.add_argument(
        "--alpha", type=float, default=0.24, help="penalty of the mapping on its path: target units x decay"
    )
    parser.add_argument("--decay", type=float, help="the penalty as the paper gives it, in place of --alpha")
    args = parser.parse_args(argv)
    kind, penalty = ("alpha", args.alpha) if args.decay is None else ("decay", args.decay)
    attributes, point = store.attributes(args.stitching, "mapping"), mappings.path_point(args.stitching, penalty, kind)
    arrays, scored, top = grow(mappings.read_weights(args.stitching, point))
    store.save(
        args.output,
        arrays,
        kind="tree",
        **{key: attributes[key] for key in ("layer", "source", "target", "nets", "images")},
        stitching=attributes["sha256"],
        alpha=float(store.load(args.stitching, "alpha")["alpha"][point]),
        point=point,
        top=top,
    )
    rows = [{"rank": rank, **subtree._asdict()} for rank, subtree in enumerate(scored, 1)]
    of = {"kind": "subtrees", "layer": attributes["layer"], "tree": store.attributes(args.output)["sha256"]}
    tables.write(args.table, rows, header=("rank", *Subtree._fields), **of)


if __name__ == "__main__":
    main()
