"""Mean activation of each unit at each position of one block: what a unit answers to the layout of images alone."""

from collections.abc import Mapping

import numpy as np
import torch

from ..nets.device import of_doubles


def image_sum(activations: torch.Tensor) -> torch.Tensor:
    """Float64 sum over the images of a batch, as of ``of_doubles``. (images, positions, units) -> (positions, units)"""
    activations = activations.to(of_doubles(activations.device))
    if activations.device.type != "cpu":
        return activations.sum(0, dtype=torch.float64)
    return torch.from_numpy(np.sum(activations.numpy(), axis=0, dtype=np.float64))  # torch: 40 times as long


class PositionMeans:
    """``positions/<net>`` of one block: mean activation of each unit at each position. (positions, units) float32

    A layer without positions has one. Sums are float64 and stay on their device until the block ends.
    """

    def __init__(self, widths: Mapping[str, int], place: torch.device) -> None:
        """widths: units of each net, place: device of the activations"""
        self.nets, self.place = list(widths), of_doubles(place)
        self.start()

    def start(self) -> None:
        """Forget everything: a new block begins."""
        self.images = 0
        zero = torch.zeros((), dtype=torch.float64, device=self.place)  # takes the shape of the first batch
        self.sums = dict.fromkeys(self.nets, zero)

    def update(self, batch: Mapping[str, torch.Tensor]) -> None:
        """Take in the activations of a batch. net -> (images, positions, units)"""
        self.images += len(next(iter(batch.values())))
        for net in self.nets:
            self.sums[net] = self.sums[net] + image_sum(batch[net])

    def finish(self) -> dict[str, np.ndarray]:
        """The means of the block by name."""
        return {f"positions/{net}": (total / self.images).float().cpu().numpy() for net, total in self.sums.items()}
