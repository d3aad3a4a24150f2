"""Tensors are read from any pickle, and nothing of it is imported or executed."""

import argparse
import collections
import contextlib
import datetime
import enum
import functools
import io
import os
import pathlib
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workflow.convergent.nets import restricted

RAN: list[str] = []


class Outer:
    class Inner:
        def __init__(self) -> None:
            self.a = 1


class Named(collections.OrderedDict):
    pass


class Several(list):
    pass


class Kind(enum.Enum):
    ONE = 1


class Tensor(torch.Tensor):
    pass


class Aware:
    """Runs code where it is unpickled freely."""

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}

    def __setstate__(self, state: dict[str, int]) -> None:
        RAN.append("state")


class Call:
    """A call that a file asks for."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.made = (function, arguments, state) if state else (function, arguments)

    def __reduce__(self) -> tuple:
        return self.made


def saved(content: Any, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(content, file, **options)
    file.seek(0)
    return file


def read(file: io.BytesIO) -> Any:
    return torch.load(file, weights_only=False, pickle_module=restricted, encoding="latin1")


FORMATS = [
    {"_use_new_zipfile_serialization": new, "pickle_protocol": protocol} for new in (True, False) for protocol in (2, 4)
]
BESIDE = {
    "arguments": argparse.Namespace(lr=0.1, more={"a": [1]}),
    "a number of numpy": np.float64(3),
    "an array": np.zeros(3),
    "a date": datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    "a path": pathlib.PurePosixPath("a"),
    "a class within a class": Outer.Inner(),
    "a list of a user's": Several([1, 2]),
    "a kind": Kind.ONE,
    "keys that are objects": {Kind.ONE: 1, pathlib.PurePosixPath("a"): 2},
    "sets": (frozenset([Kind.ONE]), {Kind.ONE}),
    "a default dictionary": collections.defaultdict(list, a=[1]),
    "a counter": collections.Counter("aa"),
    "a function": functools.partial(print, 1),
    "a method": Outer.Inner.__init__,
    "a module": torch.nn.Linear(2, 2),
    "a state": Aware(),
    "kinds of torch": (torch.Size([1]), torch.float16, torch.device("cpu"), slice(1), 1j, b"a"),
    "a generator": np.random.default_rng(0),
}


@pytest.mark.filterwarnings("ignore:source code of class")
@pytest.mark.parametrize("options", FORMATS, ids=str)
@pytest.mark.parametrize("beside", BESIDE)
def test_weights_are_read_beside_anything(beside: str, options: dict) -> None:
    net = torch.nn.BatchNorm1d(3)
    own = Named(w=torch.arange(3.0).as_subclass(Tensor), p=torch.nn.Parameter(torch.ones(2)))
    content = {"beside": BESIDE[beside], "net": net.state_dict(), "own": own}
    found = read(saved(content, **options))
    assert {name: each.tolist() for name, each in found["net"].items()} == {
        name: each.tolist() for name, each in net.state_dict().items()
    }
    assert found["net"]._metadata == net.state_dict()._metadata
    assert {name: each.tolist() for name, each in found["own"].items()} == {"w": [0, 1, 2], "p": [1, 1]}
    assert {type(each) for each in found["own"].values()} == {torch.Tensor}
    assert not RAN


def test_a_stand_in_knows_what_it_is_in_place_of() -> None:
    found = read(saved({"a": argparse.Namespace(), "b": Outer.Inner(), "c": torch.nn.Linear(1, 1)}))
    names = ["argparse.Namespace", f"{__name__}.Outer.Inner", "torch.nn.modules.linear.Linear"]
    assert [each.named for each in found.values()] == names


def trap(word: str) -> None:
    """What must not run."""
    RAN.append(word)


ATTACKS = {
    "a command": Call(os.system, "touch ran"),
    "an expression": Call(eval, "open('ran', 'w').close()"),
    "a statement": Call(exec, "open('ran', 'w').close()"),
    "a function": Call(trap, "called"),
    "a function that makes another": Call(functools.partial(trap, "partial")),
    "a function in a list": [Call(list, Call(map, trap, ["mapped"]))],
    "a key": {"a": Call(trap, "key")},
    "a state": Aware(),
    "another file": Call(functools.partial(torch.load, "inner.pt", weights_only=False)),
    "an import": Call(__import__, "imported"),
}


@pytest.mark.parametrize("options", FORMATS, ids=str)
@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_a_file_runs(attack: str, options: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the control runs leaves a mark, the file ``ran`` or a word."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "imported", raising=False)
    Path("imported.py").write_text("open('ran', 'w').close()")
    torch.save(Call(trap, "inner"), "inner.pt")
    content = saved({"model": {"w": torch.ones(2)}, "attack": ATTACKS[attack]}, **options)
    assert read(content)["model"]["w"].tolist() == [1, 1]
    assert (RAN, Path("ran").exists(), "imported" in sys.modules) == ([], False, False)
    content.seek(0)
    torch.load(content, weights_only=False)
    ran = bool(RAN) or Path("ran").exists()
    RAN.clear()
    assert ran


def raw(*parts: bytes) -> Any:
    return restricted.load(io.BytesIO(b"".join([*parts, pickle.STOP])))


KNOWN = sorted(restricted.KNOWN)


@pytest.mark.parametrize("known", KNOWN, ids=".".join)
def test_a_file_cannot_change_what_is_known(known: tuple[str, str]) -> None:
    """Neither by attributes nor by slots, which pickles set where an object takes no state."""
    module, name = known
    target = restricted.KNOWN[known]
    function = getattr(target, "function", None)
    for state in ({"function": 1, "a": 1}, (None, {"function": 1, "a": 1})):
        called = pickle.GLOBAL + f"{module}\n{name}\n".encode()
        with contextlib.suppress(TypeError):
            raw(pickle.PROTO + b"\x02", called, pickle.dumps(state, 2)[2:-1], pickle.BUILD)
    assert restricted.KNOWN[known] is target
    assert getattr(target, "function", None) is function
    assert not hasattr(target, "a")


def test_no_name_is_looked_up() -> None:
    """Names of modules that are not there, and of this one, give classes that nobody else has."""
    for module, name in (("no.such", "thing"), ("os", "system"), ("torch", "load"), (__name__, "trap")):
        found = raw(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        assert issubclass(found, restricted.StandIn)
        assert found.named in (f"{module}.{name}", f"posix.{name}")
    assert "no" not in sys.modules
