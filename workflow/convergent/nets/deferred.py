"""Modules that are loaded when one of their functions is called."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


class Deferred(ModuleType):
    """Stands for a module: whatever is taken from it is a function that loads the module when it is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what the import asks for
            raise AttributeError(name)
        return lambda *args, **keywords: getattr(import_module(self.__name__), name)(*args, **keywords)


@contextmanager
def deferred(module: str) -> Iterator[None]:
    """Let what is imported in the block take functions from a module that is not loaded for this."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = Deferred(module)
    try:
        yield
    finally:
        del sys.modules[module]
