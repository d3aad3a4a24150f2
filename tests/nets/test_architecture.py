"""Names and sizes from the configuration alone, against the net that is built from it."""

import pytest
import torch
from torch import nn

from tests.presets import preset
from workflow.convergent.nets.architecture import (
    conv_units,
    fully_connected,
    module_names,
    module_positions,
    module_units,
    multiply_adds,
)


@pytest.mark.parametrize("without", ["nothing", "pooling", "normalisation"])
def test_names_and_units_are_those_of_the_net(architecture: dict, without: str) -> None:
    key = {"nothing": "none", "pooling": "pool", "normalisation": "lrn"}[without]
    architecture["conv"] = [{k: v for k, v in conv.items() if k != key} for conv in architecture["conv"]]
    children = dict(preset(architecture | {"crop": 20}, 3, 4, 20, seed=0).body.named_children())
    assert module_names(architecture) == list(children)
    convolutions = {name: module for name, module in children.items() if isinstance(module, nn.Conv2d)}
    assert conv_units(architecture) == {name: module.out_channels for name, module in convolutions.items()}
    names = list(children)
    assert fully_connected(architecture) == names[names.index("flatten") :]


def test_a_section_without_convolutions_has_no_units() -> None:
    assert conv_units({"crop": 16}) == {}


def test_units_and_positions_of_all_modules_are_those_of_the_net(architecture: dict) -> None:
    """Run one by one: each puts out so many channels, or neurons, at so many positions."""
    body = preset(architecture | {"crop": 40}, 3, 4, 40, seed=0).body
    x, outputs = torch.zeros(1, 3, 40, 40), {}
    for name, module in body.named_children():
        x = module(x)
        outputs[name] = x
    units = {name: x.shape[1] for name, x in outputs.items()}
    assert module_units(architecture | {"crop": 40}, classes=4) == units
    assert units["flatten"] > units["conv5"]
    positions = {name: x[0, 0].numel() for name, x in outputs.items()}
    assert module_positions(architecture | {"crop": 40}) == positions
    assert positions["conv1"] > positions["lrn1"] > positions["fc6"] == 1


def test_multiplications_are_those_of_the_weights_at_all_positions(architecture: dict) -> None:
    body = preset(architecture | {"crop": 40}, 3, 4, 40, seed=0).body
    positions = module_positions(architecture | {"crop": 40})
    weights = {name: module.weight.numel() for name, module in body.named_children() if hasattr(module, "weight")}
    expected = sum(count * positions[name] for name, count in weights.items())
    assert multiply_adds(architecture | {"crop": 40}, 3, 4) == expected
