"""Activations whose moments, bins and histograms are known."""

import numpy as np


def moments(nets: dict[str, np.ndarray], blocks: int) -> dict[str, np.ndarray]:
    """Moments of activations in equal blocks. net -> (samples, units)"""
    arrays: dict[str, list] = {}
    for index in np.array_split(np.arange(len(next(iter(nets.values())))), blocks):
        arrays.setdefault("count", []).append(len(index))
        mean = {net: x[index].mean(0) for net, x in nets.items()}
        for i, a in enumerate(nets):
            arrays.setdefault(f"mean/{a}", []).append(mean[a])
            for b in list(nets)[i:]:
                product = (nets[a][index] - mean[a]).T @ (nets[b][index] - mean[b])
                arrays.setdefault(f"comoment/{a}-{b}", []).append(product)
    return {name: np.array(x) for name, x in arrays.items()}


def rectified(samples: int, units: int, seed: int) -> np.ndarray:
    """Activations of which half are zeros. (samples, units) float32"""
    return np.random.default_rng(seed).normal(size=(samples, units)).clip(0).astype(np.float32)


def bins_of(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bin of each value. (samples, units), (units, E) -> (samples, units)"""
    return np.stack([(values[:, None] > e).sum(axis=1) for values, e in zip(x.T, edges, strict=True)], axis=1)
