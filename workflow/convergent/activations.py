"""Net and images to the activations of each layer; the only place with hooks."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from . import alexnet, store


def recorded_module(net: nn.Module, layer: str) -> nn.Module:
    """The module whose output is a layer's activation: its ReLU where it has one, else the layer (fc8: the logits)."""
    modules = dict(net.named_children())
    if layer not in modules:
        raise SystemExit(f"layers: the net has no {layer}, it has {', '.join(modules)}")
    number = layer.removeprefix("conv").removeprefix("fc")
    return modules.get(f"relu{number}", modules[layer])


@contextmanager
def recording(net: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Within the block every forward pass fills the given dictionary with each layer's output.

    >>> with recording(net, ["conv1"]) as outputs:
    ...     net(x)
    >>> outputs["conv1"].shape  # (N, units, H, W), or (N, units)
    """
    outputs: dict[str, torch.Tensor] = {}

    def keep(layer: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]:
        return lambda module, inputs, output: outputs.update({layer: output})

    handles = [recorded_module(net, layer).register_forward_hook(keep(layer)) for layer in layers]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def cut(net: nn.Module, layers: Sequence[str]) -> tuple[nn.Sequential, nn.Sequential]:
    """The net up to the deepest of the layers as it is recorded, and from there on; modules are shared with the net."""
    recorded = [recorded_module(net, layer) for layer in layers]
    children = list(net.named_children())
    deepest = max(i for i, (_, module) in enumerate(children) if any(module is other for other in recorded))
    head, tail = (OrderedDict(part) for part in (children[: deepest + 1], children[deepest + 1 :]))
    return nn.Sequential(head), nn.Sequential(tail)


def samples(activation: torch.Tensor) -> torch.Tensor:
    """Every position of every image as a row. (N, units, H, W) or (N, units) -> (N, H * W, units)"""
    if activation.dim() == 2:
        return activation[:, None, :]
    return activation.permute(0, 2, 3, 1).flatten(1, 2)


@torch.no_grad()
def stream(
    nets: Mapping[str, alexnet.AlexNet],
    images: store.Rows,
    index: np.ndarray,
    batch: int,
    layers: Sequence[str],
    some: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[dict[str, dict[str, torch.Tensor]]]:
    """All nets side by side over the images of an index; layer -> net -> (n, positions, units) for each batch.

    ``some`` names nets of which only some of the layers are wanted.
    """
    place = next(iter(nets.values())).mean.device
    wanted = {name: (some or {}).get(name, layers) for name in nets}
    heads = {name: cut(net, wanted[name])[0] for name, net in nets.items()}
    for first in range(0, len(index), batch):
        pixels = torch.from_numpy(images[index[first : first + batch]]).to(place)
        found: dict[str, dict[str, torch.Tensor]] = {layer: {} for layer in layers}
        for name, net in nets.items():
            with recording(net, wanted[name]) as outputs:
                heads[name](net.centre_crop(pixels))
            for layer in wanted[name]:
                found[layer][name] = samples(outputs[layer])
        yield found
