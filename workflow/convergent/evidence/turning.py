"""Moments of two nets on rotated axes of the second one, in float32: what similarity without its axes would be.

Products of wide layers take most of the time of the evidence. In float32 they take half of it, and numbers agree with
those of float64 in at least three digits. They are computed on CUDA where there is a GPU and the net is wide.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..alignment.rotation import Array, random_rotation
from ..commands import InputError
from ..seeds import derive
from .crossfit import WIDEST, Between

PANEL = 512  # units whose squares are computed together, from the half of the products that lies below the diagonal


class Standardised(NamedTuple):
    """Moments of a pair of nets. Units of net b have squares of 1, and only live ones are among them."""

    pair: Between  # but for its products in float64
    products: Array  # (B, Ua, live), float32, on ``place``
    within: Array  # of b with itself, about the means of each block (B, live, live), likewise
    place: Any  # a torch device, or None for numpy


def gpu_of(units: int) -> Any:
    """The GPU of CUDA for a net that has more than WIDEST units, as a torch device; None where there is none."""
    if units <= WIDEST:
        return None  # to load torch would take longer
    from ..nets import device

    place = device.pick()
    return place if place.type == "cuda" else None


def on_place(place: Any, *arrays: np.ndarray) -> list[Array]:
    """Arrays in float32 on a device of torch, or of numpy without one."""
    single = [array.astype(np.float32, copy=False) for array in arrays]
    if place is None:
        return single
    import torch

    return [torch.from_numpy(array).to(place) for array in single]


def standardised(pair: Between, own: np.ndarray, place: Any = None) -> Standardised:
    """Moments of a pair as rotations take them. own: products of b with itself, as of ``between`` (B, Ub, Ub)

    The means of blocks stay in float64 and are taken out of b's products: what is constant in a block stays exactly so.
    """
    squares_a, squares_b = pair.squares_a.sum(0), pair.squares_b.sum(0)
    live = squares_b > 0
    scale_a = 1 / np.sqrt(squares_a.max() or 1)  # of all units together, for the range of float32
    scale_b = 1 / np.sqrt(squares_b[live])
    shift_b = pair.shift_b[:, live]
    products = np.empty((len(own), len(squares_a), len(scale_b)), np.float32)
    within = np.empty((len(own), len(scale_b), len(scale_b)), np.float32)
    for k, count in enumerate(pair.count):
        of_live = own[k] if live.all() else own[k][np.ix_(live, live)]
        within[k] = (of_live - np.outer(count * shift_b[k], shift_b[k])) * scale_b[:, None] * scale_b
        products[k] = pair.products[k][:, live] * (scale_a * scale_b)
    small = {"squares_a": pair.squares_a * scale_a**2, "shift_a": pair.shift_a * scale_a, "shift_b": shift_b * scale_b}
    kept = replace(pair, products=products, squares_b=pair.squares_b[:, live] * scale_b**2, **small)
    moved, within_moved = on_place(place, products, within)
    return Standardised(kept, moved, within_moved, place)


def own_squares(rotation: Array, within: Array) -> np.ndarray:
    """Squares of rotated units from products of the units. (axes, live), symmetric (live, live) -> (axes,) float64"""
    squares = np.zeros(len(rotation))
    for first in range(0, len(within), PANEL):
        panel, below = slice(first, first + PANEL), slice(first + PANEL, None)
        sums = rotation[:, panel] @ within[panel, panel]
        if first + PANEL < len(within):
            sums += 2 * (rotation[:, below] @ within[below, panel])
        squares += to_numpy((sums * rotation[:, panel]).sum(1))
    return squares


def to_numpy(x: Array) -> np.ndarray:
    """An array of numpy from one that may be torch's."""
    return x if isinstance(x, np.ndarray) else x.cpu().numpy()


def nth_rotation(number: int, units: int, seed: int, place: Any = None) -> Array:
    """A random rotation of a pair's units, in float32. (units, units)"""
    return random_rotation(units, np.random.default_rng(derive(seed, number)), place)


def turned(of: Standardised, rotation: Array) -> Between:
    """Moments after a rotation of net b's units. (live, live)

    Raises InputError where they are not finite.
    """
    shift_b = of.pair.shift_b @ to_numpy(rotation).astype(float).T
    squares_b = of.pair.count[:, None] * shift_b**2
    products = np.empty(of.pair.products.shape, np.float32)
    for k, (between, within) in enumerate(zip(of.products, of.within, strict=True)):
        with np.errstate(invalid="ignore"):
            squares_b[k] += own_squares(rotation, within)
            products[k] = to_numpy(between @ rotation.T)
        if not np.isfinite(squares_b[k]).all() or not np.isfinite(products[k]).all():
            raise InputError(f"moments of block {k} on rotated axes are not finite; make the moments again")
    return replace(of.pair, products=products, squares_b=squares_b, shift_b=shift_b)


def turns(of: Standardised, seed: int, count: int) -> Iterator[Between]:
    """Moments after each of some random rotations of net b's units."""
    for number in range(count):
        yield turned(of, nth_rotation(number, of.products.shape[2], seed, of.place))
