"""Functions of a user's that should make a net. All but ``healthy`` and ``scaled`` have a fault."""

import torch
from torch import nn
from torch.nn import functional


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor):
        return self.function(self, x)


def net(second: nn.Module, *more: nn.Module, classes: int = 2) -> nn.Sequential:
    """A net whose module ``1`` is this one; others follow."""
    last = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, classes)
    return nn.Sequential(nn.Conv2d(3, 6, 3), second, *last, *more)


def healthy(num_classes: int) -> nn.Module:
    return net(nn.ReLU(), classes=num_classes)


def scaled() -> nn.Module:
    """Works in place on its input; a second pass over the same input would see other values."""
    return nn.Sequential(Apply(lambda self, x: x.mul_(3e20)), nn.Hardtanh(0, 3e38), nn.Flatten(), nn.Linear(768, 2))


def misspelt(num_classes: int) -> nn.Module:
    return nn.Lineal(6, num_classes)


def deep() -> nn.Module:
    def inner() -> nn.Module:
        raise ValueError("no\nsuch width")

    return inner()


def silent() -> nn.Module:
    raise NotImplementedError


def wrong_keyword() -> nn.Module:
    return nn.Conv2d(3, 6, kernel=3)


def wide(num_classes: int, width: int) -> nn.Module:
    return net(nn.Conv2d(6, width, 1), classes=num_classes)


def positional(num_classes: int, /) -> nn.Module:
    return net(nn.ReLU(), classes=num_classes)


a_module = net(nn.ReLU())
a_number = 3


def no_net():
    return net


def other_input() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(5, 5))


class Indexed(nn.Module):
    def forward(self, x: torch.Tensor):
        return x["logits"]


def pictures() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())


def transposed() -> nn.Module:
    return net(nn.ReLU(), Apply(lambda self, x: x.T))


def two_heads() -> nn.Module:
    return net(nn.ReLU(), Apply(lambda self, x: (x, x) if self.training else x))


def frozen() -> nn.Module:
    return net(nn.ReLU()).requires_grad_(False)


def overwritten() -> nn.Module:
    return net(Apply(lambda self, x: x.exp().mul_(2)))


def infinite() -> nn.Module:
    return net(Apply(lambda self, x: x / 0))


def infinite_logits() -> nn.Module:
    return net(nn.ReLU(), nn.Hardtanh(), Apply(lambda self, x: (x - 5).log()))


def windows() -> nn.Module:
    """The second module returns a row for each position, as transformers do."""
    rows = Apply(lambda self, x: x.permute(0, 2, 3, 1).flatten(0, 2))
    return nn.Sequential(nn.Conv2d(3, 6, 3), rows, Apply(lambda self, x: x.reshape(-1, 1176)), nn.Linear(1176, 2))


def one_for_all() -> nn.Module:
    """Right for one image, and wrong for two."""
    return net(Apply(lambda self, x: x[:1]))


def twice() -> nn.Module:
    relu = nn.ReLU()
    return nn.Sequential(nn.Conv2d(3, 6, 3), relu, relu, nn.Flatten(), nn.LazyLinear(2))


def dropout() -> nn.Module:
    return net(Apply(lambda self, x: functional.dropout(x, 0.5)))


def noisy() -> nn.Module:
    return net(Apply(lambda self, x: x + 0.1 * torch.randn_like(x)))


def normalised_by_the_batch() -> nn.Module:
    return net(nn.BatchNorm2d(6, track_running_stats=False))


def always_training() -> nn.Module:
    return net(Apply(lambda self, x: functional.batch_norm(x, None, None, training=True)))


def centred_logits() -> nn.Module:
    return net(nn.ReLU(), Apply(lambda self, x: x - x.mean(0)))


class Counting(nn.Module):
    """Counts its passes in a buffer, which changes no output."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        return x


def counting() -> nn.Module:
    return net(Counting())


def quarters() -> nn.Module:
    """The second module returns the quarters of each crop as images of their own."""
    stacked = Apply(lambda self, x: torch.cat([*x[:, :, :7].split(7, 3), *x[:, :, 7:].split(7, 3)]))
    whole = Apply(lambda self, x: torch.stack(x.chunk(4)).mean(0))
    return nn.Sequential(nn.Conv2d(3, 6, 3), stacked, whole, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))


def growing() -> nn.Module:
    """No axis of what the second module returns stays where crops are larger."""
    diagonal = Apply(lambda self, x: x.flatten(1)[:, : x.shape[2] ** 3].reshape(len(x), *[x.shape[2]] * 3))
    return nn.Sequential(nn.Conv2d(3, 300, 3), diagonal, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(2))


def tokens() -> nn.Module:
    """The second module returns (images, tokens, units)."""
    rows = Apply(lambda self, x: x.flatten(2).transpose(1, 2))
    return nn.Sequential(nn.Conv2d(3, 6, 3), rows, Apply(lambda self, x: x.mean(1)), nn.Linear(6, 2))
