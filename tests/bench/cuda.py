"""Rates of a GPU at the paper's sizes: training, the moments pass and counting, beside the card's matrix products."""

import functools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from tests.presets import preset
from workflow.convergent import store
from workflow.convergent.moments import accumulate
from workflow.convergent.nets import activations, compiling, crops, device, train
from workflow.convergent.nets.optimisation import TrainingSettings, new_optimiser
from workflow.convergent.nets.snapshots import Snapshots
from workflow.convergent.nets.strided import StridedConv2d
from workflow.convergent.stitching import assembly, mappings, stitched

from .common import LAYERS, Photographs, paper_nets, section
from .information import pairs_of_samples, stage
from .moments import forward_operations
from .nets import OneBatch

EXPERIMENT = "workflow/experiments/imagenet.yaml"
STORED = 8192  # images of the training store, 1.6 GB: the page cache holds them


def seconds(work: Callable[[], object]) -> float:
    """Seconds until the device has done the work."""
    torch.cuda.synchronize()
    begun = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def product_rate(kind: torch.dtype, repeats: int = 20) -> float:
    """Operations per second of a large square matrix product."""
    x = torch.randn(8192, 8192, device="cuda").to(kind)
    x @ x
    return 2 * 8192**3 * repeats / seconds(lambda: [x @ x for _ in range(repeats)])


@contextmanager
def plain_convolutions() -> Iterator[None]:
    """Convolutions with a stride as torch computes them."""
    ours = StridedConv2d.forward
    StridedConv2d.forward = torch.nn.Conv2d.forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        StridedConv2d.forward = ours  # type: ignore[method-assign]


def bench_training(images: Photographs, place: torch.device, steps: int = 100, repeats: int = 3) -> None:
    """Print training's rate from the store beside a loop over one batch, and beside the card's bfloat16 products.

    It is as in a long training, compiled. Beside it stands a short one, neither compiled nor over blocks of pixels.
    """
    settings = TrainingSettings.from_section(section(EXPERIMENT, "training"))
    batch, peak = settings.batch, product_rate(torch.bfloat16)
    net = preset(section(EXPERIMENT, "architecture"), 3, 1000, images.pool.shape[1], seed=0)
    operations = 3 * forward_operations({"net": net})
    net.standardise_with(images.pool)
    net.to(place)
    optimiser = new_optimiser(net, settings)
    labels = np.arange(STORED) % 1000
    begun = time.perf_counter()
    compiled = compiling.forward_of(net, "net", settings)
    print(f"cuda: to compile takes {time.perf_counter() - begun:.0f} s")

    def rate(forward: compiling.Forward, loader: Iterator[Sequence[torch.Tensor]]) -> float:
        job = train.Job("net", 0, settings, forward)
        epoch = functools.partial(train.train_epoch, net, optimiser, loader, job, 0, range(steps), Snapshots([]))
        return steps * batch / seconds(epoch)

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/train.zarr/zarr.json"
        store.save(path, {"images": images[np.arange(STORED)]}, kind="images")
        split = crops.Split(store.StoredArray(path, "images"), labels)

        def stored() -> Iterator[Sequence[torch.Tensor]]:
            drawn = (draw for epoch in range(steps) for draw in crops.draws(STORED, batch, 29, seed=epoch))
            return crops.batches(split, drawn, net.crop_width, place)

        preloaded = OneBatch(next(stored()))
        rate(compiled, stored())
        with plain_convolutions():
            rate(compiling.loss_and_hits, preloaded)
            before = max(rate(compiling.loss_and_hits, stored()) for _ in range(repeats))
        from_store, alone = (
            max(rate(compiled, loader()) for _ in range(repeats)) for loader in (stored, lambda: preloaded)
        )
        begun = time.process_time()
        loading = STORED / seconds(
            lambda: [crops.cut(split, draw, net.crop_width) for draw in crops.draws(STORED, batch, 29, seed=0)]
        )
        print(
            f"cuda: training {from_store:.0f} images/s, {from_store / alone:.0%} of the rate with one batch, ", end=""
        )
        print(f"{from_store / before:.2f} times that of a short one ({before:.0f}); ", end="")
        print(f"{alone * operations / 1e12:.0f} of {peak / 1e12:.0f} TFLOP/s of bfloat16 products; ", end="")
        print(f"a thread cuts {loading:.0f} crops/s ({time.process_time() - begun:.2f} s of CPU)")


def bench_moments(images: Photographs, place: torch.device, count: int = 4096, batch: int = 128) -> None:
    """Print the time of the moments pass of four nets beside that of their forward passes alone, in float32."""
    nets = {name: net.to(place) for name, net in paper_nets(4, images).items()}
    index, peak = np.arange(count), product_rate(torch.float32)
    operations = forward_operations(nets) * count

    @torch.no_grad()
    def forward() -> None:
        for pixels in activations.batches(images, index, batch, place):
            for net in nets.values():
                net(net.centre_crop(pixels))

    passes = accumulate.block_moments(
        activations.Recorder(nets, LAYERS), images, [index[:64], index[:64], index], batch
    )
    next(passes), next(passes)  # these allocate
    seconds(forward)
    alone, together = seconds(forward), seconds(lambda: next(passes))
    memory = torch.cuda.max_memory_allocated() / 1e9
    print(f"cuda: forward {count / alone:.0f} images/s of four nets, ", end="")
    print(f"{operations / alone / 1e12:.1f} of {peak / 1e12:.0f} TFLOP/s of float32 products; ", end="")
    print(f"with moments {count / together:.0f} ({together / alone:.2f} times as long), {memory:.1f} GB of the GPU")


def bench_functional(
    images: Photographs, place: torch.device, points: int = 58, count: int = 512, batch: int = 32
) -> None:
    """Print the images a second through as many stitched nets as the paper's path has at most."""
    nets = {name: net.to(place) for name, net in paper_nets(2, images).items()}
    rng, labels, rates = np.random.default_rng(0), np.zeros(count, np.int32), {}
    for layer in LAYERS[:5]:
        recorder = activations.Recorder(nets, [layer])
        units = recorder.shapes["net0"][layer].units
        scale = mappings.Scale(np.zeros(units), np.ones(units))
        mapping = assembly.Affine(rng.normal(size=(units, units)) / units**0.5, scale, scale)
        stitched_nets = {f"{point}": assembly.StitchedNet("net0", mapping, "net1") for point in range(points)}
        work = functools.partial(
            stitched.correct_images, stitched_nets, recorder, images, np.arange(len(labels)), labels, batch
        )
        work()
        rates[layer] = count / seconds(work)
    print(f"cuda: {points} stitched nets, images/s: ", end="")
    print(", ".join(f"{layer} {rate:.0f}" for layer, rate in rates.items()))


def bench_cuda() -> None:
    """Run all of these benchmarks; print one line where there is no GPU."""
    if not torch.cuda.is_available():
        print("cuda: there is none here")
        return
    place, images = device.pick(), Photographs(256)
    print(f"cuda: {torch.cuda.get_device_name()}")
    bench_training(images, place)
    bench_moments(images, place)
    bench_functional(images, place)
    stage(20)
    found, spent = stage(4096)
    work = pairs_of_samples(found)
    print(f"cuda: information {work:.2e} pairs of samples in {spent:.1f} s, {work / spent / 1e12:.2f}e12 a second")
