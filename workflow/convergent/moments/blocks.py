"""Blocks: how images are assigned to them, which of them a layer keeps, and the order in which their moments are added.

A *fine block* is a union of whole groups of images (``assign_blocks``); the pass over the images computes its moments.
A *kept block* is a run of consecutive fine blocks whose moments were added up. Most layers keep every fine block; very
wide ones keep few. A *shard* is a job that computes consecutive fine blocks, which need not fill kept blocks.

A *node* is the sum of some consecutive fine blocks of one kept block, in a binary tree that only their number fixes:
node (level, place) covers the run's fine blocks from place * 2**level to (place + 1) * 2**level, cut at the run's end.
It is the sum of its two halves, or its first half where the second is empty. A shard stores the largest nodes that it
can complete, and the merge completes the tree. So sums are rounded alike, whatever the number of shards.

Seven fine blocks, of which a wide layer keeps two, shared out to three shards:

    shard             0    0    0    1  |  1    2    2
    fine block        0    1    2    3  |  4    5    6
    level 1           [0+1]     [2+3]   |  [4+5]    [6]
    level 2           [(0+1) + (2+3)]   |  [(4+5) + 6]
    kept block               0          |       1

    shard 0 stores 0+1 and 2, shard 1 stores 3 and 4, shard 2 stores 5 and 6; the merge adds 2+3 and so on
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

from .. import store
from ..commands import InputError
from ..seeds import derive

WAITING_BYTES = 64 * 2**20  # of moments that wait to be written together: each write opens a file for each array
BAND = 512  # rows of co-moments that are added at a time


def assign_blocks(group: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """The images of each fine block: whole groups, dealt out by seed. (N,) -> count x (images of the block,)

    The images of a block are in ascending order. Raises InputError where there are more blocks than groups.
    """
    groups = np.random.default_rng(derive(seed, "blocks")).permutation(np.unique(group))
    if count > len(groups):
        raise InputError(
            f"moments.blocks, or stitching.blocks: {count}, but the images come from {len(groups)} independent groups"
        )
    return [np.flatnonzero(np.isin(group, dealt)) for dealt in np.array_split(groups, count)]


@dataclass(frozen=True)
class WideLayers:
    """Which layers keep fewer blocks than are computed: co-moments of every fine block would fill the disk."""

    units: int = 8192  # a layer with so many units of all nets together, or more, is wide
    blocks: int = 4  # kept blocks of a wide layer, at most
    others: int | None = None  # kept blocks of any other layer, at most; None keeps all

    def kept_blocks(self, units: int, fine_blocks: int) -> int:
        """Number of blocks that a layer keeps; ``units`` are those of all nets together."""
        most = self.blocks if units >= self.units else self.others
        return min(fine_blocks, most or fine_blocks)


def block_of_images(group: np.ndarray, fine_blocks: int, blocks: int, seed: int) -> np.ndarray:
    """Number of the kept block of each image, from its group. (N,) -> (N,)

    fine_blocks, blocks, seed: as a store of moments has them among its attributes
    """
    fine = assign_blocks(group, fine_blocks, seed)
    block = np.empty(len(group), int)
    for kept_block, run in enumerate(runs_of(fine_blocks, blocks)):
        block[np.concatenate([fine[number] for number in run])] = kept_block
    return block


class Node(NamedTuple):
    """The sum of consecutive fine blocks of a kept block; see the module's docstring."""

    kept_block: int
    level: int
    place: int


def runs_of(fine_blocks: int, kept_blocks: int) -> list[range]:
    """The fine blocks of each kept block: consecutive runs, as equal in length as possible."""
    ends = np.cumsum([len(part) for part in np.array_split(np.arange(fine_blocks), kept_blocks)]).tolist()
    return [range(first, end) for first, end in pairwise([0, *ends])]


def leaf(fine_block: int, runs: Sequence[range]) -> Node:
    """The node of a single fine block."""
    kept_block = next(number for number, run in enumerate(runs) if fine_block in run)
    return Node(kept_block, 0, fine_block - runs[kept_block].start)


def covered(node: Node, runs: Sequence[range]) -> range:
    """The fine blocks of a node."""
    return runs[node.kept_block][node.place << node.level : (node.place + 1) << node.level]


def append_node(nodes: list[Node], node: Node, runs: Sequence[range]) -> None:
    """Append a node to the nodes of the fine blocks before it.

    Where it is the second half of a larger node whose first half is the last in the list, the larger node takes the
    place of both, and so on up the tree.
    """
    kept_block, level, place = node
    size = len(runs[kept_block])
    while 2**level < size:
        is_second_half = place % 2
        if is_second_half:
            if nodes[-1:] != [Node(kept_block, level, place - 1)]:
                break  # another shard holds the first half, or parts of it
            nodes.pop()
        elif (place + 1) << level < size:
            break  # the second half is still to come
        level, place = level + 1, place // 2
    nodes.append(Node(kept_block, level, place))


def most_nodes(fine_blocks: Iterable[int], runs: Sequence[range]) -> int:
    """How many nodes there are at most while a shard's fine blocks come one after the other."""
    nodes: list[Node] = []
    most = 0
    for number in fine_blocks:
        append_node(nodes, leaf(number, runs), runs)
        most = max(most, len(nodes))
    return most


class Moments(Protocol):
    """Arrays by name: ``count``, means, ``comoment/<a>-<b>``. They may be read from disk when asked for."""

    def __getitem__(self, name: str, /) -> np.ndarray: ...


def is_mean(name: str) -> bool:
    """Whether an array of moments is of means over samples: all are, as ``mean/<net>``, but count and co-moments."""
    return name != "count" and not name.startswith("comoment/")


def add(earlier: Moments, later: dict[str, np.ndarray]) -> None:
    """Add the moments of earlier images to those of later ones, in place of the latter.

    This is the update of Chan, Golub and LeVeque (1983). It asks for each earlier array once, and makes no temporary
    array of the size of a co-moment.
    """
    count, more = int(later["count"]), int(earlier["count"])
    share = count / (count + more)
    step: dict[str, np.ndarray] = {}  # net -> difference of the means (units,)
    for name in later:
        if is_mean(name):
            mean = earlier[name]
            step[name.removeprefix("mean/")] = difference = np.subtract(later[name], mean, dtype=np.float64)
            later[name] = (mean + difference * share).astype(mean.dtype)
    for name, products in later.items():
        if name.startswith("comoment/"):
            a, b = name.removeprefix("comoment/").split("-")
            earlier_products = earlier[name]
            for first in range(0, len(products), BAND):
                band = slice(first, first + BAND)
                products[band] += earlier_products[band] + more * share * np.outer(step[a][band], step[b])
    later["count"] = np.int64(count + more)  # type: ignore[assignment]


class Stack(Protocol):
    """Moments of nodes, one behind the other: a list of dictionaries, or a ``StoredStack``."""

    def __len__(self) -> int: ...
    def append(self, moments: dict[str, np.ndarray], /) -> None: ...
    def pop(self) -> Moments: ...


class TreeSum:
    """Adds the moments of consecutive nodes as far as the tree allows; the rest waits on a stack.

    ``nodes`` says which node each entry of the stack is.
    """

    def __init__(self, runs: Sequence[range], stack: Stack) -> None:
        self.runs, self.stack = runs, stack
        self.nodes: list[Node] = []

    def push(self, node: Node, moments: dict[str, np.ndarray]) -> None:
        """Take in the next node with its moments, which may be overwritten."""
        append_node(self.nodes, node, self.runs)
        while len(self.stack) >= len(self.nodes):
            add(self.stack.pop(), moments)
        self.stack.append(moments)


class StoredMoments:
    """Moments of one node in an unfinished store; an array is read whenever it is asked for."""

    def __init__(self, path: str, row: int) -> None:
        self.path, self.row = path, row

    def __getitem__(self, name: str) -> np.ndarray:
        return store.row(self.path, name, self.row)


class StoredStack:
    """A ``Stack`` whose entries are rows of an unfinished store; only small ones at its end are in memory."""

    def __init__(self, path: str, capacity: int) -> None:
        """path: declared file of the store, capacity: the most entries that there may be at a time"""
        self.path, self.capacity, self.written = path, capacity, 0
        self.names: list[str] = []  # of the arrays; empty until the store is created
        self.waiting: list[dict[str, np.ndarray]] = []  # entries that are not written yet

    def __len__(self) -> int:
        return self.written + len(self.waiting)

    def append(self, moments: dict[str, np.ndarray]) -> None:
        if not self.names:
            self.names = list(moments)
            store.create(self.path, {name: ((self.capacity, *x.shape), x.dtype) for name, x in moments.items()})
        self.waiting.append(moments)
        if sum(x.nbytes for entry in self.waiting for x in entry.values()) < WAITING_BYTES:
            self.waiting[-1] = {name: np.array(x) for name, x in moments.items()}  # the caller may reuse its arrays
        else:
            self.write()

    def write(self) -> None:
        """Write the entries that wait."""
        for name in self.names if self.waiting else []:
            store.write(self.path, name, np.stack([entry[name] for entry in self.waiting]), self.written)
        self.written, self.waiting = len(self), []

    def pop(self) -> Moments:
        if self.waiting:
            return self.waiting.pop()
        self.written -= 1
        return StoredMoments(self.path, self.written)

    def finish(self, **attributes: Any) -> None:
        """Complete the store, whose rows are the entries of the stack."""
        self.write()
        store.finish(self.path, dict.fromkeys(self.names), dict.fromkeys(self.names, len(self)), **attributes)


class ShardStore:
    """The store of one layer's moments that a shard writes: a row for each of its ``nodes``."""

    def __init__(self, path: str, fine_blocks: int, in_shard: int, wide: WideLayers) -> None:
        """fine_blocks: number of all fine blocks, in_shard: number of those that this shard computes"""
        self.path, self.fine_blocks, self.in_shard, self.wide = path, fine_blocks, in_shard, wide
        self.stack: StoredStack | None = None  # until the first block shows how wide the layer is
        self.sum: TreeSum | None = None

    def add_block(self, fine_block: int, moments: dict[str, np.ndarray]) -> None:
        """Take in the moments of the shard's next fine block, which may be overwritten."""
        if self.sum is None:
            units = sum(len(mean) for name, mean in moments.items() if name.startswith("mean/"))
            kept_blocks = self.wide.kept_blocks(units, self.fine_blocks)
            runs = runs_of(self.fine_blocks, kept_blocks)
            own = range(fine_block, fine_block + self.in_shard)
            self.stack = StoredStack(self.path, most_nodes(own, runs))  # files on disk are of so many rows
            self.sum = TreeSum(runs, self.stack)
        self.sum.push(leaf(fine_block, self.sum.runs), moments)

    def finish(self, **attributes: Any) -> None:
        """Complete the store; ``nodes`` among its attributes are those of its rows."""
        assert self.sum is not None
        assert self.stack is not None
        tree = {"blocks": len(self.sum.runs), "fine_blocks": self.fine_blocks, "nodes": self.sum.nodes}
        self.stack.finish(**attributes, **tree)
