"""A module stands for itself until one of its functions is called."""

import subprocess
import sys

import pytest

from workflow.convergent.nets.deferred import deferred


def test_functions_of_a_deferred_module_are_its_own_and_load_it() -> None:
    sys.modules.pop("colorsys", None)
    with deferred("colorsys"):
        from colorsys import rgb_to_hsv
    assert "colorsys" not in sys.modules
    found = rgb_to_hsv(1, 0.5, 0)
    assert "colorsys" in sys.modules
    assert found == sys.modules["colorsys"].rgb_to_hsv(1, 0.5, 0)


def test_a_module_that_is_loaded_stays() -> None:
    import colorsys

    with deferred("colorsys"):
        from colorsys import hls_to_rgb
    assert hls_to_rgb is colorsys.hls_to_rgb


LEAN = """
import sys
import torch
from workflow.convergent.nets import device, model
device.deterministic(1)
net = model.build("torchvision:resnet18", {"crop": 32, "pixels": {"mean": [0.5], "deviation": [1.0]}}, 3, 2, 32, 0)
print(torch.get_deterministic_debug_mode(), "torch._dynamo" in sys.modules, len(net.state_dict()) > 100)
"""


@pytest.mark.slow
def test_a_job_with_a_net_of_torchvision_loads_no_compiler() -> None:
    """It would take twice the time of torch itself to load."""
    done = subprocess.run([sys.executable, "-c", LEAN], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False", "True"]
