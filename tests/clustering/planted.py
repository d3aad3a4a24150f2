"""Two nets whose units belong to three groups."""

import numpy as np

from tests.alignment.planted import moments
from workflow.convergent.alignment.correlation import joint_correlation

Nets = dict[str, np.ndarray]
GROUPS = {"net0": np.repeat([0, 1, 2], [5, 4, 6]), "net1": np.repeat([2, 0, 1], [4, 5, 3])}


def planted(noise: float = 0.6, samples: int = 1200, seed: int = 0) -> Nets:
    """Three groups of units, each of one cause and noise; 15 in net0, 12 in net1. net -> (samples, units)"""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(samples, 3))
    return {net: causes[:, group] + noise * rng.normal(size=(samples, len(group))) for net, group in GROUPS.items()}


def joint_of(nets: Nets) -> np.ndarray:
    """Joint correlation of both nets' units, net0's first."""
    return joint_correlation(moments(nets, 4), "net0", "net1", np.ones(4))
