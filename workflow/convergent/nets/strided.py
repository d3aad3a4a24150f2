"""A convolution with a stride, computed on CUDA as one of stride 1 over blocks of pixels.

The first convolution of the paper's nets has three input channels, which leave most of a GPU's matrix units idle. Its
kernel of 11x11 with stride 4 is one of 3x3 over blocks of 4x4 pixels, with 48 channels: the same sums of products.
"""

import torch
from torch import nn
from torch.nn import functional


def by_blocks(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, stride: int, padding: int
) -> torch.Tensor:
    """A convolution of equal stride and padding along both axes, as ``functional.conv2d`` has it.

    Kernel and padded image are filled up with zeros, or the image is cut, to whole blocks of stride x stride pixels.
    x: (N, C, H, W), weight: (units, C, height, width), bias: (units,) -> (N, units, rows, columns)
    """
    fill_x, fill_weight = [], []
    for size, kernel in ((x.shape[3], weight.shape[3]), (x.shape[2], weight.shape[2])):
        blocks = -(-kernel // stride)
        positions = (size + 2 * padding - kernel) // stride + 1
        fill_x += [padding, (positions + blocks - 1) * stride - size - padding]
        fill_weight += [0, blocks * stride - kernel]
    of_blocks = functional.pixel_unshuffle(functional.pad(x, fill_x), stride)
    return functional.conv2d(of_blocks, functional.pixel_unshuffle(functional.pad(weight, fill_weight), stride), bias)


class StridedConv2d(nn.Conv2d):
    """``torch.nn.Conv2d`` of equal stride and padding along both axes, whose forward pass on CUDA is ``by_blocks``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "cuda" or self.stride == (1, 1):
            return super().forward(x)
        return by_blocks(x, self.weight, self.bias, self.stride[0], int(self.padding[0]))
