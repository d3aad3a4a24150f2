"""Nets: crops, weights that are what their description says, and architectures of all kinds."""

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.presets import preset
from workflow.convergent.nets import Net, load, save, weights_digest


def beside(description: Path, weights: Path) -> Path:
    """A copy of a description beside other weights."""
    return Path(shutil.copy(description, weights.with_suffix(".json")))


@pytest.mark.parametrize(
    ("mean", "scale"), [("image", "bytes"), ("channel", "bytes"), ("image", "unit"), ("channel", "unit")]
)
def test_pixels_are_standardised_as_configured(architecture: dict, mean: str, scale: str) -> None:
    architecture["pixels"] = {"mean": mean, "scale": scale}
    architecture["crop"] = 20
    images = np.random.default_rng(0).integers(0, 256, (50, 20, 20, 3), np.uint8)
    images[..., 0] //= 2
    net = preset(architecture, 3, 4, 20, 0)
    net.standardise_with(images)
    x = net.centre_crop(torch.from_numpy(images)).double().numpy()
    over = (0,) if mean == "image" else (0, 2, 3)
    np.testing.assert_allclose(x.mean(over), 0, atol=1e-4 if scale == "bytes" else 1e-6)
    assert net.deviation == 1 if scale == "bytes" else x.std() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("mean", ["image", "channel"])
@pytest.mark.parametrize("value", [0, 77, 255])
def test_constant_images_are_not_divided_by_zero(architecture: dict, mean: str, value: int) -> None:
    architecture["pixels"] = {"mean": mean, "scale": "unit"}
    images = np.full((7, 20, 20, 3), value, np.uint8)
    net = preset(architecture, 3, 4, 20, 0)
    net.standardise_with(images)
    assert net.deviation == 1
    assert not net.centre_crop(torch.from_numpy(images)).any()


@pytest.mark.parametrize("mean", ["image", "channel"])
def test_standardising_copies_no_images(architecture: dict, mean: str) -> None:
    """To float64 they would take eight times their bytes."""
    architecture["pixels"] = {"mean": mean, "scale": "unit"}
    images = np.random.default_rng(0).integers(0, 256, (1000, 20, 20, 3), np.uint8)
    net = preset(architecture, 3, 4, 20, 0)
    tracemalloc.start()
    net.standardise_with(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes / 2


@pytest.fixture
def cropper(architecture: dict) -> tuple[Net, torch.Tensor]:
    """A net with a mean of its own at every pixel, and images. (6, 20, 20, 3)"""
    net = preset(architecture, 3, 4, 20, 0)
    images = np.random.default_rng(0).integers(0, 256, (6, 20, 20, 3), np.uint8)
    net.standardise_with(images[:3])
    return net, torch.from_numpy(images)


def standardised(net: Net, images: torch.Tensor) -> torch.Tensor:
    """Whole images. (N, C, size, size)"""
    return ((images.float() - net.mean) / net.deviation).permute(0, 3, 1, 2)


def test_centre_crop_is_the_middle(cropper: tuple) -> None:
    net, images = cropper
    torch.testing.assert_close(net.centre_crop(images), standardised(net, images)[:, :, 2:18, 2:18], rtol=0, atol=0)


def test_random_crop_at_the_centre_is_the_centre_crop(cropper: tuple) -> None:
    net, images = cropper
    corner = torch.full((len(images),), 2)
    torch.testing.assert_close(net.crop(images, corner, corner), net.centre_crop(images), rtol=0, atol=0)


def test_crops_are_where_they_are_asked_for_and_mirrored(cropper: tuple) -> None:
    net, images = cropper
    rows, columns = torch.tensor([0, 4, 0, 4, 1, 3]), torch.tensor([0, 0, 4, 4, 3, 2])
    flip = torch.tensor([False, True, False, True, True, False])
    for k, crop in enumerate(net.crop(images, rows, columns, flip)):
        whole = standardised(net, images)[k, :, rows[k] : rows[k] + 16, columns[k] : columns[k] + 16]
        torch.testing.assert_close(crop, whole.flip(-1) if flip[k] else whole, rtol=0, atol=0)


def test_nets_survive_the_disk(nets: dict[str, Path], architecture: dict) -> None:
    net = load(nets["net1"])
    assert not net.training
    assert (net.settings, net.channels, net.classes, net.size) == (architecture, 3, 4, 20)
    x = torch.rand(2, 3, 16, 16)
    fresh = preset(architecture, 3, 4, 20, seed=1).eval()
    torch.testing.assert_close(net(x), fresh(x), rtol=0, atol=0)
    assert not torch.equal(net.mean, fresh.mean)  # buffers are of the weights
    assert weights_digest(net) == json.loads(nets["net1"].read_text())["sha256"]


@pytest.mark.parametrize("name", ["body.conv1.weight", "body.conv4.bias", "body.fc8.weight", "mean", "deviation"])
def test_one_changed_weight_is_refused(nets: dict[str, Path], tmp_path: Path, name: str) -> None:
    weights = torch.load(nets["net0"].with_suffix(".pt"), weights_only=True)
    weights[name][(-1,) * weights[name].dim()] += 1e-3
    torch.save(weights, tmp_path / "other.pt")
    with pytest.raises(SystemExit, match=r"other\.pt: digest of the weights is .*other\.json says"):
        load(beside(nets["net0"], tmp_path / "other.pt"))


def test_missing_weights_are_refused(nets: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"gone\.pt: no such file"):
        load(beside(nets["net0"], tmp_path / "gone.pt"))


@pytest.mark.parametrize("kept", [0, 1, 2000, -1])
def test_torn_weights_are_refused(nets: dict[str, Path], tmp_path: Path, kept: int) -> None:
    (tmp_path / "torn.pt").write_bytes(nets["net0"].with_suffix(".pt").read_bytes()[:kept])
    with pytest.raises(SystemExit, match=r"torn\.pt: damaged, or not the weights of .*torn\.json; make the net again$"):
        load(beside(nets["net0"], tmp_path / "torn.pt"))


@pytest.mark.parametrize("changed", [{"fc": [{"units": 12}]}, {"fc": [{"units": 12}, {"units": 11}]}])
def test_weights_of_another_architecture_are_refused(
    nets: dict[str, Path], tmp_path: Path, architecture: dict, changed: dict
) -> None:
    other = preset(architecture | changed, 3, 4, 20, 0)
    save(other, tmp_path / "other.pt", tmp_path / "another.json")
    with pytest.raises(SystemExit) as refusal:
        load(beside(nets["net0"], tmp_path / "other.pt"))
    assert "\n" not in str(refusal.value)
    assert "other.pt: damaged, or not the weights" in str(refusal.value)
