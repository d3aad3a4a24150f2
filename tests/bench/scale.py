"""Memory and disk of moments at the paper's size: four nets with random weights, all layers; fc6 and fc7 are wide."""

import tempfile
from pathlib import Path

import numpy as np

from workflow.convergent import store
from workflow.convergent.nets import model

from .common import LAYERS, Photographs, in_fresh_process, paper_nets

KEPT, FINE, SHARDS = 4, 8, 3  # blocks, so that a kept block spans two shards and each shard adds two fine blocks
IMAGES = 64  # of each fine block


def stage(module: str, *arguments: object) -> tuple[float, float]:
    """Seconds and peak memory in GiB of a stage."""
    return in_fresh_process(f"from workflow.convergent.{module} import main; main({list(map(str, arguments))})")


def gigabytes(path: Path) -> float:
    """Size of all files below a folder, in 10**9 bytes."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e9


def prepare(folder: Path) -> None:
    """Write images and nets as the stages read them."""
    photographs = Photographs(256)
    images = photographs[np.arange(FINE * IMAGES)]
    store.save(folder / "images.zarr" / "zarr.json", {"images": images, "group": np.arange(len(images))}, kind="images")
    for name, net in paper_nets(4, photographs).items():
        model.save(net, folder / f"{name}.pt", folder / f"{name}.json")


def shard_outputs(folder: Path, shard: int) -> list[Path]:
    """Declared file of the store of each layer."""
    return [folder / f"shards/{shard}/{layer}.zarr/zarr.json" for layer in LAYERS]


def bench_scale() -> None:
    """Print the peak memory of every stage that reads or writes moments of 4 x 4096 units."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        described = sorted(folder.glob("net*.json"))
        for shard in range(SHARDS):
            options = ["--nets", *described, "--layers", *LAYERS, "--blocks", FINE, "--wide-blocks", KEPT]
            options += ["--shard", shard, "--shards", SHARDS, "--batch", 32]
            seconds, peak = stage(
                "moments.accumulate", folder / "images.zarr/zarr.json", *shard_outputs(folder, shard), *options
            )
            disk = gigabytes(folder / f"shards/{shard}")
            print(f"scale: moments, shard {shard}: {seconds:.0f} s, peak {peak:.2f} GiB (goal 7.45), {disk:.2f} GB")
        for layer in ("fc6", "fc8"):
            shards = [folder / f"shards/{shard}/{layer}.zarr/zarr.json" for shard in range(SHARDS)]
            merged = folder / f"{layer}.zarr/zarr.json"
            seconds, peak = stage("moments.merge", *shards, merged)
            print(f"  merge of {layer}: {seconds:.0f} s, peak {peak:.2f} GiB, {gigabytes(merged.parent):.2f} GB")
        seconds, peak = stage("alignment.correlation", folder / "fc6.zarr/zarr.json", folder / "correlation")
        print(f"  correlation of fc6: {seconds:.0f} s, peak {peak:.2f} GiB")
