"""Functions of a user's that make nets as authors write them: each works, though not in every way."""

import torch
from torch import nn
from torch.nn import functional

from tests.nets.faulty import Apply, net


class LeNet(nn.Module):
    """The net of tutorials: a view behind a convolution."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 6, 3), nn.Linear(6 * 7 * 7, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.conv(x)), 2)
        return self.fc(x.view(-1, 6 * 7 * 7))


def units_last(units: int) -> nn.Module:
    """Blocks (images, rows, columns, units) and a LayerNorm, as of ConvNeXt and Swin. Crops of 16: 16x16 positions."""
    last, first = Apply(lambda self, x: x.permute(0, 2, 3, 1)), Apply(lambda self, x: x.permute(0, 3, 1, 2))
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(units, 2)
    return nn.Sequential(nn.Conv2d(3, units, 3, padding=1), last, nn.LayerNorm(units), first, *head)


def wide() -> nn.Module:
    return units_last(96)


def cubic() -> nn.Module:
    """As many units as rows and columns: sizes alone do not tell which axis is which."""
    return units_last(16)


class Transformer(nn.Module):
    """A class token and one token for each 4x4 pixels, and a block that returns (images, tokens, units)."""

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.cut = nn.Conv2d(3, 8, 4, 4)
        self.first, self.place = nn.Parameter(torch.randn(1, 1, 8)), nn.Parameter(torch.randn(1, 17, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.cut(x).flatten(2).transpose(1, 2)
        x = self.block(torch.cat([self.first.expand(len(x), -1, -1), patches], 1) + self.place)
        return self.head(x.mean(1))


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(6, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))


class Chosen(nn.Module):
    """A rectification through which no NaN passes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, 0.0)


def chosen() -> nn.Module:
    return net(Chosen())


def detached() -> nn.Module:
    return net(Apply(lambda self, x: x.detach().relu()))


class Inference(nn.Module):
    """A net that runs its layers in inference mode."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = net(nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.inner(x)


class PerPicture(nn.Module):
    """Standardises each picture by itself: one of a single colour becomes NaN."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)


def per_picture() -> nn.Module:
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)
    return nn.Sequential(PerPicture(), nn.Conv2d(3, 6, 3), nn.ReLU(), *head)
