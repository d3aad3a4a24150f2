"""Spectral clusters of two nets' units: planted groups, the Laplacian's spectrum, subspaces, chance and stability."""

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from tests.alignment.planted import moments
from workflow.convergent import store
from workflow.convergent.alignment.rotation import random_rotation
from workflow.convergent.clustering import graphs, spectral

Nets = dict[str, np.ndarray]
GROUPS = {"net0": np.repeat([0, 1, 2], [5, 4, 6]), "net1": np.repeat([2, 0, 1], [4, 5, 3])}
DEAD = {"net0": 7, "net1": 2}


def planted(noise: float = 0.6, samples: int = 1200, seed: int = 0) -> Nets:
    """Three groups of units, each of one cause and noise; 15 in net0, 12 in net1. net -> (samples, units)"""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(samples, 3))
    return {net: causes[:, group] + noise * rng.normal(size=(samples, len(group))) for net, group in GROUPS.items()}


def joint_of(nets: Nets) -> np.ndarray:
    return spectral.joint_correlation(moments(nets, 4), "net0", "net1", np.ones(4))


def random_graph(units: int, seed: int, share: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((units, units)) * (rng.random((units, units)) < share), 1)
    return upper + upper.T


def blocks_of(sizes: list[int], seed: int = 0) -> np.ndarray:
    """A graph of complete components."""
    component = np.repeat(np.arange(len(sizes)), sizes)
    return (random_graph(len(component), seed) + 0.1) * (component[:, None] == component) * (1 - np.eye(sum(sizes)))


def test_joint_correlation_is_that_of_the_units_side_by_side() -> None:
    nets = planted()
    np.testing.assert_allclose(joint_of(nets), np.corrcoef(np.hstack(list(nets.values())).T), atol=1e-12)
    swapped = spectral.joint_correlation(moments(nets, 4), "net1", "net0", np.ones(4))
    turned = np.roll(np.arange(27), -15)
    np.testing.assert_allclose(swapped, joint_of(nets)[np.ix_(turned, turned)], atol=1e-12)


def test_the_graph_has_no_loops_no_negative_edges_and_none_of_dead_units() -> None:
    graph = graphs.affinity(
        np.array([[1, -0.5, 0.25, np.nan], [-0.5, 1, 0, np.nan], [0.25, 0, 1, np.nan], [np.nan] * 4])
    )
    assert graph.tolist() == [[0, 0, 0.25, 0], [0, 0, 0, 0], [0.25, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_eigenvalues_of_the_laplacian_are_from_0_to_2(share: float) -> None:
    values = np.linalg.eigvalsh(graphs.laplacian(random_graph(30, 0, share)))
    assert values.min() > -1e-12
    assert values.max() < 2 + 1e-12
    assert np.linalg.eigvalsh(graphs.laplacian(np.eye(4)[::-1]))[-1] == pytest.approx(2)  # bipartite


@pytest.mark.parametrize("sizes", [[9], [4, 5], [3, 3, 2, 1, 1]])
def test_as_many_eigenvalues_are_0_as_there_are_components(sizes: list[int]) -> None:
    values = np.linalg.eigvalsh(graphs.laplacian(blocks_of(sizes)))
    assert (np.abs(values) < 1e-12).sum() == len(sizes)


@pytest.mark.parametrize("graph", [random_graph(60, 1), blocks_of([20, 15, 25])], ids=["connected", "three components"])
def test_lanczos_iterations_agree_with_the_whole_spectrum(graph: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    exact, vectors = graphs.spectrum(graph, 5)
    monkeypatch.setattr(graphs, "DENSE", 0)
    values, found = graphs.spectrum(graph, 5)
    np.testing.assert_allclose(values, exact, atol=1e-12)
    np.testing.assert_allclose(found[:, :3] @ found[:, :3].T, vectors[:, :3] @ vectors[:, :3].T, atol=1e-9)
    np.testing.assert_array_equal(graphs.spectrum(graph, 5)[1], found)


@pytest.mark.parametrize(
    ("values", "low", "high", "expected"),
    [
        ([0, 0.1, 0.2, 0.8, 0.9], 2, 4, 3),
        ([0, 0.6, 0.7, 0.9, 1.0], 2, 4, 3),  # the first gap is out of range
        ([0, 0.1, 0.2, 0.8, 0.9], 4, 4, 4),
        ([0, 0.1, 0.9], 2, 4, 2),
        ([0, 0.5, 0.75, 1.0], 2, 3, 2),  # the smaller of equals
        ([0.0], 2, 4, 1),
    ],
)
def test_the_number_of_clusters_is_at_the_largest_gap(values: list[float], low: int, high: int, expected: int) -> None:
    assert graphs.eigengap(np.array(values), low, high) == expected


@pytest.mark.parametrize("k", [2, 3, 5, 8])
def test_the_gap_finds_the_planted_number(k: int) -> None:
    rng = np.random.default_rng(k)
    x = rng.normal(size=(2000, k))[:, np.arange(48) % k] + 0.7 * rng.normal(size=(2000, 48))
    label, values = graphs.partition(graphs.affinity(np.corrcoef(x.T)), 2, 20, seed=0)
    assert len(values) == 21
    assert adjusted_rand_score(np.arange(48) % k, label) == 1


def test_planted_groups_across_two_nets_are_found() -> None:
    label, _, found = spectral.clustered(joint_of(planted()), 15, 2, 9, seed=0)
    assert adjusted_rand_score(np.concatenate(list(GROUPS.values())), label) == 1
    assert sorted((one.units_a, one.units_b) for one in found) == [(4, 3), (5, 5), (6, 4)]
    assert [one.size for one in found] == np.bincount(label).tolist()
    for one in found:
        assert one.density_inside == pytest.approx(1 / 1.36, abs=0.05)
        assert one.density_outside < 0.1


def test_densities_are_means_over_pairs() -> None:
    graph, label = random_graph(12, 3), np.array([0, 1, 2, 0, 0, 1, 1, 1, -1, 0, 0, 1])
    graph[8] = graph[:, 8] = 0
    inside, outside = graphs.densities(graph, label)
    for k in (0, 1):
        members, others = np.flatnonzero(label == k), np.flatnonzero((label != k) & (label >= 0))
        assert inside[k] == pytest.approx(graph[np.ix_(members, members)][np.triu_indices(len(members), 1)].mean())
        assert outside[k] == pytest.approx(graph[np.ix_(members, others)].mean())
    assert np.isnan(inside[2])
    assert np.isnan(graphs.densities(graph, np.where(label < 0, -1, 0))[1]).all()


def test_the_densest_cluster_is_the_first() -> None:
    label, _ = graphs.partition(graphs.affinity(np.corrcoef(planted(seed=2)["net0"].T)), 2, 7, seed=0)
    inside, _ = graphs.densities(graphs.affinity(np.corrcoef(planted(seed=2)["net0"].T)), label)
    assert len(inside) == 3
    assert (np.diff(inside) <= 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_permuting_units_permutes_clusters(seed: int) -> None:
    joint, order = joint_of(planted(noise=1.2)), np.random.default_rng(seed).permutation(27)
    label, _ = graphs.partition(graphs.affinity(joint), 3, 3, seed=0)
    again, _ = graphs.partition(graphs.affinity(joint[np.ix_(order, order)]), 3, 3, seed=0)
    np.testing.assert_array_equal(again, label[order])


def test_identical_nets_pair_every_unit_with_its_twin() -> None:
    x = np.random.default_rng(0).normal(size=(2000, 7))
    joint = joint_of({"net0": x, "net1": x[:, ::-1]})
    label, _, found = spectral.clustered(joint, 7, 2, 7, seed=0)
    assert sorted(label[:7]) == list(range(7))
    np.testing.assert_array_equal(label[:7], label[:6:-1])
    assert [one.span for one in found] == pytest.approx([1] * 7)
    assert [one.smallest_angle for one in found] == pytest.approx([0] * 7, abs=1e-5)


def test_the_same_span_after_any_mixing_and_none_of_independent_units() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40000, 4)) * [1, 2, 3, 4]
    mixed, noise = x @ rng.normal(size=(4, 4)) + 3, rng.normal(size=(40000, 3))
    joint = np.corrcoef(np.hstack([x, mixed, noise]).T)
    x_rows, mixed_rows, noise_rows = np.arange(4), np.arange(4, 8), np.arange(8, 11)
    np.testing.assert_allclose(spectral.canonical(joint, x_rows, mixed_rows), np.ones(4), atol=1e-9)
    np.testing.assert_allclose(spectral.canonical(joint, x_rows, noise_rows), np.zeros(3), atol=0.03)
    half = spectral.canonical(joint, np.array([0, 1, 8]), np.array([0, 1, 9]))
    np.testing.assert_allclose(half, [1, 1, 0], atol=0.03)
    redundant = spectral.canonical(joint, np.arange(8), noise_rows)  # 8 units of 4 dimensions
    assert len(redundant) == 3
    assert len(spectral.canonical(joint, np.arange(8), np.arange(8))) == 4


def test_a_rotation_is_that_of_standardised_units() -> None:
    nets, rotation = planted(), random_rotation(12, np.random.default_rng(1))
    turned = {"net0": nets["net0"], "net1": (nets["net1"] / nets["net1"].std(0)) @ rotation.T}
    joint = joint_of(nets)
    kept = joint.copy()
    np.testing.assert_allclose(spectral.rotated(joint, 15, rotation), joint_of(turned), atol=1e-12)
    np.testing.assert_array_equal(joint, kept)
    np.testing.assert_allclose(spectral.rotated(joint, 15, np.eye(12)), joint, atol=1e-12)


def test_chance_is_below_planted_clusters() -> None:
    """Units of net1 are those of net0 with noise, in three groups."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1200, 3))[:, np.arange(15) % 3] + rng.normal(size=(1200, 15))
    joint = joint_of({"net0": x, "net1": x + 0.3 * rng.normal(size=x.shape)})
    _, _, found = spectral.clustered(joint, 15, 3, 3, seed=0)
    null = spectral.chance(joint, 15, 3, 20, seed=0)
    assert null.shape == (20, 4)
    for name, value, chance in zip(spectral.SUMMARY, spectral.summary(found), null.T, strict=True):
        assert chance.max() < value or name == "mixed", name
    np.testing.assert_array_equal(spectral.chance(joint, 15, 3, 3, seed=0), null[:3])


def test_the_summary_weighs_densities_by_size() -> None:
    rows = [spectral.Cluster(0, 3, 2, 1, 0.6, 0.1, 0.5, 45), spectral.Cluster(1, 2, 2, 0, 0.4, 0.3, np.nan, np.nan)]
    np.testing.assert_allclose(spectral.summary(rows), [0.52, 0.52 / 0.18, 0.5, 0.5])
    assert np.isnan(spectral.summary([])).all()


def test_well_separated_clusters_are_stable_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    noise = {"net0": rng.normal(size=(300, 15)), "net1": rng.normal(size=(300, 12))}
    for nets, low, high in ((planted(), 1, 1), (noise, -0.2, 0.8)):
        label, _, _ = spectral.clustered(joint_of(nets), 15, 3, 3, seed=0)
        found = spectral.stability(moments(nets, 10), "net0", "net1", label, 6, seed=0)
        assert len(found) == 6
        assert low <= found.mean() <= high


def test_a_unit_without_positive_correlation_has_no_cluster() -> None:
    graph = blocks_of([4, 1, 5])
    label, _ = graphs.partition(graph, 2, 4, seed=0)
    assert label[4] == graphs.UNCLUSTERED
    assert len(set(label[:4])) == len(set(label[5:])) == 1
    assert set(label) == {0, 1, graphs.UNCLUSTERED}


def saved(folder: Path, nets: Nets, blocks: int = 6) -> Path:
    path = folder / "conv1.zarr" / "zarr.json"
    about = {"layer": "conv1", "images": "i", "nets": {net: net[-1] for net in nets}}
    store.save(path, moments(nets, blocks), **about)
    return path


def run(moments: Path, *options: str) -> tuple[Path, Path]:
    out, table = moments.parents[1] / "out.zarr" / "zarr.json", moments.parents[1] / "out.csv"
    spectral.main([str(moments), str(out), str(table), *options])
    return out, table


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
        assert found[f"null/{name}"].shape == (4,)
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


def test_the_number_of_clusters_can_be_set_and_the_pair_turned(tmp_path: Path) -> None:
    path = saved(tmp_path, planted())
    out, _ = run(path, "--pair=net1-net0", "--clusters=4", "--resamples=0", "--rotations=0")
    found = store.load(out)
    assert set(found["label"]) == {0, 1, 2, 3}
    assert found["net"].tolist() == [0] * 12 + [1] * 15
    assert len(found["stability"]) == len(found["null/span"]) == 0
    again = store.attributes(run(path, "--pair=net1-net0", "--clusters=4", "--resamples=0", "--rotations=0")[0])
    assert again["sha256"] == store.attributes(out)["sha256"]


@pytest.mark.parametrize("alive", [0, 1, 3])
def test_a_layer_that_died_gives_empty_values_without_a_word(tmp_path: Path, alive: int) -> None:
    nets = planted()
    nets["net0"][:, alive:] = nets["net1"][:] = 0.5
    out, table = run(saved(tmp_path, nets), "--pair=net0-net1", "--resamples=2", "--rotations=2")
    found = store.load(out)
    assert (found["label"][alive:] == graphs.UNCLUSTERED).all()
    assert np.isnan(found["span"])
    assert np.isnan(found["null/span"]).all()
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
