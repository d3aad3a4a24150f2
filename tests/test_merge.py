"""Blocks taken together: the same as one pass over all of their data, as often as each counts."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from workflow.convergent import merge, store
from workflow.convergent.blocks import Kept, Wide, runs

WIDTHS = {"net0": 5, "net1": 3, "net10": 4}
PAIRS = [("net0", "net0"), ("net0", "net1"), ("net0", "net10"), ("net1", "net1"), ("net1", "net10"), ("net10", "net10")]
COUNTS = [40, 7, 100, 1, 12]
DEAD = 2  # unit of net0
Arrays = dict[str, np.ndarray]


def data(count: int, seed: int) -> Arrays:
    """Activations of one block, whose mean is its own. net -> (count, units)"""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, 12)) @ rng.normal(size=(12, 12)) + rng.normal(size=12) * 3
    mixed[:, DEAD] = 0.1
    return dict(zip(WIDTHS, np.split(mixed, [5, 8], axis=1), strict=True))


def moments(x: Arrays) -> Arrays:
    """Of one block, by the definition."""
    found: Arrays = {"count": np.int64(len(x["net0"]))}
    centred = {}
    for net, rows in x.items():
        mean = rows[0] + (rows - rows[0]).mean(0)  # exact for a dead unit
        found[f"mean/{net}"], centred[net] = mean, rows - mean
    return found | {f"comoment/{a}-{b}": centred[a].T @ centred[b] for a, b in PAIRS}


BLOCKS = [data(count, seed) for seed, count in enumerate(COUNTS)]


def stacked(parts: list[Arrays]) -> Arrays:
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}


@pytest.fixture
def blocks() -> Arrays:
    return stacked([moments(x) for x in BLOCKS])


def repeated(weights: np.ndarray) -> Arrays:
    """Moments of the data of each block so many times."""
    kept = [x for x, weight in zip(BLOCKS, weights, strict=True) for _ in range(weight)]
    return moments({net: np.concatenate([x[net] for x in kept]) for net in WIDTHS})


def test_total_is_that_of_all_data_together(blocks: Arrays) -> None:
    found, expected = merge.total(blocks), repeated(np.ones(5, int))
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-11, atol=1e-11)


WEIGHTS = np.array([[1, 1, 1, 1, 1], [3, 0, 2, 0, 1], [0, 0, 1, 0, 0], [0, 2, 0, 1, 5]])


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(("a", "b"), [*PAIRS, ("net1", "net0"), ("net10", "net1")])
def test_weights_repeat_blocks(blocks: Arrays, weights: np.ndarray, a: str, b: str) -> None:
    found = merge.pooled(blocks, a, b, weights)
    assert found.shape == (WIDTHS[a], WIDTHS[b])
    np.testing.assert_allclose(found, merge.comoment(repeated(weights), a, b), rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize(("a", "b"), [("net0", "net0"), ("net0", "net1"), ("net10", "net0")])
def test_many_resamples_at_once(blocks: Arrays, a: str, b: str) -> None:
    found = merge.pooled(blocks, a, b, WEIGHTS)
    assert found.shape == (len(WEIGHTS), WIDTHS[a], WIDTHS[b])
    for together, weights in zip(found, WEIGHTS, strict=True):
        np.testing.assert_allclose(together, merge.pooled(blocks, a, b, weights), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("weights", [WEIGHTS, WEIGHTS[1]])
def test_variance_is_the_diagonal(blocks: Arrays, weights: np.ndarray) -> None:
    for net in WIDTHS:
        expected = np.diagonal(merge.pooled(blocks, net, net, weights), axis1=-2, axis2=-1)
        np.testing.assert_allclose(merge.variance(blocks, net, weights), expected, rtol=1e-12, atol=1e-10)


def test_scaled_weights_scale_comoments(blocks: Arrays) -> None:
    """Weights need not be integers: half of every block has half of the co-moment."""
    half, whole = (merge.pooled(blocks, "net0", "net1", weight * np.ones(5)) for weight in (0.5, 1))
    np.testing.assert_allclose(half, whole / 2, rtol=1e-12)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_dead_unit_has_exactly_no_comoment(blocks: Arrays, weights: np.ndarray) -> None:
    """However unequal the blocks are."""
    for b in WIDTHS:
        assert not merge.pooled(blocks, "net0", b, weights)[DEAD].any()
        assert not merge.pooled(blocks, b, "net0", weights)[:, DEAD].any()
    assert merge.variance(blocks, "net0", weights)[DEAD] == 0
    assert merge.total(blocks)["mean/net0"][DEAD] == 0.1


def test_a_unit_that_lives_in_left_out_blocks_only_is_dead() -> None:
    """As a unit after its ReLU that one photograph alone excites."""
    parts = [data(count, seed) for seed, count in enumerate(COUNTS)]
    for x in parts[1:]:
        x["net1"][:, 1] = 0
    weights = np.array([[0, 1, 3, 1, 1], [0, 2, 0, 1, 7], [0, 1, 1, 1, 1]])
    blocks = stacked([moments(x) for x in parts])
    assert (merge.variance(blocks, "net1", weights)[:, 1] == 0).all()
    assert all(merge.variance(blocks, "net1", row)[1] == 0 for row in weights)
    assert not merge.pooled(blocks, "net0", "net1", weights)[..., 1].any()


def test_comoment_of_either_direction(blocks: Arrays) -> None:
    one, two = merge.comoment(blocks, "net0", "net1"), merge.comoment(blocks, "net1", "net0")
    assert one.shape == (5, 5, 3)
    np.testing.assert_array_equal(one, np.swapaxes(two, 1, 2))


def test_nets_are_in_the_order_of_their_numbers(blocks: Arrays) -> None:
    names = ["net10", "net1", "net2", "net0", "net11"]
    assert merge.net_names({f"mean/{net}": np.zeros(1) for net in names}) == ["net0", "net1", "net2", "net10", "net11"]
    assert merge.net_names(blocks) == list(WIDTHS)


ABOUT = {"layer": "conv1", "images": "i" * 64, "limit": 30, "nets": {"net0": "x"}, "batch": 3, "seed": 0}
ABOUT |= {"blocks": 5, "fine_blocks": 5, "modules": {"net0": "relu1"}, "grid": [4, 4], "resampled": {}}


@pytest.fixture
def shards(tmp_path: Path, blocks: Arrays) -> list[Path]:
    """Stores of blocks 0 and 1, 2 and 3, 4."""
    paths = []
    for numbers in ([0, 1], [2, 3], [4]):
        paths.append(tmp_path / f"{numbers[0]}.zarr" / "zarr.json")
        store.save(
            paths[-1],
            {name: array[numbers] for name, array in blocks.items()},
            **ABOUT,
            nodes=[(number, 0, 0) for number in numbers],
        )
    return paths


def run(paths: list[Path], out: Path) -> Arrays:
    merge.main([*map(str, paths), str(out / "zarr.json")])
    return store.load(out / "zarr.json")


def test_the_stage_keeps_blocks_and_adds_their_total(tmp_path: Path, shards: list[Path], blocks: Arrays) -> None:
    found = run(shards, tmp_path / "out.zarr")
    expected = blocks | {f"total/{name}": array for name, array in merge.total(blocks).items()}
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    about = store.attributes(tmp_path / "out.zarr" / "zarr.json")
    assert {key: about[key] for key in ABOUT} == ABOUT


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("layer", "conv2"),
        ("images", "j" * 64),
        ("limit", 20),
        ("nets", {"net0": "y"}),
        ("blocks", 6),
        ("fine_blocks", 6),
        ("batch", 4),
        ("seed", 1),
        ("grid", [5, 4]),
    ],
)
def test_shards_that_differ_are_refused(tmp_path: Path, shards: list[Path], key: str, value: object) -> None:
    store.save(shards[1], store.load(shards[1]), **(ABOUT | {key: value}), nodes=[(2, 0, 0), (3, 0, 0)])
    with pytest.raises(SystemExit, match=rf"does not fit together, {key} differ: .*2\.zarr/zarr\.json: .*4\.zarr"):
        run(shards, tmp_path / "out.zarr")


@pytest.mark.parametrize("order", [[0, 1], [1, 2], [2, 0, 1], [0, 2, 1]])
def test_missing_and_mixed_up_blocks_are_refused(tmp_path: Path, shards: list[Path], order: list[int]) -> None:
    with pytest.raises(SystemExit, match="not 0 to 4 in order"):
        run([shards[k] for k in order], tmp_path / "out.zarr")


def test_a_shard_given_twice_is_refused(tmp_path: Path, shards: list[Path]) -> None:
    with pytest.raises(SystemExit, match="not 0 to 4 in order"):
        run([shards[0], shards[1], shards[1], shards[2]], tmp_path / "out.zarr")


def shared_out(folder: Path, cuts: list[int], kept: int) -> list[Path]:
    """Stores of the same five fine blocks, of which so many are kept, from shards that begin at 0 and at the cuts."""
    paths = []
    for number, (first, end) in enumerate(pairwise([0, *cuts, 5])):
        paths.append(folder / f"{number}.zarr" / "zarr.json")
        layer = Kept(str(paths[-1]), 5, end - first, Wide(1, kept))
        for fine in range(first, end):
            layer.take(fine, moments(BLOCKS[fine]))
        layer.finish(**{key: ABOUT[key] for key in ABOUT if "blocks" not in key})
    return paths


@pytest.mark.parametrize("kept", [1, 2, 3, 5, 9])
def test_shards_of_a_wide_layer_give_the_same_bytes_and_the_blocks_taken_together(tmp_path: Path, kept: int) -> None:
    whole = shared_out(tmp_path / "whole", [], kept)
    found = run(whole, tmp_path / "out.zarr")
    kept_runs = runs(5, min(kept, 5))
    assert store.attributes(tmp_path / "out.zarr" / "zarr.json")["blocks"] == len(found["count"]) == len(kept_runs)
    for block, fine in enumerate(kept_runs):
        expected = repeated(np.array([number in fine for number in range(5)], int))
        for name, array in expected.items():
            np.testing.assert_allclose(found[name][block], array, rtol=1e-11, atol=1e-11)
    for name, array in repeated(np.ones(5, int)).items():
        np.testing.assert_allclose(found[f"total/{name}"], array, rtol=1e-11, atol=1e-11)
    assert not found["comoment/net0-net1"][:, DEAD].any()
    for cuts in ([1], [2], [3], [4], [1, 4], [2, 3], [1, 2, 3, 4]):
        run(shared_out(tmp_path / str(cuts), cuts, kept), tmp_path / "other.zarr")
        assert (tmp_path / "other.zarr/zarr.json").read_bytes() == (tmp_path / "out.zarr/zarr.json").read_bytes()


@pytest.mark.parametrize("order", [[0, 2], [1, 0, 2], [0, 0, 1, 2], [0, 1], [1, 2]])
def test_missing_and_mixed_up_shards_of_a_wide_layer_are_refused(tmp_path: Path, order: list[int]) -> None:
    paths = shared_out(tmp_path, [2, 3], kept=2)
    with pytest.raises(SystemExit, match=r"shards hold blocks \[.*\], not 0 to 4 in order"):
        run([paths[k] for k in order], tmp_path / "out.zarr")
