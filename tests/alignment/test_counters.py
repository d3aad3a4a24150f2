"""Counters of exceedances: both count what numpy counts, and a value on an edge does not exceed it."""

import numpy as np
import pytest
import torch

from tests.alignment.planted import rectified
from workflow.convergent.alignment import counters


@pytest.mark.slow
@pytest.mark.parametrize("counter", [counters.BitPlanes(), counters.Products(torch.device("cpu"))])
@pytest.mark.parametrize("samples", [1, 64, 101])
def test_exceedances_are_those_of_numpy(counter: counters.Counter, samples: int) -> None:
    """Counted twice, so that they are seen to be added."""
    a, b, edges = rectified(samples, 3, 0), rectified(samples, 20, 1), np.array([[0, 0.3, 1.2]], np.float32)
    planes_a, planes_b = (counter.planes(torch.from_numpy(x), edges.repeat(x.shape[1], 0)) for x in (a, b))
    single, joint = counter.zeros((20, 3)), counter.zeros((3, 20, 3, 3))
    for _ in range(2):
        counter.add_single(planes_b, single)
        counter.add_joint(planes_a, planes_b, joint)
    above_a, above_b = ((x[:, :, None] > edges).astype(int) for x in (a, b))  # (samples, units, E)
    np.testing.assert_array_equal(counter.to_numpy(single), 2 * above_b.sum(0))
    np.testing.assert_array_equal(counter.to_numpy(joint), 2 * np.einsum("sap,sbq->abpq", above_a, above_b))


@pytest.mark.slow
def test_a_value_on_an_edge_does_not_exceed_it() -> None:
    values = torch.tensor([[0.0], [1.0], [2.0], [np.nextafter(np.float32(2), np.float32(3))]])
    planes = counters.BitPlanes.planes(values, np.array([[0, 1, 2]], np.float32))
    assert planes[0, :, 0].tolist() == [0b1110, 0b1100, 0b1000]
