"""Intervals, chance and held-out similarity from moments of planted nets."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.alignment.planted import moments
from workflow.convergent import store, tables
from workflow.convergent.alignment import convergence
from workflow.convergent.moments import covariance

SETTINGS = convergence.ConvergenceSettings(resamples=40, rotations=20, halves=4, seed=0)


def rows_of(blocks: dict[str, np.ndarray]) -> Iterator[dict]:
    return convergence.convergence_rows(covariance.net_names(blocks), lambda a, b: blocks, SETTINGS)


def test_resampling_with_every_block_once_is_the_correlation(planted: dict[str, np.ndarray]) -> None:
    blocks = moments(planted, 10)
    (found,) = convergence.weighted_correlations(blocks, "net0", "net1", np.ones((1, 10)))
    expected = np.corrcoef(planted["net0"].T, planted["net1"].T)[:9, 9:]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_chunks_of_resamples_do_not_matter(planted: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = moments(planted, 10)
    whole = convergence.resampled(blocks, "net0", "net1", 7, seed=1)
    monkeypatch.setattr(convergence, "CHUNK_BYTES", 1)
    np.testing.assert_allclose(convergence.resampled(blocks, "net0", "net1", 7, seed=1), whole, rtol=1e-12)


def test_a_permuted_net_is_above_chance_and_an_unrelated_one_is_not(planted: dict[str, np.ndarray]) -> None:
    rows = {row["pair"]: row for row in rows_of(moments(planted, 12))}
    related, unrelated = rows["net0-net1"], rows["net0-net2"]
    assert related["overlap"] == 1
    assert related["assigned_low"] > related["assigned_null_high"]
    assert related["greedy"] == pytest.approx(1 / np.sqrt(1.25), abs=0.02)
    assert unrelated["greedy"] < unrelated["greedy_null_high"] + 0.05
    assert abs(unrelated["greedy_held_out"]) < 0.03 < unrelated["greedy"]  # the maximum's bias, and its remedy


def test_the_mean_row_is_the_mean_over_pairs(planted: dict[str, np.ndarray]) -> None:
    *pairs, mean = rows_of(moments(planted, 12))
    assert len(pairs) == 3
    for name in ("greedy", "assigned", "overlap", "greedy_held_out", "greedy_null"):
        assert mean[name] == pytest.approx(np.mean([row[name] for row in pairs]))
    assert mean["greedy_high"] - mean["greedy_low"] < max(row["greedy_high"] - row["greedy_low"] for row in pairs)


def test_an_identical_net_stays_above_its_rotations(planted: dict[str, np.ndarray]) -> None:
    blocks = moments({"net0": planted["net0"], "net1": planted["net0"]}, 6)
    row = next(iter(rows_of(blocks)))
    assert row["greedy"] == row["assigned"] == row["overlap"] == 1
    assert row["greedy_null_high"] < 0.95


def test_dead_units_are_left_out(planted: dict[str, np.ndarray]) -> None:
    nets = {name: x.copy() for name, x in planted.items()}
    nets["net0"][:, 2] = 0.25  # sums of which are exact
    nets["net1"][:, 4] = 7.0
    row = next(iter(rows_of(moments(nets, 8))))
    assert (row["units"], row["live"]) == (9, 8)
    assert all(np.isfinite(value) for key, value in row.items() if key not in ("pair", "similarity"))


@pytest.mark.slow
def test_intervals_cover_the_value_of_many_photographs() -> None:
    """Nets whose correlation differs by photograph: the 95 % interval of 20 covers that of thousands mostly."""
    rng = np.random.default_rng(1)

    def draw(photographs: int) -> dict[str, np.ndarray]:
        shared = rng.normal(size=(photographs, 6)).repeat(20, 0) + rng.normal(size=(photographs * 20, 6))
        return {net: shared + 0.7 * rng.normal(size=shared.shape) for net in ("net0", "net1")}

    truth = next(iter(rows_of(moments(draw(3000), 4))))["assigned"]
    rows = [next(iter(rows_of(moments(draw(20), 20)))) for _ in range(40)]
    covered = np.mean([row["assigned_low"] <= truth <= row["assigned_high"] for row in rows])
    assert covered >= 0.8


def test_a_layer_that_died_gives_empty_values_without_a_word(planted: dict[str, np.ndarray]) -> None:
    planted["net1"][:] = 3.0
    rows = {row["pair"]: row for row in rows_of(moments(planted, 6))}
    assert np.isnan(rows["net0-net1"]["greedy"])
    assert np.isnan(rows["net0-net1"]["assigned_null"])
    assert np.isfinite(rows["net0-net2"]["greedy"])


def test_the_stage_writes_the_rows_of_all_nets_but_controls(planted: dict[str, np.ndarray], tmp_path: Path) -> None:
    blocks = moments(planted | {"net0_untrained": planted["net2"]}, 6)
    path, output = tmp_path / "conv1.zarr" / "zarr.json", tmp_path / "conv1.csv"
    nets = [*planted, "net0_untrained"]
    about = {"kind": "moments", "layer": "conv1", "images": "i", "controls": ["net0_untrained"]}
    store.save(path, blocks, nets=dict.fromkeys(nets, ""), **about)
    options = ["--resamples", "40", "--rotations", "20", "--halves", "4", "--seed", "0"]
    convergence.main([str(path), str(output), *options])
    rows = tables.read(output)
    assert [row["pair"] for row in rows] == ["net0-net1", "net0-net2", "net1-net2", "mean"]
    assert rows[3]["units"] == rows[3]["live"] == rows[3]["below_half"] == ""
    expected = next(iter(rows_of({name: x for name, x in blocks.items() if "untrained" not in name})))
    assert rows[0] == {"layer": "conv1", **expected}
