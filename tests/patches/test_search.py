"""The search for top images against brute force."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.patches.planted import SMALL_LAYERS, outputs_of, stored, whole_numbered
from tests.presets import one_layer, preset
from workflow.convergent.commands import InputError
from workflow.convergent.nets.model import Net
from workflow.convergent.patches import search


def top_of(
    output: np.ndarray, top: int, rectified: bool, group: np.ndarray, per_group: int
) -> list[tuple[int, int, int, float]]:
    """Image, row, column and activation of one unit's top images, by sorting all of them. output: (N, H, W)"""
    maxima = output.max((1, 2))
    order = sorted(range(len(output)), key=lambda image: (-maxima[image], image))
    chosen: list[int] = []
    for image in order:
        if (maxima[image] > 0 or not rectified) and sum(group[chosen] == group[image]) < per_group:
            chosen.append(image)
    best = []
    for image in chosen[:top]:
        row, column = np.unravel_index(output[image].argmax(), output[image].shape)
        best.append((image, int(row), int(column), float(maxima[image])))
    return best + [(-1, -1, -1, 0.0)] * (top - len(best))


@pytest.mark.slow
@pytest.mark.parametrize(("count", "batch"), [(40, 1), (40, 7), (40, 39), (40, 64), (5, 2)])
@pytest.mark.parametrize(("groups", "per_group"), [(40, 1), (12, 1), (4, 1), (12, 2), (3, 2), (12, 9), (1, 1)])
def test_search_is_brute_force_ties_included(
    tmp_path: Path, count: int, batch: int, groups: int, per_group: int
) -> None:
    rng = np.random.default_rng(0)
    different = rng.integers(0, 3, (count // 2, 14, 14, 1), np.uint8)
    images = np.resize(different, (count, 14, 14, 1))  # each of them again and again: every maximum is a tie
    group = rng.permutation(np.arange(count, dtype=np.int32) % groups)  # images of one are not side by side
    net = whole_numbered(seed=3)
    rows = stored(tmp_path / "a.zarr", images)
    found = search.search(net, rows, batch, SMALL_LAYERS, 9, group, per_group)
    for layer in SMALL_LAYERS:
        output = outputs_of(net, images, layer)
        expected = [top_of(output[:, unit], 9, layer != "fc4", group, per_group) for unit in range(output.shape[1])]
        for number, name in enumerate(["image", "row", "column", "activation"]):
            wanted = [[slot[number] for slot in unit] for unit in expected]
            np.testing.assert_array_equal(found[layer][name], wanted, err_msg=f"{layer} {name}")


def test_ties_resolve_by_image_order(tmp_path: Path) -> None:
    net = whole_numbered(seed=0)
    images = np.full((20, 14, 14, 1), 2, np.uint8)
    for found in search.search(net, stored(tmp_path / "a.zarr", images), 6, SMALL_LAYERS, top=9).values():
        live = found["image"][:, 0] != search.EMPTY
        assert live.any()
        assert (found["image"][live] == np.arange(9)).all()
        assert (found["row"][live] == found["row"][live, :1]).all()


def test_images_that_are_each_a_group_of_their_own_are_found_as_without_groups(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 3, (30, 14, 14, 1), np.uint8)
    net, rows = whole_numbered(seed=1), stored(tmp_path / "a.zarr", images)
    own = np.random.default_rng(2).permutation(30).astype(np.int32)
    plain, alone = (search.search(net, rows, 7, SMALL_LAYERS, 9, group) for group in (None, own))
    for layer, found in plain.items():
        for name, array in found.items():
            np.testing.assert_array_equal(array, alone[layer][name])
    assert not search.leaves_out(own, 1, 9)
    assert not search.leaves_out(own % 4, 9, 9)
    assert search.leaves_out(own % 4, 7, 9)


def test_ranks_order_as_activation_then_earlier_image() -> None:
    values = torch.tensor([-np.inf, -3.5, -1.0, -1e-40, 0.0, 1e-40, 1.0, 3.5, 1e38, np.inf], dtype=torch.float32)
    activation, image = values.repeat_interleave(4), torch.tensor([2**31 - 1, 7, 0, -1]).repeat(len(values))
    rank = search.to_rank(activation, image)
    assert (rank.diff() > 0).all()
    back = search.from_rank(rank)
    assert torch.equal(back[0], activation)
    assert torch.equal(back[1], image)


def test_zeros_count_where_a_layer_has_negative_activations(tmp_path: Path) -> None:
    net = one_layer(2, kernel=3, padding=1)
    net.layers = {"before": "conv1", "pooled": "relu1"}
    conv = net.body.get_submodule("conv1")
    for unit, (weight, bias) in enumerate([(0.0, 0.0), (0.0, -1.0)]):
        conv.weight.data[unit], conv.bias.data[unit] = weight, bias
    rows = stored(tmp_path / "a.zarr", np.full((12, 12, 12, 3), 100, np.uint8))
    linear = preset(net.settings, 3, 2, 12, seed=0)
    linear.body, linear.layers = nn.Sequential(conv), {"before": "0"}
    assert (search.search(linear, rows, 5, ["before"], top=3)["before"]["image"] == [0, 1, 2]).all()
    assert (search.search(net, rows, 5, ["pooled"], top=3)["pooled"]["image"] == search.EMPTY).all()


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("image", [0, 4, 19])
def test_an_activation_that_is_not_finite_is_refused(tmp_path: Path, value: float, image: int) -> None:
    """In any image, also where it would never be among the highest."""

    class Planted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where((x[:, :2] == 7), value, x[:, :2]).mean((2, 3))

    images = np.random.default_rng(0).integers(0, 5, (20, 12, 12, 3), np.uint8)
    images[image, 3, 3, 1] = 7
    net = Net(nn.Sequential(Planted()), "tests:planted", {"crop": 12}, 3, 2, 12)
    net.name = "net3"
    said = f"net3: activations of 0 are not all finite, unit 1 is {'NaN' if np.isnan(value) else 'infinite'}"
    with pytest.raises(InputError, match=said):
        search.search(net, stored(tmp_path / "a.zarr", images), 5, ["0"], top=3)
    images[image, 3, 3, 1] = 6
    assert (search.search(net, stored(tmp_path / "b.zarr", images), 5, ["0"], top=3)["0"]["image"] >= 0).all()


def test_images_are_the_same_at_any_scale(tmp_path: Path) -> None:
    """Also where activations are below float32's normal range, and above the root of its largest number."""
    images = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 3), np.uint8)
    rows, found = stored(tmp_path / "a.zarr", images), []
    for power in (0, -140, 110):
        net = one_layer(4, kernel=3, padding=1)
        weight = net.body.get_submodule("conv1").weight
        weight.data = torch.randint(-1, 2, weight.shape, generator=torch.Generator().manual_seed(0)).double()
        weight.data = torch.ldexp(weight.data, torch.tensor(power)).float()
        found.append(search.search(net, rows, 7, ["conv1"], top=5)["conv1"])
    for name in ("image", "row", "column"):
        assert (found[0][name] == found[1][name]).all()
        assert (found[0][name] == found[2][name]).all()
    assert (found[0]["image"] != search.EMPTY).any()
