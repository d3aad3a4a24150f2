"""Which axis of an output holds units, and activations that come from outputs and go back to them."""

import pytest
import torch

from workflow.convergent.commands import InputError
from workflow.convergent.nets.shapes import LayerShape, as_returned, layer_shape, token_grid, units_axis, units_first


@pytest.mark.parametrize(
    ("sizes", "other", "axis"),
    [
        ((3, 96, 16, 16), (1, 96, 24, 24), 1),
        ((3, 16, 16, 96), (1, 24, 24, 96), 3),
        ((3, 16, 16, 16), (1, 24, 24, 16), 3),  # sizes of one crop do not tell
        ((3, 16, 16, 16), (1, 24, 16, 24), 2),
        ((3, 16, 16, 32), (1, 16, 24, 48), 1),  # a grid that is not square
        ((3, 6, 6, 256), None, 3),
        ((3, 256, 6, 6), (1, 256, 6, 6), 1),  # behind adaptive pooling everything stays
        ((3, 6, 6, 6), None, 1),
        ((3, 5, 6, 7), None, 1),
        ((3, 49, 8), (1, 100, 8), 2),
        ((3, 8, 49), (1, 8, 100), 1),
        ((3, 50, 8), None, 2),
    ],
)
def test_units_are_the_axis_that_stays(sizes: tuple, other: tuple | None, axis: int) -> None:
    assert units_axis(sizes, other, "m") == axis


def test_where_no_axis_stays_there_are_no_units() -> None:
    with pytest.raises(InputError, match=r"^layers: m returns \(3, 4, 4\), and \(1, 5, 5\) for larger crops"):
        units_axis((3, 4, 4), (1, 5, 5), "m")


@pytest.mark.parametrize(
    ("sizes", "other", "entry", "shape"),
    [
        ((3, 7), None, "m", LayerShape(7, ())),
        ((3, 7, 2, 4), None, "m", LayerShape(7, (2, 4))),
        ((3, 4, 4, 7), (1, 6, 6, 7), "m", LayerShape(7, (4, 4), axis=3)),
        ((3, 10, 7), None, {"tokens": True, "class_tokens": 1}, LayerShape(7, (3, 3), False, 2, True, 1)),
        ((3, 7, 10), (1, 7, 17), {"tokens": True}, LayerShape(7, (1, 10), False, 1, True)),
    ],
)
def test_activations_come_from_outputs_and_go_back(
    sizes: tuple, other: tuple | None, entry: object, shape: LayerShape
) -> None:
    """By index: unit u at position p of image n. What is no position stays as it was in the output."""
    output = torch.arange(torch.Size(sizes).numel()).reshape(sizes)
    assert layer_shape(output, other, entry, "m", 3) == shape
    activation = units_first(output, shape)
    assert activation.shape == (3, shape.units, *shape.grid)
    by_unit = output.movedim(shape.axis, 1).flatten(2)[:, :, shape.class_tokens :] if shape.grid else output[..., None]
    assert torch.equal(activation.flatten(2) if shape.grid else activation[..., None], by_unit)
    assert torch.equal(as_returned(activation, output, shape), output)
    changed = as_returned(activation + 1000, output, shape)
    assert torch.equal(units_first(changed, shape), activation + 1000)
    if shape.class_tokens:
        assert torch.equal(changed[:, 0], output[:, 0])


def test_tokens_that_fill_no_square_are_one_row() -> None:
    assert [token_grid(tokens) for tokens in (1, 2, 4, 48, 49)] == [(1, 1), (1, 2), (2, 2), (1, 48), (7, 7)]
