"""State of a training on disk. A training that was killed goes on from its last checkpoint.

A checkpoint is what torch saves, after its sha256 in hexadecimal digits. One that does not match counts as absent.
"""

import fcntl
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..files import write_atomically
from ..tracked import installed, packages
from . import model, own
from .optimisation import TrainingSettings
from .snapshots import Snapshots

DIGITS = 64  # of a sha256


def versions(architecture: str) -> list[str | None]:
    """Versions of the packages that weights depend on; for a user's net of all that its code imports."""
    names = ["torch", "numpy", "numba", architecture.split(":")[0].split(".")[0]]  # torchvision, or a user's package
    named = {package for file in own.files(architecture) for package in packages(file)}
    return [*map(installed, names), *sorted(named)]


def training_key(
    net: model.Net, settings: TrainingSettings, seed: int, images: Sequence[str], device_kind: str, code: Iterable[Path]
) -> str:
    """sha256 of all that weights and history depend on. A checkpoint of another key is not resumed.

    images: digests of the stores of training and validation images; device_kind: ``cpu``, ``cuda`` or ``mps``;
    code: files of this package that weights depend on; a user's own count besides, as do versions of packages
    """
    contents = [[file.read_text() for file in code], own.digests(net.architecture), versions(net.architecture)]
    parts = [net.architecture, net.settings, asdict(settings), seed, images, device_kind, contents]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint. Whenever the process dies, the file is either the old or the new one."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        file.write(hashlib.sha256(buffer.getbuffer()).hexdigest().encode())
        file.write(buffer.getbuffer())


def load(path: Path) -> dict[str, Any] | None:
    """The state of a checkpoint, or None where its file does not match its digest."""
    content = memoryview(path.read_bytes())
    digest, state = content[:DIGITS], content[DIGITS:]
    if digest != hashlib.sha256(state).hexdigest().encode():
        return None
    return torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)


@contextmanager
def lock(folder: Path, name: str) -> Iterator[None]:
    """Hold a checkpoint folder for one training; wait for a training that an interrupted run left behind."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{name}: an interrupted run left a training behind, waiting for it to end", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:  # some shared disks have no locks
            print(f"{name}: {folder} cannot be locked ({error.strerror})", flush=True)
        yield


def state_of(
    key: str,
    net: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    snapshots: Snapshots,
    history: list[dict[str, float]],
) -> dict[str, Any]:
    """What ``resume`` goes on from."""
    states = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "snapshots": snapshots.weights}
    return {"key": key, **states, "history": history}


def resume(
    checkpoint: Path,
    key: str,
    net: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    snapshots: Snapshots,
    name: str,
) -> list[dict[str, float]]:
    """History up to a checkpoint of the given key, whose state is loaded into net, optimiser and snapshots; else empty.

    ``key`` digests all that the weights depend on (``training_key``); a checkpoint of another key is not used.
    """
    if not checkpoint.exists():
        return []
    if (found := load(checkpoint)) is None:
        print(f"{name}: the checkpoint is damaged; training starts anew", flush=True)
        return []
    if found["key"] != key:
        print(f"{name}: the checkpoint is of other settings, images or code; training starts anew", flush=True)
        return []
    net.load_state_dict(found["net"])
    optimiser.load_state_dict(found["optimiser"])
    snapshots.weights = found["snapshots"]
    print(f"{name}: resumed after epoch {len(found['history'])}", flush=True)
    return found["history"]
