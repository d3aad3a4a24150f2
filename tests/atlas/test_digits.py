"""Numbers of the atlas: rounded once, with nothing that JSON cannot hold."""

import numpy as np
import pytest

from workflow.convergent.atlas import digits


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.8124999, 0.812), (-0.0615, -0.061), (1.0, 1.0), (np.nan, None), (np.inf, None)],
)
def test_a_share_has_three_decimals(value: float, expected: float | None) -> None:
    assert digits.share(value) == expected


@pytest.mark.parametrize(("value", "expected"), [(1234.5, 1230.0), (0.000123456, 0.000123), (np.nan, None)])
def test_an_activation_has_three_significant_digits(value: float, expected: float | None) -> None:
    assert digits.size(value) == expected


def test_a_cell_of_a_matrix_is_the_share_of_its_number() -> None:
    matrix = np.random.default_rng(0).uniform(-1, 1, (30, 40))
    matrix[3], matrix[:, 5] = np.nan, np.nan
    cells = digits.thousandths(matrix)
    assert cells.dtype == np.int16
    for cell, value in zip(cells.flat, matrix.flat, strict=True):
        assert (None if cell == digits.NONE else cell / 1000) == digits.share(value)
