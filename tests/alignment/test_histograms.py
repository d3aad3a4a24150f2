"""Joint histograms: equal to numpy's for either counter and any chunks and tiles."""

import numpy as np
import pytest
import torch

from workflow.convergent.alignment import counters, histograms
from workflow.convergent.nets import device

COUNTERS = [counters.BitPlanes(), counters.Products(torch.device("cpu"))]


def two_nets(samples: int = 150, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Rectified values of two nets of 5 and 18 units, and four edges of each unit."""
    rng = np.random.default_rng(seed)
    values = {"net0": rng.normal(size=(samples, 5)), "net1": rng.normal(size=(samples, 18))}
    rectified = {net: x.clip(0).astype(np.float32) for net, x in values.items()}
    edges = {net: np.sort(rng.random((x.shape[1], 4)), axis=1).astype(np.float32) for net, x in rectified.items()}
    for x in edges.values():
        x[:, 0] = 0
    return rectified, edges


def by_numpy(values: dict[str, np.ndarray], edges: dict[str, np.ndarray], i: int, j: int) -> np.ndarray:
    """A pair's histogram by ``numpy.histogram2d``, whose bins hold their lower edge: hence the signs. (bins, bins)"""
    borders = [[-np.inf, *-edges[net][unit][::-1].astype(float), np.inf] for net, unit in (("net0", i), ("net1", j))]
    counts = np.histogram2d(-values["net0"][:, i], -values["net1"][:, j], bins=borders)[0]
    return counts[::-1, ::-1]


FOLDS = 3


def counted(
    values: dict[str, np.ndarray], edges: dict[str, np.ndarray], counter: counters.Counter, rows: int
) -> np.ndarray:
    """Cells of all pairs of units in each fold, a third of the samples, from chunks of at most so many rows.

    -> (FOLDS, units_a, units_b, bins, bins)
    """
    place = getattr(counter, "place", "cpu")

    def chunks():
        for fold, index in enumerate(np.array_split(np.arange(len(values["net0"])), FOLDS)):
            for first in range(0, len(index), rows):
                some = index[first : first + rows]
                part = {net: torch.from_numpy(x[some]).to(place) for net, x in values.items()}
                yield histograms.Chunk(fold, len(some), {net: counter.planes(x, edges[net]) for net, x in part.items()})

    parts = []
    for tile, joint, marginals in histograms.joint_exceedances(chunks, edges, [("net0", "net1")], counter, FOLDS):
        above = marginals.above["net0"][:, tile.first : tile.last], marginals.above["net1"]
        parts.append([histograms.cells(*fold) for fold in zip(joint, *above, marginals.samples, strict=True)])
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("counter", COUNTERS, ids=["bits", "products"])
@pytest.mark.parametrize("rows", [1000, 64, 37])
def test_counts_are_those_of_numpy(counter: counters.Counter, rows: int) -> None:
    values, edges = two_nets()
    found = counted(values, edges, counter, rows)
    for fold, index in enumerate(np.split(np.arange(150), FOLDS)):
        own = {net: x[index] for net, x in values.items()}
        expected = np.array([[by_numpy(own, edges, i, j) for j in range(18)] for i in range(5)])
        np.testing.assert_array_equal(found[fold], expected)
    assert (found.sum(axis=(0, 3, 4)) == 150).all()


@pytest.mark.parametrize("kept", [2**31, 0])
def test_tiles_and_several_passes_give_the_same_counts(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """Memory of two units of the first net at a time; planes are kept, or made anew for each pass."""
    values, edges = two_nets()
    whole = counted(values, edges, counters.BitPlanes(), 64)
    monkeypatch.setattr(histograms, "TILE_BYTES", 2 * FOLDS * 8 * 18 * 4**2)
    monkeypatch.setattr(histograms, "KEPT_BYTES", kept)
    assert len(histograms.tile_groups({"net0": 5, "net1": 18}, [("net0", "net1")], 4, FOLDS)) == 3
    np.testing.assert_array_equal(counted(values, edges, counters.BitPlanes(), 64), whole)


def test_tiles_cover_every_unit_once_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histograms, "TILE_BYTES", 2 * 8 * 30 * 9**2 * 4)
    widths, pairs = {"net0": 10, "net1": 7, "net2": 30}, [("net0", "net1"), ("net0", "net2"), ("net1", "net2")]
    groups = histograms.tile_groups(widths, pairs, 9, 2)
    for group in groups:
        assert sum(2 * 8 * (t.last - t.first) * widths[t.b] * 9**2 for t in group) <= histograms.TILE_BYTES
    for a, b in pairs:
        units = [u for group in groups for t in group if (t.a, t.b) == (a, b) for u in range(t.first, t.last)]
        assert units == list(range(widths[a]))


def test_a_group_is_filled_to_the_last_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three units fit: both of the first pair and one of the second."""
    monkeypatch.setattr(histograms, "TILE_BYTES", 3 * 8 * 4 * 9**2)
    groups = histograms.tile_groups({"a": 2, "b": 4, "c": 4}, [("a", "b"), ("a", "c")], 9, 1)
    assert [[tuple(tile) for tile in group] for group in groups] == [
        [("a", "b", 0, 2), ("a", "c", 0, 1)],
        [("a", "c", 1, 2)],
    ]


def test_planes_are_made_once_where_they_fit() -> None:
    made = []

    def make():
        made.append(1)
        yield histograms.Chunk(0, 3, {"net0": np.zeros(3, np.uint64)})

    chunks = histograms.CachedChunks(make)
    assert len(list(chunks)) == len(list(chunks)) == len(made) == 1


@pytest.mark.gpu
def test_cuda_counts_as_the_cpu_does() -> None:
    values, edges = two_nets(samples=40_000)
    place = device.pick()
    assert isinstance(counters.pick_counter(place), counters.Products)
    cpu, cuda = (counted(values, edges, counters.pick_counter(where), 16_384) for where in (torch.device("cpu"), place))
    np.testing.assert_array_equal(cpu, cuda)
