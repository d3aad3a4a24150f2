"""CPU seconds of the evidence of one pair of nets at the paper's widths."""

import tempfile
import time
from pathlib import Path

import numpy as np

from workflow.convergent import store
from workflow.convergent.evidence.compare import EvidenceSettings, all_floors, all_numbers, described, load

from .clustering import ABOUT, save_moments

SIZES = {"conv1": (96, 64, 3025), "conv3": (384, 64, 169), "fc6": (4096, 4, 1)}  # units, blocks, positions
SETTINGS = EvidenceSettings(rotations=10, derangements=10, seed=0)
PARTS = ("loading", "numbers", "floors", "units")
ONE = EvidenceSettings(rotations=1, derangements=1, seed=0)  # where ten take too long


def save_pair(path: Path, units: int, blocks: int, positions: int) -> None:
    """Save moments and position means of two nets."""
    save_moments(path, units, blocks)
    arrays, rng = dict(store.load(path)), np.random.default_rng(1)
    for net in ("net0", "net1"):
        noise = rng.normal(scale=0.1, size=(blocks, positions, units))
        arrays[f"positions/{net}"] = (arrays[f"mean/{net}"][:, None] + noise - noise.mean(1)[:, None]).astype(
            np.float32
        )
    store.save(path, arrays, kind="moments", **ABOUT)


def bench_evidence() -> None:
    """Print the CPU seconds of a pair in each layer."""
    for layer, sizes in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            path, settings = Path(folder, "moments.zarr/zarr.json"), ONE if sizes[0] > 1000 else SETTINGS
            save_pair(path, *sizes)
            begun = time.process_time()
            nets = load(path, "net0", "net1")
            seconds = [time.process_time() - begun]
            for part in (all_numbers, all_floors, described):
                begun = time.process_time()
                part(nets, settings)
                seconds.append(time.process_time() - begun)
        what = f"{settings.rotations} rotations, {settings.derangements} derangements"
        parts = ", ".join(f"{name} {part:.1f}" for name, part in zip(PARTS, seconds, strict=True))
        print(f"evidence: {layer}, {sizes[0]} units, {what}: {sum(seconds):.1f} CPU s a pair ({parts})")
