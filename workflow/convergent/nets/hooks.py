"""Hooks into the forward pass of a net: what its modules return is seen, and can be replaced."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..commands import InputError
from .model import Net


class AllRecorded(Exception):  # noqa: N818
    """Ends a forward pass early: every wanted layer has been recorded."""


def recorded_module(net: Net, layer: str) -> nn.Module:
    """The module whose output is a layer's activation. Raises InputError where the net has no such module."""
    modules = dict(net.body.named_modules())
    name = net.module_name(layer)
    if not name or name not in modules:
        leaves = [known for known, module in modules.items() if known and not list(module.children())]
        raise InputError(
            f"layers: a net of architecture {net.architecture} has no module {name!r}; {', '.join(leaves)}"
        )
    return modules[name]


@contextmanager
def hooked(net: Net, layers: Sequence[str], hook: Callable[[str, torch.Tensor], Any]) -> Iterator[None]:
    """Call ``hook(layer, output)`` for each layer within the block; a result other than None replaces the output."""

    def attach(layer: str) -> torch.utils.hooks.RemovableHandle:
        return recorded_module(net, layer).register_forward_hook(lambda module, inputs, output: hook(layer, output))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    try:
        for layer in layers:
            handles.append(attach(layer))
        yield
    finally:
        for handle in handles:
            handle.remove()
