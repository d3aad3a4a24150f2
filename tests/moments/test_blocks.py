"""Blocks: images are assigned in whole groups, and moments are added in one order, whatever the shards."""

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.moments.planted import assert_near, positions_of
from workflow.convergent import store
from workflow.convergent.commands import InputError
from workflow.convergent.moments import blocks

Arrays = dict[str, np.ndarray]
WIDTHS = {"net0": 3, "net1": 2}
DEAD = 1  # unit of net0


GROUPS = [np.arange(10), np.repeat(np.arange(12), 5), np.array([3, 3, 8, 8, 8, 1, 0, 3, 1, 77, 5])]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_blocks_are_a_partition_into_whole_groups(group: np.ndarray, count: int) -> None:
    assigned = blocks.assign_blocks(group, count, seed=0)
    assert len(assigned) == count
    assert sorted(np.concatenate(assigned)) == list(range(len(group)))
    assert all((np.diff(block) > 0).all() for block in assigned)
    counts = [len(set(group[block])) for block in assigned]
    assert sum(counts) == len(set(group))
    assert max(counts) - min(counts) <= 1


def test_blocks_depend_on_the_seed_and_not_on_the_order_of_groups() -> None:
    group = np.repeat(np.arange(20), 3)
    one, again, two = (blocks.assign_blocks(group, 4, seed) for seed in (0, 0, 1))
    assert [b.tolist() for b in one] == [b.tolist() for b in again] != [b.tolist() for b in two]
    mixed = np.random.default_rng(0).permutation(group)
    for block, other in zip(one, blocks.assign_blocks(mixed, 4, 0), strict=True):
        assert set(group[block]) == set(mixed[other])
    assert all(np.ptp(group[block]) > 4 for block in one)  # not contiguous


def test_each_image_is_in_the_kept_block_of_its_fine_block() -> None:
    group = np.random.default_rng(0).permutation(np.arange(60) // 3)
    fine = blocks.assign_blocks(group, 7, seed=5)
    block = blocks.block_of_images(group, 7, 3, seed=5)
    runs = [[0, 1, 2], [3, 4], [5, 6]]
    for number, run in enumerate(runs):
        assert np.flatnonzero(block == number).tolist() == sorted(image for k in run for image in fine[k])
    whole = blocks.block_of_images(group, 7, 7, seed=5)
    assert [np.flatnonzero(whole == k).tolist() for k in range(7)] == [images.tolist() for images in fine]


@pytest.mark.parametrize("group", GROUPS)
def test_there_may_be_as_many_blocks_as_groups(group: np.ndarray) -> None:
    assigned = blocks.assign_blocks(group, len(np.unique(group)), seed=0)
    assert sorted(group[block].tolist() for block in assigned) == [[g] * (group == g).sum() for g in np.unique(group)]


def test_more_blocks_than_groups_are_refused() -> None:
    with pytest.raises(InputError, match=r"stitching\.blocks: 6, but the images come from 5 independent groups"):
        blocks.assign_blocks(np.repeat(np.arange(5), 4), 6, seed=0)


@pytest.mark.parametrize(("units", "fine", "kept"), [(99, 7, 7), (100, 7, 3), (500, 7, 3), (500, 2, 2)])
def test_wide_layers_keep_at_most_so_many_blocks(units: int, fine: int, kept: int) -> None:
    assert blocks.WideLayers(units=100, blocks=3).kept_blocks(units, fine) == kept


@pytest.mark.parametrize(("units", "kept"), [(99, 5), (100, 3)])
def test_other_layers_may_keep_few_blocks_too(units: int, kept: int) -> None:
    assert blocks.WideLayers(units=100, blocks=3, others=5).kept_blocks(units, 7) == kept
    assert blocks.WideLayers(units=100, blocks=3, others=5).kept_blocks(units, 2) == 2


def splits(count: int) -> list[list[range]]:
    """All ways to share ``count`` fine blocks out to shards: consecutive runs, none of them empty."""
    cuts = [cut for number in range(count) for cut in combinations(range(1, count), number)]
    return [[range(a, b) for a, b in pairwise([0, *cut, count])] for cut in cuts]


def by_definition(first: int, end: int, stop: int) -> object:
    """The nested sum of fine blocks from first to end, a power of two of them; those from stop on do not exist."""
    if end - first == 1:
        return first
    middle = (first + end) // 2
    left = by_definition(first, middle, stop)
    return left if middle >= stop else (left, by_definition(middle, end, stop))


@pytest.mark.parametrize(("fine", "kept"), [(1, 1), (7, 7), (7, 2), (64, 4), (10, 4)])
def test_runs_are_consecutive_and_as_equal_as_possible(fine: int, kept: int) -> None:
    runs = blocks.runs_of(fine, kept)
    assert [number for run in runs for number in run] == list(range(fine))
    assert len(runs) == kept
    assert max(map(len, runs)) - min(map(len, runs)) <= 1
    for number in range(fine):
        assert list(blocks.covered(blocks.leaf(number, runs), runs)) == [number]


@pytest.mark.parametrize("count", range(1, 10))
def test_any_shards_add_up_in_the_order_of_the_definition(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are written down instead of computed. A shard's nodes cover its blocks, and no two of them can be added."""
    monkeypatch.setattr(blocks, "add", lambda earlier, later: later.update(sum=(earlier["sum"], later["sum"])))
    runs = [range(count)]
    expected = by_definition(0, 1 << (count - 1).bit_length(), count)
    for shards in splits(count):
        merged = blocks.TreeSum(runs, [])
        for shard in shards:
            part, largest = blocks.TreeSum(runs, []), 0
            for number in shard:
                part.push(blocks.leaf(number, runs), {"sum": number})
                largest = max(largest, len(part.stack))
            assert [number for node in part.nodes for number in blocks.covered(node, runs)] == list(shard)
            assert not any(a.level == b.level and a.place ^ 1 == b.place for a, b in pairwise(part.nodes))
            assert len(part.stack) == len(part.nodes) <= max(1, 2 * count.bit_length() - 2)
            assert blocks.most_nodes(shard, runs) == largest
            for node, moments in zip(part.nodes, part.stack, strict=True):
                merged.push(node, moments)
        assert merged.stack == [{"sum": expected}]


def test_kept_blocks_are_not_added_to_each_other() -> None:
    runs = blocks.runs_of(5, 2)
    nodes: list[blocks.Node] = []
    for number in range(5):
        blocks.append_node(nodes, blocks.leaf(number, runs), runs)
    assert [list(blocks.covered(node, runs)) for node in nodes] == [[0, 1, 2], [3, 4]]


def data(count: int, seed: int) -> Arrays:
    """Activations with a mean of their own and a dead unit. net -> (count, units)"""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 5)) @ rng.normal(size=(5, 5)) + 3 * rng.normal(size=5)
    x[:, DEAD] = 0.1
    return dict(zip(WIDTHS, np.split(x, [3], axis=1), strict=True))


def moments(x: Arrays) -> Arrays:
    """Moments by their definition."""
    counted: Arrays = {"count": np.int64(len(x["net0"]))}
    counted |= {f"positions/{net}": positions_of(rows) for net, rows in x.items()}
    mean = {net: rows[0] + (rows - rows[0]).mean(0) for net, rows in x.items()}  # exact for a dead unit
    means = {f"mean/{net}": mean[net] for net in x}
    pairs = [("net0", "net0"), ("net0", "net1"), ("net1", "net1")]
    return counted | means | {f"comoment/{a}-{b}": (x[a] - mean[a]).T @ (x[b] - mean[b]) for a, b in pairs}


PARTS = [data(count, seed) for seed, count in enumerate([40, 7, 1, 12, 90])]


@pytest.mark.parametrize("band", [1, 2, 512])
def test_sums_are_those_of_all_data(band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BAND", band)
    total = moments(PARTS[0])
    for part in PARTS[1:]:
        later = moments(part)
        blocks.add(total, later)
        total = later
    expected = moments({net: np.concatenate([part[net] for part in PARTS]) for net in WIDTHS})
    for name, array in expected.items():
        assert_near(total[name], array)
    np.testing.assert_array_equal(total["comoment/net0-net0"], total["comoment/net0-net0"].T)
    assert not total["comoment/net0-net0"][DEAD].any()
    assert not total["comoment/net0-net1"][DEAD].any()
    assert total["mean/net0"][DEAD] == 0.1
    assert (total["positions/net0"][:, DEAD] == np.float32(0.1)).all()


@pytest.mark.slow
@pytest.mark.parametrize("waiting", [0, 300, 2**20])
@pytest.mark.parametrize("chunk", [1, 150, 2**20])
def test_a_stored_stack_is_a_list_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: int, chunk: int
) -> None:
    """Whatever is written together and lies in one file; the caller may change its arrays afterwards."""
    monkeypatch.setattr(blocks, "WAITING_BYTES", waiting)
    monkeypatch.setattr(store, "CHUNK_BYTES", chunk)
    stack, expected = blocks.StoredStack(str(tmp_path / "a.zarr/zarr.json"), capacity=6), []
    for number in (0, 1, 2, 3, None, None, 4, None, 0, 1, 2):
        if number is None:
            popped, entry = stack.pop(), expected.pop()
            for name, array in entry.items():
                np.testing.assert_array_equal(popped[name], array)
        else:
            expected.append(moments(PARTS[number]))
            entry = moments(PARTS[number])
            stack.append(entry)
            for name in entry:
                entry[name] *= 0
        assert len(stack) == len(expected)
    stack.finish(layer="fc6")
    loaded = store.load(tmp_path / "a.zarr/zarr.json")
    for name, array in loaded.items():
        np.testing.assert_array_equal(array, np.stack([entry[name] for entry in expected]))
    assert list(loaded) == list(expected[0])
