"""What follows from a configuration: layers with positions, logits, settings of each net."""

from pathlib import Path

import pytest

from workflow.convergent import configuration

RESNET = {"architecture": "torchvision:resnet18", "weights": "resnet18.pth"}
PAIRS = ["0-net1", "0-net2", "0-net3", "1-net2", "1-net3", "2-net3"]
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


def test_nets_of_equal_weights_are_told_by_their_names(config: dict, tmp_path: Path) -> None:
    """By content, not by name; of weights that are no file the architecture counts too."""
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / f"{name}.pth").write_bytes(content)
    files = [{**RESNET, "weights": str(tmp_path / f"{name}.pth")} for name in "abc"]
    assert configuration.same_weights(config | {"nets": [PRESET, *files[1:]]}) == []
    (line,) = configuration.same_weights(config | {"nets": [files[0], PRESET, files[2], {"name": "B"} | files[1]]})
    assert line.startswith("Warning: net0, B have the same weights; ")
    published = {"weights": "IMAGENET1K_V1"}
    nets = [{"architecture": f"torchvision:resnet{size}", **published} for size in (18, 34, 18, 34)]
    lines = configuration.same_weights(config | {"nets": nets})
    assert [line.split(" have")[0] for line in lines] == ["Warning: net0, net2", "Warning: net1, net3"]


@pytest.mark.parametrize(
    ("figures", "pairs"),
    [
        ({}, ["net0-net1"]),
        ({"pairs": ["net2-net3", "net0-net1"]}, ["net2-net3", "net0-net1"]),
        ({"pair": "net0-net1", "pairs": ["net2-net3", "net0-net1"]}, ["net0-net1", "net2-net3"]),
        ({"pair": "net0-net1", "pairs": "all"}, [f"net{pair}" for pair in PAIRS]),
        ({"pair": "net1-net2", "pairs": "all"}, ["net1-net2", *(f"net{p}" for p in PAIRS if p != "1-net2")]),
    ],
    ids=str,
)
def test_figures_are_of_one_pair_and_of_those_that_are_asked_for(config: dict, figures: dict, pairs: list) -> None:
    config["figures"] = figures
    configuration.complete(config)
    assert config["figures"] == {"pair": pairs[0], "pairs": pairs}
    configuration.complete(config)
    assert config["figures"]["pairs"] == pairs


def test_figures_show_the_first_two_nets(config: dict) -> None:
    config["figures"] = {}
    config["nets"][1]["name"] = "b"
    configuration.complete(config)
    assert config["figures"]["pair"] == "net0-b"


def test_stages_that_are_off_have_no_layers(config: dict) -> None:
    """Whatever their sections say; nets before training are compared by stage evidence alone."""
    configuration.complete(config | {"stages": ["clustering", "evidence"]})
    assert [config[section]["layers"] for section in ("information", "stitching")] == [[], []]
    assert len(config["clustering"]["layers"]) == 5
    assert configuration.twinned(config | {"stages": ["evidence"]}, 52) == config["layers"]
    assert configuration.twinned(config | {"stages": ["matching"]}, 52) == []


def test_a_layer_has_the_units_of_all_nets_that_take_part(config: dict) -> None:
    """Of four nets, and of trained ones before training where mappings are fitted; a net that is no preset counts 0."""
    assert [configuration.widths(config, layer, 52) for layer in ("conv1", "fc8")] == [[32] * 8, [52] * 4]
    config["nets"][1:3] = [RESNET | {"layers": {"conv1": "layer1"}}, PRESET | {"layers": {"conv1": "conv2"}}]
    assert configuration.widths(config, "conv1", 52) == [32, 0, 64, 32, 32, 64, 32]
    assert configuration.widths(config, "missing", 52) == [0] * 4


def test_nets_before_training_are_compared_in_layers_that_are_not_wide(config: dict) -> None:
    """As soon as two nets are trained here; given nets count among the units."""
    narrow = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc8"]
    assert configuration.twinned(config, 52) == config["layers"]
    config["moments"]["wide"]["units"] = 4 * 192
    assert configuration.twinned(config, 52) == ["conv1", "conv2", "conv5", "fc8"]  # eight nets of 96 units are wide
    config["stitching"]["layers"] = []
    assert configuration.twinned(config, 52) == narrow
    config["nets"][:2] = [PRESET | {"weights": f"{name}.pth"} for name in "ab"]
    assert configuration.trained(config) == [2, 3]
    assert configuration.twinned(config, 52) == narrow
    assert "fc8" not in configuration.twinned(config, 200)
    config["nets"][2] = RESNET
    assert configuration.twinned(config, 52) == []


@pytest.mark.parametrize(("blocks", "kept"), [(52, 13), (50, 12), (16, 4), (10, 4), (4, 4), (2, 2)])
def test_moments_of_snapshots_keep_a_quarter_of_the_blocks(config: dict, blocks: int, kept: int) -> None:
    config["moments"]["blocks"] = blocks
    assert configuration.snapshot_blocks(config) == kept


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
        ({"architecture": "torchvision:resnet18", "weights": "DEFAULT"}, None),  # those of torchvision's entry
        ({"architecture": "torchvision:resnet18", "weights": "DEFAULT", "pixels": OWN}, OWN),
        ({"architecture": "my.nets:net", "weights": "DEFAULT"}, configuration.IMAGENET_PIXELS),
    ],
    ids=str,
)
def test_pixels_are_those_of_the_net_before_those_of_all(config: dict, entry: dict, pixels: dict | None) -> None:
    config["nets"][1] = entry
    settings = configuration.net_settings(config, 1)
    assert settings.get("pixels") == pixels
    assert ("conv" in settings) == (entry["architecture"] == "alexnet")
    assert configuration.net_settings(config, 0) == config["architecture"]
