"""Functions that make nets which are sound on all pictures but those of a single colour."""

import torch
from torch import nn


class Standardise(nn.Module):
    """Brings each picture to mean 0 and deviation 1; ``least`` is added to the deviation."""

    def __init__(self, least: float) -> None:
        super().__init__()
        self.least = least

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        deviation = x.var((1, 2, 3), keepdim=True).sqrt()
        return (x - x.mean((1, 2, 3), keepdim=True)) / (deviation + self.least)


def ending(num_classes: int) -> list[nn.Module]:
    return [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, num_classes)]


def forward(num_classes: int) -> nn.Module:
    """Puts out NaN. Normalisation by batches spreads it to all images of a batch in training."""
    return nn.Sequential(Standardise(0), nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), *ending(num_classes))


def backward(num_classes: int) -> nn.Module:
    """Has a gradient of NaN for its first layer."""
    return nn.Sequential(nn.Conv2d(3, 6, 1, bias=False), Standardise(1e-3), *ending(num_classes))
