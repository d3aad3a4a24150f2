"""Filters: the store holds the weights of each net's first convolution."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from workflow.convergent import store
from workflow.convergent.nets import filters
from workflow.convergent.nets.model import Net, load


@pytest.mark.slow
def test_filters_are_the_weights_of_conv1(nets: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "filters.zarr/zarr.json"
    filters.main([str(output), *map(str, nets.values()), "--layer", "conv1"])
    found = store.load(output)
    for name, path in nets.items():
        weight = load(path).get_parameter("body.conv1.weight").detach().numpy()  # (units, channels, h, w)
        assert len({weight[:, channel].tobytes() for channel in range(3)}) == 3
        for channel in range(3):
            np.testing.assert_array_equal(found[f"filters/{name}"][..., channel], weight[:, channel])
    assert store.attributes(output)["units_of"] == "conv1"
    filters.main([str(output), *map(str, nets.values()), "--layer", "conv2"])
    assert store.attributes(output)["units_of"] == ""


class Paired(nn.Module):
    """Neighbours change places, or take part of each other."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flip(1) if self.share == 1 else x + self.share * x.roll(1, 1)


@pytest.mark.parametrize("units", [1, 2, 3, 8, 11])
def test_units_are_those_of_filters_where_nothing_mixes_them(units: int) -> None:
    after = {
        "nothing": nn.Identity(),
        "elementwise": nn.Sequential(nn.BatchNorm2d(units), nn.ReLU(), nn.MaxPool2d(2)),
        "permuted": Paired(1),
        "mixed": Paired(0.5),
        "fewer": nn.Conv2d(units, units + 1, 1),
    }
    body = nn.Sequential(nn.Conv2d(3, units, 3), nn.ReLU())
    for name, last in after.items():
        net = Net(nn.Sequential(*body, last), "tests:planted", {"crop": 12}, 3, 2, 12).eval()
        before = body[0].weight.detach().clone()
        alike = name in ("nothing", "elementwise") or (units == 1 and name != "fewer")
        assert filters.are_units_of(net, "2") == alike, name
        assert torch.equal(body[0].weight, before)


def test_a_net_without_a_convolution_has_no_filters() -> None:
    net = Net(nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 4)), "tests:planted", {"crop": 12}, 3, 4, 12).eval()
    assert filters.first_filters(net) is None
    assert not filters.are_units_of(net, "1")
