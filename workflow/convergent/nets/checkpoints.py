"""State of a training on disk. A training that was killed goes on from its last checkpoint.

A checkpoint is what torch saves, after its sha256 in hexadecimal digits. One that does not match counts as absent.
"""

import fcntl
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..files import write_atomically

DIGITS = 64  # of a sha256


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


def resume(
    checkpoint: Path, key: str, net: torch.nn.Module, optimiser: torch.optim.Optimizer, name: str
) -> list[dict[str, float]]:
    """History up to a checkpoint of the given key, whose state is loaded into net and optimiser; else empty.

    ``key`` digests all that the weights depend on (``train.training_key``); a checkpoint of another key is not used.
    """
    if not checkpoint.exists():
        return []
    if (state := load(checkpoint)) is None:
        print(f"{name}: the checkpoint is damaged; training starts anew", flush=True)
        return []
    if state["key"] != key:
        print(f"{name}: the checkpoint is of other settings, images or code; training starts anew", flush=True)
        return []
    net.load_state_dict(state["net"])
    optimiser.load_state_dict(state["optimiser"])
    print(f"{name}: resumed after epoch {len(state['history'])}", flush=True)
    return state["history"]
