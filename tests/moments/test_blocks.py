"""Blocks that are kept: fine ones are added up in one order, however shards share them out."""

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from workflow.convergent import store
from workflow.convergent.moments import blocks

Arrays = dict[str, np.ndarray]
WIDTHS = {"net0": 3, "net1": 2}
DEAD = 1  # unit of net0


def splits(count: int) -> list[list[range]]:
    """All ways to share out so many fine blocks: runs, none of them empty."""
    cuts = [c for some in range(count) for c in combinations(range(1, count), some)]
    return [[range(a, b) for a, b in pairwise([0, *cut, count])] for cut in cuts]


def by_definition(first: int, end: int, stop: int) -> object:
    """The sum of fine blocks from first to end, a power of two, of which those from stop on do not exist."""
    if end - first == 1:
        return first
    middle = (first + end) // 2
    left = by_definition(first, middle, stop)
    return left if middle >= stop else (left, by_definition(middle, end, stop))


@pytest.mark.parametrize(("fine", "kept"), [(1, 1), (7, 7), (7, 2), (64, 4), (10, 4)])
def test_runs_are_consecutive_and_as_equal_as_possible(fine: int, kept: int) -> None:
    found = blocks.runs(fine, kept)
    assert [number for run in found for number in run] == list(range(fine))
    assert len(found) == kept
    assert max(map(len, found)) - min(map(len, found)) <= 1
    for number in range(fine):
        assert list(blocks.covered(blocks.leaf(number, found), found)) == [number]


@pytest.mark.parametrize("count", range(1, 10))
def test_any_shards_add_up_in_the_order_of_the_definition(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With sums written down instead of computed; what a shard keeps covers its blocks, and could not be less."""
    monkeypatch.setattr(blocks, "add", lambda before, moments: moments.update(sum=(before["sum"], moments["sum"])))
    kept = [range(count)]
    expected = by_definition(0, 1 << (count - 1).bit_length(), count)
    for shards in splits(count):
        merged: tuple[list, list] = ([], [])
        for shard in shards:
            nodes: list[blocks.Node] = []
            rows: list[dict] = []
            for number in shard:
                blocks.push(nodes, rows, blocks.leaf(number, kept), {"sum": number}, kept)
            assert [number for node in nodes for number in blocks.covered(node, kept)] == list(shard)
            assert not any(a.level == b.level and a.place ^ 1 == b.place for a, b in pairwise(nodes))
            assert len(rows) == len(nodes) <= max(1, 2 * count.bit_length() - 2)
            for node, row in zip(nodes, rows, strict=True):
                blocks.push(*merged, node, row, kept)
        assert merged[1] == [{"sum": expected}]


def test_kept_blocks_are_not_added_to_each_other() -> None:
    kept = blocks.runs(5, 2)
    nodes: list[blocks.Node] = []
    for number in range(5):
        blocks.join(nodes, blocks.leaf(number, kept), kept)
    assert [list(blocks.covered(node, kept)) for node in nodes] == [[0, 1, 2], [3, 4]]


def data(count: int, seed: int) -> Arrays:
    """Activations with a mean of their own and a unit that is always the same. net -> (count, units)"""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 5)) @ rng.normal(size=(5, 5)) + 3 * rng.normal(size=5)
    x[:, DEAD] = 0.1
    return dict(zip(WIDTHS, np.split(x, [3], axis=1), strict=True))


def moments(x: Arrays) -> Arrays:
    found: Arrays = {"count": np.int64(len(x["net0"]))}
    mean = {net: rows[0] + (rows - rows[0]).mean(0) for net, rows in x.items()}  # exact for a dead unit
    found |= {f"mean/{net}": mean[net] for net in x}
    pairs = [("net0", "net0"), ("net0", "net1"), ("net1", "net1")]
    return found | {f"comoment/{a}-{b}": (x[a] - mean[a]).T @ (x[b] - mean[b]) for a, b in pairs}


PARTS = [data(count, seed) for seed, count in enumerate([40, 7, 1, 12, 90])]


@pytest.mark.parametrize("band", [1, 2, 512])
def test_sums_are_those_of_all_data(band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BAND", band)
    found = moments(PARTS[0])
    for part in PARTS[1:]:
        after = moments(part)
        blocks.add(found, after)
        found = after
    expected = moments({net: np.concatenate([part[net] for part in PARTS]) for net in WIDTHS})
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-12, atol=1e-11)
    np.testing.assert_array_equal(found["comoment/net0-net0"], found["comoment/net0-net0"].T)
    assert not found["comoment/net0-net0"][DEAD].any()
    assert not found["comoment/net0-net1"][DEAD].any()
    assert found["mean/net0"][DEAD] == 0.1


@pytest.mark.parametrize("waiting", [0, 300, 2**20])
@pytest.mark.parametrize("chunk", [1, 150, 2**20])
def test_a_pile_is_a_list_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: int, chunk: int) -> None:
    """Whatever is written at once and is a file; what is given may change afterwards."""
    monkeypatch.setattr(blocks, "WAITING_BYTES", waiting)
    monkeypatch.setattr(store, "CHUNK_BYTES", chunk)
    pile, expected = blocks.Pile(str(tmp_path / "a.zarr/zarr.json"), room=6), []
    for number in (0, 1, 2, 3, None, None, 4, None, 0, 1, 2):
        if number is None:
            found, row = pile.pop(), expected.pop()
            for name, array in row.items():
                np.testing.assert_array_equal(found[name], array)
        else:
            expected.append(moments(PARTS[number]))
            given = moments(PARTS[number])
            pile.append(given)
            for name in given:
                given[name] *= 0
        assert len(pile) == len(expected)
    pile.finish(layer="fc6")
    loaded = store.load(tmp_path / "a.zarr/zarr.json")
    for name, array in loaded.items():
        np.testing.assert_array_equal(array, np.stack([row[name] for row in expected]))
    assert list(loaded) == list(expected[0])
