"""Held-out linear mappings: against scikit-learn on activations, invariance, dependent, dead and rare sources."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler

from tests.evidence.sums import between, edges
from workflow.convergent.evidence import regression
from workflow.convergent.evidence.crossfit import Between


def moments(x: np.ndarray, y: np.ndarray, parts: list[np.ndarray]) -> tuple[Between, np.ndarray]:
    """Moments of targets and sources, and products of the sources with themselves. (samples, S), (samples, T)"""
    return between(y, x, parts), between(x, x, parts).products


def planted(noise: float, sources: int = 6, samples: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Sources and four targets that are mixtures of them, all far from a mean of 0 and drifting through the blocks."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, sources)) * 10.0 ** np.linspace(-2, 2, sources)
    x += np.linspace(0, 3, samples)[:, None] * x.std(0)
    mixed = (x / x.std(0)) @ rng.normal(size=(sources, 4))
    return x + 5, 3 * (mixed + noise * rng.normal(size=mixed.shape)) - 7


@pytest.mark.parametrize("blocks", [2, 4, 8, 11])
def test_errors_of_each_fold_are_those_of_scikit_learn(blocks: int) -> None:
    x, y = planted(1.0)
    parts = edges(len(x), blocks)
    penalties = np.array([0, 0.01, 2.0])
    found = regression.held_out(*moments(x, y, parts), penalties)
    folds = [np.concatenate(parts[k :: regression.FOLDS]) for k in range(min(blocks, regression.FOLDS))]
    for k, fold in enumerate(folds):
        rest = np.setdiff1d(np.arange(len(x)), fold)
        scaled = StandardScaler().fit(x[rest])
        np.testing.assert_allclose(found.squares[k], ((y[fold] - y[rest].mean(0)) ** 2).sum(0))
        for penalty, errors in zip(penalties, found.errors[k], strict=True):
            model = Ridge(penalty * len(rest)) if penalty else LinearRegression()
            model.fit(scaled.transform(x[rest]), y[rest])
            residual = y[fold] - model.predict(scaled.transform(x[fold]))
            np.testing.assert_allclose(errors, (residual**2).sum(0), rtol=1e-9)


def test_r2_of_no_penalty_is_that_of_any_invertible_mixture_of_the_sources() -> None:
    x, y = planted(0.7)
    parts = edges(len(x), 5)
    expected = regression.linear_r2(*moments(x, y, parts))
    mixed = (x / x.std(0)) @ np.random.default_rng(1).normal(size=(6, 6))
    np.testing.assert_allclose(regression.linear_r2(*moments(mixed, y * 40 + 3, parts)), expected, atol=1e-9)
    assert (expected > 0.5).all()
    assert (expected < 0.99).all()


def test_nets_of_equal_spans_have_an_r2_of_one() -> None:
    x, y = planted(0.0)
    np.testing.assert_allclose(regression.linear_r2(*moments(x, y, edges(len(x), 6))), 1, atol=1e-12)


def test_sources_that_depend_on_each_other_or_are_dead_change_nothing() -> None:
    x, y = planted(0.7)
    parts = edges(len(x), 4)
    more = np.hstack([x, 2 * x[:, :1], x[:, :1] / x.std(0)[0] - x[:, 1:2] / x.std(0)[1], np.full((len(x), 1), 8.0)])
    expected = regression.linear_r2(*moments(x, y, parts))
    np.testing.assert_allclose(regression.linear_r2(*moments(more, y, parts)), expected, atol=1e-9)
    scale = 10.0 ** np.arange(-3, 3)
    np.testing.assert_allclose(
        regression.ridge_r2(*moments(x * scale, y, parts)), regression.ridge_r2(*moments(x, y, parts)), atol=1e-9
    )


def test_a_source_that_varies_in_one_fold_alone_does_not_spoil_it() -> None:
    x, y = planted(0.7)
    parts = edges(len(x), 4)
    rare = np.zeros((len(x), 1))
    rare[parts[2]] = np.random.default_rng(2).normal(size=(len(parts[2]), 1)) + 4
    found = regression.linear_r2(*moments(np.hstack([x, rare]), y, parts))
    np.testing.assert_allclose(found, regression.linear_r2(*moments(x, y, parts)), atol=0.05)


def test_a_dead_target_has_no_r2_and_an_unrelated_one_less_than_none() -> None:
    x, y = planted(0.7)
    parts = edges(len(x), 6)
    y = np.hstack([y[:, :1], np.full((len(y), 1), 2.0), np.random.default_rng(3).normal(size=(len(y), 1))])
    for found in (regression.linear_r2(*moments(x, y, parts)), regression.ridge_r2(*moments(x, y, parts))):
        assert np.isnan(found).tolist() == [False, True, False]
        assert found[2] < 0.02


def test_the_penalty_is_chosen_on_other_folds() -> None:
    x, y = planted(8.0, sources=40, samples=160)
    of = moments(x, y, edges(len(x), 8))
    ridge, none = regression.ridge_r2(*of), regression.linear_r2(*of)
    assert ridge.mean() > none.mean() + 0.02
    every = regression.held_out(*of, regression.PENALTIES)
    errors = 0
    for k in range(8):
        others = [fold for fold in range(8) if fold != k]
        means = (1 - every.errors[others].sum(0) / every.squares[others].sum(0)).mean(1)
        errors = errors + every.errors[k, list(means).index(max(means))]
    np.testing.assert_allclose(ridge, 1 - errors / every.squares.sum(0))


def test_wide_sources_are_not_regressed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, parts = np.random.default_rng(0), edges(80, 4)
    x, y = rng.normal(size=(80, 3)), rng.normal(size=(80, 6))
    arguments = between(x, y, parts), between(y, y, parts).products
    monkeypatch.setattr(regression, "WIDEST", 5)
    for r2 in (regression.linear_r2, regression.ridge_r2):
        assert np.isnan(r2(*arguments)).all()
        assert r2(*arguments).shape == (3,)
    monkeypatch.setattr(regression, "WIDEST", 6)
    assert np.isfinite(regression.linear_r2(*arguments)).all()
