"""Speed and memory of the sparse mappings, on moments of briefly trained nets."""

import copy
import tempfile
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path
from threadpoolctl import threadpool_limits

from tests import ROOT
from tests.in_memory import split_of
from tests.presets import preset
from workflow.convergent import store
from workflow.convergent.images import datasets
from workflow.convergent.images.listing import LeftOut
from workflow.convergent.moments import accumulate
from workflow.convergent.nets import activations, crops, train
from workflow.convergent.nets.model import Net
from workflow.convergent.nets.optimisation import TrainingSettings, new_optimiser
from workflow.convergent.nets.snapshots import Snapshots
from workflow.convergent.stitching import lasso, standardised

from .common import in_fresh_process, section

WIDTHS = (96, 256, 384, 384, 256)  # the paper's, in the small nets
DECAYS = np.array([0, 1e-5, 1e-4, 1e-3, 10**-2.6, 1e-2, 1e-1])
GOALS = {"conv1": 0.5, "conv2": 3, "conv3": 12}  # seconds
STEPS, BATCH = 100, 32  # of the training
SAMPLES, TARGETS = 100_000, 2  # of raw activations for scikit-learn


def trained_nets(
    split: datasets.Split, widths: Sequence[int] = WIDTHS, steps: int = STEPS, batch: int = BATCH
) -> dict[str, Net]:
    """Two nets of the embedded experiment with the paper's or other widths, after some steps of training."""
    architecture = copy.deepcopy(section("config.yaml", "architecture"))
    for conv, units in zip(architecture["conv"], widths, strict=True):
        conv["units"] = units
    settings = TrainingSettings.from_section(section("config.yaml", "training") | {"steps": steps, "batch": batch})
    nets = {}
    for seed in range(2):
        net = nets[f"net{seed}"] = preset(architecture, 3, 52, 36, seed)
        net.standardise_with(split.images)
        torch.manual_seed(seed)  # of dropout
        drawn = crops.draws(len(split.labels), batch, 4, seed)
        loader = crops.batches(split_of(split.images, split.labels), drawn, net.crop_width, torch.device("cpu"))
        job = train.Job(f"net{seed}", seed, settings)
        train.train_epoch(net, new_optimiser(net, settings), loader, job, 0, range(steps), Snapshots([]))
        net.eval()
    return nets


def photographs() -> datasets.Split:
    """Random crops of the embedded photographs in random order, enough for the training."""
    settings = datasets.ImageSettings("scenes", ROOT / "workflow/resources/scenes", size=36, seed=0)
    crops = datasets.CropSettings(train=STEPS * BATCH // 52 + 1, val=1, smallest=48, largest=128, left=0.7)
    made = datasets.scenes(settings, crops, LeftOut(settings.folder)).splits["train"]
    order = np.random.default_rng(0).permutation(len(made.labels))
    return datasets.Split(made.images[order], made.labels[order], made.group[order], made.names)


def of_moments(moments: dict[str, np.ndarray]) -> standardised.Standardised:
    scales = {net: standardised.scale_of(moments, net) for net in ("net0", "net1")}
    return standardised.standardised(moments, "net0", "net1", scales)


def seconds_of_path(pair: standardised.Standardised) -> tuple[float, np.ndarray, np.ndarray]:
    """Seconds of the paper's decays on two cores, weights (P, T, S), and gaps of the decays but 0 (P - 1, T)."""
    with threadpool_limits(1):
        begun = time.perf_counter()
        weights, gap = lasso.lasso_path(pair.gram, pair.cross, DECAYS * len(pair.cross.T), threads=2)
        return time.perf_counter() - begun, weights, gap[1:]


def samples_with(pair: standardised.Standardised) -> tuple[np.ndarray, np.ndarray]:
    """Samples whose moments are those of the pair, because scikit-learn needs samples. (S + 1, S), (S + 1, T)"""
    count = len(pair.gram) + 1
    factor = np.linalg.cholesky(pair.gram)
    y = np.linalg.solve(factor, pair.cross)
    rest = np.sqrt(1 - (y**2).sum(0))
    return np.sqrt(count) * np.vstack([factor.T, 0 * factor[:1]]), np.sqrt(count) * np.vstack([y, rest])


def seconds_of_scikit_learn(
    x: np.ndarray, y: np.ndarray, least: np.ndarray, gram: np.ndarray | bool, threads: int
) -> float:
    """Seconds of scikit-learn's path of the decays but 0 for all targets, to our gap at the smallest penalty.

    x: (N, S), y: (N, T), least: objective of each target at the smallest penalty (T,)
    """
    units = x.shape[1]

    def path(t: int) -> None:
        tol = 1e-6 * least[t]
        lasso_path(x, y[:, t], alphas=DECAYS[1:] * units, precompute=gram, tol=tol, max_iter=100_000, copy_X=False)

    begun = time.perf_counter()
    with warnings.catch_warnings(), threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore", ConvergenceWarning)
        list(pool.map(path, range(y.shape[1])))
    return time.perf_counter() - begun


def raw(nets: dict[str, Net], images: np.ndarray, layer: str) -> dict[str, np.ndarray]:
    """Standardised activations of a layer. net -> (SAMPLES, units)"""
    parts: dict[str, list[np.ndarray]] = {net: [] for net in nets}
    for batch in activations.Recorder(nets, [layer]).stream(images, np.arange(SAMPLES // 60), 60):
        for net, x in batch[layer].items():
            parts[net].append(x.flatten(0, 1).double().numpy())
    rows = {net: np.concatenate(batches)[:SAMPLES] for net, batches in parts.items()}
    return {net: np.asfortranarray((x - x.mean(0)) / x.std(0)) for net, x in rows.items()}


def bench_layer(name: str, pair: standardised.Standardised, goal: float) -> tuple[float, np.ndarray]:
    """Seconds of the seven decays on moments, and the objective of each target at the smallest penalty (T,)."""
    seconds, weights, gap = seconds_of_path(pair)
    least = standardised.evaluate(weights[1], pair)[0] + DECAYS[1] * len(pair.cross.T) * np.abs(weights[1]).sum(axis=1)
    x, y = samples_with(pair)
    theirs = seconds_of_scikit_learn(x, y, least, pair.gram * len(x), threads=2)
    print(f"  {name}, {len(pair.gram)} units: {seconds:.2f} s (goal {goal}), largest gap {gap.max():.1e}, ", end="")
    print(f"{seconds / theirs:.2f} of scikit-learn's time on the same Gram to the same gap (goal below 1)")
    return seconds, least


def bench_raw(x: np.ndarray, y: np.ndarray, seconds: float, least: np.ndarray) -> None:
    """Print scikit-learn's time on activations as a multiple of our seconds on their moments. (N, S), (N, T)"""
    theirs = seconds_of_scikit_learn(x, y[:, :TARGETS], least, gram=False, threads=1) * y.shape[1] / TARGETS / 2
    print(f"  conv2 from {len(x):,} activations: scikit-learn takes {theirs / seconds:.0f} times as long ", end="")
    print(f"(goal 50; {TARGETS} targets, scaled to all on two cores)")


def bench_stitching() -> None:
    """Print the time of the paper's decays beside scikit-learn's, and the memory that 4096 units take."""
    split = photographs()
    nets = trained_nets(split)
    (moments,) = accumulate.block_moments(
        activations.Recorder(nets, list(GOALS)), split.images, [np.arange(len(split.images))], 60
    )
    lasso.lasso_path(np.eye(2), np.eye(2) / 2, np.array([0.1]))  # compiles
    print(f"stitching: seven decays on two cores, nets trained for {STEPS} steps")
    results = {layer: bench_layer(layer, of_moments(moments[layer]), goal) for layer, goal in GOALS.items()}
    bench_raw(*raw(nets, split.images, "conv2").values(), *results["conv2"])
    print(f"  4096 units: peak memory {wide_peak(4096):.1f} GiB (goal 8) at alpha 0.3 and 0.1")


def wide_moments(units: int, samples: int = 8192) -> dict[str, np.ndarray]:
    """Total moments of two synthetic nets whose units are rectified mixtures of common hidden values."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(samples, 256)).astype(np.float32)
    x = np.maximum(hidden @ rng.normal(size=(256, 2 * units)).astype(np.float32), 0)
    x -= x.mean(axis=0)
    sides = {"net0": x[:, :units], "net1": x[:, units:]}
    moments = {"total/count": np.int64(samples), **{f"total/mean/{net}": np.zeros(units) for net in sides}}
    for a, b in (("net0", "net0"), ("net0", "net1"), ("net1", "net1")):
        moments[f"total/comoment/{a}-{b}"] = (sides[a].T @ sides[b]).astype(np.float64)
    return moments


def wide_peak(units: int) -> float:
    """Peak memory in GiB of a new process that runs the stage on a layer of so many units."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{split}.zarr/zarr.json" for split in ("train", "val")]
        for path in paths:
            about = {"kind": "moments", "split": Path(path).parent.stem, "layer": "fc6", "images": "", "controls": []}
            store.save(path, wide_moments(units), nets={"net0": "", "net1": ""}, **about)
        arguments = [*paths, folder, "--pairs", "net0-net1", "--alphas", "0.3", "0.1"]
        return in_fresh_process(f"from workflow.convergent.stitching import fit\nfit.main({arguments})")[1]
