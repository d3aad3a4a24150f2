"""Spectral clustering of graphs: the Laplacian's spectrum, the number of clusters, densities, permutations."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from tests.clustering.planted import joint_of, planted
from workflow.convergent.clustering import graphs


def random_graph(units: int, seed: int, share: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((units, units)) * (rng.random((units, units)) < share), 1)
    return upper + upper.T


def blocks_of(sizes: list[int], seed: int = 0) -> np.ndarray:
    """A graph of complete components."""
    component = np.repeat(np.arange(len(sizes)), sizes)
    return (random_graph(len(component), seed) + 0.1) * (component[:, None] == component) * (1 - np.eye(sum(sizes)))


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


def test_a_unit_without_positive_correlation_has_no_cluster() -> None:
    graph = blocks_of([4, 1, 5])
    label, _ = graphs.partition(graph, 2, 4, seed=0)
    assert label[4] == graphs.UNCLUSTERED
    assert len(set(label[:4])) == len(set(label[5:])) == 1
    assert set(label) == {0, 1, graphs.UNCLUSTERED}
