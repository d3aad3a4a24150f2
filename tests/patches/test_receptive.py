"""Receptive fields: arithmetic against gradients, measurements by NaN against arithmetic, and the crop's border."""

import copy

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from tests import ROOT
from tests.conftest import TINY
from tests.nets.odd import Chosen
from tests.presets import preset, recorded
from workflow.convergent.nets import activations
from workflow.convergent.nets.architecture import conv_sizes
from workflow.convergent.nets.model import Net, build
from workflow.convergent.patches import receptive

SEEDS = 4
SMALL = yaml.safe_load((ROOT / "config.yaml").read_text())["architecture"]
PAPER = yaml.safe_load((ROOT / "workflow/experiments/imagenet.yaml").read_text())["architecture"]


def made_of(crop: int, *conv: dict) -> dict:
    """An architecture of these convolutions with three units each."""
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
    """Whether any unit of a layer depends on a pixel, in several random nets and images. (crop, crop) bool

    In a single net and image, pooling and rectification hide most of a field.
    """
    crop = architecture["crop"]
    x = torch.randn((16, 1, crop, crop), generator=torch.Generator().manual_seed(0)).requires_grad_()
    seen = np.zeros((crop, crop), bool)
    for seed in range(SEEDS):
        net = preset(copy.deepcopy(architecture), 1, 2, crop, seed).eval()
        (gradient,) = torch.autograd.grad(recorded(net, x, [layer])[layer][:, :, row, column].sum(), x)
        seen |= (gradient != 0).any(0)[0].numpy()
    return seen


def extent(flags: np.ndarray) -> list[int]:
    """Index of the first true flag, and one past the last."""
    places = np.flatnonzero(flags)
    return [int(places[0]), int(places[-1]) + 1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_field_is_what_gradients_reach(name: str) -> None:
    architecture = ARCHITECTURES[name]
    crop = architecture["crop"]
    for number, (width, _) in enumerate(conv_sizes(architecture), 1):
        layer = f"conv{number}"
        for row, column in [(0, width - 1), (width // 2, 0), (width - 1, width // 2)]:
            pixels = seen_pixels(architecture, layer, row, column)
            at = np.array([row]), np.array([column])
            spans = receptive.regular_spans(receptive.field(architecture, layer), width)
            corner, box = (x[0] for x in receptive.windows((spans, spans), crop, *at))
            top, left, bottom, right = box + np.tile(corner, 2)
            assert extent(pixels.any(1)) == [top, bottom], (layer, row)
            assert extent(pixels.any(0)) == [left, right], (layer, column)


def test_fields_of_the_paper() -> None:
    found = [receptive.field(PAPER, f"conv{i}") for i in range(1, 6)]
    assert [seen.size for seen in found] == [11, 51, 99, 131, 163]
    assert [seen.stride for seen in found] == [4, 8, 16, 16, 16]
    assert [seen.start for seen in found] == [0, -16, -32, -48, -64]


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
    spans = receptive.regular_spans(seen, 37)
    found = receptive.windows((spans, spans), 32, np.array([row]), np.array([column]))
    assert [tuple(x[0].tolist()) for x in found] == [corner, box]


def probed(net: Net, layer: str) -> tuple[np.ndarray, np.ndarray]:
    return receptive.dependence(net, activations.probe(net, [layer]))[layer]


def within(spans: receptive.Spans, crop: int) -> np.ndarray:
    """Which pixels of the crop each position sees. (crop, positions) bool"""
    pixels = np.arange(crop)[:, None]
    return (pixels >= spans.first) & (pixels < spans.last)


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_becomes_nan_is_the_field(name: str) -> None:
    architecture = copy.deepcopy(ARCHITECTURES[name])
    crop = architecture["crop"]
    net = preset(architecture, 1, 2, crop, seed=0)
    for number, (width, _) in enumerate(conv_sizes(architecture), 1):
        seen = receptive.regular_spans(receptive.field(architecture, f"conv{number}"), width)
        expected = within(seen, crop)
        for found in probed(net, f"conv{number}"):
            gaps = expected & ~found  # between the kernels of a pooling that leaves pixels out
            assert not (found & ~expected).any()
            assert (found.argmax(0) == expected.argmax(0)).all()
            assert (found[::-1].argmax(0) == expected[::-1].argmax(0)).all()
            assert not gaps.any() or name in ("pooling with gaps", "even kernels")


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_fields_are_completed_beyond_the_border(name: str) -> None:
    """This needs a whole field within the crop. Pictures of fields larger than the crop are the whole crop anyway."""
    architecture = copy.deepcopy(ARCHITECTURES[name])
    crop = architecture["crop"]
    net = preset(architecture, 1, 2, crop, seed=0)
    for number, (width, _) in enumerate(conv_sizes(architecture), 1):
        known = receptive.regular_spans(receptive.field(architecture, f"conv{number}"), width)
        found = receptive.completed_spans(probed(net, f"conv{number}")[0])
        whole = ((known.first >= 0) & (known.last <= crop)).any()
        if whole:
            np.testing.assert_array_equal(found.first, known.first)
            np.testing.assert_array_equal(found.last, known.last)
        if whole or (found.last - found.first).max() == crop:
            every = np.arange(width)
            for one, two in zip(
                *(receptive.windows((spans, spans), crop, every, every) for spans in (known, found)), strict=True
            ):
                np.testing.assert_array_equal(one, two)


STEMS = {  # torchvision's, by hand: kernel, stride, start
    "vgg11": {
        "features.0": (3, 1, -1),
        "features.4": (8, 2, -3),
        "features.6": (18, 4, -7),
        "features.8": (26, 4, -11),
    },
    "resnet18": {"conv1": (7, 2, -3), "relu": (7, 2, -3), "maxpool": (11, 4, -5), "layer1.0.conv1": (19, 4, -9)},
    "mobilenet_v2": {"features.0": (3, 2, -1), "features.1.conv.0": (7, 2, -3)},
}


@pytest.mark.slow
@pytest.mark.parametrize("model", STEMS)
def test_fields_of_torchvisions_nets(model: str) -> None:
    settings = {"crop": 64, "pixels": {"mean": [0.5] * 3, "deviation": [0.2] * 3}}
    net = build(f"torchvision:{model}", settings, 3, 2, 64, seed=0)
    for layer, found in receptive.fields(net, list(STEMS[model])).items():
        (size, stride, start) = STEMS[model][layer]
        for spans in found:
            known = receptive.regular_spans(receptive.Field(size, stride, start), len(spans.first))
            np.testing.assert_array_equal(spans.first, known.first, layer)
            np.testing.assert_array_equal(spans.last, known.last, layer)


class Uneven(nn.Module):
    """A kernel that is not square, then a gate that depends on every position."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, (3, 5), stride=(1, 2), padding=(1, 0)), nn.Hardsigmoid()
        self.gated = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.one(x)
        return self.gated(y * self.two(y.mean((2, 3), keepdim=True))).flatten(1)


@pytest.mark.parametrize("rectify", [Chosen(), nn.ReLU(), nn.Sequential(Chosen(), nn.MaxPool2d(3, 1, 1), Chosen())])
def test_fields_are_measured_where_no_nan_passes(rectify: nn.Module) -> None:
    settings = {"crop": 17, "pixels": {"mean": [0.5] * 3, "deviation": [0.2] * 3}}
    body = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), rectify, nn.Conv2d(6, 6, 3, stride=2, padding=1), Chosen())
    net = Net(body.eval(), "tests:body", settings, 3, 2, 17)
    net.layers = {"first": "3"}
    size = 5 if not isinstance(rectify, nn.Sequential) else 7
    for spans in receptive.fields(net, ["first"])["first"]:
        known = receptive.regular_spans(receptive.Field(size, 2, -(size // 2)), 9)
        np.testing.assert_array_equal(spans.first, known.first)
        np.testing.assert_array_equal(spans.last, known.last)


def test_where_nothing_depends_on_pixels_the_field_is_the_whole_crop() -> None:
    spans = receptive.completed_spans(np.zeros((9, 4), bool))
    assert (spans.first.tolist(), spans.last.tolist()) == ([0] * 4, [9] * 4)


def test_rows_and_columns_are_seen_each_by_themselves_and_a_gate_sees_all() -> None:
    settings = {"crop": 17, "pixels": {"mean": [0.5] * 3, "deviation": [0.2] * 3}}
    net = Net(Uneven().eval(), "tests:Uneven", settings, 3, 2, 17)
    net.layers = {"first": "one"}
    found = receptive.fields(net, ["first", "gated"])
    rows, columns = found["first"]
    assert (rows.side(17), columns.side(17)) == (3, 5)
    assert columns.first.tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert rows.first.tolist() == list(range(-1, 16))
    every = np.arange(7)
    corner, box = receptive.windows(found["gated"], 17, every, every)
    assert not corner.any()
    assert (box == (0, 0, 17, 17)).all()


def test_layers_without_positions_have_no_fields(architecture: dict) -> None:
    net = preset(architecture, 3, 4, 20, seed=0)
    assert list(receptive.fields(net, ["conv2", "fc6", "pool1", "fc8"])) == ["conv2", "pool1"]


def test_a_position_of_the_padding_alone_sees_nothing() -> None:
    seen = np.zeros((8, 3), bool)
    seen[2:5, 1], seen[6:, 2] = True, True
    spans = receptive.completed_spans(seen)
    _, box = receptive.windows((spans, spans), 8, np.arange(3), np.arange(3))
    assert box.tolist() == [[3, 3, 3, 3], [0, 0, 3, 3], [0, 0, 2, 2]]
