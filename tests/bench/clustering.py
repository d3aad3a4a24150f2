"""Seconds and peak memory of the hierarchical and spectral clusters of two nets' units."""

import tempfile
from pathlib import Path

import numpy as np

from workflow.convergent import store

from .common import in_fresh_process

ABOUT = {"layer": "fc6", "images": {"val": ""}, "nets": {"net0": "", "net1": ""}}
GROUPS = 24


def save_mapping(path: Path, units: int) -> None:
    """Write a mapping with four weights for each target unit."""
    rng = np.random.default_rng(0)
    weights = np.zeros((1, units, units))
    np.put_along_axis(weights[0], rng.integers(units, size=(units, 4)), rng.uniform(0.01, 0.5, (units, 4)), axis=1)
    arrays = {"alpha": np.array([0.24]), "decay": np.array([0.24 / units]), "weights": weights}
    store.save(path, arrays, kind="mapping", source="net0", target="net1", **ABOUT)


def save_moments(path: Path, units: int, blocks: int) -> None:
    """Write moments of rectified units: groups of one cause each, and noise. Blocks hold 1000 samples."""
    rng = np.random.default_rng(0)
    group = rng.integers(GROUPS, size=2 * units)
    arrays = {"count": np.full(blocks, 1000)}
    arrays |= {f"mean/{net}": np.empty((blocks, units)) for net in ("net0", "net1")}
    arrays |= {f"comoment/{pair}": np.empty((blocks, units, units)) for pair in ("net0-net0", "net0-net1", "net1-net1")}
    for block in range(blocks):
        noise = rng.standard_normal((1000, 2 * units), dtype=np.float32)
        x = np.maximum(rng.standard_normal((1000, GROUPS), dtype=np.float32)[:, group] + 1.5 * noise, 0)
        mean = x.mean(axis=0)
        x -= mean
        sides = {"net0": slice(units), "net1": slice(units, None)}
        for net, side in sides.items():
            arrays[f"mean/{net}"][block] = mean[side]
        for name in [name for name in arrays if name.startswith("comoment/")]:
            a, b = name.removeprefix("comoment/").split("-")
            arrays[name][block] = x[:, sides[a]].T @ x[:, sides[b]]
    store.save(path, arrays, kind="moments", **ABOUT)


def measure(stage: str, *argv: str | Path) -> tuple[float, float]:
    """Seconds and peak memory in GiB of a stage in a fresh process, with reading and writing."""
    code = f"from workflow.convergent.clustering import {stage}"
    return in_fresh_process(f"{code}\n{stage}.main({[str(arg) for arg in argv]})")


def bench_clustering() -> None:
    """Both stages at the widths of conv3 and fc6; at the latter only one clustering has a goal."""
    with tempfile.TemporaryDirectory() as folder:
        mapping, moments, out = (Path(folder) / f"{name}.zarr" / "zarr.json" for name in ("mapping", "moments", "out"))
        table = Path(folder) / "out.csv"

        def spectral(samples: int) -> tuple[float, float]:
            repeats = [f"--resamples={samples}", f"--rotations={samples}"]
            return measure("spectral", moments, out, table, "--pair=net0-net1", *repeats)

        for units, blocks, goal in ((384, 52, "seconds"), (4096, 4, "60 s, 4 GiB")):
            save_mapping(mapping, units)
            save_moments(moments, units, blocks)
            print(f"clustering: 2 x {units} units, {blocks} blocks (goal {goal})")
            seconds, memory = measure("hierarchy", mapping, out, table)
            print(f"  hierarchy {seconds:.1f} s, {memory:.2f} GiB")
            seconds, memory = spectral(0)
            print(f"  spectral, one clustering {seconds:.1f} s, {memory:.2f} GiB")
            samples = 20 if units == 384 else 1
            seconds, memory = spectral(samples)
            print(f"  with {samples} resamples and {samples} rotations {seconds:.1f} s, {memory:.2f} GiB")
