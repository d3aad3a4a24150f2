"""The pass that computes moments: its time against the forward pass alone, its memory and its exactness."""

import statistics
import time

import numpy as np
import torch

from tests.presets import preset
from workflow.convergent.alignment import correlation
from workflow.convergent.moments import accumulate, comoments
from workflow.convergent.nets import activations
from workflow.convergent.nets.model import Net, build

from .common import LAYERS, Photographs, in_fresh_process, paper_nets, section


class Gatherer:
    """A function of two matrices that adds up the seconds and operations of its calls."""

    def __init__(self, function) -> None:
        self.function, self.seconds, self.operations = function, 0.0, 0.0

    def __call__(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        begun = time.perf_counter()
        product = self.function(left, right)
        self.seconds += time.perf_counter() - begun
        same = left.data_ptr() == right.data_ptr()
        self.operations += left.shape[0] * left.shape[1] * (left.shape[1] + 1.0 if same else 2.0 * right.shape[1])
        return product


def forward_operations(nets: dict[str, Net]) -> float:
    """Floating-point operations of one image through all nets; a multiplication with addition counts as two."""
    counted = []
    handles = [
        module.register_forward_hook(lambda m, i, o: counted.append(2 * m.weight[0].numel() * o[0].numel()))
        for net in nets.values()
        for module in net.modules()
        if hasattr(module, "weight")
    ]
    with torch.no_grad():
        for net in nets.values():
            net(torch.zeros(1, net.channels, net.crop_width, net.crop_width, device=net.mean.device))
    for handle in handles:
        handle.remove()
    return float(sum(counted))


def product_peak() -> float:
    """Operations a second of a large square float32 product, the better of numpy and torch."""
    x = torch.rand(4096, 4096)
    rates = []
    for product in (lambda: x @ x, lambda: x.numpy() @ x.numpy()):
        product()
        begun = time.perf_counter()
        product()
        rates.append(2 * 4096**3 / (time.perf_counter() - begun))
    return max(rates)


def bench_moments(images: int = 1024, repeats: int = 5) -> None:
    """Time of forward passes with moments against forward passes alone, of four nets of the paper's architecture."""
    rows, index = Photographs(256), np.arange(images)
    nets = paper_nets(4, rows)
    gatherer = comoments.product = Gatherer(comoments.product)
    alone, together, peaks = [], [], []

    def forward() -> float:
        begun = time.perf_counter()
        with torch.no_grad():
            for first in range(0, images, 32):
                pixels = torch.from_numpy(rows[index[first : first + 32]])
                for net in nets.values():
                    net(net.centre_crop(pixels))
        return time.perf_counter() - begun

    moments = accumulate.block_moments(
        activations.Recorder(nets, LAYERS), rows, [np.arange(64), *[index] * repeats], 32
    )

    def with_moments() -> float:
        begun = time.perf_counter()
        next(moments)
        return time.perf_counter() - begun

    with_moments()  # the first block creates the accumulators
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


def stream_moments(images: int) -> None:
    """Compute moments of the small nets over one block of ``images`` images."""
    architecture = section("config.yaml", "architecture")
    nets = {f"net{i}": preset(architecture, 3, 52, 36, seed=i).eval() for i in range(4)}
    for _ in accumulate.block_moments(activations.Recorder(nets, LAYERS), Photographs(36), [np.arange(images)], 60):
        pass


def bench_memory() -> None:
    """Peak memory of the pass at two numbers of images."""
    code = "from tests.bench.moments import stream_moments; stream_moments"
    few, many = (1024 * in_fresh_process(f"{code}({images})")[1] for images in (3000, 12000))
    print(f"memory: {few:.0f} MiB for 3,000 images, {many:.0f} MiB for 12,000: ratio {many / few:.2f} (goal 1.10)")


def bench_exactness(count: int = 600) -> None:
    """Largest error of a correlation against float64 statistics of the same activations, over all layers."""
    images, index = Photographs(36), np.arange(count)
    architecture = section("config.yaml", "architecture")
    nets = {f"net{seed}": preset(architecture, 3, 52, 36, seed).eval() for seed in range(2)}
    for net in nets.values():
        net.standardise_with(images.pool)
    (moments,) = accumulate.block_moments(activations.Recorder(nets, LAYERS), images, [index], 60)
    batches = list(activations.Recorder(nets, LAYERS).stream(images, index, 60))
    errors = []
    for layer in LAYERS:
        x = {net: np.concatenate([part[layer][net].flatten(0, 1).double().numpy() for part in batches]) for net in nets}
        live = {net: values.std(axis=0) > 0 for net, values in x.items()}
        ours = correlation.correlate(moments[layer], *nets)[np.ix_(live["net0"], live["net1"])]
        units = int(live["net0"].sum())
        exact = np.corrcoef(x["net0"][:, live["net0"]].T, x["net1"][:, live["net1"]].T)[:units, units:]
        errors.append(np.abs(ours - exact).max())
    print(f"exactness: correlations of all layers are right to {max(errors):.1e} (goal 1e-05)")


def bench_rounding(images: int = 12) -> None:
    """Deviation of units by their mean on equal images, whose batches of different sizes are rounded differently."""
    rows = Photographs(36)
    small = {"small": [preset(section("config.yaml", "architecture"), 3, 52, 36, seed).eval() for seed in range(4)]}
    for net in small["small"]:
        net.standardise_with(rows.pool)
    for architecture in ("torchvision:resnet18", "torchvision:mobilenet_v2", "torchvision:vgg11"):
        settings = {"crop": 36, "pixels": {"mean": [0.5] * 3, "deviation": [0.2] * 3}}
        small[architecture] = [build(architecture, settings, 3, 1000, 36, seed=0).eval()]
        small[architecture][0].standardise_with(rows.pool)
    for name, nets in small.items():
        shares = np.concatenate([noise(net, rows.pool[number]) for net in nets for number in range(images)])
        above = ", ".join(f"{(shares > bound).mean():.1%} above {bound}" for bound in (4, 16, 32, 64))
        print(f"rounding: {name}, {len(shares)} units, median {np.median(shares):.2f} spacings of their mean, {above}")


@torch.no_grad()
def noise(net: Net, image: np.ndarray) -> np.ndarray:
    """Deviation by mean, in spacings of float32, of the fully connected units that vary on equal images."""
    outputs: list[list[np.ndarray]] = []
    linear = [module for module in net.modules() if isinstance(module, torch.nn.Linear)]
    for count in (60, 32, 7, 1):
        seen: list[np.ndarray] = []
        handles = [
            module.register_forward_hook(lambda m, i, o, seen=seen: seen.append(o.clamp_min(0).double().numpy()))
            for module in linear
        ]
        net(net.centre_crop(torch.from_numpy(image[None].repeat(count, 0))))
        for handle in handles:
            handle.remove()
        outputs.append(seen)
    shares = []
    for layer in map(np.concatenate, zip(*outputs, strict=True)):
        deviation = layer.std(0)
        shares.append(deviation[deviation > 0] / layer.mean(0)[deviation > 0] * 2**23)
    return np.concatenate(shares)
