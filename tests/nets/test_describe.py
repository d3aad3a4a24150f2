"""The list of a net's modules agrees with what the probe makes of each of them as a layer."""

from pathlib import Path

import pytest
import torch

from workflow.convergent.commands import InputError
from workflow.convergent.nets import activations, describe
from workflow.convergent.nets.model import build

SETTINGS = {"crop": 64, "pixels": {"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}}


def listed(capfd: pytest.CaptureFixture, *arguments: str) -> dict[str, list[str]]:
    """Row of each module: units, grid, calls and the rest."""
    describe.main(list(arguments))
    head, *rows, last = capfd.readouterr().out.splitlines()
    assert head.split() == ["layer", "units", "grid", "calls"]
    assert last.startswith(arguments[0])
    return {row.split()[0]: row.split()[1:] for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["resnet18", "swin_t"])
def test_every_module_is_listed_as_the_probe_sees_it(capfd: pytest.CaptureFixture, model: str) -> None:
    rows = listed(capfd, f"torchvision:{model}", "--crop", "64", "--classes", "5")
    net = build(f"torchvision:{model}", SETTINGS, 3, 5, 64, seed=0).eval()
    names = [name for name, _ in net.body.named_modules() if name]
    assert set(rows) == set(names)
    possible = [name for name in names if "not" not in rows[name]]
    assert len(possible) > 40
    for name, shape in activations.probe(net, possible).items():
        assert rows[name] == [str(shape.units), "x".join(map(str, shape.grid)) or "none", "1"]
    for name in set(names) - set(possible):
        with pytest.raises(InputError):
            activations.probe(net, [name])
    called = [name for name in rows if "0" not in rows[name]]
    assert called[-1] in ("fc", "head")  # in the order of the pass


def test_tokens_and_modules_that_can_be_no_layer(capfd: pytest.CaptureFixture) -> None:
    rows = listed(capfd, "tests.nets.odd:Transformer", "--crop", "16")
    assert rows["block"] == ["8", "1x17", "1", "tokens:", "true"]
    assert rows["cut"] == ["8", "4x4", "1"]
    assert rows["head"] == ["1000", "none", "1"]
    assert rows["block.self_attn"] == ["1", "not", "possible:", "it", "returns", "tuple", "for", "3", "images"]


def test_weights_say_how_many_outputs_there_are(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    file = tmp_path / "weights.pth"
    torch.save(build("tests.nets.odd:LeNet", SETTINGS | {"crop": 16}, 3, 7, 16, seed=0).body.state_dict(), file)
    assert listed(capfd, "tests.nets.odd:LeNet", "--crop", "16", "--weights", str(file))["fc"] == ["7", "none", "1"]


@pytest.mark.parametrize(("function", "layout"), [("LeNet", "contiguous"), ("wide", "channels last")])
def test_the_memory_layout_is_that_of_the_net(capfd: pytest.CaptureFixture, function: str, layout: str) -> None:
    describe.main([f"tests.nets.odd:{function}", "--crop", "16"])
    assert capfd.readouterr().out.rstrip().endswith(f"for crops of 16 pixels; memory layout {layout}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["alexnet"], "architecture: alexnet has the layers conv1 to conv5, fc6, fc7 and fc8"),
        (["torchvision:no_such"], "architecture: torchvision has no model 'no_such'"),
        (["tests.nets.odd:LeNet", "--crop", "20"], "architecture: tests.nets.odd:LeNet cannot take crops of 20x20x3"),
        (["tests.nets.odd:LeNet", "--weights", "gone.pth"], "weights: gone.pth: no such file"),
    ],
)
def test_what_cannot_be_described_is_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        describe.main(arguments)
    assert str(stopped.value).startswith(said)
    assert "\n" not in str(stopped.value)
