"""Optimisation: settings from the configuration, and learning rates against numbers by hand."""

import pytest
import torch

from tests import ROOT
from tests.nets.settings import SETTINGS
from workflow.convergent import schema
from workflow.convergent.commands import InputError
from workflow.convergent.experiment import read
from workflow.convergent.nets.optimisation import (
    StepDecay,
    TrainingSettings,
    learning_rate,
    new_optimiser,
    set_learning_rate,
)

LINEAR = SETTINGS | {"learning_rate": 0.8, "warmup": 4, "decay": "linear", "steps": 100}
STEPS = SETTINGS | {"learning_rate": 0.8, "warmup": 0, "decay": {"factor": 0.1, "every": 30}, "steps": 100}


@pytest.mark.parametrize(
    ("settings", "step", "rate"),
    [
        (LINEAR, 0, 0.2),
        (LINEAR, 1, 0.4 * 0.99),
        (LINEAR, 3, 0.8 * 0.97),
        (LINEAR, 50, 0.4),
        (LINEAR, 99, 0.008),
        (LINEAR, 100, 0.0),
        (STEPS, 0, 0.8),
        (STEPS, 29, 0.8),
        (STEPS, 30, 0.08),
        (STEPS, 59, 0.08),
        (STEPS, 60, 0.008),
        (STEPS | {"warmup": 4}, 1, 0.4),
        (STEPS | {"warmup": 40}, 30, 0.8 * 31 / 40 * 0.1),
    ],
)
def test_learning_rate(settings: dict, step: int, rate: float) -> None:
    assert learning_rate(step, TrainingSettings.from_section(settings)) == pytest.approx(rate, abs=1e-12)


def test_a_decay_by_steps_becomes_its_own_settings() -> None:
    assert TrainingSettings.from_section(STEPS).decay == StepDecay(0.1, 30)


@pytest.mark.parametrize("experiment", ["config.yaml", "workflow/experiments/imagenet.yaml"])
def test_the_section_that_the_schema_completes_has_every_setting(experiment: str) -> None:
    config = schema.conform(read(ROOT / experiment))
    assert TrainingSettings.from_section(config["training"]).batch == config["training"]["batch"]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (SETTINGS | {"rate": 1}, r"training\.rate: there is no such setting; allowed are steps, batch, .*, snapshots"),
        ({k: v for k, v in SETTINGS.items() if k != "clip"}, r"training\.clip: it is missing; needed are steps, .*"),
        (SETTINGS | {"decay": {"factor": 0.1}}, r"training\.decay\.every: it is missing; needed are factor, every"),
        (
            SETTINGS | {"decay": "cosine"},
            r"training\.decay: 'cosine', it must be linear, or a mapping .*",
        ),
        ([1], r"training: \[1\], it must be a mapping with steps, .*"),
    ],
)
def test_unknown_and_missing_settings_are_refused(section: object, said: str) -> None:
    with pytest.raises(InputError, match=rf"^{said}$"):
        TrainingSettings.from_section(section)


def test_biases_have_their_own_rate_and_decay() -> None:
    net = torch.nn.Linear(3, 2)
    settings = TrainingSettings.from_section(SETTINGS | {"weight_decay": 0.1, "bias_rate": 2, "bias_decay": 0.5})
    optimiser = new_optimiser(net, settings)
    set_learning_rate(optimiser, 0.3)
    groups = [(group["params"][0] is net.bias, group["lr"], group["weight_decay"]) for group in optimiser.param_groups]
    assert groups == [(False, 0.3, 0.1), (True, 0.6, 0.05)]
