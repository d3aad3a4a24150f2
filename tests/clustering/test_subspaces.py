"""Principal angles of the spans of two sets of units."""

import numpy as np
import pytest

from workflow.convergent.clustering import subspaces


def test_the_same_span_after_any_mixing_and_none_of_independent_units() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40000, 4)) * [1, 2, 3, 4]
    mixed, noise = x @ rng.normal(size=(4, 4)) + 3, rng.normal(size=(40000, 3))
    joint = np.corrcoef(np.hstack([x, mixed, noise]).T)
    x_rows, mixed_rows, noise_rows = np.arange(4), np.arange(4, 8), np.arange(8, 11)
    np.testing.assert_allclose(subspaces.canonical_correlations(joint, x_rows, mixed_rows), np.ones(4), atol=1e-9)
    np.testing.assert_allclose(subspaces.canonical_correlations(joint, x_rows, noise_rows), np.zeros(3), atol=0.03)
    half = subspaces.canonical_correlations(joint, np.array([0, 1, 8]), np.array([0, 1, 9]))
    np.testing.assert_allclose(half, [1, 1, 0], atol=0.03)
    redundant = subspaces.canonical_correlations(joint, np.arange(8), noise_rows)  # 8 units of 4 dimensions
    assert len(redundant) == 3
    assert len(subspaces.canonical_correlations(joint, np.arange(8), np.arange(8))) == 4


@pytest.mark.parametrize("degrees", [10, 30, 60, 90])
def test_the_smallest_principal_angle_is_the_planted_one(degrees: float) -> None:
    """Two planes that share no direction: one pair of axes at the angle, the other pair at a right angle."""
    cosine = np.cos(np.radians(degrees))
    joint = np.eye(4)
    joint[0, 2] = joint[2, 0] = cosine
    cosines = subspaces.canonical_correlations(joint, np.array([0, 1]), np.array([2, 3]))
    np.testing.assert_allclose(cosines, [cosine, 0], atol=1e-12)
    assert subspaces.smallest_principal_angle(cosines) == pytest.approx(degrees)
