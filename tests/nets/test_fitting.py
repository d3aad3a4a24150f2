"""Weights become the net that they are of: its outputs are those of the author's net in plain torch."""

import argparse
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from workflow.convergent.commands import InputError
from workflow.convergent.nets import fitting, given, model
from workflow.convergent.nets.weights import StateDict, read

PIXELS = {"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}
HERE = __name__


class First(nn.Module):
    """A net that declares its classifier first, and has an attribute ``module``."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(6, num_classes)
        self.module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.module(x).mean((2, 3)))


class Heads(nn.Module):
    """A net with a head for training alone."""

    def __init__(self, num_classes: int = 5, aux_logits: bool = True) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3)
        self.fc = nn.Linear(6, num_classes)
        self.auxiliary = nn.Linear(6, num_classes) if aux_logits else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.stem(x).mean((2, 3)))


class Background(nn.Module):
    """A net with twice as many logits as classes, and one more."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2 * num_classes + 1)
        self.scale = nn.Linear(11, 11)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.mean((2, 3)))


class Picky(nn.Module):
    """A net that is made for some numbers of classes only."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        if num_classes not in (4, 9):
            raise ValueError(num_classes)
        self.head = nn.Linear(3, num_classes)
        self.last = nn.Linear(7, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.mean((2, 3)))


class Lazy(nn.Sequential):
    """A net whose last layer takes the size of its input."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(num_classes))


def blocks(num_classes: int) -> nn.Module:
    """A net that takes any crop."""
    body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    return nn.Sequential(
        OrderedDict(body=body, pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc=nn.Linear(8, num_classes))
    )


@torch.no_grad()
def trained(net: nn.Module) -> nn.Module:
    """A net whose running means and deviations are not the initial ones, as after a training."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked.fill_(7)
    return net.eval()


def given_net(file: Path, architecture: str, crop: int = 16) -> model.Net:
    settings = {"crop": crop, "pixels": PIXELS}
    return given.given_net(str(file), architecture, settings, np.zeros((2, crop, crop, 3), np.uint8), 0).eval()


@torch.no_grad()
def agree(author: nn.Module, net: model.Net, crop: int = 16) -> bool:
    x = torch.rand(2, 3, crop, crop, generator=torch.Generator().manual_seed(1))
    return torch.allclose(author(x), net(x), rtol=1e-5, atol=1e-6)


def save(content: Any, folder: Path) -> Path:
    torch.save(content, folder / "weights.pt")
    return folder / "weights.pt"


OWN = [(First, "First"), (Heads, "Heads"), (Background, "Background"), (Picky, "Picky"), (blocks, "blocks")]


@pytest.mark.parametrize(("make", "name"), OWN, ids=[name for _, name in OWN])
def test_the_number_of_classes_is_found_wherever_it_stands(make: Any, name: str, tmp_path: Path) -> None:
    author = trained(make(num_classes=4))
    net = given_net(save(author.state_dict(), tmp_path), f"{HERE}:{name}")
    assert agree(author, net)
    assert net.settings["arguments"]["num_classes"] == 4
    again = tmp_path / "net0.json"
    model.save(net, again.with_suffix(".pt"), again)
    assert agree(author, model.load(again))


def test_a_lazy_net(tmp_path: Path) -> None:
    author = Lazy(3)
    author(torch.zeros(1, 3, 16, 16))
    assert agree(author, given_net(save(author.state_dict(), tmp_path), f"{HERE}:Lazy"))
    with pytest.raises(InputError, match=r"do not fit .*: 2\.weight is \(3, 784\), it must be \(3, 1296\)"):
        given_net(tmp_path / "weights.pt", f"{HERE}:Lazy", 20)


def lightning(net: nn.Module) -> dict[str, Any]:
    weights = {f"model.{name}": tensor for name, tensor in net.state_dict().items()}
    return {"state_dict": {**weights, "criterion.weight": torch.ones(4)}, "hparams": argparse.Namespace(lr=1)}


def within(*prefixes: str) -> Any:
    def rename(net: nn.Module) -> dict[str, torch.Tensor]:
        return {f"{prefix}{name}": tensor for name, tensor in net.state_dict().items() for prefix in prefixes}

    return rename


def compiled_part(net: nn.Module) -> dict[str, torch.Tensor]:
    net.module = torch.nn.DataParallel(net.module)  # a part alone runs in parallel
    return net.state_dict()


def infix(net: nn.Module) -> dict[str, torch.Tensor]:
    names = {name: name.replace("module.0.", "module.0._orig_mod.") for name in net.state_dict()}
    return {f"net.{names[name]}": tensor for name, tensor in net.state_dict().items()}


WRAPPED = {
    "parallel": lambda net: nn.DataParallel(net).state_dict(),
    "compiled": within("_orig_mod."),
    "parallel and compiled": within("module._orig_mod."),
    "average": lambda net: torch.optim.swa_utils.AveragedModel(net).state_dict(),
    "lightning": lightning,
    "any name": within("my.own.net."),
    "several": within("model.module._orig_mod."),
    "a part in parallel": compiled_part,
    "a part compiled": infix,
    "nothing": lambda net: net.state_dict(),
}


@pytest.mark.parametrize(
    ("make", "wrapped"),
    [(make, each) for make in (First, blocks) for each in WRAPPED if make is First or "a part" not in each],
)
def test_names_lose_what_stands_before_them(make: Any, wrapped: str, tmp_path: Path) -> None:
    """But not the attribute ``module`` of one of these nets."""
    author = trained(make(4))
    expected = {name: tensor.clone() for name, tensor in author.state_dict().items()}
    net = given_net(save(WRAPPED[wrapped](author), tmp_path), f"{HERE}:{make.__name__}")
    found = net.body.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    file = save(lightning(trained(First(4))), tmp_path)
    fitted = fitting.fit(str(file), f"{HERE}:First", {"crop": 16}, 3, 0, read(file))
    assert (fitted.left, fitted.state.place) == (["criterion.weight"], "state_dict.model")


def test_of_several_nets_none_is_chosen(tmp_path: Path) -> None:
    one, two = trained(First(4)).state_dict(), trained(First(4)).state_dict()
    both = within("student.")(First(4)) | within("teacher.")(First(4))
    for content, places in (
        ({"state_dict": both}, "state_dict.student, state_dict.teacher"),
        ({"generator": one, "ema": two}, "generator, ema"),
    ):
        file = save(content, tmp_path)
        with pytest.raises(InputError) as refused:
            given_net(file, f"{HERE}:First")
        assert str(refused.value) == f"weights: {file}: {places} fit {HERE}:First; save one of them alone"
    net = given_net(save({"generator": one, "model": two}, tmp_path), f"{HERE}:First")
    assert torch.equal(net.body.classifier.weight, two["classifier.weight"])


def without_counters(state: Any) -> Any:
    for name in [name for name in state if name.endswith("num_batches_tracked")]:
        del state[name]
    return state


@pytest.mark.slow
@pytest.mark.parametrize("change", [without_counters, lambda state: without_counters(dict(state)), dict])
def test_counters_of_batches_may_be_missing(change: Any, tmp_path: Path) -> None:
    """Also where the file says that it is of a version that has them."""
    author = trained(models.resnet18(num_classes=3))
    net = given_net(save(change(author.state_dict()), tmp_path), "torchvision:resnet18", 32)
    assert agree(author, net, 32)


@pytest.mark.parametrize(("has", "needs"), [(True, True), (False, False), (True, None), (False, None)])
def test_heads_for_training_are_tried(has: bool, needs: bool | None, tmp_path: Path) -> None:
    author = Heads(4, aux_logits=has)
    net = given_net(save(author.state_dict(), tmp_path), f"{HERE}:Heads")
    assert agree(author, net)
    assert (net.body.auxiliary is not None) == has


def test_a_head_for_training_of_other_classes_is_left_out(tmp_path: Path) -> None:
    author = Heads(4)
    author.auxiliary = nn.Linear(6, 9)
    net = given_net(save(nn.DataParallel(author).state_dict(), tmp_path), f"{HERE}:Heads")
    assert agree(author, net)
    assert net.body.auxiliary is None


MISFITS = {
    "another architecture": (lambda: blocks(4).state_dict(), r"classifier\.weight is nothing, it must be \(\d+, 6\)"),
    "one is missing": (
        lambda: {name: x for name, x in First(4).state_dict().items() if name != "module.0.bias"},
        r"module\.0\.bias is nothing, it must be \(6,\)",
    ),
    "one is too many": (lambda: First(4).state_dict() | {"b": torch.ones(2)}, r"b is \(2,\), it must be nothing"),
    "one is of another shape": (
        lambda: First(4).state_dict() | {"module.0.bias": torch.ones(2)},
        r"module\.0\.bias is \(2,\), it must be \(6,\)",
    ),
    "two beside each other": (
        lambda: First(4).state_dict() | within("net.")(First(4)),
        r"net\.classifier\.weight is \(4, 6\), it must be nothing",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_named(name: str, tmp_path: Path) -> None:
    content, said = MISFITS[name]
    with pytest.raises(InputError, match=rf"^weights: .*weights\.pt do not fit {HERE}:First: {said}$"):
        given_net(save(content(), tmp_path), f"{HERE}:First")


def sizes(count: int) -> fitting.Shapes:
    return {"a": (3, count), "b": (2 * count + 1,), "lazy": None, "c": ()}


def test_the_number_of_classes_follows_from_two_nets() -> None:
    assert fitting.solved((5, sizes(5)), (8, sizes(8)), sizes(20)) == [20]
    assert fitting.solved((5, sizes(5)), (8, sizes(8)), {"b": (6,)}) == []
    assert fitting.solved((5, sizes(5)), (8, sizes(8)), {"a": (4, 5, 6)}) == []
    assert fitting.solved((5, sizes(5)), (8, sizes(8)), {"a": (3, 0)}) == []


def test_rows_of_the_last_matrix_come_first() -> None:
    tensors = {"a": torch.ones(3, 2), "b": torch.ones(4), "c": torch.ones(5, 2), "d": torch.ones(0, 2)}
    assert fitting.lengths([StateDict("", tensors)]) == [5, 1000, 3, 4]


TORCHVISION = {  # crop in pixels
    "squeezenet1_1": 64,
    "mnasnet0_5": 32,
    "densenet121": 32,
    "regnet_x_400mf": 32,
    "googlenet": 64,
    "inception_v3": 80,
}


def author_of(name: str) -> nn.Module:
    """A net of torchvision's as it is where torchvision has loaded weights."""
    torch.manual_seed(0)
    more: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        more = {"transform_input": True, "init_weights": False, "aux_logits": name == "inception_v3"}
    return trained(models.get_model(name, num_classes=7, **more))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "plain"), [*((name, False) for name in TORCHVISION), ("mnasnet0_5", True), ("densenet121", True)]
)
def test_nets_of_torchvision_compute_as_their_authors(name: str, plain: bool, tmp_path: Path) -> None:
    """Also from a file that does not say of which version its modules are, as those of safetensors."""
    crop = TORCHVISION[name]
    author = author_of(name)
    state = author.state_dict()
    net = given_net(save(dict(state) if plain else state, tmp_path), f"torchvision:{name}", crop)
    assert agree(author, net, crop)
    model.save(net, tmp_path / "net0.pt", tmp_path / "net0.json")
    assert agree(author, model.load(tmp_path / "net0.json"), crop)


@pytest.mark.slow
def test_a_transformer_is_made_for_the_crop() -> None:
    """No values are needed to see that its weights fit."""
    with torch.device("meta"):
        state = models.vit_b_32(num_classes=7, image_size=64).state_dict()
    states = [StateDict("", {name: torch.empty(tensor.shape) for name, tensor in state.items()})]
    fitted = fitting.fit("a.pt", "torchvision:vit_b_32", {"crop": 64}, 3, 0, states)
    assert fitted.arguments == {"num_classes": 7, "image_size": 64}
    with pytest.raises(InputError, match=r"pos_embedding is \(1, 5, 768\), it must be \(1, 10, 768\)"):
        fitting.fit("a.pt", "torchvision:vit_b_32", {"crop": 96}, 3, 0, states)


@pytest.mark.slow
def test_a_classifier_that_was_replaced(tmp_path: Path) -> None:
    """The heads for training keep ImageNet's classes, as after most fine tuning."""
    for name, crop in (("googlenet", 64), ("inception_v3", 80)):
        author = trained(models.get_model(name, transform_input=True, init_weights=False, aux_logits=True))
        author.fc = nn.Linear(author.fc.in_features, 5)
        assert agree(author, given_net(save(author.state_dict(), tmp_path), f"torchvision:{name}", crop), crop)


@pytest.mark.slow
def test_names_of_torchvisions_oldest_files(tmp_path: Path) -> None:
    author = trained(models.densenet121(num_classes=3))
    old = {"norm1": "norm.1", "norm2": "norm.2", "conv1": "conv.1", "conv2": "conv.2"}
    state = {}
    for name, tensor in author.state_dict().items():
        parts = [old.get(part, part) for part in name.split(".")]
        state[".".join(parts)] = tensor
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    for content in (without_counters(state), within("module.")(author)):
        assert agree(author, given_net(save(content, tmp_path), "torchvision:densenet121", 32), 32)
