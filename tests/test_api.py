"""Results in Python: the stores and tables as they are, and matching of plain arrays."""

from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow.convergent import store, tables
from workflow.convergent.alignment import matching
from workflow.convergent.api import Run, match
from workflow.convergent.commands import InputError

pytestmark = pytest.mark.slow

SIZES = {"net0": 5, "net2": 4, "net10": 3}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Correlations of three nets in two layers, with a dead unit, and their summary."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "results" / "toy"
    for layer in ("conv2", "conv1"):
        for a, b in combinations_with_replacement(SIZES, 2):
            similarity = rng.uniform(-1, 1, (SIZES[a], SIZES[b]))
            if a == "net0":
                similarity[1] = np.nan
            path = folder / "correlation" / layer / f"{a}-{b}.zarr/zarr.json"
            about = {"kind": "correlation", "layer": layer, "images": "i", "nets": {net: net for net in (a, b)}}
            store.save(path, {"correlation": similarity}, **about)
    rows = [{"layer": layer, "pair": "mean", "greedy": 0.5} for layer in ("conv2", "conv1")]
    tables.write(folder / "tables/summary.csv", rows)
    return Run(folder)


def test_a_run_knows_its_layers_and_nets_in_their_order(run: Run) -> None:
    assert run.layers == ["conv2", "conv1"]
    assert run.nets == ["net0", "net2", "net10"]
    assert run.summary["greedy"].tolist() == [0.5, 0.5]


def test_units_have_labels_and_pairs_two_directions(run: Run) -> None:
    found = run.correlation("conv1", "net10", "net0")
    assert found.index.tolist() == ["net10:0", "net10:1", "net10:2"]
    pd.testing.assert_frame_equal(found, run.correlation("conv1", "net0", "net10").T)
    assert found["net0:1"].isna().all()


def test_matching_is_that_of_the_stage(run: Run, tmp_path: Path) -> None:
    path = run.folder / "correlation/conv2/net0-net2.zarr/zarr.json"
    matching.main([str(tmp_path), str(path)])
    stored, found = matching.read(tmp_path / "net0-net2.csv"), run.matching("conv2", "net0", "net2")
    for name, column in stored.items():
        numbers = found[name].fillna(matching.UNMATCHED) if name in ("greedy", "assigned") else found[name]
        np.testing.assert_array_equal(numbers.to_numpy(column.dtype), column)
    assert found.loc[1, "greedy"] is pd.NA


@pytest.mark.parametrize(
    ("layer", "net", "said"),
    [("conv9", "net2", "layer: 'conv9', .* has conv2, conv1"), ("conv1", "net1", "net: 'net1', .* net0, net2, net10")],
)
def test_what_a_run_has_not_is_named(run: Run, layer: str, net: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        run.correlation(layer, "net0", net)


def test_another_folder_is_refused_with_the_runs_beside_it(run: Run) -> None:
    with pytest.raises(InputError, match="no results of a run; there are toy beside it"):
        Run(run.folder.parent / "scenes")
    with pytest.raises(InputError, match="no such table; there are summary"):
        run.table("information")


def test_a_store_of_another_pair_or_layer_in_its_place_is_refused(run: Run) -> None:
    folder = run.folder / "correlation/conv1"
    (folder / "net0-net2.zarr").rename(folder / "moved.zarr")
    (folder / "net0-net10.zarr").rename(folder / "net0-net2.zarr")
    with pytest.raises(InputError, match=r"layers or nets differ: asked: .*'net2'\], .*: \['conv1', 'net0', 'net10'\]"):
        run.correlation("conv1", "net2", "net0")


def test_planted_partners_are_found_among_unequal_widths() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(3, 2, (400, 6))
    a[:, 4] = 0.1
    order = np.array([2, 5, 0, 1])
    b = 7 * a[:, order] + rng.normal(size=(400, 4))
    found = match(a, b)
    for place, unit in enumerate(order):
        assert (found.loc[unit, "greedy"], found.loc[unit, "assigned"]) == (place, place)
    assert found.loc[4].isna().sum() == 4
    assert found.loc[3, "assigned"] is pd.NA
    expected = np.corrcoef(a[:, 2], b[:, 0])[0, 1]
    assert found.loc[2, "greedy_similarity"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (np.ones(3), np.ones((3, 1)), r"a: an array of shape \(3,\)"),
        (np.ones((1, 2)), np.ones((1, 2)), "at least 2 samples"),
        (np.ones((3, 2)), np.ones((4, 2)), "a has 3 samples, b has 4"),
        (np.ones((3, 2)), np.array([[0.0], [np.nan], [1]]), r"b: \[1, 0\] is not finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(a: np.ndarray, b: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        match(a, b)


@pytest.mark.parametrize("seed", range(4))
def test_matching_does_not_depend_on_the_scale_of_units(seed: int) -> None:
    """Also where squares would leave the range of float64; powers of two leave every bit."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(300, 6))
    b = a[:, rng.permutation(6)] + rng.normal(size=(300, 6)) + 3
    expected = match(a, b)
    pd.testing.assert_frame_equal(match(np.ldexp(a, rng.integers(-800, 800, 6)), b), expected, check_exact=True)
    found = match(a * 10 ** rng.uniform(-300, 300, 6), b * 10 ** rng.uniform(-30, 30, 6))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-10)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e30])
def test_units_that_vary_by_rounding_alone_match_nobody(scale: float) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(50, 3)), rng.normal(size=(50, 4))
    a[:, 1], b[:, 2] = 0.1, 7 * (1 + 4e-8 * rng.normal(size=50))
    found = match(a * scale, b)
    assert found["greedy"].isna().tolist() == [False, True, False]
    assert 2 not in found["assigned"].dropna().tolist()
