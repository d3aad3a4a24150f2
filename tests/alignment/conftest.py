"""Activations that the tests of alignment share."""

import numpy as np
import pytest


@pytest.fixture
def planted() -> dict[str, np.ndarray]:
    """Net1 is a permutation of net0 with noise, net2 has nothing to do with them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1200, 9))
    noisy = x[:, rng.permutation(9)] + 0.5 * rng.normal(size=x.shape)
    return {"net0": x, "net1": noisy, "net2": rng.normal(size=x.shape)}
