"""Activations of three nets in blocks of different sizes, and their moments by two passes."""

import numpy as np

WIDTHS = {"net0": 5, "net1": 3, "net10": 4}
PAIRS = [("net0", "net0"), ("net0", "net1"), ("net0", "net10"), ("net1", "net1"), ("net1", "net10"), ("net10", "net10")]
COUNTS = [40, 7, 100, 1, 12]  # samples of each block
DEAD = 2  # unit of net0
Arrays = dict[str, np.ndarray]


def data(count: int, seed: int) -> Arrays:
    """Activations of one block, whose mean is its own. net -> (count, units)"""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, 12)) @ rng.normal(size=(12, 12)) + rng.normal(size=12) * 3
    mixed[:, DEAD] = 0.1
    return dict(zip(WIDTHS, np.split(mixed, [5, 8], axis=1), strict=True))


def positions_of(rows: np.ndarray) -> np.ndarray:
    """Means of two functions of a sample, in place of those of two positions. (count, units) -> (2, units) float32"""
    functions = np.stack([rows, np.abs(rows)], axis=1)
    return (functions[0] + (functions - functions[0]).mean(0)).astype(np.float32)


def moments(x: Arrays) -> Arrays:
    """Moments of one block by their definition."""
    result: Arrays = {"count": np.int64(len(x["net0"]))}
    centred = {}
    for net, rows in x.items():
        mean = rows[0] + (rows - rows[0]).mean(0)  # exact for a dead unit
        result[f"mean/{net}"], centred[net] = mean, rows - mean
        result[f"positions/{net}"] = positions_of(rows)
    return result | {f"comoment/{a}-{b}": centred[a].T @ centred[b] for a, b in PAIRS}


BLOCKS = [data(count, seed) for seed, count in enumerate(COUNTS)]


def stacked(parts: list[Arrays]) -> Arrays:
    """Moments of all blocks as they are stored. (blocks, ...)"""
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}


def assert_near(found: np.ndarray, expected: np.ndarray) -> None:
    """Arrays differ by the rounding of sums in their type."""
    close = {"rtol": 1e-6, "atol": 1e-6} if expected.dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-11}
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, **close)


def repeated(weights: np.ndarray) -> Arrays:
    """Moments of the data of all blocks, each taken ``weights`` times."""
    kept = [x for x, weight in zip(BLOCKS, weights, strict=True) for _ in range(weight)]
    return moments({net: np.concatenate([x[net] for x in kept]) for net in WIDTHS})
