"""Speed of training, of local response normalisation and of top patches, one net at a time."""

import statistics
import tempfile
import time

import numpy as np
import torch

from tests.presets import preset
from workflow.convergent import store
from workflow.convergent.nets import alexnet, batching, crops, train
from workflow.convergent.nets.optimisation import TrainingSettings, new_optimiser
from workflow.convergent.nets.snapshots import Snapshots
from workflow.convergent.patches import pictures, receptive, search

from .common import LAYERS, Photographs, section


class OneBatch:
    """Yields one preloaded batch for ever."""

    def __init__(self, batch: tuple[torch.Tensor, ...]) -> None:
        self.batch = batch

    def __iter__(self):
        return self

    def __next__(self) -> tuple[torch.Tensor, ...]:
        return self.batch


def bench_training(steps: int = 100, repeats: int = 5) -> None:
    """Print the rate of training from the store on one core, as a share of the rate with one preloaded batch."""
    torch.set_num_threads(1)
    settings = TrainingSettings.from_section(section("config.yaml", "training"))
    pixels = Photographs(36)[np.arange(steps * settings.batch)]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/train.zarr/zarr.json"
        store.save(path, {"images": pixels}, kind="images")
        rows, labels = store.StoredArray(path, "images"), np.arange(len(pixels)) % 52
        net = preset(section("config.yaml", "architecture"), 3, 52, 36, seed=0)
        optimiser = new_optimiser(net, settings)

        def rate(loader) -> float:
            begun = time.perf_counter()
            train.train_epoch(net, optimiser, loader, train.Job("net0", 0, settings), 0, range(steps), Snapshots([]))
            return steps * settings.batch / (time.perf_counter() - begun)

        def stored():
            drawn = crops.draws(len(labels), settings.batch, 4, seed=0)
            return crops.batches(crops.Split(rows, labels), drawn, net.crop_width, torch.device("cpu"))

        preloaded = OneBatch(next(stored()))
        rate(stored())
        pairs = [(rate(stored()), rate(preloaded)) for _ in range(repeats)]
    share = statistics.median(a / b for a, b in pairs)
    print(f"training: {statistics.median(a for a, _ in pairs):.0f} images/s on one core, ", end="")
    print(f"{share:.0%} of the rate with one preloaded batch (goal 90 %)")


def bench_lrn(repeats: int = 15) -> None:
    """Print the time of our local response normalisation, forward and backward, as a share of torch's."""
    x = (torch.rand(32, 96, 27, 27) * 100).requires_grad_()

    def seconds(module: torch.nn.Module) -> float:
        begun = time.perf_counter()
        module(x).sum().backward()
        return time.perf_counter() - begun

    ours, theirs = alexnet.LocalResponseNorm(), torch.nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)
    ratio = statistics.median(seconds(ours) / seconds(theirs) for _ in range(repeats))
    print(f"lrn: {ratio:.2f} of the time of torch's (goal below 1)")


def bench_patches() -> None:
    """Print the time of the top-9 search over that of the forward pass, and the time of deconvolving all units.

    Both are of four small nets on one core.
    """
    torch.set_num_threads(1)
    images = Photographs(36)
    group = np.arange(len(images), dtype=np.int32) % len(images.pool)
    architecture = section("config.yaml", "architecture")
    ratios, deconvolution = [], 0.0
    for seed in range(4):
        net = preset(architecture, 3, 52, 36, seed).eval()
        net.standardise_with(images.pool)
        batch = batching.of_nets([net])  # as the stage has it
        begun = time.perf_counter()
        with torch.no_grad():
            for first in range(0, len(images), batch):
                net(net.centre_crop(torch.from_numpy(images[np.arange(first, min(first + batch, len(images)))])))
        forward = time.perf_counter() - begun
        top_images = search.search(net, images, batch, LAYERS, 9, group)
        searched = time.perf_counter() - begun - forward
        ratios.append(searched / forward)
        fields = receptive.fields(net, LAYERS[:5])
        for layer in LAYERS[:5]:
            units = np.arange(len(top_images[layer]["image"]))
            pictures.patches(net, images, layer, fields[layer], top_images[layer], units, batch)
        deconvolution += time.perf_counter() - begun - forward - searched
    print(f"patches: search in {statistics.median(ratios):.2f} of the forward pass's time (goal 1.3), ", end="")
    print(f"deconvolution of all units of four nets in {deconvolution:.1f} s (goal 60)")
