"""Blocks of images that a layer keeps, and the order in which finer ones are added up to them.

A kept block is a run of consecutive fine blocks, which are added in a binary tree that nothing but their number fixes:
node (level, place) covers the run from place * 2**level to (place + 1) * 2**level, cut at its end, and is the sum of
its halves, or its first half where the second is empty. A shard adds what it holds both halves of; so any number of
shards gives the same bits.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

from .. import store

WAITING_BYTES = 64 * 2**20  # of rows that wait to be written together; a file is opened for each array
BAND = 512  # rows of co-moments that are added at a time


class Wide(NamedTuple):
    """Which layers keep few blocks."""

    units: int  # of all nets together, at least
    blocks: int  # that they keep, at most


class Node(NamedTuple):
    """Consecutive fine blocks of a kept block, added up."""

    block: int
    level: int
    place: int


def runs(fine: int, kept: int) -> list[range]:
    """Which fine blocks make up each kept block."""
    ends = np.cumsum([len(part) for part in np.array_split(np.arange(fine), kept)]).tolist()
    return [range(first, end) for first, end in pairwise([0, *ends])]


def leaf(number: int, kept: Sequence[range]) -> Node:
    """The node of a single fine block."""
    block = next(block for block, run in enumerate(kept) if number in run)
    return Node(block, 0, number - kept[block].start)


def covered(node: Node, kept: Sequence[range]) -> range:
    """The fine blocks of a node."""
    return kept[node.block][node.place << node.level : (node.place + 1) << node.level]


def join(nodes: list[Node], node: Node, kept: Sequence[range]) -> None:
    """Put a node behind others, in place of those at their end that make up a larger one with it."""
    block, level, place = node
    size = len(kept[block])
    while 2**level < size:
        if place % 2:
            if nodes[-1:] != [Node(block, level, place - 1)]:
                break  # another shard has the first half
            nodes.pop()
        elif (place + 1) << level < size:
            break  # the second half is still to come
        level, place = level + 1, place // 2
    nodes.append(Node(block, level, place))


class Row(Protocol):
    """Moments of one node by name; an array may be read from disk each time that it is asked for."""

    def __getitem__(self, name: str, /) -> np.ndarray: ...


def add(before: Row, moments: dict[str, np.ndarray]) -> None:
    """Add to moments, in place, those of the images before them: ``count``, ``mean/<net>``, ``comoment/<a>-<b>``.

    The update of Chan, Golub and LeVeque (1983). Whole arrays are not made, and each is asked for once.
    """
    count, more = int(moments["count"]), int(before["count"])
    share = count / (count + more)
    step: dict[str, np.ndarray] = {}  # net -> (units,)
    for name in moments:
        if name.startswith("mean/"):
            mean = before[name]
            step[name.removeprefix("mean/")] = difference = moments[name] - mean
            moments[name] = mean + difference * share
    for name, products in moments.items():
        if name.startswith("comoment/"):
            a, b = name.removeprefix("comoment/").split("-")
            others = before[name]
            for first in range(0, len(products), BAND):
                band = slice(first, first + BAND)
                products[band] += others[band] + more * share * np.outer(step[a][band], step[b])
    moments["count"] = np.int64(count + more)  # type: ignore[assignment]


class Stack(Protocol):
    """Moments of nodes in their order: a list of them, or a ``Pile``."""

    def __len__(self) -> int: ...
    def append(self, moments: dict[str, np.ndarray], /) -> None: ...
    def pop(self) -> Row: ...


def push(nodes: list[Node], rows: Stack, node: Node, moments: dict[str, np.ndarray], kept: Sequence[range]) -> None:
    """Put a node and its moments behind others, added up as far as possible; its moments may be overwritten."""
    join(nodes, node, kept)
    while len(rows) >= len(nodes):
        add(rows.pop(), moments)
    rows.append(moments)


class StoredRow:
    """One row of all arrays of a store that is being written."""

    def __init__(self, path: str, row: int) -> None:
        self.path, self.row = path, row

    def __getitem__(self, name: str) -> np.ndarray:
        return store.row(self.path, name, self.row)


class Pile:
    """Rows of an unfinished store, put behind each other and taken back from the end; memory holds only small ones."""

    def __init__(self, path: str, room: int) -> None:
        """room: the most rows that there may be"""
        self.path, self.room, self.written = path, room, 0
        self.names: list[str] = []  # as soon as the store is there
        self.waiting: list[dict[str, np.ndarray]] = []

    def __len__(self) -> int:
        return self.written + len(self.waiting)

    def append(self, moments: dict[str, np.ndarray]) -> None:
        if not self.names:
            self.names = list(moments)
            store.create(self.path, {name: ((self.room, *x.shape), x.dtype) for name, x in moments.items()})
        self.waiting.append(moments)
        if sum(x.nbytes for row in self.waiting for x in row.values()) < WAITING_BYTES:
            self.waiting[-1] = {name: np.array(x) for name, x in moments.items()}  # theirs may change
        else:
            self.write()

    def write(self) -> None:
        for name in self.names if self.waiting else []:
            store.write(self.path, name, np.stack([row[name] for row in self.waiting]), self.written)
        self.written, self.waiting = len(self), []

    def pop(self) -> Row:
        if self.waiting:
            return self.waiting.pop()
        self.written -= 1
        return StoredRow(self.path, self.written)

    def finish(self, **attributes: Any) -> None:
        self.write()
        store.finish(self.path, dict.fromkeys(self.names), dict.fromkeys(self.names, len(self)), **attributes)


class Kept:
    """The moments of one layer that a shard makes, on their way to its store."""

    def __init__(self, path: str, fine: int, mine: int, wide: Wide) -> None:
        """fine: number of fine blocks, mine: of these in this shard"""
        self.pile, self.fine, self.wide = Pile(path, mine), fine, wide
        self.nodes: list[Node] = []
        self.kept: list[range] = []

    def take(self, number: int, moments: dict[str, np.ndarray]) -> None:
        """Moments of the fine block of that number, which may be overwritten."""
        if not self.kept:
            units = sum(len(x) for name, x in moments.items() if name.startswith("mean/"))
            self.kept = runs(self.fine, min(self.fine, self.wide.blocks) if units >= self.wide.units else self.fine)
        push(self.nodes, self.pile, leaf(number, self.kept), moments, self.kept)

    def finish(self, **attributes: Any) -> None:
        """Complete the store, whose rows are those of ``nodes``."""
        self.pile.finish(**attributes, blocks=len(self.kept), fine_blocks=self.fine, nodes=self.nodes)
