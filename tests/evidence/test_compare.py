"""The store of a layer's evidence."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tests.evidence import stores
from workflow.convergent import store
from workflow.convergent.evidence import compare


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


def test_numbers_are_those_of_the_pair(tmp_path: Path) -> None:
    """The order of nets in a run, and what other nets there are, changes nothing."""
    nets = stores.activations(0)
    settings = compare.EvidenceSettings(rotations=2, derangements=3, seed=0)
    whole = stores.moments(tmp_path / "three.zarr/zarr.json", nets)
    alone = stores.moments(tmp_path / "two.zarr/zarr.json", {net: nets[net] for net in ("net0", "net2")})
    names, found = compare.evidence(whole, settings)
    assert compare.evidence(alone, settings)[0] == names
    for name, array in compare.evidence(alone, settings)[1].items():
        np.testing.assert_allclose(array[:, 0], found[name][:, 1], atol=1e-12)


def test_dead_units_are_counted(tmp_path: Path) -> None:
    nets = stores.activations(0, nets=2)
    nets["net1"][..., 2] = 0.3
    path = stores.moments(tmp_path / "m.zarr/zarr.json", nets)
    assert compare.units(path, ["net0", "net1"]) == {"net0": (6, 6), "net1": (6, 5)}


@pytest.mark.parametrize("dead", ["net0", "net1"])
def test_a_dead_net_has_no_numbers_and_harms_no_others(tmp_path: Path, dead: str) -> None:
    nets = stores.activations(0)
    nets[dead][:] = 0.3
    path = stores.moments(tmp_path / "m.zarr/zarr.json", nets)
    _, found = compare.evidence(path, compare.EvidenceSettings(rotations=2, derangements=3, seed=0))
    pairs = [dead in pair for pair in combinations(nets, 2)]
    for name, array in found.items():
        assert (np.isnan(array).all(axis=tuple(i for i in range(array.ndim) if i != 1)) == pairs).all(), name
    assert np.isfinite(found["value"][:, [not of for of in pairs]]).all()


def test_nets_that_were_not_trained_here_have_no_twins(tmp_path: Path) -> None:
    path = stores.evidence(tmp_path, untrained=False)
    assert list(store.attributes(path)["units"]) == ["trained"]
    assert {name.split("/")[0] for name in store.load(path)} == {"trained"}


@pytest.mark.parametrize("key", ["layer", "images", "blocks", "seed"])
def test_twins_of_other_data_are_refused(tmp_path: Path, key: str) -> None:
    nets = stores.activations(0, nets=2)
    paths = [
        stores.moments(tmp_path / "a.zarr/zarr.json", nets),
        stores.moments(tmp_path / "b.zarr/zarr.json", nets, **{key: "other"}),
    ]
    with pytest.raises(SystemExit, match=f"{key} differ: "):
        compare.main([str(paths[0]), str(tmp_path / "e.zarr/zarr.json"), "--untrained", str(paths[1])])
