"""Small stores of moments and of evidence."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.evidence import planted
from tests.figures.stores import digests
from workflow.convergent import store
from workflow.convergent.evidence import compare
from workflow.convergent.moments.covariance import total

SIZES = [3, 3, 4, 3]  # images of each block


def moments(path: Path, nets: dict[str, np.ndarray], layer: str = "conv1", **attributes: Any) -> Path:
    """A store of the moments of activations. net -> (images, positions, units)"""
    blocks = planted.moments(nets, SIZES)
    blocks |= {f"positions/{net}": planted.maps(x, SIZES) for net, x in nets.items()}
    arrays = blocks | {f"total/{name}": np.asarray(array) for name, array in total(blocks).items()}
    about = {"layer": layer, "images": "v", "controls": [], "fine_blocks": 4, "blocks": 4, "seed": 0} | attributes
    store.save(path, arrays, **{"kind": "moments", "nets": digests(*nets)} | about)
    return path


def activations(seed: int, units: int = 6, nets: int = 3, noise: float = 0.5) -> dict[str, np.ndarray]:
    """Nets that are permutations of one another with noise. net -> (images, positions, units)"""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(sum(SIZES), 5, units))
    return {f"net{k}": shared[..., rng.permutation(units)] + noise * rng.normal(size=shared.shape) for k in range(nets)}


def evidence(folder: Path, layer: str = "conv1", untrained: bool = True, nets: int = 3) -> Path:
    """A store of evidence: nets that have much in common, and had less before training."""
    trained = moments(folder / f"val/{layer}.zarr/zarr.json", activations(0, nets=nets), layer)
    twins = {f"{net}_untrained": x for net, x in activations(1, nets=nets, noise=2).items()}
    options = ["--rotations", "2", "--derangements", "3"]
    if untrained:
        options += ["--untrained", str(moments(folder / f"untrained/{layer}.zarr/zarr.json", twins, layer))]
    path = folder / f"evidence/{layer}.zarr/zarr.json"
    compare.main([str(trained), str(path), *options])
    return path
