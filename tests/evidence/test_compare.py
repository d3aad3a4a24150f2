"""The store of a layer's evidence."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tests.evidence import stores
from workflow.convergent import store
from workflow.convergent.alignment.rotation import random_rotation
from workflow.convergent.evidence import compare, directions, measures, regression
from workflow.convergent.evidence.units import verdicts
from workflow.convergent.seeds import derive


@pytest.mark.slow
def test_the_store_holds_each_pair_trained_and_untrained(tmp_path: Path) -> None:
    path = stores.evidence(tmp_path)
    attributes, arrays = store.attributes(path, "evidence"), store.load(path)
    assert attributes["layer"] == "conv1"
    assert attributes["nets"] == {net: f"weights of {net}" for net in ("net0", "net1", "net2")}
    assert attributes["units"]["untrained"] == {"net0": [6, 6], "net1": [6, 6], "net2": [6, 6]}
    names = attributes["numbers"]
    for way in compare.WAYS:
        assert arrays[f"{way}/value"].shape == (len(names), 3)
        assert arrays[f"{way}/without"].shape == (len(names), 3, 4)
        assert arrays[f"{way}/floors"].shape == (2, 3)
    similar = {way: arrays[f"{way}/value"][names.index("greedy_crossfit")] for way in compare.WAYS}
    assert (similar["trained"] > similar["untrained"] + 0.2).all()
    assert similar["trained"] == pytest.approx(1 / 1.25, abs=0.05)


@pytest.mark.slow
def test_numbers_are_those_of_the_pair(tmp_path: Path) -> None:
    """The order of nets in a run, and what other nets there are, changes nothing."""
    nets = stores.activations(0)
    settings = compare.EvidenceSettings(rotations=2, derangements=3, seed=0)
    whole = stores.moments(tmp_path / "three.zarr/zarr.json", nets)
    alone = stores.moments(tmp_path / "two.zarr/zarr.json", {net: nets[net] for net in ("net0", "net2")})
    found, one = compare.evidence(whole, settings), compare.evidence(alone, settings)
    assert list(one.numbers[0]) == list(found.numbers[1])
    for name, number in one.numbers[0].items():
        np.testing.assert_allclose(np.append(*number), np.append(*found.numbers[1][name]), atol=1e-12)
    assert one.floors[0] == found.floors[1]
    for name, column in one.units["net2", "net0"]._asdict().items():
        if name != "nets":  # the size of a group is of all nets
            np.testing.assert_allclose(column, found.units["net2", "net0"]._asdict()[name], atol=1e-12)


@pytest.mark.slow
def test_dead_units_are_counted(tmp_path: Path) -> None:
    nets = stores.activations(0, nets=2)
    nets["net1"][..., 2] = 0.3
    path = stores.moments(tmp_path / "m.zarr/zarr.json", nets)
    assert compare.units(path, ["net0", "net1"]) == {"net0": (6, 6), "net1": (6, 5)}


@pytest.mark.slow
@pytest.mark.parametrize("dead", ["net0", "net1"])
def test_a_dead_net_has_no_numbers_and_harms_no_others(tmp_path: Path, dead: str) -> None:
    nets = stores.activations(0)
    nets[dead][:] = 0.3
    path = stores.moments(tmp_path / "m.zarr/zarr.json", nets)
    found = compare.evidence(path, compare.EvidenceSettings(rotations=2, derangements=3, seed=0))
    for pair, of_pair, of_floors in zip(combinations(nets, 2), found.numbers, found.floors, strict=True):
        values = {name: number.value for name, number in of_pair.items() if name != "means_apart"}
        assert np.isnan([*values.values(), *of_floors]).all() == (dead in pair), values
        assert np.isfinite([*values.values(), *of_floors]).all() == (dead not in pair), values
    for (net, other), of_units in found.units.items():
        assert (verdicts(of_units) == "dead").all() == (net == dead)
        assert np.isfinite(of_units.q).all() == (dead not in (net, other))


@pytest.mark.slow
def test_wide_nets_have_no_verdicts_and_no_measures_on_rotated_axes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (compare, directions, regression):
        monkeypatch.setattr(module, "WIDEST", 5)
    path = stores.moments(tmp_path / "m.zarr/zarr.json", stores.activations(0, nets=2))
    found = compare.evidence(path, compare.EvidenceSettings(rotations=2, derangements=3, seed=0))
    values = {name: number.value for name, number in found.numbers[0].items()}
    expected = {"ridge_r2", *(f"{name}_rotated" for name in measures.MEASURES)}
    assert {name for name, value in values.items() if np.isnan(value)} == expected
    for units in found.units.values():
        assert verdicts(units).tolist() == [""] * 6


@pytest.mark.slow
def test_rotated_measures_are_those_of_rotated_activations(tmp_path: Path) -> None:
    nets = stores.activations(0, nets=2)
    nets["net1"][..., 2] = 0.3  # a dead unit is no axis
    found = compare.rotated_measures(compare.load(stores.moments(tmp_path / "a.zarr/zarr.json", nets), *nets), seed=7)
    live = np.delete(nets["net1"], 2, axis=-1)
    turn = random_rotation(5, np.random.default_rng(derive(7, 0)))
    nets["net1"] = (live / live.std((0, 1))) @ turn.T
    turned = compare.load(stores.moments(tmp_path / "b.zarr/zarr.json", nets), *nets)
    for name, expected in measures.measures(turned.pair, turned.own_a, turned.own_b).items():
        np.testing.assert_allclose(np.append(*found[name]), np.append(*expected), rtol=1e-9)


@pytest.mark.slow
def test_nets_that_were_not_trained_here_have_no_twins(tmp_path: Path) -> None:
    path = stores.evidence(tmp_path, untrained=False)
    assert list(store.attributes(path)["units"]) == ["trained"]
    assert {name.split("/")[0] for name in store.load(path)} == {"trained"}


@pytest.mark.slow
@pytest.mark.parametrize("key", ["layer", "images", "blocks", "seed"])
def test_twins_of_other_data_are_refused(tmp_path: Path, key: str) -> None:
    nets = stores.activations(0, nets=2)
    paths = [
        stores.moments(tmp_path / "a.zarr/zarr.json", nets),
        stores.moments(tmp_path / "b.zarr/zarr.json", nets, **{key: "other"}),
    ]
    with pytest.raises(SystemExit, match=f"{key} differ: "):
        compare.main([str(paths[0]), str(tmp_path / "e.zarr/zarr.json"), "--untrained", str(paths[1])])
