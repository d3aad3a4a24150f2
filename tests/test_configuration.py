"""Configurations: each fault is one line that names key, value and what is allowed, before any work."""

import pytest
import yaml

from tests import ROOT
from tests.configurations import change
from workflow.convergent import configuration
from workflow.convergent.commands import InputError

EXPERIMENTS = sorted((ROOT / "workflow/experiments").glob("*.yaml"))
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"


def test_the_embedded_configuration_passes(config: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    configuration.check(config)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("data.folder", "no/such/folder", "data.folder: 'no/such/folder' is not possible; it must be an existing"),
        ("data.crops", None, "data.crops: None"),
        ("data.source", "cifar10", "data.crops"),
        ("data.crops.smallest", 200, "data.crops.smallest: 200 is not possible; at most largest, 128"),
        ("architecture.crop", 37, "architecture.crop: 37 is not possible; at most data.size, 36"),
        ("architecture.conv.0.stride", 16, "after conv"),
        ("moments.shards", 53, "moments.shards: 53 is not possible; at most moments.blocks, 52"),
        ("layers", ["conv1"], "information.layers: 'conv2' is not possible; it must be among layers, conv1"),
        ("stitching.shards", 5, "stitching.shards: 5 is not possible; at most stitching.blocks, 4"),
        ("stitching.layers", ["conv9"], "stitching.layers: 'conv9' is not possible; it must be among layers, conv1"),
        ("stitching.images", 3, "stitching.images: 3 is not possible; at least stitching.blocks, 4"),
        ("figures.unit", 32, "figures.unit: 32 is not possible; median, or a unit of conv1, 0 to 31"),
        ("clustering.layers", ["fc9"], "clustering.layers: 'fc9' is not possible"),
        ("clustering.range", [9, 3], "clustering.range: [9, 3] is not possible; the smaller number must"),
        ("figures.pair", "net0-net4", "figures.pair: 'net0-net4' is not possible; two different of net0, net1"),
        ("figures.pair", "net1-net1", "two different"),
        ("figures.pair", "net1-net0", "in this order"),
        (
            "layers",
            ["conv1", "conv2", "conv9"],
            "layers: 'conv9' is not possible; net0 is an alexnet and has ",
        ),
        ("nets.1.layers", {"conv2": "conv9"}, "nets.1.layers.conv2: 'conv9' is not possible; net1 is an alexnet"),
        ("nets.1.layers", {"first": "conv1"}, "nets.1.layers: 'first' is not possible; it must be among layers, conv1"),
        ("architecture.dropout", None, "architecture.dropout: None is not possible; net0 is an alexnet and needs it"),
        ("training", None, "training: None is not possible; it is needed where a net has no weights"),
        ("nets.1.seed", 0, "each net that is trained needs a seed of its own"),
        ("nets.1.weights", "no.pth", "nets.1.weights: 'no.pth' is not possible; it must be an existing file"),
        ("nets.1.architecture", "torchvision:alexnett", "torchvision has no model 'alexnett', it has alexnet, "),
        ("nets.1.architecture", "no_such.nets:small", "there is no module no_such.nets where snakemake runs"),
    ],
)
def test_what_does_not_fit_together(
    config: dict, monkeypatch: pytest.MonkeyPatch, key: str, value: object, said: str
) -> None:
    monkeypatch.chdir(ROOT)
    change(config, key, value)
    with pytest.raises(InputError) as stopped:
        configuration.check(config)
    assert said in str(stopped.value)
    assert "\n" not in str(stopped.value)


RESNET = {"architecture": "torchvision:resnet18", "weights": "resnet18.pth"}
PRESET = {"architecture": "alexnet", "seed": 0}


@pytest.mark.parametrize(
    ("nets", "layers", "with_positions", "logits"),
    [
        ([PRESET], ["conv1", "relu5", "pool5", "flatten", "fc6", "fc8"], ["conv1", "relu5", "pool5"], ["fc8"]),
        ([RESNET], ["layer1", "fc"], ["layer1", "fc"], []),  # nothing is known of its modules
        ([RESNET], ["conv1", "fc6", "fc8"], ["conv1", "fc6", "fc8"], []),  # not the preset's fc6
        ([PRESET | {"layers": {"fc": "fc8"}}, RESNET], ["conv1", "fc"], ["conv1"], ["fc"]),
        ([PRESET | {"layers": {"deep": "fc7"}}, RESNET | {"layers": {"deep": "layer4"}}], ["deep"], [], []),
        ([RESNET | {"layers": {"deep": "fc7"}}, PRESET | {"layers": {"deep": "conv5"}}], ["deep"], ["deep"], []),
    ],
    ids=["embedded", "resnet", "resnet-named", "mixed", "flat-in-the-preset", "flat-elsewhere"],
)
def test_layers_with_positions_and_logits_follow_from_the_modules_of_the_preset(
    config: dict, nets: list[dict], layers: list[str], with_positions: list[str], logits: list[str]
) -> None:
    config |= {"nets": nets, "layers": layers}
    assert configuration.spatial(config, layers) == with_positions
    assert configuration.logits(config) == logits


def test_without_the_preset_in_the_configuration_every_layer_counts_as_one_with_positions(config: dict) -> None:
    config |= {"nets": [RESNET], "architecture": {"crop": 32}}
    assert configuration.spatial(config, ["conv1", "fc8"]) == ["conv1", "fc8"]
    assert configuration.logits(config) == []


def test_preset_modules_are_those_of_nets_that_are_the_preset(config: dict) -> None:
    assert configuration.preset_modules(config, "fc6") == ["fc6"] * 4
    config["nets"] = [PRESET, RESNET | {"layers": {"deep": "layer4"}}, PRESET | {"layers": {"deep": "fc7"}}]
    assert configuration.preset_modules(config, "deep") == ["deep", "fc7"]
    assert configuration.preset_modules(config | {"nets": [RESNET]}, "fc") == []


def test_stages_without_layers_get_those_with_positions(config: dict) -> None:
    for section in ("information", "stitching", "clustering"):
        del config[section]["layers"]
    configuration.complete(config)
    convolutions = ["conv1", "conv2", "conv3", "conv4", "conv5"]
    sections = ("information", "stitching", "clustering")
    assert [config[section]["layers"] for section in sections] == [convolutions[:2], convolutions, convolutions]
    configuration.complete(config | {"layers": ["conv1"]})
    assert config["stitching"]["layers"] == convolutions  # what is set stays


def described(schema: dict, path: str = "") -> list[str]:
    """Keys of a schema without a description."""
    missing = []
    for name, entry in schema.get("properties", {}).items():
        missing += [] if "description" in entry else [f"{path}{name}"]
        missing += described(entry, f"{path}{name}.") + described(entry.get("items", {}), f"{path}{name}.")
    return missing


def test_every_key_is_described() -> None:
    assert described(yaml.safe_load(SCHEMA.read_text())) == []


OWN = {"mean": [0.5], "deviation": [0.2]}
STANDARD = {"mean": "channel", "scale": "unit"}


@pytest.mark.parametrize(
    ("entry", "pixels"),
    [
        ({"architecture": "alexnet"}, STANDARD),
        ({"architecture": "alexnet", "pixels": OWN}, OWN),
        ({"architecture": "torchvision:resnet18"}, STANDARD),
        ({"architecture": "torchvision:resnet18", "pixels": OWN}, OWN),
        ({"architecture": "torchvision:resnet18", "weights": "a.pth"}, configuration.IMAGENET_PIXELS),
        ({"architecture": "torchvision:resnet18", "weights": "a.pth", "pixels": OWN}, OWN),
    ],
    ids=str,
)
def test_pixels_are_those_of_the_net_before_those_of_all(config: dict, entry: dict, pixels: dict) -> None:
    config["nets"][1] = entry
    settings = configuration.net_settings(config, 1)
    assert settings["pixels"] == pixels
    assert ("conv" in settings) == (entry["architecture"] == "alexnet")
    assert configuration.net_settings(config, 0) == config["architecture"]
