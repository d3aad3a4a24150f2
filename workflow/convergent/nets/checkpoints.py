"""State of a training on disk: it goes on from there wherever it was killed."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..files import write_atomically


def save(path: Path, state: dict[str, Any]) -> None:
    """A checkpoint that is either the old or the new one, whenever the process dies."""
    with write_atomically(path) as temporary:
        torch.save(state, temporary)


@contextmanager
def lock(folder: Path, name: str) -> Iterator[None]:
    """Hold the checkpoint folder; waits for a training that an interrupted run left behind."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{name}: a training left by an interrupted run is still going, waiting for it", flush=True)
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def resume(checkpoint: Path, key: str, net: torch.nn.Module, sgd: torch.optim.SGD, name: str) -> list[dict[str, float]]:
    """Put net and optimiser back to where a checkpoint of the same key left them; the history until there."""
    if not checkpoint.exists():
        return []
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    if state["key"] != key:
        print(f"{name}: the checkpoint is of other settings, starting anew", flush=True)
        return []
    net.load_state_dict(state["net"])
    sgd.load_state_dict(state["optimiser"])
    print(f"{name}: resumed after epoch {len(state['history'])}", flush=True)
    return state["history"]
