"""Configurations: each fault is one line that names key, value and what is allowed, before any work."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests import ROOT
from tests.configurations_refused import REFUSED, ROOM, Refused, write
from workflow.convergent import checks, experiment, photographs, store
from workflow.convergent.commands import InputError
from workflow.convergent.images import build
from workflow.convergent.nets import published

EXPERIMENTS = sorted((ROOT / "workflow/experiments").glob("*.yaml"))


def test_there_are_many_ways_to_be_wrong() -> None:
    assert len({refused.name for refused in REFUSED}) == len(REFUSED) > 120


@pytest.mark.parametrize("refused", REFUSED, ids=[refused.name for refused in REFUSED])
def test_it_is_refused_in_one_line(refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    file = write(refused, tmp_path)
    with pytest.raises(InputError) as stopped:
        checks.checked(experiment.read(file), ROOM)
    line = str(stopped.value)
    assert refused.said in line
    assert line.isprintable()
    assert line.startswith((str(file), "Configuration, ", "architecture", "data.groups", "workflow/resources"))
    assert len(line) < 700 or "torchvision" in line


def test_torchvisions_models_are_known_without_loading_it() -> None:
    from torchvision import models

    assert published.models() == sorted(models.list_models(models))


@pytest.mark.slow
def test_every_experiment_passes_where_its_images_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split, name in ((split, name) for split, count in {"train": 300, "val": 5000}.items() for name in range(count)):
        file = tmp_path / f"data/imagenet/{split}/{name % 3}/{name}.JPEG"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.chdir(tmp_path)
    for file in EXPERIMENTS:
        config = checks.checked(experiment.read(file), ROOM)
        assert checks.checked(config, ROOM) == config
    *_, last = (files := sorted(Path("data/imagenet/val").glob("*/*")))
    last.unlink()
    with pytest.raises(InputError, match=r"stitching\.evaluated: 5000 is not possible; all, or at most 4999"):
        checks.checked(experiment.read(ROOT / "workflow/experiments/imagenet.yaml"), ROOM)
    for file in files[63:-1]:
        file.unlink()
    with pytest.raises(InputError, match=r"moments\.blocks: 64 is not possible; at most 63, the number of photographs"):
        checks.checked(experiment.read(ROOT / "workflow/experiments/imagenet.yaml"), ROOM)


def test_names_that_a_layer_and_a_net_make_in_two_ways_are_in_the_way_of_further_pairs_alone(config: dict) -> None:
    config["layers"] = ["a", "a_x"]
    config["nets"] = [{"name": "x_b"}, {"name": "b"}]
    config["figures"] = {"pairs": ["x_b-b"]}
    checks.check_pairs(config)
    config["figures"]["pairs"] *= 2
    with pytest.raises(InputError, match="a_x_b is a layer and a net in two ways"):
        checks.check_pairs(config)


def test_groups_that_mappings_are_fitted_on_are_those_of_the_stored_images(config: dict, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(5):
        Image.new("RGB", (40, 20), (number, 0, 0)).save(folder / f"{number}.png")
    crops = {"train": 4, "val": 2, "smallest": 8, "largest": 10, "left": 0.5}
    outputs = [str(tmp_path / split / "zarr.json") for split in ("train.zarr", "val.zarr")]
    options = [
        "--source",
        "scenes",
        "--folder",
        str(folder),
        "--size",
        "8",
        "--seed",
        "0",
        "--crops",
        json.dumps(crops),
    ]
    build.main([*outputs, *options])
    group = store.load(outputs[0], "group")["group"]
    config["data"] |= {"folder": str(folder), "crops": crops}
    config["stitching"]["blocks"] = 20
    train = photographs.available(config)["train"]
    assert train == (len(group), 5)
    for limit in range(1, len(group) + 5):
        config["stitching"]["images"] = limit
        assert photographs.fitted_groups(config, train) == len(set(group[:limit]))
    config["stitching"] |= {"images": 9, "blocks": 3}  # nine images of four each come from three photographs at least
    assert photographs.fitted_groups(config, train) == 3
