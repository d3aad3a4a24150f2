"""Weights that are kept at some steps of a training: which steps, and the copies. Without torch.

Copies are part of the checkpoint, so that a training that was killed ends with them too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Weights = dict[str, Any]  # name -> tensor, on the CPU


class Stateful(Protocol):
    """A torch module."""

    def state_dict(self) -> dict[str, Any]: ...


def steps_of(shares: Sequence[float], steps: int) -> list[int]:
    """Steps after which weights are kept: shares of all steps, rounded up, at least the first.

    >>> steps_of([0.081, 0.1, 0.3], 3000)
    [243, 300, 900]
    """
    return [max(1, math.ceil(round(share * steps, 6))) for share in shares]  # 0.07 * 100 is above 7


@dataclass
class Snapshots:
    """Copies of a net's weights after the steps ``due``; those so far by their step."""

    due: Sequence[int]
    weights: dict[int, Weights] = field(default_factory=dict)

    def take(self, step: int, net: Stateful) -> None:
        """Keep a copy where the net has just made a step, counted from 1, that is due."""
        if step in self.due:
            self.weights[step] = {name: x.detach().cpu().clone() for name, x in net.state_dict().items()}
