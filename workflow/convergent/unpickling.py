"""What stands in place of a function that a pickle names: it can be called, and nothing of it can be changed."""

from collections.abc import Callable
from typing import Any


class Function:
    """A function that a file may call, and of which it can change nothing."""

    __slots__ = ("function",)
    function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "function", function)

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep what it is."""

    def __setstate__(self, state: Any) -> None:
        """Take no state."""
