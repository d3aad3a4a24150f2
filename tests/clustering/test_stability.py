"""Stability of clusters under resampled blocks: by resampled activations, planted groups and noise, constant units."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from tests.alignment.planted import moments
from tests.clustering.planted import joint_of, planted
from workflow.convergent.alignment.rotation import random_rotation, rotated_joint_correlation
from workflow.convergent.clustering import graphs, spectral
from workflow.convergent.clustering.stability import rand_index, resampled, stability
from workflow.convergent.seeds import derive

Nets = dict[str, np.ndarray]


def drawn(blocks: int, resamples: int, seed: int) -> np.ndarray:
    """How often each block is drawn. (resamples, blocks)"""
    shares = np.full(blocks, 1 / blocks)
    return np.random.default_rng(derive(seed, "resamples")).multinomial(blocks, shares, resamples)


def grouped(noise: float) -> Nets:
    """Two nets of 12 and 9 units of different scales, in three groups."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(600, 3))
    nets = {"net0": causes[:, np.arange(12) % 3], "net1": causes[:, np.arange(9) % 3]}
    return {net: (x + noise * rng.normal(size=x.shape)) * np.linspace(0.1, 9, x.shape[1]) for net, x in nets.items()}


@pytest.mark.slow
@pytest.mark.parametrize("rotated", [False, True])
def test_it_is_that_of_resampled_activations(rotated: bool) -> None:
    """Units of the second net are standardised and rotated once, on all images, and then resampled."""
    nets, blocks = grouped(5.0), 10
    a, b = nets.values()
    rotation = random_rotation(9, np.random.default_rng(1)) if rotated else np.eye(9)
    x = np.hstack([a, (b - b.mean(0)) / b.std(0) @ rotation.T])
    label, _ = graphs.partition(graphs.affinity(np.corrcoef(x.T)), 3, 3, derive(0, "k-means"))
    parts, expected = np.split(np.arange(600), blocks), []
    for weights in drawn(blocks, 8, 0):
        rows = np.concatenate([np.tile(part, count) for part, count in zip(parts, weights, strict=True)])
        again, _ = graphs.partition(graphs.affinity(np.corrcoef(x[rows].T)), 3, 3, derive(0, "k-means"))
        expected.append(adjusted_rand_score(label, again))
    found = stability(resampled(moments(nets, blocks), "net0", "net1", 8, 0), label[None], [rotation], 0)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-9)
    assert 0 < np.mean(expected) < 1


@pytest.mark.slow
def test_well_separated_clusters_are_stable_and_noise_is_not_on_its_own_axes_and_on_rotated_ones() -> None:
    """Stability alone says nothing of axes: mixtures of three causes lie in three groups too."""
    rng = np.random.default_rng(0)
    noise = {"net0": rng.normal(size=(300, 15)), "net1": rng.normal(size=(300, 12))}
    rotation = random_rotation(12, rng)
    for nets, low, high in ((planted(), 0.9, 1), (noise, -0.2, 0.8)):
        joint = joint_of(nets)
        ways = [joint, rotated_joint_correlation(joint, 15, rotation)]
        label = np.array([spectral.cluster_units(way, 15, 3, 3, seed=0).label for way in ways])
        draws = resampled(moments(nets, 10), "net0", "net1", 6, seed=0)
        found = stability(draws, label, [np.eye(12), rotation], seed=0).mean(axis=0)
        assert found.shape == (2,)
        assert (found >= low).all()
        assert (found <= high).all()


@pytest.mark.slow
def test_units_that_are_constant_in_a_draw_are_left_out_of_it_and_dead_ones_of_all() -> None:
    nets = grouped(0.3)
    nets["net0"][:, 2] = 7.0
    nets["net1"][:, 4] = np.where(np.arange(600) < 60, nets["net1"][:, 4], 0.5)  # in the first of ten blocks alone
    nets["net1"][:, 5] = 1.0
    weights = drawn(10, 12, 0)
    draws = list(resampled(moments(nets, 10), "net0", "net1", 12, seed=0))
    assert {x.shape for x in draws} == {(19, 19)}
    assert [bool((x[15] == 0).all()) for x in draws] == (weights[:, 0] == 0).tolist()
    assert 0 < (weights[:, 0] == 0).sum() < 12
    label = np.r_[np.arange(12) % 3, np.arange(9) % 3][np.delete(np.arange(21), [2, 17])]
    np.testing.assert_array_equal(stability(draws, label[None], [np.eye(8)], seed=0), 1)


def test_units_without_a_cluster_do_not_count() -> None:
    first, second = np.array([0, 0, 1, 1, -1]), np.array([1, 1, 0, -1, 0])
    assert rand_index(first, second) == adjusted_rand_score([0, 0, 1], [1, 1, 0]) == 1
    assert np.isnan(rand_index(first, np.full(5, graphs.UNCLUSTERED)))
    none = stability([np.eye(5)] * 3, np.full((2, 5), graphs.UNCLUSTERED), [np.eye(2)] * 2, seed=0)
    assert none.shape == (3, 2)
    assert np.isnan(none).all()
