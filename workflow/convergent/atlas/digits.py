"""Numbers as the atlas holds them: rounded here, once, so that every page shows the same digits of a stored number.

Similarities and shares have DIGITS decimals; activations, which have no common scale, have so many significant digits.
"""

from collections.abc import Iterable

import numpy as np

DIGITS = 3
NONE = -32768  # a cell of a matrix without a number

Number = float | None  # None where there is no number, as of a dead unit


def share(value: float) -> Number:
    """A similarity, share or probability to three decimals.

    >>> share(0.81249), share(float("nan"))
    (0.812, None)
    """
    return round(float(value), DIGITS) if np.isfinite(value) else None


def size(value: float) -> Number:
    """An activation to three significant digits.

    >>> size(0.0123456)
    0.0123
    """
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None


def shares(values: Iterable[float]) -> list[Number]:
    """Each of some numbers by ``share``."""
    return [share(value) for value in values]


def sizes(values: Iterable[float]) -> list[Number]:
    """Each of some numbers by ``size``."""
    return [size(value) for value in values]


def thousandths(matrix: np.ndarray) -> np.ndarray:
    """Similarities in thousandths, which keep the three decimals that are shown; NONE for NaN. (rows, columns)

    >>> thousandths(np.array([[0.8124, -1, np.nan]])).tolist()
    [[812, -1000, -32768]]
    """
    return np.where(np.isnan(matrix), NONE, np.rint(np.nan_to_num(matrix) * 10**DIGITS)).astype("<i2")
