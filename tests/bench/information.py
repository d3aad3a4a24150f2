"""Mutual information: rate of the whole stage, and speed against scikit-learn on equal samples."""

import os
import time

import numpy as np
import torch
from sklearn.metrics import mutual_info_score

from workflow.convergent.alignment import histograms, information, sampling
from workflow.convergent.alignment.counters import BitPlanes
from workflow.convergent.nets import activations, device

from .common import Photographs, paper_nets

SCORED = 40  # pairs of units that scikit-learn is timed on


class FirstPhotographs(Photographs):
    """The first few of the photographs."""

    def __init__(self, count: int) -> None:
        super().__init__(256)
        self.count = count

    def __len__(self) -> int:
        return self.count


def stage(images: int) -> tuple[information.Information, float]:
    """Information in conv1 of four nets of the paper's size with random weights, and the seconds that it took."""
    rows, place = FirstPhotographs(images), device.pick()
    nets = {name: net.to(place) for name, net in paper_nets(4, rows).items()}
    begun = time.perf_counter()
    settings = sampling.SamplingSettings("conv1", bins=10, positions=None, edge_images=images, batch=16, seed=0)
    folds = np.array_split(np.arange(images), sampling.FOLDS)
    _, measured = information.measure(sampling.Sampler(activations.Recorder(nets, ["conv1"]), rows, settings, folds))
    return measured, time.perf_counter() - begun


def pairs_of_samples(measured: information.Information) -> float:
    """Samples times pairs of units."""
    return float(measured.samples) * sum(x.size for x in measured.plug_in.values())


def against_scikit_learn(samples: int = 100_000, units: int = 96) -> float:
    """Time of a call of ``mutual_info_score`` over our time for one pair of units, on equal samples."""
    rng = np.random.default_rng(0)
    values = {net: rng.normal(size=(samples, units)).clip(0).astype(np.float32) for net in ("net0", "net1")}
    begun = time.perf_counter()
    edges = {net: sampling.bin_edges(x, 10) for net, x in values.items()}
    parts = [slice(first, first + sampling.CHUNK_SAMPLES) for first in range(0, samples, sampling.CHUNK_SAMPLES)]
    planes = [
        {net: BitPlanes.planes(torch.from_numpy(x[part]), edges[net]) for net, x in values.items()} for part in parts
    ]
    rows, folds = [len(values["net0"][part]) for part in parts], len(parts)
    chunks = [histograms.Chunk(k, *of) for k, of in enumerate(zip(rows, planes, strict=True))]
    measured = information.pairwise_information(lambda: chunks, edges, [("net0", "net1")], BitPlanes(), folds)
    ours = (time.perf_counter() - begun) / units**2
    codes = {net: (x[:, :SCORED, None] > edges[net][:SCORED]).sum(axis=2) for net, x in values.items()}
    begun = time.perf_counter()
    scores = [mutual_info_score(codes["net0"][:, k], codes["net1"][:, k]) for k in range(SCORED)]
    theirs = (time.perf_counter() - begun) / SCORED
    np.testing.assert_allclose(np.diagonal(measured.plug_in["net0", "net1"])[:SCORED], scores, rtol=1e-9)
    return theirs / ours


def bench_information(images: int = 620) -> None:
    """Rate of the whole stage over at least 1e11 pairs of samples: forward passes, bins, counts, logarithms."""
    stage(20)  # compiles, or loads what was compiled
    measured, seconds = stage(images)
    work = pairs_of_samples(measured)
    print(f"information: {work:.2e} pairs of samples in {seconds:.0f} s on {os.cpu_count()} cores: ", end="")
    print(f"{work / seconds / 1e9:.2f}e9 a second for the whole stage (goal 1.05)")
    print(f"  {against_scikit_learn():.0f} times faster than scikit-learn, a call for each pair of units (goal 100)")
