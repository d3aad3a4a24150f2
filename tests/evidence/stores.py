"""Small stores of moments and of evidence."""

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.evidence import planted
from tests.figures.stores import digests
from workflow.convergent import store
from workflow.convergent.evidence import compare, training
from workflow.convergent.files import write_json
from workflow.convergent.moments.covariance import total

SIZES = [3, 3, 4, 3]  # images of each block


def moments(
    path: Path, *sets: dict[str, np.ndarray], layer: str = "conv1", sizes: Sequence[int] = SIZES, **attributes: Any
) -> Path:
    """A store of the moments of activations. sets: of nets that are compared, net -> (images, positions, units)"""
    blocks, names = {}, [net for nets in sets for net in nets]
    for nets in sets:
        blocks |= planted.moments(nets, sizes)
        blocks |= {f"positions/{net}": planted.maps(x, sizes) for net, x in nets.items()}
    arrays = blocks | {f"total/{name}": np.asarray(array) for name, array in total(blocks).items()}
    about = {"layer": layer, "images": "v", "controls": [], "fine_blocks": 4, "blocks": len(sizes), "seed": 0}
    store.save(path, arrays, **{"kind": "moments", "nets": digests(*names)} | about | attributes)
    return path


def activations(seed: int, units: int = 6, nets: int = 3, noise: float = 0.5) -> dict[str, np.ndarray]:
    """Nets that are permutations of one another with noise. net -> (images, positions, units)"""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(sum(SIZES), 5, units))
    return {f"net{k}": shared[..., rng.permutation(units)] + noise * rng.normal(size=shared.shape) for k in range(nets)}


def temporary() -> Path:
    """A folder that lasts as long as the process."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    return folder


def evidence(folder: Path, layer: str = "conv1", untrained: bool = True, nets: int = 3) -> Path:
    """A store of evidence: nets that have much in common, and had less before training."""
    shutil.copytree(measured(layer, untrained, nets), folder, dirs_exist_ok=True)
    return folder / f"evidence/{layer}.zarr/zarr.json"


@cache
def measured(layer: str, untrained: bool, nets: int) -> Path:
    """A folder with a store of evidence and those of moments, computed once in a process."""
    folder = temporary()
    trained = moments(folder / f"val/{layer}.zarr/zarr.json", activations(0, nets=nets), layer=layer)
    twins = {f"{net}_untrained": x for net, x in activations(1, nets=nets, noise=2).items()}
    options = ["--rotations", "2", "--derangements", "3"]
    if untrained:
        options += ["--untrained", str(moments(folder / f"untrained/{layer}.zarr/zarr.json", twins, layer=layer))]
    compare.main([str(trained), str(folder / f"evidence/{layer}.zarr/zarr.json"), *options])
    return folder


STEPS = [3, 10, 40]  # of the snapshots, of 100
NOISE = [3.0, 1.5, 0.7, 0.5, 0.4]  # of nets before training, at each snapshot and after it


def through_training(nets: int = 3) -> list[dict[str, np.ndarray]]:
    """Activations of nets that grow more alike, state by state."""
    names = ["untrained", *(f"snapshot{k}" for k in range(1, len(STEPS) + 1)), ""]
    return [
        {f"{net}_{name}".rstrip("_"): x for net, x in activations(k, nets=nets, noise=noise).items()}
        for k, (name, noise) in enumerate(zip(names, NOISE, strict=True))
    ]


def descriptions(folder: Path, snapshots: Sequence[dict[str, np.ndarray]], **changed: Any) -> list[Path]:
    """Descriptions of the weights of snapshots."""
    paths = []
    for step, nets in zip(STEPS, snapshots, strict=True):
        for name, digest in digests(*nets).items():
            net = name.split("_")[0]
            about = {"sha256": digest, "snapshot_of": net, "becomes": digests(net)[net], "step": step, "steps": 100}
            paths.append(folder / f"{name}.json")
            write_json(paths[-1], about | changed)
    return paths


def training_arguments(folder: Path, layer: str = "conv1", nets: int = 3, **changed: Any) -> list[str]:
    """A command line of ``evidence.training`` with its inputs; moments of snapshots are of two blocks.

    changed: entries of the descriptions
    """
    untrained, *snapshots, trained = through_training(nets)
    places = {way: folder / f"{way}/{layer}.zarr/zarr.json" for way in ("val", "untrained", "snapshots")}
    moments(places["val"], trained, layer=layer)
    moments(places["untrained"], untrained, layer=layer)
    two = [sum(SIZES[:2]), sum(SIZES[2:])]
    moments(places["snapshots"], *snapshots, layer=layer, sizes=two)
    paths = [*places.values(), folder / f"training/{layer}.zarr/zarr.json"]
    return [*map(str, paths), "--descriptions", *map(str, descriptions(folder, snapshots, **changed))]


def through(folder: Path, layer: str = "conv1", nets: int = 3) -> Path:
    """A store of evidence through training."""
    shutil.copytree(measured_through(layer, nets), folder, dirs_exist_ok=True)
    return folder / f"training/{layer}.zarr/zarr.json"


@cache
def measured_through(layer: str, nets: int) -> Path:
    """A folder with a store of evidence through training and what it was computed from, once in a process."""
    folder = temporary()
    training.main(training_arguments(folder, layer, nets))
    return folder
