"""Estimated bytes against those of finished runs and of docs/scale.md."""

from pathlib import Path

import pytest
import yaml
from snakemake.utils import validate

from tests import ROOT
from workflow.convergent.configuration import complete
from workflow.convergent.photographs import total
from workflow.runner import estimate as estimates

MB = 1e6
# Bytes of the files of the embedded run.
EMBEDDED = {"images": 72.9 * MB, "moments": 3246.5 * MB, "stitching": 76.1 * MB, "patches": 114.6 * MB}


def read(name: str) -> dict:
    config = yaml.safe_load((ROOT / name).read_text())
    validate(config, str(ROOT / "workflow/schemas/config.schema.yaml"))
    complete(config)
    return config


@pytest.mark.slow
def test_the_embedded_run() -> None:
    estimated = estimates.estimate(read("config.yaml"))
    assert estimated.keys() == EMBEDDED.keys()
    for stage, size in EMBEDDED.items():
        assert 0.85 * size < estimated[stage] < 1.02 * size


def test_the_paper_s_experiment() -> None:
    """Shards of 186 and, of training images, 9 GB; 28 and 9.5 merged; 16 of untrained nets; 2 of pictures a net."""
    config = read("workflow/experiments/imagenet.yaml")
    classes = 1000
    expected = (186 + 9 + 28 + 9.5 + 16) * 1e9
    assert estimates.all_moments(config, classes) == pytest.approx(expected, rel=0.05)
    assert estimates.pictures(config, classes) == pytest.approx(4 * 2e9, rel=0.1)


def test_images_of_a_folder_are_counted(tmp_path: Path) -> None:
    hidden = ("train/.hidden/x.jpg", "train/@eaDir/x.jpg", "train/dog/.x.jpg")
    for name in ("train/cat/1.jpg", "train/dog/more/2.PNG", "train/dog/notes.txt", "val/cat/3.jpg", *hidden):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    data = {"source": "image_folder", "folder": str(tmp_path), "on_error": "stop"}
    assert total(data) == 3
    assert total({"source": "cifar10", "folder": "missing"}) == 60_000


def test_units_of_other_nets_count_nothing(config: dict) -> None:
    """They are not known before the nets are built."""
    complete(config)
    config["nets"] = [{"architecture": "torchvision:vgg11"}] * 2
    config["architecture"] = {"crop": 32}
    estimated = estimates.estimate(config)
    assert estimated["images"] > 0
    assert [estimated[stage] for stage in ("moments", "stitching", "patches")] == [0, 0, 0]


def test_a_stage_that_is_off_takes_no_room(config: dict) -> None:
    complete(config)
    all_stages = estimates.estimate(config)
    complete(config := config | {"stages": ["matching"]})
    estimated = estimates.estimate(config)
    assert (estimated["stitching"], estimated["patches"]) == (0, 0)
    assert 0 < estimated["moments"] < all_stages["moments"] / 3  # one pass of four, without twins


def test_receptive_fields_are_those_of_the_embedded_pictures(config: dict) -> None:
    fields = estimates.receptive_fields(config["architecture"])
    assert fields == {"conv1": 7, "conv2": 25, "conv3": 32, "conv4": 32, "conv5": 32}


def test_work_of_a_training_is_that_of_its_multiplications(tmp_path: Path) -> None:
    """Or, on a GPU, of its steps."""
    config, gone = read("config.yaml"), tmp_path / "no driver"
    assert estimates.training(config, gone) == pytest.approx(1, rel=1e-3)
    config["training"] |= {"batch": 128, "steps": 6000}
    assert estimates.training(config, gone) == pytest.approx(4, rel=1e-3)
    assert estimates.training(config, tmp_path) == 2
    first, *others = config["architecture"]["conv"]
    config["architecture"]["conv"] = [first | {"units": 64}, *others]
    assert 4.5 < estimates.training(config, gone) < 8
    config["architecture"] = {"crop": 32}
    assert estimates.training(config, gone) == 2
    del config["training"]
    assert estimates.training(config, gone) == 1
