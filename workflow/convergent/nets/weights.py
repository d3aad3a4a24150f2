"""Read weights by name from a file: of torch, of safetensors, or of this workflow.

A checkpoint may hold them beside anything else, under any key. Nothing of a file is executed.
"""

import pickle
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..commands import InputError
from . import checkpoints, restricted

# Keys under which checkpoints keep the weights of the net itself; under others there may be those of an average.
USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
DEPTH = 3  # keys within each other, at most
HINT = "save them by torch.save(net.state_dict(), file)"
OURS = "body."  # the net's own weights in a net of this workflow, which has mean and deviation besides


@dataclass(frozen=True)
class StateDict:
    """Weights by name, as they stand in a file.

    place: keys that lead to them, ``model`` or ``trainer.ema``, empty for the file itself; tensors: by name; versions:
    of the modules that they are of, which torch keeps; standardised: mean and deviation of a net of this workflow
    """

    place: str
    tensors: dict[str, torch.Tensor]
    versions: Mapping[str, Any] | None = None
    standardised: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def usual(self) -> bool:
        """Whether it stands where checkpoints keep the weights of the net itself."""
        return not self.place or self.place.split(".")[-1] in USUAL

    @property
    def rank(self) -> int:
        """Where it comes among the others of a file."""
        last = self.place.split(".")[-1]
        return 0 if not self.place else USUAL.index(last) + 1 if last in USUAL else len(USUAL) + 1


def is_safetensors(file: Path) -> bool:
    """Whether a file begins as those of safetensors do: eight bytes of length, then JSON."""
    with file.open("rb") as content:
        return content.read(9)[8:] == b"{"


def is_checkpoint(file: Path) -> bool:
    """Whether a file begins as checkpoints of this workflow do: with a digest in hexadecimal digits."""
    with file.open("rb") as content:
        head = content.read(checkpoints.DIGITS)
    return len(head) == checkpoints.DIGITS and set(head) <= set(b"0123456789abcdef")


def from_safetensors(file: Path) -> dict[str, torch.Tensor]:
    """Tensors of a file of safetensors by name; those that share memory with another stand in its metadata."""
    from safetensors import safe_open  # only these files need it

    with safe_open(file, framework="pt") as content:
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118  # it is no mapping
        same = content.metadata() or {}
    return tensors | {name: tensors[other] for name, other in same.items() if other in tensors and name not in tensors}


def from_torch(file: Path) -> Any:
    """What torch saved, with stand-ins in place of all that is neither tensor nor text, number, list or dictionary."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # it holds an object of another class
        return torch.load(file, map_location="cpu", weights_only=False, pickle_module=restricted, encoding="latin1")


def required(state: dict[str, Any] | None) -> dict[str, Any]:
    """The state of a checkpoint. Raises ValueError where its file does not match its digest."""
    if state is None:
        raise ValueError("damaged")
    return state


def content_of(file: Path) -> Any:
    """What a file holds. Raises InputError where it is missing or unreadable."""
    try:
        if is_safetensors(file):
            return from_safetensors(file)
        if is_checkpoint(file):
            return required(checkpoints.load(file))
        with warnings.catch_warnings():  # of modules whose code is not there
            warnings.simplefilter("ignore")
            return from_torch(file)
    except FileNotFoundError:
        raise InputError(f"weights: {file}: no such file") from None
    except Exception:  # of a damaged file torch raises RuntimeError, OSError, IndexError, UnicodeDecodeError and others
        raise InputError(f"weights: {file}: unreadable; {HINT}") from None


def found(content: Any, place: str = "", depth: int = DEPTH) -> Iterator[StateDict]:
    """All dictionaries with tensors that an object holds."""
    if not isinstance(content, dict):
        return
    by_name = {name: each for name, each in content.items() if isinstance(name, str)}
    tensors = {name: each.detach() for name, each in by_name.items() if isinstance(each, torch.Tensor)}
    if tensors:
        yield StateDict(place, tensors, getattr(content, "_metadata", None))
        standardised: dict[str, torch.Tensor] = {
            name: tensors[name] for name in ("mean", "deviation") if name in tensors
        }
        body = {name: each for name, each in tensors.items() if name.startswith(OURS)}
        if len(standardised) == 2 and len(body) + 2 == len(tensors):
            yield StateDict(place, body, getattr(content, "_metadata", None), standardised)
    for name, each in by_name.items() if depth else []:
        yield from found(each, f"{place}.{name}".removeprefix("."), depth - 1)


def objects(content: Any) -> Iterator[str]:
    """Names of the classes of objects that are in place of weights, those of usual keys first."""
    if isinstance(content, restricted.StandIn) and not content:
        yield content.named
    elif isinstance(content, dict):
        for name in sorted(content, key=lambda name: name not in USUAL):
            yield from objects(content[name])


def unusual(tensor: torch.Tensor) -> str:
    """What keeps a tensor from being copied value by value into another; empty where nothing does."""
    kinds = {
        "quantised": tensor.is_quantized,
        "nested": tensor.is_nested,
        "without values (meta)": tensor.is_meta,
        str(tensor.layout).removeprefix("torch."): tensor.layout != torch.strided,
    }
    return next((kind for kind, holds in kinds.items() if holds), "")


def read(file: str | Path) -> list[StateDict]:
    """All weights by name that a file holds, those of the net itself first.

    Raises InputError where the file is missing or unreadable, holds no weights by name, or some that are not dense.
    """
    content = content_of(Path(file))
    states = sorted(found(content), key=lambda state: state.rank)
    if not states:
        instead = next((f", but a {name}" for name in objects(content)), "")
        raise InputError(f"weights: {file}: no weights by name{instead}; {HINT}")
    for name, tensor in states[0].tensors.items():
        if kind := unusual(tensor):
            raise InputError(f"weights: {file}: {name} is {kind}; it must be a dense tensor of numbers")
    return [state for state in states if not any(map(unusual, state.tensors.values()))]
