"""Weights that torchvision publishes: known without loading it, read from where torch keeps them, or downloaded."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models

from tests.nets.test_fitting import agree, trained
from workflow.convergent import tracked
from workflow.convergent.commands import InputError
from workflow.convergent.nets import given, published

NET = "torchvision:squeezenet1_1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder in which torch keeps what it downloads."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    published.entries.cache_clear()
    yield tmp_path / "home/hub/checkpoints"
    published.entries.cache_clear()


@pytest.mark.slow
def test_entries_are_torchvisions() -> None:
    assert published.models() == sorted(models.list_models(models))
    for name in published.models():
        known = models.get_model_weights(name).__members__.items()
        assert published.entries(name) == {entry: weights.value.url for entry, weights in known}


def test_other_architectures_have_none() -> None:
    assert set(published.of_architecture("torchvision:resnet18")) == {"IMAGENET1K_V1", "DEFAULT"}
    for name in ("torchvision:nonsense", "alexnet", "my.nets:resnet18", "resnet18"):
        assert published.of_architecture(name) == {}


@pytest.mark.parametrize("variables", [{"TORCH_HOME": "~/a"}, {"XDG_CACHE_HOME": "/b"}, {}], ids=str)
def test_files_are_where_torch_keeps_them(variables: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert published.file_of("https://a.b/c/d-1.pth") == Path(torch.hub.get_dir(), "checkpoints/d-1.pth")


def publish(content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch, digits: str = "") -> str:
    """A file as an entry of torchvision's squeezenet, at an address that needs no network; its name has its digest."""
    name = f"squeezenet-{digits or hashlib.sha256(content).hexdigest()[:8]}.pth"
    (folder / name).write_bytes(content)
    code = (
        "class Some_Weights(WeightsEnum):\n"
        f"    IMAGENET1K_V1 = Weights(url='file://{folder / name}', meta={{}})\n"
        "    DEFAULT = IMAGENET1K_V1\n"
        "def squeezenet1_1(*, weights: Optional[Some_Weights] = None):\n    ...\n"
    )
    monkeypatch.setattr(published, "sources", lambda: {"squeezenet.py": code})
    published.entries.cache_clear()
    return name


def weights_of(net: torch.nn.Module, file: Path) -> bytes:
    torch.save(net.state_dict(), file)
    return file.read_bytes()


def given_net(entry: str = "DEFAULT", architecture: str = NET, crop: int = 64, **settings: dict) -> given.Net:
    images = np.zeros((2, crop, crop, 3), np.uint8)
    return given.given_net(entry, architecture, {"crop": crop, **settings}, images, 0).eval()


@pytest.mark.slow
def test_an_entry_is_downloaded_once(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a net is tracked by is the same before and after; another file in its place is another net."""
    author = trained(models.squeezenet1_1(num_classes=5))
    name = publish(weights_of(author, tmp_path / "a.pth"), tmp_path, monkeypatch)
    before = published.digest(NET, "DEFAULT")
    assert agree(author, given_net(), 64)
    assert published.digest(NET, "IMAGENET1K_V1") == before == name[11:19]
    (tmp_path / name).unlink()
    assert agree(author, given_net("IMAGENET1K_V1"), 64)
    (home / name).write_bytes(b"other")
    assert published.digest(NET, "DEFAULT") == hashlib.sha256(b"other").hexdigest()[:8] != before
    assert published.digest(NET, str(home / name)) == tracked.file_digest(home / name)


def test_what_cannot_be_downloaded_is_refused(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is damaged, or there is no such file, as where there is no network."""
    for digits, said in (("01234567", "invalid hash value"), ("", "No such file or directory")):
        file = publish(b"content", tmp_path, monkeypatch, digits)
        if not digits:
            (tmp_path / file).unlink()
        with pytest.raises(InputError) as refused:
            given_net()
        line = str(refused.value)
        assert line.startswith(f"weights: DEFAULT of {NET} is not on this machine and cannot be downloaded (")
        assert said in line
        assert line.endswith(f"); put file://{tmp_path / file} into {home}")
        assert line.isprintable()
        assert os.listdir(home) == []


@pytest.mark.slow
def test_pixels_are_those_of_the_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = {"mean": [0.5] * 3, "deviation": [0.5] * 3}
    assert given.pixels_of("torchvision:efficientnet_v2_l", "DEFAULT") == half
    publish(weights_of(models.squeezenet1_1(num_classes=5), tmp_path / "a.pth"), tmp_path, monkeypatch)
    imagenet = {"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}
    for settings, pixels in (({}, imagenet), ({"pixels": half}, half)):
        net = given_net(**settings)
        assert net.settings["pixels"] == pixels
        assert torch.allclose(net.deviation, 255 * torch.tensor(pixels["deviation"]))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "crop"), [("googlenet", 64), ("inception_v3", 80), ("densenet121", 32)])
def test_a_net_is_that_which_torchvision_returns(name: str, crop: int, home: Path) -> None:
    """With what torchvision sets besides, and under the names that its files have."""
    more = {} if name == "densenet121" else {"init_weights": False, "aux_logits": True}
    state = trained(models.get_model(name, **more)).state_dict()
    if name == "densenet121":
        state = {each.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): state[each] for each in state}
        state = {each: tensor for each, tensor in state.items() if not each.endswith("num_batches_tracked")}
    file = home / published.file_of(published.entries(name)["DEFAULT"]).name
    home.mkdir(parents=True)
    torch.save(state, file)
    author = models.get_model(name, weights="DEFAULT").eval()
    net = given_net("DEFAULT", f"torchvision:{name}", crop)
    first = {"googlenet": "conv1", "inception_v3": "Conv2d_1a_3x3", "densenet121": "features.conv0"}[name]
    seen = []
    for each in (author, net.body):
        each.get_submodule(first).register_forward_hook(lambda _, __, output: seen.append(output))
    assert agree(author, net, crop)
    torch.testing.assert_close(*seen)
