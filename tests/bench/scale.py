"""Memory and disk of the paper's moments: four nets with random weights, all layers, fc6 and fc7 keep few blocks."""

import tempfile
from pathlib import Path

import numpy as np

from workflow.convergent import store
from workflow.convergent.nets import model

from .common import LAYERS, Photographs, in_fresh_process, paper_nets

KEPT, FINE, SHARDS = 4, 8, 3  # a kept block spans two shards, and each shard adds two fine blocks
IMAGES = 64  # of a fine block


def stage(module: str, *arguments: object) -> tuple[float, float]:
    """Seconds and peak memory in GiB of a stage."""
    return in_fresh_process(f"from workflow.convergent.{module} import main; main({list(map(str, arguments))})")


def gigabytes(path: Path) -> float:
    """On disk, of a file or of all files below a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e9


def prepare(folder: Path) -> None:
    """Images and nets, as the stages read them."""
    photographs = Photographs(256)
    images = photographs[np.arange(FINE * IMAGES)]
    store.save(folder / "images.zarr" / "zarr.json", {"images": images, "group": np.arange(len(images))})
    for name, net in paper_nets(4, photographs).items():
        model.save(net, folder / f"{name}.pt", folder / f"{name}.json")


def shard_outputs(folder: Path, shard: int) -> list[Path]:
    return [folder / f"shards/{shard}/{layer}.zarr/zarr.json" for layer in LAYERS]


def bench_scale() -> None:
    """Peak memory of every stage that reads moments of 4 x 4096 units, or writes them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        described = sorted(folder.glob("net*.json"))
        for shard in range(SHARDS):
            given = ["--nets", *described, "--layers", *LAYERS, "--blocks", FINE, "--wide-blocks", KEPT]
            work = ["--shard", shard, "--shards", SHARDS, "--batch", 32]
            seconds, peak = stage(
                "moments", folder / "images.zarr/zarr.json", *shard_outputs(folder, shard), *given, *work
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
