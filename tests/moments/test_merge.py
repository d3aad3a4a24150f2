"""The merged store holds the blocks and the total of all data, whatever the shards."""

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.moments.planted import BLOCKS, DEAD, PAIRS, WIDTHS, Arrays, assert_near, moments, repeated, stacked
from workflow.convergent import store
from workflow.convergent.moments import covariance, merge
from workflow.convergent.moments.blocks import ShardStore, WideLayers, runs_of


@pytest.fixture(scope="module")
def blocks() -> Arrays:
    return stacked([moments(x) for x in BLOCKS])


ATTRIBUTES = {
    "split": "val",
    "layer": "conv1",
    "images": "i" * 64,
    "limit": 30,
    "nets": {"net0": "x"},
    "controls": [],
    "batch": 3,
    "seed": 0,
}
ATTRIBUTES |= {"blocks": 5, "fine_blocks": 5, "modules": {"net0": "relu1"}, "grid": [4, 4], "resampled": {}}

ORIGIN = {"device": "cpu", "products": "float32", "threads": 2, "torch": "2.0", "numpy": "2.0"}


SHARD = "moments of a shard"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, blocks: Arrays) -> Path:
    """A folder with stores of three shards, with blocks 0 and 1, 2 and 3, 4."""
    folder = tmp_path_factory.mktemp("shards")
    for numbers in ([0, 1], [2, 3], [4]):
        store.save(
            folder / f"{numbers[0]}.zarr/zarr.json",
            {name: array[numbers] for name, array in blocks.items()},
            **ATTRIBUTES,
            kind=SHARD,
            **ORIGIN,
            nodes=[(number, 0, 0) for number in numbers],
        )
    return folder


@pytest.fixture
def shards(tmp_path: Path, saved: Path) -> list[Path]:
    """The stores, to be changed at will."""
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    return [tmp_path / f"{first}.zarr/zarr.json" for first in (0, 2, 4)]


def run(paths: list[Path], out: Path) -> Arrays:
    merge.main([*map(str, paths), str(out / "zarr.json")])
    return store.load(out / "zarr.json")


@pytest.mark.slow
def test_the_stage_keeps_blocks_and_adds_their_total(tmp_path: Path, shards: list[Path], blocks: Arrays) -> None:
    merged = run(shards, tmp_path / "out.zarr")
    expected = blocks | {f"total/{name}": array for name, array in covariance.total(blocks).items()}
    assert set(merged) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(merged[name], array)
    attributes = store.attributes(tmp_path / "out.zarr" / "zarr.json")
    assert {key: attributes[key] for key in ATTRIBUTES} == ATTRIBUTES


def test_each_array_is_merged_with_one_pair(blocks: Arrays) -> None:
    """But for counts and means, which every pair of a net needs. Co-moments of one pair are in memory at a time."""
    names = [merge.names_of_pair(blocks, f"{a}-{b}") for a, b in PAIRS]
    assert {name for of_pair in names for name in of_pair} == set(blocks)
    for (a, b), of_pair in zip(PAIRS, names, strict=True):
        own = [f"positions/{a}"] if a == b else []
        assert sorted(of_pair) == sorted({"count", f"mean/{a}", f"mean/{b}", *own, f"comoment/{a}-{b}"})


@pytest.mark.slow
def test_another_statistic_that_is_a_mean_is_merged_as_it_is(tmp_path: Path, shards: list[Path]) -> None:
    """Of any shape that ends in units."""
    for path in shards:
        arrays = store.load(path)
        more = {f"active/{net}": np.abs(arrays[f"mean/{net}"]).astype(np.float32) for net in WIDTHS}
        more |= {f"moment/{net}": arrays[f"mean/{net}"][:, None, None] ** [[1], [2]] for net in WIDTHS}
        nodes = store.attributes(path)["nodes"]
        store.save(path, arrays | more, **ATTRIBUTES, **ORIGIN, kind=SHARD, nodes=nodes)
    merged = run(shards, tmp_path / "out.zarr")
    weights = merged["count"] / merged["count"].sum()
    for net in WIDTHS:
        for name in (f"active/{net}", f"moment/{net}"):
            assert_near(merged[f"total/{name}"], np.tensordot(weights, merged[name], 1).astype(merged[name].dtype))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("layer", "conv2"),
        ("images", "j" * 64),
        ("split", "train"),
        ("limit", 20),
        ("nets", {"net0": "y"}),
        ("blocks", 6),
        ("fine_blocks", 6),
        ("batch", 4),
        ("seed", 1),
        ("grid", [5, 4]),
        ("modules", {"net0": "pool1"}),
        ("resampled", {"net0": [8, 8]}),
        ("controls", ["net0"]),
        ("device", "cuda"),
        ("products", "float64"),
        ("threads", 4),
        ("torch", "1.0"),
        ("numpy", "1.0"),
    ],
)
def test_shards_that_differ_are_refused(tmp_path: Path, shards: list[Path], key: str, value: object) -> None:
    about = ATTRIBUTES | ORIGIN | {"kind": SHARD, key: value}
    store.save(shards[1], store.load(shards[1]), **about, nodes=[(2, 0, 0), (3, 0, 0)])
    with pytest.raises(SystemExit, match=rf"does not fit together, {key} differ: .*2\.zarr/zarr\.json: .*4\.zarr"):
        run(shards, tmp_path / "out.zarr")


@pytest.mark.parametrize("order", [[0, 1], [1, 2], [2, 0, 1], [0, 2, 1]])
def test_missing_and_mixed_up_blocks_are_refused(tmp_path: Path, shards: list[Path], order: list[int]) -> None:
    with pytest.raises(SystemExit, match="not 0 to 4 in order"):
        run([shards[k] for k in order], tmp_path / "out.zarr")


def test_a_shard_given_twice_is_refused(tmp_path: Path, shards: list[Path]) -> None:
    with pytest.raises(SystemExit, match="not 0 to 4 in order"):
        run([shards[0], shards[1], shards[1], shards[2]], tmp_path / "out.zarr")


def shard_stores(folder: Path, cuts: list[int], kept: int) -> list[Path]:
    """Stores of shards that begin at fine block 0 and at the cuts, of five; the layer keeps ``kept`` blocks."""
    paths = []
    for number, (first, end) in enumerate(pairwise([0, *cuts, 5])):
        paths.append(folder / f"{number}.zarr" / "zarr.json")
        layer = ShardStore(str(paths[-1]), 5, end - first, WideLayers(1, kept))
        for fine in range(first, end):
            layer.add_block(fine, moments(BLOCKS[fine]))
        layer.finish(kind=SHARD, **{key: ATTRIBUTES[key] for key in ATTRIBUTES if "blocks" not in key}, **ORIGIN)
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("kept", [1, 2, 3, 5, 9])
def test_shards_of_a_wide_layer_give_the_same_bytes_and_the_blocks_taken_together(tmp_path: Path, kept: int) -> None:
    whole = shard_stores(tmp_path / "whole", [], kept)
    merged = run(whole, tmp_path / "out.zarr")
    kept_runs = runs_of(5, min(kept, 5))
    assert store.attributes(tmp_path / "out.zarr" / "zarr.json")["blocks"] == len(merged["count"]) == len(kept_runs)
    for block, fine in enumerate(kept_runs):
        expected = repeated(np.array([number in fine for number in range(5)], int))
        for name, array in expected.items():
            assert_near(merged[name][block], array)
    for name, array in repeated(np.ones(5, int)).items():
        assert_near(merged[f"total/{name}"], array)
    assert not merged["comoment/net0-net1"][:, DEAD].any()
    for cuts in ([1], [2], [3], [4], [1, 4], [2, 3], [1, 2, 3, 4]):
        run(shard_stores(tmp_path / str(cuts), cuts, kept), tmp_path / "other.zarr")
        assert (tmp_path / "other.zarr/zarr.json").read_bytes() == (tmp_path / "out.zarr/zarr.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("order", [[0, 2], [1, 0, 2], [0, 0, 1, 2], [0, 1], [1, 2]])
def test_missing_and_mixed_up_shards_of_a_wide_layer_are_refused(tmp_path: Path, order: list[int]) -> None:
    paths = shard_stores(tmp_path, [2, 3], kept=2)
    with pytest.raises(SystemExit, match=r"shards hold blocks \[.*\], not 0 to 4 in order"):
        run([paths[k] for k in order], tmp_path / "out.zarr")


@pytest.mark.slow
@pytest.mark.parametrize("key", ["device", "threads", "torch", "numpy", "nodes", "modules"])
def test_a_store_that_is_no_shard_is_refused(tmp_path: Path, shards: list[Path], key: str) -> None:
    attributes = ATTRIBUTES | ORIGIN | {"kind": SHARD, "nodes": [(2, 0, 0), (3, 0, 0)]}
    del attributes[key]
    store.save(shards[1], store.load(shards[1]), **attributes)
    with pytest.raises(SystemExit, match=rf"2\.zarr/zarr\.json: not a shard of moments, .*: it has no {key}$"):
        run(shards, tmp_path / "out.zarr")


def test_shards_with_other_arrays_are_refused(tmp_path: Path, shards: list[Path]) -> None:
    """As those of another list of accumulators."""
    arrays = store.load(shards[1])
    del arrays["comoment/net1-net1"]
    store.save(shards[1], arrays, kind=SHARD, **ATTRIBUTES, **ORIGIN, nodes=[(2, 0, 0), (3, 0, 0)])
    with pytest.raises(SystemExit, match=r"does not fit together, arrays differ: .*2\.zarr"):
        run(shards, tmp_path / "out.zarr")


@pytest.mark.slow
def test_the_merged_store_does_not_say_where_its_shards_were_made(tmp_path: Path, shards: list[Path]) -> None:
    """Its file would differ between equal results."""
    run(shards, tmp_path / "out.zarr")
    assert not set(ORIGIN) & set(store.attributes(tmp_path / "out.zarr" / "zarr.json"))
