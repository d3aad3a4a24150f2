"""Settings of a training that takes seconds."""

from workflow.convergent.nets.optimisation import TrainingSettings

SETTINGS = {
    "steps": 20,
    "batch": 16,
    "learning_rate": 0.02,
    "warmup": 3,
    "decay": "linear",
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 1e-3,
    "bias_rate": 1,
    "bias_decay": 1,
    "clip": 5,
    "threads": 1,
    "precision": "float32",
    "snapshots": [],
}


def settings_with(**changed: object) -> TrainingSettings:
    """Settings in which some values are changed."""
    return TrainingSettings.from_section(SETTINGS | changed)
