"""Weights that a training keeps at some of its steps."""

import json
from pathlib import Path

import pytest
import torch

from tests.nets.test_train import arguments, digest, interrupted, trained
from workflow.convergent.nets import snapshots, train
from workflow.convergent.nets.model import load

SHARES = [0.05, 0.35, 0.9]  # of 20 steps, 4 an epoch: within the first, the second and the last
CONSTANT = {"decay": {"factor": 1, "every": 1000}}  # learning rate: it does not depend on the number of steps


def descriptions(folder: Path) -> list[Path]:
    return [folder / f"net0_snapshot{number}.json" for number in (1, 2, 3)]


def options(folder: Path) -> list[str]:
    return ["--snapshots", *map(str, descriptions(folder))]


def digests(folder: Path) -> list[str]:
    """Digests of the snapshots' weights; loading them verifies these."""
    return [json.loads(path.read_text())["sha256"] for path in descriptions(folder) if load(path)]


@pytest.mark.parametrize(
    ("shares", "steps", "expected"),
    [
        ([0.081, 0.1, 0.3], 3000, [243, 300, 900]),
        ([0.07, 0.56], 100, [7, 56]),  # as floats their products are above
        ([1e-9, 0.5001], 10, [1, 6]),
        ([0.3, 0.9999999], 10**9, [300_000_000, 999_999_900]),
    ],
)
def test_shares_are_rounded_up_to_steps(shares: list[float], steps: int, expected: list[int]) -> None:
    assert snapshots.steps_of(shares, steps) == expected


def test_a_copy_stays_as_it_was() -> None:
    net, taken = torch.nn.BatchNorm1d(2), snapshots.Snapshots([2])
    for step in (1, 2, 3):
        net.weight.data.fill_(step)
        net.running_mean.fill_(step)
        taken.take(step, net)
    assert list(taken.weights) == [2]
    assert [taken.weights[2][name].tolist() for name in ("weight", "running_mean")] == [[2, 2], [2, 2]]


@pytest.mark.slow
def test_a_snapshot_is_the_net_of_a_training_that_ends_there(
    tmp_path: Path, images: dict[str, Path], architecture: dict
) -> None:
    """So it holds what the step itself has changed, and the net itself is that of a training without snapshots."""
    folder, settings = tmp_path / "with", CONSTANT | {"snapshots": SHARES}
    net = trained(folder, images, architecture, more=options(folder), **settings)
    assert trained(tmp_path / "without", images, architecture, **CONSTANT) == net
    shorter = [trained(tmp_path / str(steps), images, architecture, steps=steps, **CONSTANT) for steps in (1, 7, 18)]
    assert digests(folder) == shorter
    described = [json.loads(path.read_text()) for path in descriptions(folder)]
    assert [(of["step"], of["steps"], of["snapshot_of"], of["becomes"]) for of in described] == [
        (step, 20, "net0", net) for step in (1, 7, 18)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 5])
def test_a_killed_training_writes_the_same_snapshots(
    tmp_path: Path, images: dict[str, Path], architecture: dict, epochs: int
) -> None:
    """Those before the kill come from the checkpoint; with five epochs only the files were missing."""
    for name in ("killed", "whole"):
        given = (tmp_path / name, images, architecture)
        if name == "killed":
            interrupted(epochs, *given, more=options(given[0]), snapshots=SHARES)
        trained(*given, more=options(given[0]), snapshots=SHARES)
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


@pytest.mark.slow
def test_a_snapshot_has_the_layers_of_its_net(tmp_path: Path, images: dict[str, Path], architecture: dict) -> None:
    train.main(arguments(tmp_path, images, architecture, more=options(tmp_path), snapshots=SHARES))
    assert load(descriptions(tmp_path)[1], {"net0": {"first": "conv1"}}).module_name("first") == "relu1"
