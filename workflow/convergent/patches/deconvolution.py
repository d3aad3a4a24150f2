"""What of an image a unit answers to: its signal projected back to the pixels by the rules of a deconvolutional net.

Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks", section 2.1: pooling is undone at the
places where its maxima were, a rectification rectifies the signal (whatever the activation was), a convolution is
transposed and has no bias. This project's AlexNet is walked back module by module, where normalisation divides the
signal by the denominator that it divided the activation by. Any other net's signal is a gradient in which
rectifications (ReLU and ReLU6, as modules or functions) have their own rule; where there is no rule, as of other
activations and gates, the gradient is the plain one.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.grad import conv2d_input
from torch.overrides import TorchFunctionMode

from ..nets.activations import probe, record
from ..nets.alexnet import LocalResponseNorm
from ..nets.model import Net

Back = Callable[[torch.Tensor], torch.Tensor]


def forward_and_back(module: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, Back]:
    """Output of a module, and the function that takes a signal at the output to the input."""
    if isinstance(module, nn.Conv2d):
        stride, padding = module.stride, module.padding
        return module(x), lambda signal: conv2d_input(x.shape, module.weight, signal, stride, padding)
    if isinstance(module, nn.ReLU):
        return module(x), lambda signal: signal.clamp_min(0)
    if isinstance(module, nn.MaxPool2d):
        y, switches = functional.max_pool2d(x, module.kernel_size, module.stride, return_indices=True)
        zeros = torch.zeros(x.shape, device=x.device).flatten(2)
        return y, lambda signal: zeros.scatter_add(2, switches.flatten(2), signal.flatten(2)).view(x.shape)
    if isinstance(module, LocalResponseNorm):
        denominator = module.denominator(x)
        return x / denominator, lambda signal: signal / denominator
    raise TypeError(f"no way back through {module}")


@torch.no_grad()
def walked_back(net: Net, layer: str, x: torch.Tensor, *at: torch.Tensor) -> torch.Tensor:
    """Of the preset, exactly."""
    backs: list[Back] = []
    for name, module in net.body.named_children():
        x, back = forward_and_back(module, x)
        backs.append(back)
        if name == net.module_name(layer):
            break
    signal = torch.zeros_like(x)
    signal[torch.arange(len(x), device=x.device), *at] = 1
    for back in reversed(backs):
        signal = back(signal)
    return signal


class Rectified(torch.autograd.Function):
    """A rectification, up to a cap, that rectifies the signal instead of gating it."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, cap: float) -> torch.Tensor:
        return x.clamp(0, cap)

    @staticmethod
    def backward(ctx: Any, signal: torch.Tensor) -> tuple[torch.Tensor, None]:
        return signal.clamp_min(0), None


CAPS = {
    functional.relu: torch.inf,
    torch.relu: torch.inf,
    torch.relu_: torch.inf,
    torch.Tensor.relu: torch.inf,
    torch.Tensor.relu_: torch.inf,
    functional.relu6: 6.0,
}
IN_PLACE = {torch.relu_, torch.Tensor.relu_}


def cap(function: Callable[..., Any], options: Mapping[str, Any]) -> float | None:
    """Where a rectification ends; of what is no rectification None."""
    if function is functional.hardtanh:  # what ReLU6 calls
        return options["max_val"] if options["min_val"] == 0 else None
    return CAPS.get(function)


class Rectifying(TorchFunctionMode):
    """Within the block every rectification is ``Rectified``, of modules and functions, in place or not."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Iterable[Any] = (), kwargs: Any = None
    ) -> Any:
        options = kwargs or {}
        if (end := cap(function, options)) is None:
            return function(*args, **options)
        (x, *_) = args
        y = Rectified.apply(x, end)
        return x.copy_(y) if function in IN_PLACE or options.get("inplace") else y


@torch.enable_grad()
def by_gradient(net: Net, layer: str, x: torch.Tensor, *at: torch.Tensor) -> torch.Tensor:
    """Of any net."""
    recorded, pixels = probe(net, [layer]), x.detach().clone().requires_grad_()
    with Rectifying():
        output = record(net, pixels.clone(), recorded)[layer]  # a copy, because modules may work on it in place
    chosen = output[torch.arange(len(x), device=x.device), *at]
    return torch.autograd.grad(chosen.sum(), pixels)[0]


def deconvolve(
    net: Net, layer: str, x: torch.Tensor, unit: torch.Tensor, row: torch.Tensor, column: torch.Tensor
) -> torch.Tensor:
    """A signal of 1 from one unit and position per crop, projected back to the pixels.

    x: (N, C, crop, crop) as of ``centre_crop``; unit, row, column: (N,) -> (N, C, crop, crop)
    """
    return (walked_back if net.is_alexnet else by_gradient)(net, layer, x, unit, row, column)
