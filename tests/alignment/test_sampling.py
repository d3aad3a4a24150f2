"""Samples of a layer: the bins of its units, and chunks that hold every sample once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.alignment.planted import bins_of, rectified
from workflow.convergent import store
from workflow.convergent.alignment import sampling
from workflow.convergent.alignment.counters import BitPlanes
from workflow.convergent.moments.blocks import assign_blocks
from workflow.convergent.nets.activations import Recorder
from workflow.convergent.nets.model import load

BINS = 10


def test_the_first_bin_holds_the_zeros_and_the_others_equal_mass() -> None:
    x = rectified(9_000, 3, 0)
    x[:, 0] = np.where(np.arange(9_000) < 900, np.linspace(1, 2, 9_000), 0)
    counts = np.stack([np.bincount(c, minlength=BINS) for c in bins_of(x, sampling.bin_edges(x, BINS)).T])
    zeros = (x == 0).sum(axis=0)
    np.testing.assert_array_equal(counts[:, 0], zeros)
    assert (np.abs(counts[:, 1:] - (9_000 - zeros)[:, None] / 9) <= 1).all()


def test_a_layer_with_negative_values_has_bins_of_equal_mass() -> None:
    x = np.random.default_rng(0).normal(3, 1, size=(5_000, 2)).astype(np.float32)
    counts = [np.bincount(c, minlength=BINS) for c in bins_of(x, sampling.bin_edges(x, BINS)).T]
    np.testing.assert_array_equal(counts, np.full((2, BINS), 500))


def test_edges_are_values_of_the_sample() -> None:
    x = rectified(500, 4, 0)
    edges = sampling.bin_edges(x, BINS)
    assert edges.shape == (4, BINS - 1)
    assert (edges[:, 0] == 0).all()
    assert all(np.isin(edges[unit], x[:, unit]).all() for unit in range(4))


@pytest.mark.parametrize("positions", [None, 5])
def test_chunks_hold_every_sample_of_a_fold_once_in_order(
    images: dict[str, Path], nets: dict[str, Path], positions: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the size of a chunk; 0 as the only edge, so that planes say which samples are positive."""
    settings = sampling.SamplingSettings("conv2", BINS, positions, edge_images=20, batch=7, seed=0)
    recorder = Recorder({name: load(path) for name, path in nets.items()}, ["conv2"])
    folds = [np.arange(0, 30, 2), np.arange(1, 30, 2)]
    sampler = sampling.Sampler(recorder, store.StoredArray(images["val"], "images"), settings, folds)
    monkeypatch.setattr(sampling, "CHUNK_SAMPLES", 64)
    edges = {net: np.zeros((7, 1), np.float32) for net in nets}
    chunks = list(sampler.chunks(edges))
    for fold, index in enumerate(folds):
        *full, last = [chunk for chunk in chunks if chunk.fold == fold]
        batches = list(sampler.batches(index, positions, f"fold {fold}"))
        samples = {net: torch.cat([batch[net] for batch in batches]) for net in nets}
        assert {chunk.samples for chunk in full} == {64}
        assert sum(chunk.samples for chunk in (*full, last)) == len(samples["net0"])
        for net, x in samples.items():
            planes = np.concatenate([chunk.planes[net] for chunk in (*full, last)], axis=2)
            np.testing.assert_array_equal(planes, BitPlanes.planes(x, edges[net]))


@pytest.mark.parametrize("blocks", [2, 5, 8, 19])
def test_folds_are_unions_of_the_blocks_of_moments(blocks: int) -> None:
    group = np.random.default_rng(0).integers(20, size=200)
    folds, dealt = sampling.deal_folds(group, blocks, 3), assign_blocks(group, blocks, 3)
    assert len(folds) == min(blocks, 8)
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.arange(200))
    for block in dealt:
        assert sum(bool(np.isin(block, fold).any()) for fold in folds) == 1
    assert all((np.diff(fold) > 0).all() for fold in folds)


@pytest.mark.parametrize("odd", [0.0, np.inf, -np.inf, np.nan])
def test_extremes_show_every_value_that_is_not_finite(odd: float) -> None:
    values = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    values[4, 1] = odd
    found = sampling.extremes(torch.from_numpy(values))
    np.testing.assert_array_equal(found, np.stack([values.min(axis=0), values.max(axis=0)]))
    assert np.isfinite(found).all() == np.isfinite(odd)
