"""CPU seconds of the evidence of one pair of nets at the paper's widths, and the seconds of a rotation of wide ones."""

import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from workflow.convergent import store
from workflow.convergent.evidence.compare import (
    Compared,
    EvidenceSettings,
    all_floors,
    all_numbers,
    described,
    load,
    of_pair,
)
from workflow.convergent.evidence.crossfit import all_blocks
from workflow.convergent.evidence.pairs import numbers
from workflow.convergent.evidence.turning import gpu_of, nth_rotation, standardised, turned

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


def rotation_seconds(nets: Compared, number: int) -> list[tuple[float, float]]:
    """Wall and CPU seconds of drawing a rotation, of moments after it, and of all numbers of these."""
    units = nets.own_b.shape[1]
    place = gpu_of(units)
    prepared = standardised(nets.pair, nets.own_b, place)
    marks = [(time.perf_counter(), time.process_time())]
    rotation = nth_rotation(number, units, 0, place)
    marks.append((time.perf_counter(), time.process_time()))
    after = turned(prepared, rotation)
    marks.append((time.perf_counter(), time.process_time()))
    numbers(after, whole=all_blocks(after))
    marks.append((time.perf_counter(), time.process_time()))
    return [(end[0] - begin[0], end[1] - begin[1]) for begin, end in pairwise(marks)]


def bench_rotation(nets: Compared) -> None:
    """Print the seconds of a rotation with all that is computed after it, the best of three."""
    draw, products, found = min(
        (rotation_seconds(nets, number) for number in range(3)), key=lambda of: sum(part[0] for part in of)
    )
    wall, cpu = (sum(part[k] for part in (draw, products, found)) for k in (0, 1))
    parts = f"drawn in {draw[0]:.1f}, products {products[0]:.1f}, assignments and all else {found[0]:.1f}"
    print(f"  a rotation of {nets.own_b.shape[1]} units: {wall:.1f} s, {cpu:.1f} CPU s ({parts}) (goal 12 s)")


def bench_evidence() -> None:
    """Print the CPU seconds of a pair in each layer."""
    for layer, sizes in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            path, settings = Path(folder, "moments.zarr/zarr.json"), ONE if sizes[0] > 1000 else SETTINGS
            save_pair(path, *sizes)
            marks = [time.process_time()]
            nets = load(path, "net0", "net1")
        marks.append(time.process_time())
        found = of_pair(nets, settings)
        all_numbers(nets, found, settings)
        marks.append(time.process_time())
        all_floors(nets, settings)
        marks.append(time.process_time())
        described(nets, found.best, settings)
        marks.append(time.process_time())
        what = f"{settings.rotations} rotations, {settings.derangements} derangements"
        seconds = [end - begin for begin, end in pairwise(marks)]
        parts = ", ".join(f"{name} {part:.1f}" for name, part in zip(PARTS, seconds, strict=True))
        print(f"evidence: {layer}, {sizes[0]} units, {what}: {sum(seconds):.1f} CPU s a pair ({parts})")
        if settings is ONE:
            bench_rotation(nets)
