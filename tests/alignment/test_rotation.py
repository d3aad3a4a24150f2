"""Random rotations: uniform, and equal on correlations and on activations."""

import numpy as np
import pytest
import torch
from scipy import stats

from tests.alignment.planted import moments
from workflow.convergent.alignment import rotation
from workflow.convergent.alignment.correlation import joint_correlation

UNITS = [0, 1, 2, 3, 7, rotation.PANEL, 2 * rotation.PANEL + 5]


def draws(count: int, units: int) -> np.ndarray:
    """Random rotations. (count, units, units)"""
    rng = np.random.default_rng(units)
    return np.array([rotation.random_rotation(units, rng) for _ in range(count)])


@pytest.mark.parametrize("units", UNITS)
def test_a_rotation_is_orthogonal_in_float32(units: int) -> None:
    turn = rotation.random_rotation(units, np.random.default_rng(0))
    assert turn.dtype == np.float32
    np.testing.assert_allclose(turn.astype(float) @ turn.T, np.eye(units), atol=1e-6)


@pytest.mark.slow
def test_a_wide_rotation_stays_orthogonal() -> None:
    turn = rotation.random_rotation(2048, np.random.default_rng(0)).astype(float)
    assert np.abs(turn @ turn.T - np.eye(2048)).max() < 1e-6


def by_reflections(units: int, seed: int) -> np.ndarray:
    """The product of reflections H_1 ... H_n and signs, one by one in float64."""
    drawn = np.random.default_rng(seed).standard_normal((units, units), dtype=np.float32).astype(float)
    product, signs = np.eye(units), []
    for k in range(units):
        vector = np.concatenate([np.zeros(k), drawn[k:, k]])
        signs.append(-1.0 if vector[k] < 0 else 1.0)
        vector[k] += signs[-1] * np.linalg.norm(vector)
        product @= np.eye(units) - 2 * np.outer(vector, vector) / (vector @ vector)
    return -product * signs


@pytest.mark.slow
@pytest.mark.parametrize("units", UNITS)
def test_panels_of_reflections_are_their_product(units: int) -> None:
    turn = rotation.random_rotation(units, np.random.default_rng(5))
    np.testing.assert_allclose(turn, by_reflections(units, 5), atol=2e-6)


@pytest.mark.parametrize("units", UNITS[1:])
def test_the_first_axis_has_the_direction_of_the_first_gaussian_vector(units: int) -> None:
    """As in the QR decomposition of a Gaussian matrix whose R has a positive diagonal."""
    turn = rotation.random_rotation(units, np.random.default_rng(5))
    drawn = np.random.default_rng(5).standard_normal((units, units), dtype=np.float32)[:, 0].astype(float)
    np.testing.assert_allclose(turn[:, 0], drawn / np.linalg.norm(drawn), atol=1e-6)


def test_a_last_entry_of_zero_is_a_sign() -> None:
    """In float32 one of ten million is exactly 0."""

    class Zeros(np.random.Generator):
        def standard_normal(self, *size: object, **options: object) -> np.ndarray:
            drawn = super().standard_normal(*size, **options)
            drawn[-1, -1] = 0
            return drawn

    for units in (1, 4):
        turn = rotation.random_rotation(units, Zeros(np.random.PCG64(0)))
        np.testing.assert_allclose(turn @ turn.T, np.eye(units), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("units", [2, 3, 5])
def test_rotations_are_distributed_as_those_of_scipy_and_of_a_gaussian_matrix(units: int) -> None:
    """Each entry, the trace, the determinant, moments of two and of four entries, and all this after a fixed rotation.

    scipy draws from the Haar measure by reflections, the QR decomposition of a Gaussian matrix is the textbook's.
    """
    count, rng = 4000, np.random.default_rng(1)
    q, r = np.linalg.qr(rng.normal(size=(count, units, units)))
    decomposed = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None]
    known = stats.ortho_group.rvs(units, count, random_state=2)
    found = draws(count, units).astype(float)
    fixed = stats.ortho_group.rvs(units, random_state=3)
    for turned in (found, fixed @ found, found @ fixed):
        turned = np.round(turned, 5)  # traces of reflections of the plane are 0 but for rounding
        for expected in np.round((known, decomposed), 5):
            tests = [stats.ks_2samp(turned[:, i, j], expected[:, i, j]) for i in range(units) for j in range(units)]
            tests.append(stats.ks_2samp(np.trace(turned, axis1=1, axis2=2), np.trace(expected, axis1=1, axis2=2)))
            assert min(test.pvalue for test in tests) > 1e-4
        for i, j in ((0, 0), (units - 1, 0), (units - 1, units - 1)):
            entry = turned[:, i, j]
            assert abs(entry.mean()) < 4 / np.sqrt(units * count)
            assert (entry**2).mean() == pytest.approx(1 / units, abs=4 / units / np.sqrt(count))
            fourth = 3 / (units * (units + 2))
            assert (entry**4).mean() == pytest.approx(fourth, abs=4 * fourth * 3 / np.sqrt(count))
        both = turned[:, 0, 0] ** 2 * turned[:, 1, 1] ** 2
        expected_both = (units + 1) / ((units - 1) * units * (units + 2))
        assert both.mean() == pytest.approx(expected_both, abs=4 * both.std() / np.sqrt(count))
    determinants = np.linalg.det(found)
    np.testing.assert_allclose(np.abs(determinants), 1, atol=1e-5)
    assert abs((determinants > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(count)


@pytest.mark.parametrize("place", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("units", UNITS)
def test_torch_draws_the_rotation_of_numpy(units: int, place: str) -> None:
    turn = rotation.random_rotation(units, np.random.default_rng(0), torch.device(place))
    assert (turn.device.type, turn.dtype) == (place, torch.float32)
    np.testing.assert_allclose(turn.cpu(), rotation.random_rotation(units, np.random.default_rng(0)), atol=2e-6)


def test_a_rotated_joint_correlation_is_that_of_standardised_units(planted: dict[str, np.ndarray]) -> None:
    turn = rotation.random_rotation(9, np.random.default_rng(1))
    nets = {"net0": planted["net0"][:, :6], "net1": planted["net1"]}
    turned = {"net0": nets["net0"], "net1": (nets["net1"] / nets["net1"].std(0)) @ turn.T}
    joint, expected = (joint_correlation(moments(x, 4), "net0", "net1", np.ones(4)) for x in (nets, turned))
    before = joint.copy()
    np.testing.assert_allclose(rotation.rotated_joint_correlation(joint, 6, turn), expected, atol=1e-12)
    np.testing.assert_array_equal(joint, before)
    np.testing.assert_allclose(rotation.rotated_joint_correlation(joint, 6, np.eye(9)), joint, atol=1e-12)
