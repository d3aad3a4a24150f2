"""The untrained net: training starts from it."""

import json
from pathlib import Path

import torch

from workflow.convergent import store
from workflow.convergent.nets import untrained
from workflow.convergent.nets.model import load, weights_digest


def test_it_is_the_net_that_training_starts_from(images: dict[str, Path], architecture: dict, tmp_path: Path) -> None:
    path = tmp_path / "net0_untrained.json"
    given = [str(images["train"]), str(path), str(path.with_suffix(".pt")), "--seed", "3", "--control-of", "net0"]
    untrained.main([*given, "--settings", json.dumps(architecture)])
    found = load(path)
    expected = untrained.initial_net("alexnet", architecture, store.StoredArray(images["train"], "images"), 4, 3)
    assert weights_digest(found) == weights_digest(expected)
    other = untrained.initial_net("alexnet", architecture, store.StoredArray(images["train"], "images"), 4, 4)
    assert not torch.equal(found.get_submodule("body.conv1").weight, other.get_submodule("body.conv1").weight)
