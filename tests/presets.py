"""Nets of the preset architecture, made in one call, and what they put out."""

import torch

from workflow.convergent.nets import activations, model
from workflow.convergent.nets.architecture import ALEXNET


def preset(architecture: dict, channels: int, classes: int, size: int, seed: int) -> model.Net:
    """An AlexNet of these settings before training, in evaluation mode."""
    return model.build(ALEXNET, architecture, channels, classes, size, seed).eval()


def one_layer(units: int, crop: int = 12, **conv: object) -> model.Net:
    """A net whose first layer is this convolution, on images of its crop, with pixels as they are."""
    architecture = {"crop": crop, "conv": [{"units": units, **conv}], "fc": [], "dropout": 0}
    return preset(architecture, 3, 2, crop, seed=0)


def recorded(net: model.Net, x: torch.Tensor, layers: list[str]) -> dict[str, torch.Tensor]:
    """Activations of layers for a batch of crops."""
    return activations.record(net, x, activations.probe(net, layers))
