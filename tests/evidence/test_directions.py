"""p of the best similarity: closed forms, random directions, full rotations, the null, dead units."""

import numpy as np
import pytest
from scipy.special import betainc

from tests.evidence.sums import correlations
from workflow.convergent.alignment.rotation import random_rotation
from workflow.convergent.evidence import crossfit, directions


def planted(units: int, factors: int, seed: int, samples: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Activations of two nets that mix the same few factors, each with a noise of its own. (samples, units) each"""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(samples, factors))
    a, b = (shared @ rng.normal(size=(factors, units)) + rng.normal(size=(samples, units)) for _ in range(2))
    return a, b


def standardised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) / x.std(0)


@pytest.mark.parametrize("units", [2, 3, 12, 300])
@pytest.mark.parametrize("best", [-0.3, 0.01, 0.2, 0.499])
def test_the_share_among_uncorrelated_units_is_that_of_a_cap_of_the_sphere(units: int, best: float) -> None:
    similarity = np.random.default_rng(units).normal(size=(4, units))
    similarity *= 0.5 / np.linalg.norm(similarity, axis=1, keepdims=True)  # the multiple correlation is .5
    cap = betainc((units - 1) / 2, 0.5, 1 - (best / 0.5) ** 2) / 2
    found = directions.direction_share(np.full(4, best), similarity, np.eye(units))
    np.testing.assert_allclose(found, cap if best > 0 else 1 - cap, rtol=1e-9)


@pytest.mark.parametrize(("units", "factors"), [(5, 1), (40, 2), (40, 30)])
def test_the_share_is_that_of_random_directions(units: int, factors: int) -> None:
    a, b = planted(units, factors, units + factors)
    b[:, 1] = b[:, 0]  # two equal units: a direction without variance
    similarity, within = correlations(a[:, :5], b), correlations(b, b)
    drawn = np.random.default_rng(0).normal(size=(units, 40_000))
    found = similarity @ drawn / np.sqrt((drawn * (within @ drawn)).sum(0))
    for share in (0.3, 0.5, 0.1, 0.01):
        best = np.quantile(found, 1 - share, axis=1)
        expected = pytest.approx(share, abs=4.5 * np.sqrt(share * (1 - share) / 40_000))
        assert directions.direction_share(best, similarity, within).tolist() == [expected] * 5


@pytest.mark.slow
def test_p_is_the_share_of_rotations_whose_best_unit_is_as_similar() -> None:
    a, b = planted(30, 6, 1)
    b[:, :6] += 1.2 * a[:, :6]
    similarity, within = correlations(a, b), correlations(b, b)
    rng, reached = np.random.default_rng(0), np.zeros(30)
    for _ in range(600):
        turn = random_rotation(30, rng)
        turned = similarity @ turn.T / np.sqrt(np.einsum("ij,jk,ik->i", turn, within, turn))
        reached += turned.max(1) >= similarity.max(1)
    p = directions.best_direction_p(similarity, within)
    assert np.corrcoef(reached / 600, p)[0, 1] > 0.99
    assert np.abs(reached / 600 - p).max() < 0.1  # directions of a rotation are orthogonal, so not quite independent


def test_rotated_axes_are_not_discovered() -> None:
    rng, small, found = np.random.default_rng(5), [], 0
    for seed in range(8):
        a, b = planted(60, 10, seed, samples=500)
        mixed = standardised(b) @ random_rotation(60, rng)
        p = directions.best_direction_p(correlations(a, mixed), correlations(mixed, mixed))
        small.append(p <= 0.05)
        found += (directions.false_discovery_rate(p) <= 0.05).sum()
    assert 0.02 <= np.mean(small) <= 0.08
    assert found <= 3  # of 480


def test_a_match_is_told_from_any_number_of_directions() -> None:
    a, b = planted(200, 8, 2, samples=300)
    b[:, 7] = a[:, 3]
    p = directions.best_direction_p(correlations(a, b), correlations(b, b))
    assert p[3] < 1e-9
    assert (directions.false_discovery_rate(p) <= 0.05).tolist() == [unit == 3 for unit in range(200)]


def test_dead_units_count_for_nothing_and_scales_do_not_matter() -> None:
    a, b = planted(12, 3, 3)
    expected = directions.best_direction_p(correlations(a, b), correlations(b, b))
    dead = np.ones((len(a), 2))
    a, b = np.hstack([100 * a, dead]), np.hstack([dead, -3 - 0.01 * -b])
    p = directions.best_direction_p(correlations(a, b), correlations(b, b))
    np.testing.assert_allclose(p, [*expected, np.nan, np.nan], atol=1e-9)
    nothing = directions.best_direction_p(correlations(a, dead), correlations(dead, dead))
    np.testing.assert_array_equal(nothing, np.full(14, np.nan))


def test_the_directions_of_a_single_unit_are_its_two_signs() -> None:
    a, b = planted(6, 2, 4)
    p = directions.best_direction_p(correlations(a, b[:, :1]), np.ones((1, 1)))
    np.testing.assert_allclose(p, 0.5)


def test_wide_layers_have_no_p() -> None:
    wide = crossfit.WIDEST + 1
    p = directions.best_direction_p(np.full((3, wide), 0.1), np.eye(wide))
    np.testing.assert_array_equal(p, np.full(3, np.nan))


def test_the_rate_of_false_discoveries_leaves_dead_units_out() -> None:
    q = directions.false_discovery_rate(np.array([0.04, np.nan, 0.01, 0.5, 0.02]))
    np.testing.assert_allclose(q, [0.16 / 3, np.nan, 0.04, 0.5, 0.04])
    np.testing.assert_array_equal(directions.false_discovery_rate(np.full(2, np.nan)), np.full(2, np.nan))
