"""What it costs to compare images with their digests at their first use, beside a forward pass over them."""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from workflow.convergent import store
from workflow.convergent.nets import activations

from .common import Photographs, paper_nets

COUNT, SIZE, BATCH = 2048, 256, 64
FORWARD = 256  # images of the forward pass


def pass_seconds(images: store.StoredArray) -> float:
    """Seconds of a core that a pass over all images takes, a batch at a time."""
    begun = time.process_time()
    for first in range(0, len(images), BATCH):
        images[np.arange(first, first + BATCH)]
    return time.process_time() - begun


@torch.no_grad()
def forward_seconds(images: store.StoredArray, photographs: Photographs) -> float:
    """Seconds of a core that a forward pass of one net of the paper's size over FORWARD images takes."""
    (net,) = paper_nets(1, photographs).values()
    begun = time.process_time()
    for pixels in activations.batches(images, np.arange(FORWARD), BATCH, torch.device("cpu")):
        net(net.centre_crop(pixels))
    return time.process_time() - begun


def bench_checking(repeats: int = 5) -> None:
    """First passes over an image store, which compare digests, against later ones, which do not."""
    photographs = Photographs(SIZE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "val.zarr/zarr.json"
        store.save(path, {"images": photographs[np.arange(COUNT)]})
        first, later = [], []
        for _ in range(repeats):
            images = store.StoredArray(path, "images")
            first.append(pass_seconds(images))
            later.append(pass_seconds(images))
        extra = statistics.median(np.subtract(first, later)) / COUNT
        forward = forward_seconds(images, photographs) / FORWARD
    rate, read = SIZE**2 * 3 / extra / 1e6, statistics.median(later) / COUNT
    print(f"checking: {rate:.0f} MB/s and core, {extra * 1e3:.2f} ms an image of {SIZE} pixels, once; ", end="")
    print(f"reading it {read * 1e3:.2f} ms; a forward pass of one net {forward * 1e3:.1f} ms of a core: ", end="")
    print(f"checking is {extra / forward:.1%} of the first pass")
