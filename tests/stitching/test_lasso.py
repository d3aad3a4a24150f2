"""The Lasso from moments: it agrees with scikit-learn, meets the optimality conditions and is certified by its gap."""

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from workflow.convergent.stitching.lasso import lasso_path, path_points

ALPHAS = np.array([0.5, 0.2, 0.05, 0.01, 0.002])


def standard(x: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and variance 1."""
    return (x - x.mean(0)) / x.std(0)


def data(samples: int = 400, sources: int = 20, targets: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Standardised sources, strongly correlated, and targets that are noisy mixtures. (N, S), (N, T)"""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, sources)) + 3 * rng.normal(size=(samples, 2)) @ rng.normal(size=(2, sources))
    y = x @ (rng.normal(size=(sources, targets)) * (rng.random((sources, targets)) < 0.3))
    return standard(x), standard(y + rng.normal(size=y.shape))


def moments(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.T @ x / len(x), x.T @ y / len(x)


def objectives(x: np.ndarray, y: np.ndarray, weights: np.ndarray, alpha: float) -> np.ndarray:
    """Objective of each target, from activations. (T, S) -> (T,)"""
    return ((y - x @ weights.T) ** 2).mean(0) / 2 + alpha * np.abs(weights).sum(1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_scikit_learn(seed: int) -> None:
    x, y = data(seed=seed)
    gram, cross = moments(x, y)
    weights, _ = lasso_path(gram, cross, ALPHAS, tolerance=1e-12)
    for alpha, ours in zip(ALPHAS, weights, strict=True):
        settings = {"alpha": alpha, "fit_intercept": False, "tol": 1e-13, "max_iter": 100_000}
        from_samples = Lasso(**settings).fit(x, y).coef_
        from_gram = [Lasso(**settings, precompute=gram * len(x)).fit(x, target).coef_ for target in y.T]
        np.testing.assert_allclose(ours, from_samples, atol=1e-7)
        np.testing.assert_allclose(ours, from_gram, atol=1e-7)


def test_it_meets_the_optimality_conditions() -> None:
    """The gradient is alpha times the sign of a weight; at a weight of zero it is at most alpha in size."""
    gram, cross = moments(*data())
    weights, _ = lasso_path(gram, cross, ALPHAS, tolerance=1e-13)
    gradient = cross.T - weights @ gram
    used, alpha = weights != 0, np.broadcast_to(ALPHAS[:, None, None], weights.shape)
    assert 0 < used.mean() < 1
    np.testing.assert_allclose(gradient[used], (alpha * np.sign(weights))[used], atol=1e-6)
    assert (np.abs(gradient) <= alpha + 1e-6).all()


def test_a_planted_map_is_found() -> None:
    rng = np.random.default_rng(0)
    x = standard(rng.normal(size=(5000, 30)))
    planted = np.zeros((10, 30))
    for target in planted:
        target[rng.choice(30, 3, replace=False)] = rng.choice([-0.6, 0.5, 0.6], 3)
    y = x @ planted.T
    planted, y = planted / y.std(0)[:, None], standard(y + 0.01 * rng.normal(size=y.shape))
    (weights,), _ = lasso_path(*moments(x, y), np.array([0.02]))
    assert ((weights != 0) == (planted != 0)).all()
    np.testing.assert_allclose(weights, planted, atol=0.04)  # shrunk by alpha


def test_loss_and_norm_are_monotone_along_the_path() -> None:
    x, y = data()
    weights, _ = lasso_path(*moments(x, y), np.append(ALPHAS, 0), tolerance=1e-10)
    loss = [((y - x @ point.T) ** 2).mean(0) for point in weights]
    assert (np.diff(loss, axis=0) <= 1e-8).all()
    assert (np.diff(np.abs(weights).sum(2), axis=0) >= -1e-6).all()


def test_permuted_units_give_permuted_maps() -> None:
    x, y = data()
    rng = np.random.default_rng(5)
    source, target = rng.permutation(20), rng.permutation(12)
    weights, _ = lasso_path(*moments(x, y), ALPHAS, tolerance=1e-12)
    permuted, _ = lasso_path(*moments(x[:, source], y[:, target]), ALPHAS, tolerance=1e-12)
    np.testing.assert_allclose(permuted, weights[:, target][:, :, source], atol=1e-6)


def test_from_the_largest_correlation_on_all_is_exactly_zero() -> None:
    gram, cross = moments(*data())
    largest = np.abs(cross).max()
    (above, below), gap = lasso_path(gram, cross, np.array([largest, largest * 0.999]))
    assert not above.any()
    assert np.count_nonzero(below) == 1
    np.testing.assert_allclose(gap[0], 0, atol=1e-12)


def test_points_are_solved_from_the_largest_and_returned_in_the_order_given() -> None:
    gram, cross = moments(*data())
    order = np.array([3, 0, 4, 1, 2])
    weights, gap = lasso_path(gram, cross, ALPHAS)
    mixed, mixed_gap = lasso_path(gram, cross, ALPHAS[order])
    np.testing.assert_array_equal(mixed, weights[order])
    np.testing.assert_array_equal(mixed_gap, gap[order])
    assert [index for index, *_ in path_points(gram, cross, np.array([0, 0.1, 0.3, 0.1]))] == [2, 1, 3, 0]


def test_threads_do_not_matter() -> None:
    gram, cross = moments(*data())
    one, two = (lasso_path(gram, cross, ALPHAS, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one[0], two[0])


def ill_conditioned(units: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Units of which many are almost alike, as in trained layers: the Gram matrix has a condition above 1e5."""
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(units, 2 * units)) * np.geomspace(1, 1e-3, units)[:, None]
    values = standard(rng.normal(size=(3000, units)) @ mixing)
    return values[:, :units], values[:, units:]


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.1, 1e-2, 1e-3, 1e-4])
def test_the_tolerance_is_reached_where_units_are_alike(alpha: float) -> None:
    gram, cross = moments(*ill_conditioned())
    assert np.linalg.cond(gram) > 1e5
    _, gap = lasso_path(gram, cross, np.array([alpha]), tolerance=1e-6)
    assert gap.max() <= 1e-6


def test_the_gap_bounds_the_distance_to_the_optimum() -> None:
    x, y = ill_conditioned()
    gram, cross = moments(x, y)
    (best,), _ = lasso_path(gram, cross, np.array([1e-3]), tolerance=1e-12)
    least = objectives(x, y, best, 1e-3)
    distances = []
    for sweeps in (1, 3, 10, 100):
        ((_, weights, gap),) = path_points(gram, cross, np.array([1e-3]), sweeps=sweeps)
        value = objectives(x, y, weights, 1e-3)
        assert ((value - least) / value <= gap + 1e-12).all()
        distances.append((value - least).max())
    assert distances[0] > 1e-3  # one sweep is too few


def test_without_a_penalty_it_is_least_squares() -> None:
    x, y = data()
    (weights,), certificate = lasso_path(*moments(x, y), np.array([0.0]))
    np.testing.assert_allclose(weights, np.linalg.lstsq(x, y, rcond=None)[0].T, atol=1e-9)
    assert certificate.max() < 1e-12


def test_dependent_units_get_the_solution_of_least_norm() -> None:
    x, y = data(sources=10)
    x = standard(x @ np.random.default_rng(2).normal(size=(10, 25)))  # rank 10
    (penalised, free), certificate = lasso_path(*moments(x, y), np.array([1e-3, 0]))
    np.testing.assert_allclose(free, (np.linalg.pinv(x, rcond=1e-6) @ y).T, atol=1e-8)
    assert certificate.max() <= 1e-6
    assert np.isfinite(penalised).all()


def test_dead_units_have_zero_rows_and_columns() -> None:
    x, y = data()
    gram, cross = moments(x, y)
    expected, _ = lasso_path(np.delete(np.delete(gram, 4, 0), 4, 1), np.delete(cross, 4, 0), np.append(ALPHAS, 0))
    gram[4] = gram[:, 4] = cross[4] = np.nan
    cross[:, 7] = np.nan
    weights, _ = lasso_path(gram, cross, np.append(ALPHAS, 0))
    assert not weights[:, :, 4].any()
    assert not weights[:, 7].any()
    np.testing.assert_array_equal(np.delete(np.delete(weights, 4, 2), 7, 1), np.delete(expected, 7, 1))
    np.testing.assert_array_equal(lasso_path(np.nan_to_num(gram), cross, ALPHAS)[0], weights[:-1])


def test_a_dead_layer_maps_to_nothing() -> None:
    weights, certificate = lasso_path(np.zeros((3, 3)), np.zeros((3, 2)), np.array([0.1, 0]))
    assert not weights.any()
    assert not certificate.any()


def test_a_net_maps_onto_itself() -> None:
    x, _ = data()
    (shrunk, identity), _ = lasso_path(*moments(x, x), np.array([0.01, 0]), tolerance=1e-12)
    np.testing.assert_allclose(identity, np.eye(20), atol=1e-10)
    np.testing.assert_allclose(shrunk, 0.99 * np.eye(20), atol=1e-6)
