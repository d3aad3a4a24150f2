"""Moments of activations in equal blocks."""

import numpy as np


def moments(nets: dict[str, np.ndarray], blocks: int) -> dict[str, np.ndarray]:
    """Moments of activations in equal blocks. net -> (samples, units)"""
    found: dict[str, list] = {}
    for index in np.array_split(np.arange(len(next(iter(nets.values())))), blocks):
        found.setdefault("count", []).append(len(index))
        mean = {net: x[index].mean(0) for net, x in nets.items()}
        for i, a in enumerate(nets):
            found.setdefault(f"mean/{a}", []).append(mean[a])
            for b in list(nets)[i:]:
                product = (nets[a][index] - mean[a]).T @ (nets[b][index] - mean[b])
                found.setdefault(f"comoment/{a}-{b}", []).append(product)
    return {name: np.array(x) for name, x in found.items()}
