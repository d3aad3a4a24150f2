"""The net before training: what training starts from."""

import json
from pathlib import Path

import torch

from workflow.convergent import alexnet, store, train, untrained


def test_it_is_the_net_that_training_starts_from(images: dict[str, Path], architecture: dict, tmp_path: Path) -> None:
    path = tmp_path / "net0_untrained.json"
    given = [str(images["train"]), str(path), str(path.with_suffix(".pt")), "--seed", "3"]
    untrained.main([*given, "--architecture", json.dumps(architecture)])
    found = alexnet.load(path)
    expected = train.initial_net(architecture, store.Rows(images["train"], "images"), 4, 3)
    assert alexnet.weights_digest(found) == alexnet.weights_digest(expected)
    other = train.initial_net(architecture, store.Rows(images["train"], "images"), 4, 4)
    assert not torch.equal(found.get_submodule("conv1").weight, other.get_submodule("conv1").weight)
