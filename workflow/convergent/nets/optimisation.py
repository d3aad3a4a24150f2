"""Settings of stochastic gradient descent, its learning rate and its optimiser."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

import torch

from ..commands import InputError

Settings = TypeVar("Settings")


def settings_from(kind: type[Settings], section: Any, key: str) -> Settings:
    """Settings of a dataclass from the section of the configuration that has its fields as keys.

    ``key`` names the section in errors. Raises InputError where the section is no mapping, or where a key is unknown or
    missing.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    if not isinstance(section, Mapping):
        raise InputError(f"{key}: {section!r}, it must be a mapping with {', '.join(names)}")
    for name in section:
        if name not in names:
            raise InputError(f"{key}.{name}: there is no such setting; allowed are {', '.join(names)}")
    for name in names:
        if name not in section:
            raise InputError(f"{key}.{name}: it is missing; needed are {', '.join(names)}")
    return kind(**section)


@dataclass(frozen=True)
class StepDecay:
    """The learning rate is multiplied by a factor every so many steps."""

    factor: float
    every: int  # steps


@dataclass(frozen=True)
class TrainingSettings:
    """The configuration's section ``training``, complete: its schema has the defaults."""

    steps: int  # batches in all
    batch: int  # images in a batch
    learning_rate: float  # after the warm-up, before the decay
    warmup: int  # steps of linear increase
    decay: Literal["linear"] | StepDecay  # linear: to 0 at the last step
    momentum: float
    nesterov: bool
    weight_decay: float  # L2 penalty of the weights
    bias_rate: float  # learning rate of biases, as a multiple
    bias_decay: float  # weight decay of biases, as a multiple
    clip: float  # largest norm of the gradient; 0 is no limit
    threads: int  # on the CPU; the last bits of the weights depend on it
    precision: Literal["float32", "bfloat16"]  # of products on the CPU; on CUDA it is bfloat16
    snapshots: Sequence[float]  # shares of the steps after which weights are kept

    @classmethod
    def from_section(cls, section: Any) -> "TrainingSettings":
        """Settings from the section as JSON gives it. Raises InputError at an unknown or missing key or decay."""
        if isinstance(section, Mapping) and (decay := section.get("decay", "linear")) != "linear":
            if not isinstance(decay, Mapping):
                raise InputError(f"training.decay: {decay!r}, it must be linear, or a mapping with factor, every")
            section = {**section, "decay": settings_from(StepDecay, decay, "training.decay")}
        return settings_from(cls, section, "training")


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Learning rate of a step (from 0): it warms up linearly, then decays linearly to 0 or by a factor."""
    rate = settings.learning_rate * min(1.0, (step + 1) / max(settings.warmup, 1))
    if isinstance(settings.decay, StepDecay):
        return rate * settings.decay.factor ** (step // settings.decay.every)
    return rate * (1 - step / settings.steps)


def new_optimiser(net: torch.nn.Module, settings: TrainingSettings) -> torch.optim.SGD:
    """SGD in which biases have their own learning rate and weight decay.

    The key ``scale`` of a parameter group is the multiple of the step's learning rate that the group gets.
    """
    weights = [p for name, p in net.named_parameters() if not name.endswith("bias")]
    biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
    bias_decay = settings.weight_decay * settings.bias_decay
    groups = [
        {"params": weights, "scale": 1.0},
        {"params": biases, "scale": settings.bias_rate, "weight_decay": bias_decay},
    ]
    return torch.optim.SGD(
        groups,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        fused=any(p.is_cuda for p in net.parameters()),  # one pass over memory in place of three
    )


def set_learning_rate(optimiser: torch.optim.SGD, rate: float) -> None:
    """Give every parameter group its multiple of a learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["scale"]
