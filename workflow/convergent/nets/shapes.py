"""How the output of a module is a layer's activation: which axis holds the units, and which the positions.

Modules return (images, units), (images, units, rows, columns), that with the units last, or tokens: (images, tokens,
units). Everything behind ``units_first`` has the units first.
"""

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Any, NamedTuple

import torch

from ..commands import InputError

Grid = tuple[int, ...]  # rows and columns of a layer's positions; () of a fully connected layer
Entry = str | Mapping[str, Any]  # of a net's ``layers``: the name of a module, or module, tokens, class_tokens
Sizes = Sequence[int]  # of an output: of each of its axes


class LayerShape(NamedTuple):
    """Units and positions of a layer, and how its module's output holds them."""

    units: int
    grid: Grid
    overwritten: bool = False  # in place, by a later module
    axis: int = 1  # of the units in the output
    tokens: bool = False  # whether the output has tokens in place of rows and columns
    class_tokens: int = 0  # the first so many tokens, which are no positions

    @property
    def is_plain(self) -> bool:
        """Whether the output is the activation as it is."""
        return self.axis == 1 and not self.tokens


def module_of(entry: Entry, layer: str) -> str:
    """Name of the module of a layer's entry.

    >>> module_of({"tokens": True}, "encoder.ln")
    'encoder.ln'
    """
    return entry if isinstance(entry, str) else entry.get("module", layer)


def token_grid(tokens: int) -> Grid:
    """Rows and columns of so many tokens: a square where they fill one, else one row.

    >>> token_grid(49), token_grid(50)
    ((7, 7), (1, 50))
    """
    side = isqrt(tokens)
    return (side, side) if side**2 == tokens else (1, tokens)


def units_axis(sizes: Sizes, other: Sizes | None, module: str) -> int:
    """The axis of the units in an output (images, ...) of two or three more axes.

    It is the one that stays where crops are larger; ``other`` are the sizes for larger crops, None where the net does
    not take them. Where that does not decide, the other two are equal, for crops are square; else it is the first.
    Raises InputError where no axis stays.
    """
    axes = range(1, len(sizes))
    stay = [axis for axis in axes if other is None or sizes[axis] == other[axis]]
    if not stay:
        raise InputError(
            f"layers: {module} returns {tuple(sizes)}, and {tuple(other or ())} for larger crops: no axis stays, so "
            "that none holds units"
        )
    if len(sizes) == 3:  # tokens; where both axes stay units are last, as transformers have them
        return stay[-1]
    square = [axis for axis in stay if len({sizes[each] for each in axes if each != axis}) == 1]
    return (square or stay)[0]


def layer_shape(output: Any, other: Sizes | None, entry: Entry, module: str, images: int) -> LayerShape:
    """Shape of a layer whose module returns ``output`` for so many images. other: as of ``units_axis``

    Raises InputError where the output is none of the kinds that this module knows.
    """
    asked = {} if isinstance(entry, str) else entry
    if not isinstance(output, torch.Tensor) or output.dim() not in (2, 3, 4) or len(output) != images:
        returned = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise InputError(
            f"layers: {module} returns {returned} for {images} images; allowed are (images, units), "
            "(images, units, rows, columns), the units last, and with tokens: true (images, tokens, units)"
        )
    sizes = tuple(output.shape)
    other = other if other and len(other) == len(sizes) and len(sizes) > 2 else None
    if len(sizes) == 3:
        if not asked.get("tokens"):
            raise InputError(
                f"layers: {module} returns {sizes} for {images} images; if these are (images, tokens, units), give "
                f"the layer as {{module: {module.split(' of ')[0]}, tokens: true}}"
            )
        return token_shape(sizes, units_axis(sizes, other, module), asked.get("class_tokens", 0), module)
    if asked.get("tokens"):
        raise InputError(f"layers: {module} returns {sizes} for {images} images; tokens: true is for three axes only")
    if len(sizes) == 2:
        return LayerShape(sizes[1], ())
    axis = units_axis(sizes, other, module)
    return LayerShape(sizes[axis], tuple(size for each, size in enumerate(sizes) if each not in (0, axis)), axis=axis)


def token_shape(sizes: Sizes, axis: int, class_tokens: int, module: str) -> LayerShape:
    """Shape of a layer of tokens. Raises InputError where as many are class tokens as there are."""
    tokens = sizes[3 - axis]
    if class_tokens >= tokens:
        raise InputError(f"layers: {module} has {tokens} tokens; class_tokens {class_tokens} must be fewer")
    return LayerShape(sizes[axis], token_grid(tokens - class_tokens), False, axis, True, class_tokens)


def units_first(output: torch.Tensor, shape: LayerShape) -> torch.Tensor:
    """A module's output as activation: (N, units, rows, columns) or (N, units). It shares the output's memory."""
    activation = output.movedim(shape.axis, 1)
    if shape.tokens:
        return activation[:, :, shape.class_tokens :].unflatten(2, shape.grid)
    return activation


def as_returned(activation: torch.Tensor, output: torch.Tensor, shape: LayerShape) -> torch.Tensor:
    """The inverse of ``units_first``: a module's output with this activation; class tokens are those of ``output``."""
    if shape.tokens:
        joined = torch.cat([output.movedim(shape.axis, 1)[:, :, : shape.class_tokens], activation.flatten(2)], 2)
        return joined.movedim(1, shape.axis)
    return activation.movedim(1, shape.axis)
