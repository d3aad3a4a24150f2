"""Activations of images at positions, in blocks of different sizes, and what is stored of them."""

from collections.abc import Sequence

import numpy as np

Arrays = dict[str, np.ndarray]

SIZES = [5, 9, 2, 7]  # images of each block


def split(x: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """Blocks of images. (images, ...) -> (images of the block, ...) each"""
    return np.split(x, np.cumsum(sizes)[:-1])


def moments(nets: Arrays, sizes: Sequence[int]) -> Arrays:
    """Block moments by two passes. net -> (images, positions, units)"""
    arrays: dict[str, list] = {"count": [size * next(iter(nets.values())).shape[1] for size in sizes]}
    rows = {net: [block.reshape(-1, block.shape[-1]) for block in split(x, sizes)] for net, x in nets.items()}
    means = {net: [block[0] + (block - block[0]).mean(0) for block in of] for net, of in rows.items()}
    for i, a in enumerate(nets):
        arrays[f"mean/{a}"] = means[a]
        for b in list(nets)[i:]:
            arrays[f"comoment/{a}-{b}"] = [
                (x - mean_x).T @ (y - mean_y)
                for x, mean_x, y, mean_y in zip(rows[a], means[a], rows[b], means[b], strict=True)
            ]
    return {name: np.array(x) for name, x in arrays.items()}


def maps(x: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Mean activation at each position, as it is stored. (images, positions, units) -> (B, positions, units) float32"""
    return np.array([block.mean(0) for block in split(x, sizes)], np.float32)


def correlated(images: int, positions: int, widths: Sequence[int], seed: int) -> Arrays:
    """Nets whose units share features of images, of positions and of samples, each with a mean of its own.

    Unit 1 of net0 and unit 0 of net1 are dead. -> net -> (images, positions, units)
    """
    rng = np.random.default_rng(seed)
    shared = (
        rng.normal(size=(images, 1, 8)) + rng.normal(size=(1, positions, 8)) + rng.normal(size=(images, positions, 8))
    )
    nets = {
        f"net{i}": shared @ rng.normal(size=(8, units)) + rng.normal(size=(images, positions, units)) + rng.normal()
        for i, units in enumerate(widths)
    }
    nets["net0"][..., 1] = 0.1
    nets["net1"][..., 0] = 3.0
    return nets


def photographs(blocks: int, crops: int, units: int, rng: np.random.Generator) -> np.ndarray:
    """Features most of whose variance is between photographs, one a block. (blocks * crops, 1, units)"""
    between = rng.normal(size=(blocks, 1, units))
    return (between + 0.5 * rng.normal(size=(blocks, crops, units))).reshape(-1, 1, units)
