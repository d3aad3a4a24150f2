"""Agreement of the two similarities: planted matches, known ranks, and the table of a real pair of stores."""

import csv
from pathlib import Path

import numpy as np
import pytest

from workflow.convergent import store, tables
from workflow.convergent.alignment import agreement
from workflow.convergent.evidence.inference import interval


def test_best_pairs_are_the_highest_rows_without_the_dead() -> None:
    similarity = np.random.default_rng(0).random((12, 9)) * 0.1
    similarity[np.arange(1, 11), np.arange(1, 11) % 9] = np.linspace(0.2, 0.9, 10)
    similarity[11] = np.nan
    assert agreement.best_pairs(similarity) == {(unit, unit % 9) for unit in range(3, 11)}
    assert agreement.best_pairs(np.full((3, 3), np.nan)) == set()


def test_best_pairs_and_all_numbers_are_of_both_directions() -> None:
    """Three units of the second net inform of one unit of the first; the wider net is either one."""
    rng = np.random.default_rng(0)
    information, correlation = rng.random((2, 6, 9))
    information[2, :3] += 1
    found, turned = agreement.agreement(information, correlation), agreement.agreement(information.T, correlation.T)
    assert {(2, 0), (2, 1), (2, 2)} < agreement.best_pairs(information)
    assert agreement.best_pairs(information.T) == {pair[::-1] for pair in agreement.best_pairs(information)}
    assert (found.pop("units"), turned.pop("units"), found.pop("live"), turned.pop("live")) == (6, 9, 6, 9)
    assert found == pytest.approx(turned)
    assert found["greedy"] == pytest.approx((information.max(1).mean() + information.max(0).mean()) / 2)
    partners = [(x.argmax(axis), y.argmax(axis)) for axis in (0, 1) for x, y in [(information, correlation)]]
    assert found["same_greedy"] == pytest.approx(np.mean([(one == two).mean() for one, two in partners]))


@pytest.mark.parametrize(("change", "expected"), [(np.exp, 1), (np.negative, -1)])
def test_rank_agreement_sees_ranks_only_and_no_dead_unit(change: np.ufunc, expected: int) -> None:
    x = np.random.default_rng(0).normal(size=(6, 7))
    y = change(x)
    x[2], y[:, 3] = np.nan, np.nan
    assert agreement.rank_agreement(x, y) == pytest.approx(expected)


def test_information_does_not_see_the_sign() -> None:
    correlation = np.random.default_rng(0).uniform(-1, 1, (20, 20))
    found = agreement.agreement(-0.5 * np.log(1 - correlation**2), correlation)  # of Gaussian pairs
    assert found["rank_agreement_absolute"] == pytest.approx(1)
    assert abs(found["rank_agreement"]) < 0.2


def test_equal_similarities_agree_in_everything() -> None:
    similarity = np.random.default_rng(0).random((10, 10))
    found = agreement.agreement(similarity, similarity)
    names = ("same_greedy", "same_assigned", "rank_agreement")
    assert [found[name] for name in names] == pytest.approx([1, 1, 1])
    assert found["best_shared"] == found["best"] == 8


@pytest.fixture
def stores(tmp_path: Path) -> dict[str, list[str]]:
    """Both similarities of three pairs of nets in one layer."""
    rng = np.random.default_rng(0)
    paths: dict[str, list[str]] = {"mutual_information": [], "correlation": []}
    for pair in ("net0-net1", "net0-net2", "net1-net2"):
        nets = {net: net for net in pair.split("-")}
        for name, stored in paths.items():
            path = tmp_path / name / "conv1" / f"{pair}.zarr/zarr.json"
            about = {"kind": name, "layer": "conv1", "images": "abc", "nets": nets, "samples": 100}
            arrays = {name: rng.random((5, 6)), "without": rng.random((4, 5, 6))}
            store.save(path, arrays, **about)
            stored.append(str(path))
    return paths


def test_the_table_has_every_pair_and_their_mean(stores: dict[str, list[str]], tmp_path: Path) -> None:
    output = tmp_path / "tables" / "information.csv"
    given = ["--information", *stores["mutual_information"], "--correlation", *stores["correlation"]]
    agreement.main([str(output), *given])
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    *pairs, mean = rows
    assert [row["pair"] for row in rows] == ["net0-net1", "net0-net2", "net1-net2", "mean"]
    assert {row["similarity"] for row in rows} == {"mutual_information"}
    assert mean["units"] == mean["best_shared"] == ""
    for name in ("greedy", "rank_agreement", "same_greedy"):
        assert float(mean[name]) == pytest.approx(np.mean([float(row[name]) for row in pairs]), abs=1e-4)


def test_intervals_are_over_photographs_and_of_the_mean_over_nets_too(
    stores: dict[str, list[str]], tmp_path: Path
) -> None:
    """Partners are chosen again without each fold."""
    output = tmp_path / "tables" / "information.csv"
    agreement.main(
        [str(output), *["--information", *stores["mutual_information"]], "--correlation", *stores["correlation"]]
    )
    values, without = [], []
    for path in stores["mutual_information"]:
        arrays = store.load(path)
        greedy = [(x.max(1).mean() + x.max(0).mean()) / 2 for x in (arrays["mutual_information"], *arrays["without"])]
        values.append(greedy[0])
        without.append(greedy[1:])
    nets = [(0, 1), (0, 2), (1, 2)]
    alone = [interval(np.array([v]), np.array([w]), [pair]) for v, w, pair in zip(values, without, nets, strict=True)]
    expected = [*alone, interval(np.array(values), np.array(without), nets)]
    for row, of in zip(tables.read(output), expected, strict=True):
        assert [row["greedy"], row["greedy_low"], row["greedy_high"]] == pytest.approx(of[:3], rel=1e-3)
        assert row["assigned_low"] < row["assigned"] < row["assigned_high"]
    assert np.isnan(alone[0].error_nets)
    assert expected[-1].error_nets > 0


def test_stores_of_different_pairs_are_refused(stores: dict[str, list[str]], tmp_path: Path) -> None:
    given = ["--information", *stores["mutual_information"], "--correlation", *stores["correlation"][::-1]]
    with pytest.raises(SystemExit, match="does not fit together, nets differ"):
        agreement.main([str(tmp_path / "t.csv"), *given])


def test_as_many_stores_of_both_similarities_are_needed(stores: dict[str, list[str]], tmp_path: Path) -> None:
    given = ["--information", *stores["mutual_information"], "--correlation", stores["correlation"][0]]
    with pytest.raises(SystemExit, match="--correlation: 1 stores are not possible; as many as --information, 3"):
        agreement.main([str(tmp_path / "t.csv"), *given])
