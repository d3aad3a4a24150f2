"""CPU seconds of the evidence of one pair of nets at the paper's widths."""

import tempfile
import time
from pathlib import Path

import numpy as np

from workflow.convergent import store
from workflow.convergent.evidence.compare import EvidenceSettings, pair_evidence

from .clustering import save_moments

SIZES = {"conv1": (96, 64, 3025), "conv3": (384, 64, 169), "fc6": (4096, 4, 1)}  # units, blocks, positions
SETTINGS = EvidenceSettings(rotations=10, derangements=10, seed=0)
ONE = EvidenceSettings(rotations=1, derangements=1, seed=0)  # where ten take too long


def pair(units: int, blocks: int, positions: int) -> dict[str, np.ndarray]:
    """Moments and position means of two nets."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "moments.zarr/zarr.json")
        save_moments(path, units, blocks)
        arrays: dict[str, np.ndarray] = dict(store.load(path))
    rng = np.random.default_rng(1)
    for net in ("net0", "net1"):
        noise = rng.normal(scale=0.1, size=(blocks, positions, units))
        arrays[f"positions/{net}"] = (arrays[f"mean/{net}"][:, None] + noise - noise.mean(1)[:, None]).astype(
            np.float32
        )
    return arrays


def bench_evidence() -> None:
    """Print the CPU seconds of a pair in each layer."""
    for layer, sizes in SIZES.items():
        arrays, settings = pair(*sizes), ONE if sizes[0] > 1000 else SETTINGS
        begun = time.process_time()
        pair_evidence(arrays, "net0", "net1", settings)
        what = f"{settings.rotations} rotations, {settings.derangements} derangements"
        print(f"evidence: {layer}, {sizes[0]} units, {what}: {time.process_time() - begun:.1f} CPU s a pair")
