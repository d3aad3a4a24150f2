"""Speed and memory, measured: ``make bench``, or one with ``python -m tests.bench moments``.

Times are compared as ratios within one run, interleaved, because machines are noisy.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from workflow.convergent import activations, alexnet, correlation, data, device, moments, patches, store, train

ROOT = Path(__file__).parents[1]
LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]


def section(experiment: str, name: str) -> dict:
    """A section of a configuration of the repository."""
    return yaml.safe_load((ROOT / experiment).read_text())[name]


class Photographs:
    """As many images as wanted, the embedded photographs over and over, in the shape of ``store.Rows``."""

    def __init__(self, size: int) -> None:
        files = data.image_files(ROOT / "workflow/resources/scenes")
        self.pool = np.stack([np.asarray(Image.open(file).convert("RGB").resize((size, size))) for file in files])

    def __len__(self) -> int:
        return 60 * len(self.pool)

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        return self.pool[np.asarray(index) % len(self.pool)]


def paper_nets(count: int, images: Photographs) -> dict[str, alexnet.AlexNet]:
    """The paper's architecture with random weights."""
    architecture = section("workflow/experiments/imagenet.yaml", "architecture")
    nets = {f"net{i}": alexnet.AlexNet(architecture, 3, 1000, 256, seed=i).eval() for i in range(count)}
    for net in nets.values():
        net.standardise_with(images.pool)
    return nets


class Gatherer:
    """Adds up the time and the arithmetic of the calls of a function."""

    def __init__(self, function) -> None:
        self.function, self.seconds, self.operations = function, 0.0, 0.0

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        begun = time.perf_counter()
        product = self.function(rows)
        self.seconds += time.perf_counter() - begun
        self.operations += rows.shape[0] * rows.shape[1] * (rows.shape[1] + 1.0)
        return product


def forward_operations(nets: dict[str, alexnet.AlexNet]) -> float:
    """Floating-point operations of one image through all nets, two a multiplication with addition."""
    counted = []
    handles = [
        module.register_forward_hook(lambda m, i, o: counted.append(2 * m.weight[0].numel() * o[0].numel()))
        for net in nets.values()
        for module in net.children()
        if hasattr(module, "weight")
    ]
    with torch.no_grad():
        for net in nets.values():
            net(torch.zeros(1, net.channels, net.architecture["crop"], net.architecture["crop"]))
    for handle in handles:
        handle.remove()
    return float(sum(counted))


def product_peak() -> float:
    """Rate of a large square float32 matrix product, operations a second: the better of numpy's and torch's."""
    x = torch.rand(4096, 4096)
    rates = []
    for product in (lambda: x @ x, lambda: x.numpy() @ x.numpy()):
        product()
        begun = time.perf_counter()
        product()
        rates.append(2 * 4096**3 / (time.perf_counter() - begun))
    return max(rates)


def bench_moments(images: int = 1024, repeats: int = 5) -> None:
    """Forward with moments against forward alone, at the paper's preset."""
    rows, index = Photographs(256), np.arange(images)
    nets = paper_nets(4, rows)
    gatherer = moments.gram = Gatherer(moments.gram)
    alone, together, peaks = [], [], []

    def forward() -> float:
        begun = time.perf_counter()
        with torch.no_grad():
            for first in range(0, images, 32):
                pixels = torch.from_numpy(rows[index[first : first + 32]])
                for net in nets.values():
                    net(net.centre_crop(pixels))
        return time.perf_counter() - begun

    passes = moments.block_moments(nets, rows, [np.arange(64), *[index] * repeats], 32, LAYERS)

    def with_moments() -> float:
        begun = time.perf_counter()
        next(passes)
        return time.perf_counter() - begun

    with_moments()  # makes the accumulators, once a pass
    gatherer.seconds = gatherer.operations = 0.0
    for _ in range(repeats):
        alone.append(forward())
        together.append(with_moments())
        peaks.append(product_peak())
    rate = forward_operations(nets) * images / statistics.median(alone) / 1e9
    peak, products = statistics.median(peaks) / 1e9, gatherer.operations / gatherer.seconds / 1e9
    ratios = [b / a for a, b in zip(alone, together, strict=True)]
    print(f"moments: {images} images, four nets, median of {repeats}")
    print(f"  forward alone {statistics.median(alone):.1f} s ({rate:.0f} GFLOP/s)")
    print(
        f"  forward with moments {statistics.median(together):.1f} s, ratio {statistics.median(ratios):.2f} (goal 1.5)"
    )
    print(f"  products {products:.0f} GFLOP/s of a peak of {peak:.0f}: {products / peak:.0%} (goal 70 %)")


def peak_memory(images: int) -> float:
    """Largest resident size in MiB of a fresh process that takes moments of so many images."""
    code = f"from tests.bench import stream_moments; stream_moments({images})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def stream_moments(images: int) -> None:
    """Moments of the small nets over so many images in one block; prints this process's peak memory in MiB."""
    architecture = section("config.yaml", "architecture")
    nets = {f"net{i}": alexnet.AlexNet(architecture, 3, 52, 36, seed=i).eval() for i in range(4)}
    for _ in moments.block_moments(nets, Photographs(36), [np.arange(images)], 60, LAYERS):
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def bench_memory() -> None:
    """Peak memory of the moments pass against the number of images."""
    few, many = peak_memory(3000), peak_memory(12000)
    print(f"memory: {few:.0f} MiB for 3,000 images, {many:.0f} MiB for 12,000: ratio {many / few:.2f} (goal 1.10)")


class OneBatch:
    """The same preloaded batch for ever."""

    def __init__(self, batch: tuple[torch.Tensor, ...]) -> None:
        self.batch = batch

    def __iter__(self):
        return self

    def __next__(self) -> tuple[torch.Tensor, ...]:
        return self.batch


def bench_training(steps: int = 100, repeats: int = 5) -> None:
    """Training from the store against a loop over one preloaded batch, on one core."""
    torch.set_num_threads(1)
    settings = section("config.yaml", "training") | {"bias_rate": 1, "bias_decay": 1}
    pixels = Photographs(36)[np.arange(steps * settings["batch"])]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/train.zarr/zarr.json"
        store.save(path, {"images": pixels})
        rows, labels = store.Rows(path, "images"), np.arange(len(pixels)) % 52
        net = alexnet.AlexNet(section("config.yaml", "architecture"), 3, 52, 36, seed=0)
        sgd = train.optimiser(net, settings)

        def rate(loader) -> float:
            begun = time.perf_counter()
            train.train_epoch(net, sgd, loader, settings, "net0", 0, range(steps))
            return steps * settings["batch"] / (time.perf_counter() - begun)

        def stored():
            return train.batches(rows, labels, settings["batch"], 4, seed=0)

        preloaded = OneBatch(next(stored()))
        rate(stored())
        pairs = [(rate(stored()), rate(preloaded)) for _ in range(repeats)]
    share = statistics.median(a / b for a, b in pairs)
    print(f"training: {statistics.median(a for a, _ in pairs):.0f} images/s on one core, ", end="")
    print(f"{share:.0%} of the rate with one preloaded batch (goal 90 %)")


def bench_lrn(repeats: int = 15) -> None:
    """Local response normalisation, forward and backward, against torch's."""
    x = (torch.rand(32, 96, 27, 27) * 100).requires_grad_()

    def seconds(module: torch.nn.Module) -> float:
        begun = time.perf_counter()
        module(x).sum().backward()
        return time.perf_counter() - begun

    ours, theirs = alexnet.LocalResponseNorm(), torch.nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)
    ratio = statistics.median(seconds(ours) / seconds(theirs) for _ in range(repeats))
    print(f"lrn: {ratio:.2f} of the time of torch's (goal below 1)")


def bench_exactness(count: int = 600) -> None:
    """Largest error of a correlation against float64 statistics of the same activations, over all layers."""
    images, index = Photographs(36), np.arange(count)
    architecture = section("config.yaml", "architecture")
    nets = {f"net{seed}": alexnet.AlexNet(architecture, 3, 52, 36, seed).eval() for seed in range(2)}
    for net in nets.values():
        net.standardise_with(images.pool)
    (found,) = moments.block_moments(nets, images, [index], 60, LAYERS)
    kept = list(activations.stream(nets, images, index, 60, LAYERS))
    errors = []
    for layer in LAYERS:
        x = {net: np.concatenate([part[layer][net].flatten(0, 1).double().numpy() for part in kept]) for net in nets}
        live = {net: values.std(axis=0) > 0 for net, values in x.items()}
        ours = correlation.correlate(found[layer], *nets)[np.ix_(live["net0"], live["net1"])]
        units = int(live["net0"].sum())
        exact = np.corrcoef(x["net0"][:, live["net0"]].T, x["net1"][:, live["net1"]].T)[:units, units:]
        errors.append(np.abs(ours - exact).max())
    print(f"exactness: correlations of all layers are right to {max(errors):.1e} (goal 1e-05)")


def bench_patches() -> None:
    """Top-9 search against the forward pass alone, and deconvolution of all units, of four small nets on one core."""
    torch.set_num_threads(1)
    images = Photographs(36)
    architecture = section("config.yaml", "architecture")
    ratios, deconvolution = [], 0.0
    for seed in range(4):
        net = alexnet.AlexNet(architecture, 3, 52, 36, seed).eval()
        net.standardise_with(images.pool)
        begun = time.perf_counter()
        with torch.no_grad():
            for first in range(0, len(images), 120):
                net(net.centre_crop(torch.from_numpy(images[np.arange(first, min(first + 120, len(images)))])))
        forward = time.perf_counter() - begun
        found = patches.search(net, images, 120, LAYERS, 9)
        searched = time.perf_counter() - begun - forward
        ratios.append(searched / forward)
        for layer in LAYERS[:5]:
            patches.fields(net, images, layer, found[layer], 120)
        deconvolution += time.perf_counter() - begun - forward - searched
    print(f"patches: search in {statistics.median(ratios):.2f} of the forward pass's time (goal 1.3), ", end="")
    print(f"deconvolution of all units of four nets in {deconvolution:.1f} s (goal 60)")


BENCHES = {
    "moments": bench_moments,
    "memory": bench_memory,
    "training": bench_training,
    "lrn": bench_lrn,
    "patches": bench_patches,
    "exactness": bench_exactness,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", choices=BENCHES, nargs="?", help="all of them without")
    args = parser.parse_args()
    for name in [args.bench] if args.bench else BENCHES:
        device.deterministic(2)
        device.keep_freed_memory()
        BENCHES[name]()


if __name__ == "__main__":
    main()
