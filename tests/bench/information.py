"""Mutual information: rate of the whole stage, and against scikit-learn on the same samples."""

import os
import time
from itertools import combinations

import numpy as np
import torch
from sklearn.metrics import mutual_info_score

from workflow.convergent.alignment import histograms, information
from workflow.convergent.nets import activations, device

from .common import Photographs, paper_nets

SCORED = 40  # pairs of units that scikit-learn is timed on


class Some(Photographs):
    """The first few of the photographs."""

    def __init__(self, count: int) -> None:
        super().__init__(256)
        self.count = count

    def __len__(self) -> int:
        return self.count


def stage(images: int) -> tuple[information.Found, float]:
    """Information of conv1 of four nets of the paper's size with random weights, and its seconds."""
    rows, place = Some(images), device.pick()
    nets = {name: net.to(place) for name, net in paper_nets(4, rows).items()}
    begun = time.perf_counter()
    sampler = information.Sampler(activations.Recorder(nets, ["conv1"]), rows, "conv1", 16, seed=0)
    edges = sampler.edges(images, 10)
    chunks = histograms.Repeatable(lambda: sampler.chunks(edges, None))
    found = information.informations(chunks, edges, list(combinations(nets, 2)), histograms.counting(place))
    return found, time.perf_counter() - begun


def pairs_of_samples(found: information.Found) -> float:
    """Samples times pairs of units."""
    return float(found.samples) * sum(x.size for x in found.plug_in.values())


def against_scikit_learn(samples: int = 100_000, units: int = 96) -> float:
    """How many times faster all pairs of units are than as many calls of ``mutual_info_score``, on the same samples."""
    rng = np.random.default_rng(0)
    values = {net: rng.normal(size=(samples, units)).clip(0).astype(np.float32) for net in ("net0", "net1")}
    begun = time.perf_counter()
    edges = {net: information.bin_edges(x, 10) for net, x in values.items()}
    parts = [slice(first, first + information.ROWS) for first in range(0, samples, information.ROWS)]
    chunks = [
        {net: histograms.BitPlanes.planes(torch.from_numpy(x[part]), edges[net]) for net, x in values.items()}
        for part in parts
    ]
    counted = [(len(values["net0"][part]), planes) for part, planes in zip(parts, chunks, strict=True)]
    found = information.informations(counted, edges, [("net0", "net1")], histograms.BitPlanes())
    ours = (time.perf_counter() - begun) / units**2
    codes = {net: (x[:, :SCORED, None] > edges[net][:SCORED]).sum(axis=2) for net, x in values.items()}
    begun = time.perf_counter()
    scores = [mutual_info_score(codes["net0"][:, k], codes["net1"][:, k]) for k in range(SCORED)]
    theirs = (time.perf_counter() - begun) / SCORED
    np.testing.assert_allclose(np.diagonal(found.plug_in["net0", "net1"])[:SCORED], scores, rtol=1e-9)
    return theirs / ours


def bench_information(images: int = 620) -> None:
    """At least 1e11 pairs of samples through the whole stage: forward passes, bins, counts, logarithms."""
    stage(20)  # compiles, or loads what was compiled
    found, seconds = stage(images)
    work = pairs_of_samples(found)
    print(f"information: {work:.2e} pairs of samples in {seconds:.0f} s on {os.cpu_count()} cores: ", end="")
    print(f"{work / seconds / 1e9:.2f}e9 a second for the whole stage (goal 1.05)")
    print(f"  {against_scikit_learn():.0f} times faster than scikit-learn, a call for each pair of units (goal 100)")
