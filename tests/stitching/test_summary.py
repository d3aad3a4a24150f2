"""Numbers of ordered pairs of nets: planted hits and mappings give accuracies, gains and shares that are known."""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from workflow.convergent import store
from workflow.convergent.evidence import inference
from workflow.convergent.stitching import summary

EVALUATED = {"evaluated": 300, "of_images": 300}
NETS = [f"net{k}" for k in range(4)]
PAIRS = [f"{a}-{b}" for a, b in permutations(NETS, 2)]
IMAGES = np.array([60, 40, 50, 60, 30, 60])
ALPHA, PATH = 0.24, [0, 0.01, 0.24, 3]
SHOWN = ["net0-net1"]


def planted(path: Path, twins: list[str], classes: bool = True, whole: Sequence[str] = SHOWN) -> dict[str, np.ndarray]:
    """Save the stitched nets of a layer: all pairs at two penalties, those of ``whole`` at four. Arrays by name."""
    rng, arrays = np.random.default_rng(0), {"images": IMAGES}
    for pair in PAIRS:
        alphas = PATH if pair in whole else [0, ALPHA]
        arrays[f"alpha/{pair}"] = np.array(alphas)
        kinds = {"relu": 0.6, **({"untrained": 0.2} if pair.split("-")[0] in twins else {})}
        kinds |= {"mapped": 0.5} if pair in whole else {}
        if classes:
            arrays |= {f"{kind}/{pair}": rng.binomial(IMAGES, p, (len(alphas), 6)) for kind, p in kinds.items()}
    if classes:
        alone = {"whole/net0": 0.9, "whole/net1": 0.8, "self/net1": 0.8, "zero/net1": 0.1, "whole/net3": 0.7}
        arrays |= {name: rng.binomial(IMAGES, p) for name, p in alone.items()}
    store.save(path, arrays, kind="stitched nets", layer="conv1", whole=whole, pairs=PAIRS, photographs=52, **EVALUATED)
    return arrays


def test_accuracy_without_a_block_is_that_on_the_other_images() -> None:
    rng = np.random.default_rng(0)
    correct = [rng.random(count) < 0.3 for count in IMAGES]
    hits = np.array([[block.sum() for block in correct], IMAGES])
    value, without = summary.accuracy(hits, IMAGES)
    assert value.tolist() == [np.concatenate(correct).mean(), 1]
    expected = [np.concatenate(correct[:k] + correct[k + 1 :]).mean() for k in range(6)]
    np.testing.assert_allclose(without, [expected, [1] * 6], rtol=1e-15)


@pytest.mark.slow
def test_the_gain_is_of_each_pair_whose_source_has_a_twin(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr/zarr.json"
    arrays = planted(path, twins=["net0", "net2", "net3"])
    found = summary.stitched_less_untrained(path)
    pairs = [pair for pair in PAIRS if not pair.startswith("net1")]
    assert found.pairs == [tuple(pair.split("-")) for pair in pairs]
    hits = np.array([arrays[f"relu/{pair}"][0] - arrays[f"untrained/{pair}"][0] for pair in pairs])
    np.testing.assert_allclose(found.value, hits.sum(1) / IMAGES.sum(), atol=1e-15)
    assert found.without[4, 2] == pytest.approx(np.delete(hits[4], 2).sum() / np.delete(IMAGES, 2).sum())
    interval = found.interval()
    assert 0.3 < interval.low < 0.4 < interval.high < 0.5
    assert interval.error_nets > 0


@pytest.mark.slow
@pytest.mark.parametrize(("twins", "classes"), [([], True), (NETS, False)], ids=["given", "classes"])
def test_without_twins_or_classes_there_is_no_gain(tmp_path: Path, twins: list[str], classes: bool) -> None:
    planted(tmp_path / "a.zarr/zarr.json", twins, classes)
    found = summary.stitched_less_untrained(tmp_path / "a.zarr/zarr.json")
    assert (found.pairs, found.value.shape, found.without.shape) == ([], (0,), (0, 6))
    rows = summary.rows(summary.read(tmp_path / "a.zarr/zarr.json"), "net0-net1")
    assert not any("gain" in row or "untrained_relu" in row for row in rows)
    assert all(("top1_relu" in row) == classes for row in rows)


@pytest.mark.slow
def test_rows_are_of_the_path_of_the_other_pairs_and_of_their_mean(tmp_path: Path) -> None:
    arrays = planted(tmp_path / "a.zarr/zarr.json", NETS)
    rows = summary.rows(summary.read(tmp_path / "a.zarr/zarr.json"), "net0-net1")
    alphas = {pair: [row["alpha"] for row in rows if row["pair"] == pair] for pair in [*PAIRS, "mean"]}
    assert alphas == {"net0-net1": PATH, **{pair: [0, ALPHA] for pair in [*PAIRS[1:], "mean"]}}
    path = [row for row in rows if row["pair"] == "net0-net1"]
    for column, name in {"top1": "mapped", "top1_relu": "relu", "untrained_relu": "untrained"}.items():
        expected = arrays[f"{name}/net0-net1"].sum(1) / IMAGES.sum()
        np.testing.assert_allclose([row[column] for row in path], expected)
        assert all(row[f"{column}_low"] < row[column] < row[f"{column}_high"] for row in path)
        assert all((column in row) == (column != "top1") for row in rows if row["pair"] != "net0-net1")
    assert [row["target"] for row in path] == [arrays["whole/net1"].sum() / IMAGES.sum()] * 4
    assert not any("target" in row for row in rows if row["pair"] != "net0-net1")
    at = {"net0-net1": 2}  # where the penalty of all pairs lies on the path
    relu, control = (
        np.array([arrays[f"{kind}/{pair}"][at.get(pair, 1)].sum() for pair in PAIRS]) / IMAGES.sum()
        for kind in ("relu", "untrained")
    )
    assert rows[-1]["top1_relu"] == pytest.approx(relu.mean())
    assert rows[-1]["gain"] == pytest.approx((relu - control).mean())


@pytest.mark.slow
def test_rows_of_another_pair_that_is_shown_have_its_path_and_its_target(tmp_path: Path) -> None:
    arrays = planted(tmp_path / "a.zarr/zarr.json", NETS, whole=["net0-net1", "net1-net3"])
    nets = summary.read(tmp_path / "a.zarr/zarr.json")
    first, other = (summary.rows(nets, pair) for pair in nets.whole)
    alphas = {pair: [row["alpha"] for row in other if row["pair"] == pair] for pair in [*PAIRS, "mean"]}
    assert alphas == {pair: [0, ALPHA] for pair in [*PAIRS, "mean"]} | {"net1-net3": PATH}
    targets = {row["target"] for row in other if "target" in row}
    assert targets == {arrays["whole/net3"].sum() / IMAGES.sum()}
    assert [row for row in first if row["pair"] == "mean"] == [row for row in other if row["pair"] == "mean"]


@pytest.mark.slow
def test_intervals_of_one_pair_are_over_photographs_and_of_all_also_over_nets(tmp_path: Path) -> None:
    """Nets that differ as heads make the interval of the mean wide, though each pair's own is narrow."""
    arrays = planted(tmp_path / "a.zarr/zarr.json", NETS)
    for pair in PAIRS:
        arrays[f"relu/{pair}"] = np.tile(IMAGES * (2 + int(pair[3])) // 10, (len(arrays[f"alpha/{pair}"]), 1))
    nets = summary.StitchedNets("conv1", SHOWN, 52, 300, IMAGES, {p: arrays[f"alpha/{p}"] for p in PAIRS}, arrays)
    rows = summary.rows(nets, "net0-net1")
    width = {row["pair"]: row["top1_relu_high"] - row["top1_relu_low"] for row in rows if row["alpha"] == 0}
    assert max(width[pair] for pair in PAIRS) < 1e-6 < 0.3 < width["mean"]


def test_errors_over_nets_of_ordered_pairs_are_those_of_the_nets() -> None:
    """Where a pair has the sum of effects of its source and its target, the mean is one over nets."""
    source, target = np.random.default_rng(0).normal(size=(2, 5))
    pairs = list(permutations(range(5), 2))
    value = np.array([source[i] + target[j] for i, j in pairs])
    expected = (source + target).std(ddof=1) / np.sqrt(5)
    assert inference.nets_error(value, pairs) == pytest.approx(expected)


R2 = np.array([[0.8, 0.6], [0.7, 0.62], [0.4, 0.5], [0.0, 0.1]])  # of four penalties; rows of two sets of images


def test_the_best_of_few_weights_is_chosen_among_these_alone() -> None:
    weights = np.array([1.0, 0.3, 0.1, 0.0])
    np.testing.assert_allclose(summary.best_share(R2, weights, 0, most=0.1), [0.5, 5 / 6])
    np.testing.assert_allclose(summary.best_share(R2, weights, 0, most=0.3), [7 / 8, 62 / 60])
    assert np.isnan(summary.best_share(R2, weights + 0.2, 0, most=0.1)).all()
    np.testing.assert_array_equal(summary.best_share(R2 - 0.7, weights, 0, most=0.1) > 0, [False, False])


def saved_mapping(path: Path, pair: str, r2: np.ndarray, without: np.ndarray, layer: str = "conv1") -> Path:
    """Mappings with 10, 3, 1 and no weights of 10 a target; the last target is dead."""
    dead = np.full((4, 1), np.nan)
    arrays = {"r2": np.hstack([r2, dead]), "r2_without": without, "decay": np.array([0, 0.1, 0.2, 0.3])}
    arrays["nonzero"] = np.array([[10, 10, 0], [4, 2, 0], [1, 1, 0], [0, 0, 0]])
    source, target = pair.split("-")
    nets = {"source": source, "target": target, "units": {source: 10, target: 3}}
    store.save(path, arrays, kind="mapping", layer=layer, pair=pair, **nets)
    return path


def test_sparse_mappings_are_a_share_of_the_unpenalised_one(tmp_path: Path) -> None:
    rng, paths, expected = np.random.default_rng(0), [], []
    for pair in ("net0-net1", "net1-net0", "net0-net10"):
        r2, without = np.sort(rng.random((4, 2)), 0)[::-1], np.sort(rng.random((4, 5)), 0)[::-1]
        paths.append(saved_mapping(tmp_path / f"{pair}.zarr/zarr.json", pair, r2, without))
        expected.append((r2[2].mean() / r2[0].mean(), without[2] / without[0]))
    found = summary.sparse_share(paths)
    assert found.pairs == [("net0", "net1"), ("net1", "net0"), ("net0", "net10")]
    np.testing.assert_allclose(found.value, [value for value, _ in expected])
    np.testing.assert_allclose(found.without, [without for _, without in expected])
    denser = summary.sparse_share(paths[:1], most=0.3)
    assert denser.value > found.value[0]
