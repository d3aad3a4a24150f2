"""Small nets with whole numbers as weights, whose activations tie, and stores of images."""

from pathlib import Path

import numpy as np
import torch

from tests.presets import preset, recorded
from workflow.convergent import store
from workflow.convergent.nets.model import Net

SMALL = {
    "crop": 12,
    "conv": [{"units": 5, "kernel": 3, "padding": 1, "pool": [3, 2]}, {"units": 6, "kernel": 3, "stride": 2}],
    "fc": [{"units": 7}],
    "dropout": 0.5,
}


SMALL_LAYERS = ["conv1", "conv2", "fc3", "fc4"]


def whole_numbered(seed: int) -> Net:
    """A net whose sums over images of small whole numbers are exact in any order and often equal."""
    net = preset(SMALL, 1, 4, 14, seed).eval()
    generator = torch.Generator().manual_seed(seed)
    for weights in net.parameters():
        weights.data = torch.randint(-1, 2, weights.shape, generator=generator).float()
    return net


def stored(path: Path, images: np.ndarray) -> store.StoredArray:
    """A stored array of images, each a group of its own. (N, H, W, C) uint8"""
    store.save(path / "zarr.json", {"images": images, "group": np.arange(len(images))}, kind="images")
    return store.StoredArray(path / "zarr.json", "images")


@torch.no_grad()
def outputs_of(net: Net, images: np.ndarray, layer: str) -> np.ndarray:
    """Activations of a layer: (N, units, H, W), or (N, units, 1, 1) of a fully connected one."""
    output = recorded(net, net.centre_crop(torch.from_numpy(images)), [layer])[layer]
    return (output if output.dim() == 4 else output[..., None, None]).numpy()
