"""Random rotations: uniform, and equal on correlations and on activations."""

import numpy as np
import pytest

from tests.alignment.planted import moments
from workflow.convergent.alignment import rotation
from workflow.convergent.alignment.correlation import joint_correlation


def test_rotation_is_orthogonal_and_uniform() -> None:
    rng = np.random.default_rng(0)
    turn = rotation.random_rotation(6, rng)
    np.testing.assert_allclose(turn @ turn.T, np.eye(6), atol=1e-12)
    entries = np.array([rotation.random_rotation(3, rng)[0, 0] for _ in range(4000)])
    assert entries.mean() == pytest.approx(0, abs=0.04)
    assert (entries**2).mean() == pytest.approx(1 / 3, abs=0.03)


def test_a_rotated_joint_correlation_is_that_of_standardised_units(planted: dict[str, np.ndarray]) -> None:
    turn = rotation.random_rotation(9, np.random.default_rng(1))
    nets = {"net0": planted["net0"][:, :6], "net1": planted["net1"]}
    turned = {"net0": nets["net0"], "net1": (nets["net1"] / nets["net1"].std(0)) @ turn.T}
    joint, expected = (joint_correlation(moments(x, 4), "net0", "net1", np.ones(4)) for x in (nets, turned))
    before = joint.copy()
    np.testing.assert_allclose(rotation.rotated_joint_correlation(joint, 6, turn), expected, atol=1e-12)
    np.testing.assert_array_equal(joint, before)
    np.testing.assert_allclose(rotation.rotated_joint_correlation(joint, 6, np.eye(9)), joint, atol=1e-12)
