"""Tables of units and of measures say what the stores hold."""

from pathlib import Path

import pytest

from tests.evidence import stores
from tests.figures.stores import resave
from workflow.convergent import tables
from workflow.convergent.evidence import measures, summary, tabulate, units


def written(tmp_path: Path, **options: bool) -> tuple[list[Path], list[dict], list[dict]]:
    paths = [stores.evidence(tmp_path, layer, **options) for layer in ("conv1", "conv2")]
    of_units, of_measures = tmp_path / "units.csv", tmp_path / "measures.csv"
    tabulate.main([str(of_units), str(of_measures), "--evidence", *map(str, paths)])
    return paths, tables.read(of_units), tables.read(of_measures)


@pytest.mark.slow
def test_every_unit_has_a_row_against_every_other_net(tmp_path: Path) -> None:
    paths, rows, _ = written(tmp_path)
    assert len(rows) == 2 * 2 * 6 * 6  # layers, trained and untrained, ordered pairs, units
    described = summary.read(paths[1])["untrained"].described["net2", "net0"]
    own = [row for row in rows if (row["layer"], row["state"], row["net"], row["other"])
           == ("conv2", "untrained", "net2", "net0")]  # fmt: skip
    assert [row["unit"] for row in own] == list(range(6))
    assert [row["partner"] for row in own] == described.partner.tolist()
    assert [row["crossfit"] for row in own] == pytest.approx(described.crossfit, rel=1e-3)
    assert {row["verdict"] for row in rows} <= set(units.VERDICTS)
    matched = {state: sum(row["verdict"] == "matched" for row in rows if row["state"] == state)
               for state in ("trained", "untrained")}  # fmt: skip
    assert matched["trained"] > matched["untrained"]


@pytest.mark.slow
def test_units_of_permuted_nets_with_little_noise_are_in_groups_of_all_nets(tmp_path: Path) -> None:
    _, rows, _ = written(tmp_path, untrained=False)
    assert {row["nets"] for row in rows} == {3}
    assert {row["mutual"] for row in rows} == {1}


@pytest.mark.slow
def test_measures_have_intervals_and_what_they_are_on_rotated_axes(tmp_path: Path) -> None:
    paths, _, rows = written(tmp_path)
    assert len(rows) == 2 * 2 * 4
    trained = summary.read(paths[0])["trained"]
    mean = rows[3]
    assert (mean["layer"], mean["state"], mean["pair"]) == ("conv1", "trained", "mean")
    for name in measures.MEASURES:
        assert mean[name] == pytest.approx(trained.value[name].mean(), rel=1e-3)
        assert mean[f"{name}_low"] <= mean[name] <= mean[f"{name}_high"]
        assert 0 < mean[f"{name}_rotated"] <= 1
    assert mean["soft_matching_rotated"] < mean["soft_matching"] - 0.1
    assert rows[0]["ridge_r2_low"] == ""  # of one pair nothing tells how far it would vary


@pytest.mark.slow
def test_stores_of_other_images_are_not_tabulated(tmp_path: Path) -> None:
    paths = [stores.evidence(tmp_path, layer) for layer in ("conv1", "conv2")]
    resave(paths[1], images="others")
    with pytest.raises(SystemExit, match="images differ"):
        tabulate.main([str(tmp_path / "u.csv"), str(tmp_path / "m.csv"), "--evidence", *map(str, paths)])
