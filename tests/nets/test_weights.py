"""Files of weights: what they hold is found, under whichever key; what holds none is refused in one line."""

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workflow.convergent.commands import InputError
from workflow.convergent.nets import checkpoints, weights

STATE = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)).state_dict()
ARGUMENTS = argparse.Namespace(lr=0.1)  # ``weights_only`` refuses it


def save(content: Any, folder: Path, **options: Any) -> Path:
    torch.save(content, folder / "weights.pt", **options)
    return folder / "weights.pt"


def equal(found: dict[str, torch.Tensor], state: dict[str, torch.Tensor]) -> bool:
    return list(found) == list(state) and all(torch.equal(found[name], state[name]) for name in state)


CHECKPOINTS: dict[str, tuple[Any, str]] = {
    "alone": (STATE, ""),
    "torchvision's script": (
        {"model": STATE, "optimizer": {"state": {0: {"step": torch.ones(1)}}}, "epoch": 1, "args": ARGUMENTS},
        "model",
    ),
    "a number of numpy": ({"state_dict": STATE, "best": np.float64(0.3)}, "state_dict"),
    "a net": ({"net": STATE, "acc": 0.3}, "net"),
    "an average first": ({"model_ema": STATE, "model": STATE}, "model"),
    "another key": ({"generator": STATE, "args": ARGUMENTS}, "generator"),
    "within two keys": ({"trainer": {"backbone": STATE}, "args": ARGUMENTS}, "trainer.backbone"),
    "beside a loss": ({"loss": torch.ones(()), "state_dict": STATE}, ""),
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_weights_are_found(name: str, legacy: bool, tmp_path: Path) -> None:
    content, place = CHECKPOINTS[name]
    found = weights.read(save(content, tmp_path, _use_new_zipfile_serialization=not legacy))
    assert found[0].place == place
    (state,) = (each for each in found if equal(each.tensors, STATE) and each.place != "model_ema")
    assert state.versions is not None
    assert state.versions["1"] == {"version": 2}
    assert state.usual == (name not in ("another key", "within two keys"))


def test_a_checkpoint_of_this_workflow(tmp_path: Path) -> None:
    """Its weights have mean and deviation besides. One that does not match its digest is refused."""
    whole = {"mean": torch.zeros(4, 4, 3), "deviation": torch.ones(())} | {f"body.{n}": x for n, x in STATE.items()}
    checkpoints.save(
        tmp_path / "state.pt", {"key": "a", "net": whole, "snapshots": {1: whole}, "history": [{"a": 1.0}]}
    )
    both, body = weights.read(tmp_path / "state.pt")[:2]
    assert (both.place, both.tensors.keys(), both.standardised) == ("net", whole.keys(), {})
    assert (body.place, body.tensors.keys()) == ("net", {f"body.{name}" for name in STATE})
    assert body.standardised.keys() == {"mean", "deviation"}
    (tmp_path / "state.pt").write_bytes((tmp_path / "state.pt").read_bytes()[:-9])
    with pytest.raises(InputError, match=r"^weights: .*state\.pt: unreadable; save them by torch\.save"):
        weights.read(tmp_path / "state.pt")


def test_safetensors(tmp_path: Path) -> None:
    """Also under another ending; one of two weights that share memory stands in the file's metadata alone."""
    safetensors = pytest.importorskip("safetensors.torch")
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    net[1].weight = net[0].weight
    for file in (tmp_path / "a.safetensors", tmp_path / "a.bin"):
        safetensors.save_model(net, str(file))
        (found,) = weights.read(file)
        assert found.versions is None
        assert found.tensors.keys() == net.state_dict().keys()
        assert all(torch.equal(found.tensors[name], tensor) for name, tensor in net.state_dict().items())
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"a\.bin: unreadable; save them by"):
        weights.read(file)


@pytest.mark.filterwarnings("ignore:'torch.load' received", "ignore:`torch.jit")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (torch.nn.Linear(2, 2), "no weights by name, but a torch.nn.modules.linear.Linear; save them by"),
        (
            {"epoch": 3, "model": torch.nn.Linear(2, 2)},
            "no weights by name, but a torch.nn.modules.linear.Linear; save",
        ),
        (
            {"args": ARGUMENTS, "model": np.ones(2)},
            "no weights by name, but a numpy._core.multiarray._reconstruct; save",
        ),
        ([torch.zeros(2)], "no weights by name; save them by"),
        ({0: torch.zeros(2)}, "no weights by name; save them by"),
        ({}, "no weights by name; save them by"),
        (None, "no weights by name; save them by"),
    ],
    ids=str,
)
def test_what_holds_no_weights_is_refused(content: Any, said: str, tmp_path: Path) -> None:
    file = save(content, tmp_path)
    with pytest.raises(InputError) as refused:
        weights.read(file)
    assert str(refused.value).startswith(f"weights: {file}: {said}")
    assert str(refused.value).isprintable()


def broken() -> dict[str, bytes]:
    """Files that are no weights."""
    whole, script = io.BytesIO(), io.BytesIO()
    torch.save(STATE, whole)
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), script)
    return {
        "empty": b"",
        "text": b"weights of a net\n",
        "half": whole.getvalue()[:300],
        "a digest": b"a" * 64,
        "a brace": b"\xff" * 8 + b"{",
        "a program": script.getvalue(),
    }


@pytest.mark.filterwarnings("ignore:'torch.load' received", "ignore:`torch.jit")
def test_what_is_unreadable_is_refused(tmp_path: Path) -> None:
    for name, content in broken().items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: unreadable; save them by torch\.save\(net\.state_dict"):
            weights.read(tmp_path / name)
    with pytest.raises(InputError, match="gone: no such file"):
        weights.read(tmp_path / "gone")
