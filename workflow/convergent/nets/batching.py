"""How many images pass through nets at once where the configuration leaves it open; it does not load torch."""

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Net

VALUES = 5_000_000  # of the crops in a pass on the CPU: 32 of the paper's. More gain nothing, and take memory
MOST = 240  # images on the CPU; of small crops too, more gain nothing
FASTER = 4  # times as many elsewhere: on an H200 a pass of 128 takes half the time of four of 32, one of 256 more


def images_at_once(crop: int, channels: int, device: str = "cpu") -> int:
    """Images in one forward pass, from the width of a crop and the type of the device.

    >>> images_at_once(227, 3), images_at_once(227, 3, "cuda"), images_at_once(32, 3)
    (32, 128, 240)
    """
    larger = 1 if device == "cpu" else FASTER
    return max(min(larger * VALUES // (crop**2 * channels) // 8 * 8, larger * MOST), 8)


def of_nets(nets: Iterable["Net"]) -> int:
    """Images in one forward pass that suit the largest crop of these nets, on their device."""
    return min(images_at_once(net.crop_width, net.channels, net.mean.device.type) for net in nets)


def whole(text: str, other: str = "") -> int:
    """The value of an option that is a number of images. Raises ArgumentTypeError. other: what else is allowed"""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not possible; {other}a whole number of at least 1")
    return int(text)


def number(text: str) -> int | None:
    """The value of the option; None is auto."""
    return None if text == "auto" else whole(text, "auto, or ")


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batch",
        type=number,
        default="auto",
        help="images in one forward pass, or auto: by the size of their crops and the device",
    )
