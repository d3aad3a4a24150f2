"""Receptive fields: the architecture's arithmetic against gradients, against the paper's sizes, and at the border."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.conftest import TINY
from tests.presets import preset, recorded
from workflow.convergent import geometry, receptive

NETS = 4
ROOT = Path(__file__).parents[1]
SMALL = yaml.safe_load((ROOT / "config.yaml").read_text())["architecture"]
PAPER = yaml.safe_load((ROOT / "workflow/experiments/imagenet.yaml").read_text())["architecture"]


def made_of(crop: int, *conv: dict) -> dict:
    """An architecture with these convolutions, of three units each."""
    return {**TINY, "crop": crop, "conv": [{"units": 3, **settings} for settings in conv], "fc": []}


ARCHITECTURES = {
    "small": SMALL,
    "tiny": TINY,
    "strides of the paper": made_of(83, *({k: v for k, v in c.items() if k != "units"} for c in PAPER["conv"][:4])),
    "even kernels": made_of(37, {"kernel": 4, "stride": 3, "padding": 2, "pool": (2, 1)}, {"kernel": 2, "stride": 2}),
    "pooling with gaps": made_of(31, {"kernel": 3, "padding": 2, "pool": (2, 3)}, {"kernel": 3, "padding": 1}),
    "one pixel": made_of(9, {"kernel": 1}, {"kernel": 3, "stride": 2, "padding": 1}),
}


def seen_pixels(architecture: dict, layer: str, row: int, column: int) -> np.ndarray:
    """Which pixels any unit of a layer depends on at a position, in any random net and image. (crop, crop) bool

    Many of them, because pooling and rectification hide most of a field in one.
    """
    crop = architecture["crop"]
    x = torch.randn((16, 1, crop, crop), generator=torch.Generator().manual_seed(0)).requires_grad_()
    seen = np.zeros((crop, crop), bool)
    for seed in range(NETS):
        net = preset(copy.deepcopy(architecture), 1, 2, crop, seed).eval()
        (gradient,) = torch.autograd.grad(recorded(net, x, [layer])[layer][:, :, row, column].sum(), x)
        seen |= (gradient != 0).any(0)[0].numpy()
    return seen


def extent(flags: np.ndarray) -> list[int]:
    """First and one past the last true."""
    places = np.flatnonzero(flags)
    return [int(places[0]), int(places[-1]) + 1]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_field_is_what_gradients_reach(name: str) -> None:
    architecture = ARCHITECTURES[name]
    crop = architecture["crop"]
    for number, (width, _) in enumerate(geometry.conv_sizes(architecture), 1):
        layer = f"conv{number}"
        for row, column in [(0, width - 1), (width // 2, 0), (width - 1, width // 2)]:
            pixels = seen_pixels(architecture, layer, row, column)
            at = np.array([row]), np.array([column])
            corner, box = (x[0] for x in receptive.windows(receptive.field(architecture, layer), crop, *at))
            top, left, bottom, right = box + np.tile(corner, 2)
            assert extent(pixels.any(1)) == [top, bottom], (layer, row)
            assert extent(pixels.any(0)) == [left, right], (layer, column)


def test_fields_of_the_paper() -> None:
    found = [receptive.field(PAPER, f"conv{i}") for i in range(1, 6)]
    assert [seen.size for seen in found] == [11, 51, 99, 131, 163]
    assert [seen.stride for seen in found] == [4, 8, 16, 16, 16]
    assert [seen.start for seen in found] == [0, -16, -32, -48, -64]


def test_fully_connected_units_see_the_whole_crop() -> None:
    seen = receptive.field(SMALL, "fc6")
    corner, box = receptive.windows(seen, 32, np.array([0]), np.array([0]))
    assert corner.tolist() == [[0, 0]]
    assert box.tolist() == [[0, 0, 32, 32]]
    assert receptive.side(seen, 32) == 32


@pytest.mark.parametrize(
    ("seen", "row", "column", "corner", "box"),
    [
        (receptive.Field(7, 2, -3), 0, 5, (-3, 7), (3, 0, 7, 7)),  # over the upper border
        (receptive.Field(7, 2, -3), 4, 15, (5, 27), (0, 0, 7, 5)),  # over the right border
        (receptive.Field(32, 1, 0), 0, 0, (0, 0), (0, 0, 32, 32)),
        (receptive.Field(45, 8, -19), 0, 3, (0, 0), (0, 5, 26, 32)),  # larger than the crop
        (receptive.Field(3, 1, -4), 0, 36, (-4, 32), (4, 0, 4, 0)),  # of the padding alone: nothing is valid
    ],
)
def test_windows_at_the_border(seen: receptive.Field, row: int, column: int, corner: tuple, box: tuple) -> None:
    found = receptive.windows(seen, 32, np.array([row]), np.array([column]))
    assert [tuple(x[0].tolist()) for x in found] == [corner, box]
