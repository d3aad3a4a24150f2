"""Unpickle tensors by name and nothing else: in place of any other object stands one that does nothing.

A pickle names classes and functions, and calls them. Here no name is looked up: those of torch that make a dense tensor
are known, every other one becomes ``StandIn``. So nothing is imported, and nothing of the file is executed.
``torch.load`` takes this module as its ``pickle_module``.
"""

import pickle
from collections import OrderedDict
from typing import Any, BinaryIO

import torch
from torch import _utils as rebuilding

from ..unpickling import Function


class StandIn(dict[Any, Any]):
    """In place of an object of a class that is not known: it keeps entries, as of a dictionary, and drops all else.

    ``named`` is the name of the class.
    """

    named = ""
    dump_patches = False  # torch asks it of the classes of modules
    __hash__ = object.__hash__  # type: ignore[assignment]  # it may be a key, as a path or a date is

    def __new__(cls, *_: Any, **__: Any) -> "StandIn":
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Keep none of the arguments."""

    def __eq__(self, other: object) -> bool:
        return self is other

    @staticmethod
    def drop(*_: Any) -> None:
        """Take what a list, a set or an object with attributes would keep, and keep nothing."""

    __setstate__ = append = extend = add = drop

    def __call__(self, *_: Any, **__: Any) -> "StandIn":
        return type(self)()


def stand_in(named: str) -> type[StandIn]:
    """The class that stands in place of another."""
    return type("StandIn", (StandIn,), {"named": named})


class Entries(OrderedDict[str, Any]):
    """In place of an OrderedDict; of its attributes it takes the versions of modules, which a state dictionary has."""

    _metadata: dict[str, Any]

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict) and isinstance(found := state.get("_metadata"), dict):
            self._metadata = found


def attribute(owner: Any, name: str, *_: Any) -> type[StandIn]:
    """In place of ``getattr``, by which pickles name classes within classes, and methods."""
    return stand_in(f"{getattr(owner, 'named', type(owner).__name__)}.{name}")


def tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    """A dense tensor, without hooks."""
    return rebuilding._rebuild_tensor(storage, offset, size, stride)


def parameter(data: Any, *_: Any) -> Any:
    """The tensor of a parameter."""
    return data


def of_subclass(make: Any, _: Any, arguments: Any, *__: Any) -> Any:
    """The tensor that one of a subclass was made from. ``make`` is a name of this module, or a stand-in."""
    return make(*arguments)


KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Entries,
    ("builtins", "getattr"): Function(attribute),
    ("__builtin__", "getattr"): Function(attribute),  # Python 2
    ("torch._utils", "_rebuild_tensor"): Function(tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Function(tensor),
    ("torch._utils", "_rebuild_parameter"): Function(parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Function(parameter),
    ("torch._tensor", "_rebuild_from_type_v2"): Function(of_subclass),
}


class Unpickler(pickle.Unpickler):
    """An unpickler that imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands in place of a name of the file."""
        return KNOWN.get((module, name)) or stand_in(f"{module}.{name}")


def load(file: BinaryIO, **options: Any) -> Any:
    """An object of a file."""
    return Unpickler(file, **options).load()
