"""Spectral clusters of two nets' units: planted groups, beside rotated axes."""

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from tests.alignment.planted import moments
from tests.clustering.planted import GROUPS, Nets, joint_of, planted
from workflow.convergent import store
from workflow.convergent.alignment.rotation import rotated_joint_correlation
from workflow.convergent.clustering import graphs, spectral

DEAD = {"net0": 7, "net1": 2}


def test_planted_groups_across_two_nets_are_found() -> None:
    label, _, found = spectral.cluster_units(joint_of(planted()), 15, 2, 9, seed=0)
    assert adjusted_rand_score(np.concatenate(list(GROUPS.values())), label) == 1
    assert sorted((one.units_a, one.units_b) for one in found) == [(4, 3), (5, 5), (6, 4)]
    assert [one.size for one in found] == np.bincount(label).tolist()
    for one in found:
        assert one.density_inside == pytest.approx(1 / 1.36, abs=0.05)
        assert one.density_outside < 0.1


def test_identical_nets_pair_every_unit_with_its_twin() -> None:
    x = np.random.default_rng(0).normal(size=(2000, 7))
    joint = joint_of({"net0": x, "net1": x[:, ::-1]})
    label, _, found = spectral.cluster_units(joint, 7, 2, 7, seed=0)
    assert sorted(label[:7]) == list(range(7))
    np.testing.assert_array_equal(label[:7], label[:6:-1])
    assert [one.span for one in found] == pytest.approx([1] * 7)
    assert [one.smallest_angle for one in found] == pytest.approx([0] * 7, abs=1e-5)


@pytest.mark.slow
def test_rotated_axes_are_below_planted_clusters() -> None:
    """Units of net1 are those of net0 with noise, in three groups."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1200, 3))[:, np.arange(15) % 3] + rng.normal(size=(1200, 15))
    joint = joint_of({"net0": x, "net1": x + 0.3 * rng.normal(size=x.shape)})
    _, _, found = spectral.cluster_units(joint, 15, 3, 3, seed=0)
    rotated, label = spectral.rotated_axes(joint, 15, 3, 20, seed=0)
    assert (rotated.shape, label.shape) == ((20, 3), (5, 30))  # the first five, as the schema says
    assert (rotated.max(axis=0) < spectral.summary(found)).all()
    fewer = spectral.rotated_axes(joint, 15, 3, 3, seed=0)
    np.testing.assert_array_equal(fewer[0], rotated[:3])
    np.testing.assert_array_equal(fewer[1], label[:3])
    again = rotated_joint_correlation(joint, 15, spectral.nth_rotation(2, 15, seed=0))
    np.testing.assert_array_equal(spectral.cluster_units(again, 15, 3, 3, seed=0).label, label[2])


def test_the_summary_weighs_densities_by_size() -> None:
    rows = [spectral.Cluster(0, 3, 2, 1, 0.6, 0.1, 0.5, 45), spectral.Cluster(1, 2, 2, 0, 0.4, 0.3, np.nan, np.nan)]
    np.testing.assert_allclose(spectral.summary(rows), [0.52, 0.52 / 0.18, 0.5])
    assert np.isnan(spectral.summary([])).all()


def saved(folder: Path, nets: Nets, blocks: int = 6) -> Path:
    path = folder / "conv1.zarr" / "zarr.json"
    about = {"kind": "moments", "layer": "conv1", "images": "i", "nets": {net: net[-1] for net in nets}}
    store.save(path, moments(nets, blocks), **about)
    return path


def run(moments: Path, *options: str) -> tuple[Path, Path]:
    out, table = moments.parents[1] / "out.zarr" / "zarr.json", moments.parents[1] / "out.csv"
    spectral.main([str(moments), str(out), str(table), *options])
    return out, table


@pytest.mark.slow
def test_the_stage_writes_clusters_of_unequal_widths_without_the_dead(tmp_path: Path) -> None:
    nets = planted()
    for net, unit in DEAD.items():
        nets[net][:, unit] = 0.25
    path = saved(tmp_path, nets)
    out, table = run(path, "--pair=net0-net1", "--resamples=5", "--rotations=4", "--seed=3")
    found, about = store.load(out), store.attributes(out)
    label = found["label"]
    assert np.flatnonzero(label == graphs.UNCLUSTERED).tolist() == [7, 15 + 2]
    live = label >= 0
    assert adjusted_rand_score(np.concatenate(list(GROUPS.values()))[live], label[live]) == 1
    assert (found["net"][15], found["unit"][15]) == (1, 0)  # unit C: the first of the second net
    assert (np.diff(label[found["order"]][:25]) >= 0).all()
    assert found["order"][25:].tolist() == [7, 17]
    assert (found["stability"] == 1).all()
    assert len(found["stability"]) == 5
    for name in spectral.SUMMARY:
        assert found[name].shape == ()
        assert found[f"rotated/{name}"].shape == (4,)
    assert found["rotated/stability"].shape == (4, 5)
    assert len(set(found["rotated/stability"].mean(axis=1))) > 1
    assert len(found["eigenvalue"]) == 25 // 2 + 1
    assert (about["k"], about["clusters"], about["pair"], about["seed"]) == (3, "auto", "net0-net1", 3)
    assert (about["moments"], about["nets"]) == (store.attributes(path)["sha256"], {"net0": "0", "net1": "1"})
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert list(rows[0]) == [*spectral.Cluster._fields, "members"]
    for k, row in enumerate(rows):
        names = [
            f"net{net}:{unit}" for net, unit in zip(found["net"][label == k], found["unit"][label == k], strict=True)
        ]
        assert row["members"].split() == names
        assert int(row["size"]) == int(row["units_a"]) + int(row["units_b"]) == len(names)


@pytest.mark.slow
def test_the_number_of_clusters_can_be_set_and_the_pair_turned(tmp_path: Path) -> None:
    path = saved(tmp_path, planted())
    out, _ = run(path, "--pair=net1-net0", "--clusters=4", "--resamples=0", "--rotations=0")
    found = store.load(out)
    assert set(found["label"]) == {0, 1, 2, 3}
    assert found["net"].tolist() == [0] * 12 + [1] * 15
    assert len(found["stability"]) == len(found["rotated/span"]) == len(found["rotated/stability"]) == 0
    again = store.attributes(run(path, "--pair=net1-net0", "--clusters=4", "--resamples=0", "--rotations=0")[0])
    assert again["sha256"] == store.attributes(out)["sha256"]


@pytest.mark.slow
@pytest.mark.parametrize("alive", [0, 1, 3])
def test_a_layer_that_died_gives_empty_values_without_a_word(tmp_path: Path, alive: int) -> None:
    nets = planted()
    nets["net0"][:, alive:] = nets["net1"][:] = 0.5
    out, table = run(saved(tmp_path, nets), "--pair=net0-net1", "--resamples=2", "--rotations=2")
    found = store.load(out)
    assert (found["label"][alive:] == graphs.UNCLUSTERED).all()
    assert np.isnan(found["span"])
    assert np.isnan(found["rotated/span"]).all()
    assert (found["stability"].shape, found["rotated/stability"].shape) == ((2,), (2, 2))
    assert len(table.read_text().splitlines()) == 1 + found["label"].max() + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pair=net0-net7"], r"conv1.zarr/zarr.json: --pair net0-net7: must be two of the nets net0, net1, as"),
        (["--pair=net0"], "--pair net0: must be two of the nets net0, net1"),
        (["--pair=net1-net1"], "--pair net1-net1: must be two"),
        (["--pair=net0-net1", "--clusters=27"], "--clusters 27: must be auto or from 2 to 26"),
        (["--pair=net0-net1", "--clusters=1"], "--clusters 1: must be auto or from 2 to 26"),
        (["--pair=net0-net1", "--clusters=few"], "--clusters few: must be auto or from 2 to 26"),
        (["--pair=net0-net1", "--range", "5", "4"], "--range 5 4: must be two numbers from 2 on, the smaller first"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path: Path, options: list[str], message: str) -> None:
    path = saved(tmp_path, planted())
    with pytest.raises(SystemExit, match=message) as refusal:
        run(path, *options)
    assert "\n" not in str(refusal.value)
