"""A device that has no float64, as MPS: what would make a tensor in float64 there raises what it raises on MPS.

Nothing else is as on MPS: the numbers live on the CPU and are computed there.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

SINGLES = torch.device("meta")  # torch lets no program without MPS say that a tensor is there


class Single(torch.Tensor):
    """A tensor that says it is on the device."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls: type["Single"], held: torch.Tensor) -> "Single":
        if held.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=SINGLES
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(function, args, kwargs or {})


def run(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an operation of torch returns, on the device if an argument is there or it asks for the device."""
    asked = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
    given: list[Single] = []
    tree_map_only(Single, given.append, (args, kwargs))
    args, kwargs = tree_map_only(Single, lambda each: each.held, (args, kwargs))
    if asked == SINGLES:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    made = function(*args, **kwargs)
    held = {id(each.held): each for each in given}
    if asked not in (SINGLES, None) or not (asked or given):
        return made
    return tree_map_only(torch.Tensor, lambda x: held[id(x)] if id(x) in held else Single(x), made)


class Singles(TorchDispatchMode):
    """While it is active, tensors can be made on the device."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(function, args, kwargs or {})
