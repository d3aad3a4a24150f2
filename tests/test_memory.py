"""What a configuration needs of memory at the least; what is refused for it is in the table of test_checks."""

import shutil

import psutil
import pytest

from tests.conftest import TINY
from tests.presets import preset
from workflow.convergent import memory, photographs
from workflow.convergent.commands import InputError


def test_weights_are_counted_as_they_are(config: dict) -> None:
    """Three times: weights, gradients and momentum. Biases and logits are left out."""
    config["architecture"] = TINY
    net = preset(TINY, 3, 4, 20, seed=0).body
    expected = [module.weight.numel() * 4 * 3 for module in net.children() if hasattr(module, "weight")]
    units = {"flatten": net.fc6.in_features}
    assert [need.size for need in memory.of_weights(config, units)] == expected[:-1]
    config["nets"] = [{"architecture": "alexnet", "weights": f"{name}.pth"} for name in "ab"]
    assert [need.size * 3 for need in memory.of_weights(config, units)] == expected[:-1]


def test_what_just_fits_is_taken(config: dict) -> None:
    images = photographs.available(config)
    largest = max(need.size for need in memory.of_images(config, images))
    memory.check(config, images, {}, largest)
    with pytest.raises(InputError, match="stored images take"):
        memory.check(config, images, {}, largest - 1)


def test_co_moments_are_those_of_all_pairs(config: dict) -> None:
    """With those of the nets before training in a layer of mappings; a net with weights of its own has no such twin."""
    config["layers"] = ["conv1", "first"]
    config["nets"] = [
        {"architecture": "alexnet", "layers": {"first": "fc6"}},
        {"architecture": "alexnet", "layers": {}, "weights": "a.pth"},
    ]
    config["nets"] += [{"architecture": "torchvision:resnet18"}]
    needs = memory.of_moments(config, {"conv1": 10, "fc6": 20})
    assert [(need.value, need.size) for need in needs] == [("conv1", 6 * 10 * 10 * 8), ("first", 20 * 20 * 8)]
    config["stitching"]["layers"] = []
    assert next(memory.of_moments(config, {"conv1": 10})).size == 3 * 10 * 10 * 8


def test_no_batch_goes_beyond_a_block(config: dict) -> None:
    config["moments"] |= {"batch": 60, "blocks": 7}
    assert [memory.held(config, "moments", count) for count in (100, 420, 10_000)] == [15, 60, 60]


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 bytes"), (999, "999 bytes"), (2_500_000_000, "2.5 GB"), (10**16, "1e+04 TB")]
)
def test_bytes_are_said_in_units(size: int, words: str) -> None:
    assert memory.in_units(size) == words


def test_the_memory_is_that_of_this_machine_unless_jobs_go_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    here = psutil.virtual_memory().total
    assert memory.available() == pytest.approx(here, rel=0.01)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert memory.of_a_cluster() == memory.available()
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert memory.of_a_cluster() >= 2**40
