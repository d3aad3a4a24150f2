"""Joint histograms: equal to numpy's, whatever the device's way of counting, the chunks and the tiles."""

import numpy as np
import pytest
import torch

from workflow.convergent.alignment import histograms
from workflow.convergent.nets import device

COUNTINGS = [histograms.BitPlanes(), histograms.Products(torch.device("cpu"))]


def some(samples: int = 150, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
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


def counted(
    values: dict[str, np.ndarray], edges: dict[str, np.ndarray], counting: histograms.Counting, rows: int
) -> np.ndarray:
    """Cells of all pairs of units, from chunks of so many rows. (units_a, units_b, bins, bins)"""
    place = getattr(counting, "place", "cpu")

    def chunks():
        for first in range(0, len(values["net0"]), rows):
            part = {net: torch.from_numpy(x[first : first + rows]).to(place) for net, x in values.items()}
            yield len(part["net0"]), {net: counting.planes(x, edges[net]) for net, x in part.items()}

    parts = []
    for tile, joint, total in histograms.count(histograms.Repeatable(chunks), edges, [("net0", "net1")], counting):
        above = total.above["net0"][tile.first : tile.last], total.above["net1"]
        parts.append(histograms.cells(joint, *above, total.samples))
    return np.concatenate(parts)


@pytest.mark.parametrize("counting", COUNTINGS, ids=["bits", "products"])
@pytest.mark.parametrize("rows", [1000, 64, 37])
def test_counts_are_those_of_numpy(counting: histograms.Counting, rows: int) -> None:
    values, edges = some()
    found = counted(values, edges, counting, rows)
    expected = np.array([[by_numpy(values, edges, i, j) for j in range(18)] for i in range(5)])
    np.testing.assert_array_equal(found, expected)
    assert (found.sum(axis=(2, 3)) == 150).all()


@pytest.mark.parametrize("kept", [2**31, 0])
def test_tiles_and_several_passes_give_the_same_counts(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """Memory of two units of the first net at a time; planes are remembered, or made anew for each pass."""
    values, edges = some()
    whole = counted(values, edges, histograms.BitPlanes(), 64)
    monkeypatch.setattr(histograms, "TILE_BYTES", 2 * 8 * 18 * 4**2)
    monkeypatch.setattr(histograms, "KEPT_BYTES", kept)
    assert len(histograms.passes({"net0": 5, "net1": 18}, [("net0", "net1")], 4)) == 3
    np.testing.assert_array_equal(counted(values, edges, histograms.BitPlanes(), 64), whole)


def test_passes_cover_every_unit_once_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histograms, "TILE_BYTES", 8 * 30 * 9**2 * 4)
    widths, pairs = {"net0": 10, "net1": 7, "net2": 30}, [("net0", "net1"), ("net0", "net2"), ("net1", "net2")]
    groups = histograms.passes(widths, pairs, 9)
    for group in groups:
        assert sum(8 * (t.last - t.first) * widths[t.b] * 9**2 for t in group) <= histograms.TILE_BYTES
    for a, b in pairs:
        units = [u for group in groups for t in group if (t.a, t.b) == (a, b) for u in range(t.first, t.last)]
        assert units == list(range(widths[a]))


def test_planes_are_made_once_where_they_fit() -> None:
    made = []

    def make():
        made.append(1)
        yield 3, {"net0": np.zeros(3, np.uint64)}

    chunks = histograms.Repeatable(make)
    assert len(list(chunks)) == len(list(chunks)) == len(made) == 1


def test_a_value_on_an_edge_does_not_exceed_it() -> None:
    values = torch.tensor([[0.0], [1.0], [2.0], [np.nextafter(np.float32(2), np.float32(3))]])
    planes = histograms.BitPlanes.planes(values, np.array([[0, 1, 2]], np.float32))
    assert planes[0, :, 0].tolist() == [0b1110, 0b1100, 0b1000]


@pytest.mark.gpu
def test_cuda_counts_as_the_cpu_does() -> None:
    values, edges = some(samples=40_000)
    place = device.pick()
    assert isinstance(histograms.counting(place), histograms.Products)
    cpu, cuda = (counted(values, edges, histograms.counting(where), 16_384) for where in (torch.device("cpu"), place))
    np.testing.assert_array_equal(cpu, cuda)
