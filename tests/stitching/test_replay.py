"""The published optimiser on moments: it ends where batches of 32 do, and far from the optimum."""

import numpy as np
import pytest

from workflow.convergent.stitching import replay
from workflow.convergent.stitching.lasso import lasso_path

DECAYS = np.array([0, 1e-3, 1e-2])
UNITS = 8


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """Standardised activations of two planted nets. (N, S), (N, T)"""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, UNITS)) @ (np.eye(UNITS) + 0.5 * rng.normal(size=(UNITS, UNITS)))
    y = x[:, rng.permutation(UNITS)] + 0.7 * rng.normal(size=x.shape)
    return (x - x.mean(0)) / x.std(0), (y - y.mean(0)) / y.std(0)


@pytest.fixture(scope="module")
def moments(data: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    x, y = data
    return x.T @ x / len(x), x.T @ y / len(x)


def by_batches(x: np.ndarray, y: np.ndarray, decay: float, weights: np.ndarray) -> np.ndarray:
    """The published recipe on activations, 32 at a time. (T, S) -> (T, S)"""
    rng, velocity = np.random.default_rng(7), 0.0
    for iteration in range(4501):
        batch = rng.integers(len(x), size=32)
        error = x[batch] @ weights.T - y[batch]  # (32, T)
        velocity = 0.98 * velocity + error.T @ x[batch] / 32 / len(weights) + decay * np.sign(weights)
        weights = weights - 1e-3 * 0.5 ** (iteration // 1500) * velocity
    return weights


def loss(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    return float(((y - x @ weights.T) ** 2).mean() / 2)


@pytest.mark.slow
def test_it_ends_where_batches_of_32_do(
    data: tuple[np.ndarray, np.ndarray], moments: tuple[np.ndarray, np.ndarray]
) -> None:
    weights, _, _ = replay.replay(*moments, DECAYS, seed=3)
    start = replay.initial_weights(np.ones(UNITS, bool), np.ones(UNITS, bool), seed=3)
    for decay, replayed in zip(DECAYS, weights, strict=True):
        expected = by_batches(*data, decay, start)
        assert abs(loss(*data, replayed) - loss(*data, expected)) < 3e-4
        np.testing.assert_allclose(replayed, expected, atol=0.03)


@pytest.mark.slow
def test_history_is_the_loss_on_the_way(
    data: tuple[np.ndarray, np.ndarray], moments: tuple[np.ndarray, np.ndarray]
) -> None:
    weights, history, iteration = replay.replay(*moments, DECAYS, seed=0)
    assert history.shape == (3, len(iteration))
    assert (iteration[0], iteration[-1]) == (0, 4500)
    start = replay.initial_weights(np.ones(UNITS, bool), np.ones(UNITS, bool), seed=0)
    np.testing.assert_allclose(history[:, 0], loss(*data, start), rtol=1e-10)
    np.testing.assert_allclose(history[:, -1], [loss(*data, replayed) for replayed in weights], rtol=1e-4)


def test_it_has_not_converged_and_leaves_no_zeros(
    data: tuple[np.ndarray, np.ndarray], moments: tuple[np.ndarray, np.ndarray]
) -> None:
    decays = np.array([0, 1e-2])
    weights, _, _ = replay.replay(*moments, decays, seed=0)
    best, _ = lasso_path(*moments, UNITS * decays)
    assert (weights != 0).all()
    assert loss(*data, weights[0]) > loss(*data, best[0])
    assert np.abs(best[1]).sum() < np.abs(weights[1]).sum()


@pytest.mark.slow
def test_seeds_and_only_seeds_matter(moments: tuple[np.ndarray, np.ndarray]) -> None:
    one, same, other = (replay.replay(*moments, DECAYS[:1], seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_initial_weights_are_gaussian() -> None:
    weights = replay.initial_weights(np.ones(100, bool), np.ones(400, bool), seed=0)
    assert weights.std() == pytest.approx(0.1, rel=0.02)
    assert weights.mean() == pytest.approx(0, abs=0.002)


@pytest.mark.slow
def test_dead_units_stay_zero(moments: tuple[np.ndarray, np.ndarray]) -> None:
    gram, cross = (array.copy() for array in moments)
    gram[2] = gram[:, 2] = cross[2] = np.nan
    cross[:, 5] = np.nan
    weights, history, _ = replay.replay(gram, cross, DECAYS, seed=0)
    assert not weights[:, 5].any()
    assert not weights[:, :, 2].any()
    assert weights[:, :5, 3:].all()
    assert np.isfinite(history).all()


@pytest.mark.slow
def test_a_dead_layer_has_no_loss() -> None:
    weights, history, _ = replay.replay(np.zeros((3, 3)), np.zeros((3, 2)), DECAYS, seed=0)
    assert not weights.any()
    assert np.isnan(history).all()
