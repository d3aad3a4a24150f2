"""Deconvolution: a unit's signal projected back to the pixels, which shows what in an image the unit answers to.

The rules are those of Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks", section 2.1.
Pooling sends the signal back to the position of each maximum. A rectification rectifies the signal, whatever the
activation was. A convolution is transposed and has no bias.

This project's AlexNet is walked back module by module; its normalisation divides the signal by the denominator that it
divided the activation by. For other nets the signal is a gradient in which every rectification (ReLU and ReLU6, as a
module or a function) follows the rule above. Other activations and gates have no rule: their gradient is the plain one.
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
from ..nets.shapes import LayerShape

ProjectBack = Callable[[torch.Tensor], torch.Tensor]  # from a module's output to its input


def forward_and_back(module: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, ProjectBack]:
    """Output of a module, and the function that projects a signal at its output back to its input.

    Raises TypeError for a module without a rule.
    """
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
def walked_back(net: Net, layer: str, x: torch.Tensor, *index: torch.Tensor) -> torch.Tensor:
    """Deconvolution of AlexNet, whose modules are walked back one by one. Arguments as of ``deconvolve``."""
    steps: list[ProjectBack] = []
    for name, module in net.body.named_children():
        x, project_back = forward_and_back(module, x)
        steps.append(project_back)
        if name == net.module_name(layer):
            break
    signal = torch.zeros_like(x)
    signal[torch.arange(len(x), device=x.device), *index] = 1
    for project_back in reversed(steps):
        signal = project_back(signal)
    return signal


class Rectified(torch.autograd.Function):
    """A rectification up to a cap. Backward it rectifies the signal instead of gating it by the activation."""

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


def cap_of(function: Callable[..., Any], options: Mapping[str, Any]) -> float | None:
    """Largest output of a rectification; None of any other function."""
    if function is functional.hardtanh:  # ReLU6 calls it
        return options["max_val"] if options["min_val"] == 0 else None
    return CAPS.get(function)


class Rectifying(TorchFunctionMode):
    """Replaces every rectification within the block by ``Rectified``: modules and functions, in place or not."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Iterable[Any] = (), kwargs: Any = None
    ) -> Any:
        options = kwargs or {}
        if (cap := cap_of(function, options)) is None:
            return function(*args, **options)
        (x, *_) = args
        y = Rectified.apply(x, cap)
        return x.copy_(y) if function in IN_PLACE or options.get("inplace") else y


def rectified_output(
    net: Net, layer: str, shapes: Mapping[str, LayerShape], x: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A layer's activation (N, units, H, W) for crops, which its gradient leads back to, and these crops."""
    pixels = x.detach().clone().requires_grad_()
    with Rectifying():
        return record(net, pixels.clone(), shapes)[layer], pixels  # a copy: modules may work on it in place


@torch.enable_grad()
def reaches_pixels(net: Net, layer: str, x: torch.Tensor) -> bool:
    """Whether a signal at a layer can be projected back to the pixels of crops x (N, C, crop, crop).

    It cannot where a net computes without gradients (``torch.no_grad``, ``inference_mode``, ``detach``), or with what
    has none.
    """
    if net.is_alexnet:
        return True
    try:
        output, pixels = rectified_output(net, layer, probe(net, [layer]), x)
        signal = torch.autograd.grad(output.sum(), pixels, allow_unused=True)[0]
    except RuntimeError:  # as torch says that there is no way back
        return False
    return signal is not None


@torch.enable_grad()
def by_gradient(net: Net, layer: str, x: torch.Tensor, *index: torch.Tensor) -> torch.Tensor:
    """Deconvolution of any net by its gradient with rectified signals. Arguments as of ``deconvolve``."""
    output, pixels = rectified_output(net, layer, probe(net, [layer]), x)
    chosen = output[torch.arange(len(x), device=x.device), *index]
    return torch.autograd.grad(chosen.sum(), pixels)[0]


def deconvolve(
    net: Net, layer: str, x: torch.Tensor, unit: torch.Tensor, row: torch.Tensor, column: torch.Tensor
) -> torch.Tensor:
    """Pixels to which a signal of 1 projects back, from one unit at one position for each crop.

    x: crops (N, C, crop, crop) as of ``centre_crop``; unit, row, column: (N,) -> (N, C, crop, crop)
    Zeiler & Fergus 2014, section 2.1, as the module's text says.
    """
    return (walked_back if net.is_alexnet else by_gradient)(net, layer, x, unit, row, column)
