"""Names and sizes from the configuration alone, against the net that is built from it."""

import pytest
from torch import nn

from tests.presets import preset
from workflow.convergent.nets.architecture import conv_units, fully_connected, module_names


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
