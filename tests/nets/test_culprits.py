"""The line about what is not finite names the image at fault, and only if it is an image."""

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.nets.settings import SETTINGS
from workflow.convergent import store
from workflow.convergent.alignment import information
from workflow.convergent.images import build
from workflow.convergent.moments import accumulate
from workflow.convergent.nets import activations, culprits, model, train
from workflow.convergent.patches import pictures

SIZE = 12
PIXELS = {"mean": [0.0, 0.0, 0.0], "deviation": [1.0, 1.0, 1.0]}  # black stays 0
BLACK = {split: f"{split}/b/black.png" for split in build.SPLITS}


Folders = Callable[..., dict[str, Path]]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A function that makes stores of images, the same for the same names of black ones."""
    return cache(lambda *black: stored(tmp_path_factory.mktemp("images"), black))


def stored(place: Path, black: Sequence[str]) -> dict[str, Path]:
    """Stores of 24 images of noise in each split, and of black ones of these names."""
    rng, data = np.random.default_rng(0), place / "data"
    for split in build.SPLITS:
        for name in "ab":
            (data / split / name).mkdir(parents=True)
            for number in range(12):
                noise = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
                Image.fromarray(noise).save(data / split / name / f"{number}.png")
    for name in black:
        Image.new("RGB", (SIZE, SIZE)).save(data / name)
    paths = {split: place / f"{split}.zarr/zarr.json" for split in build.SPLITS}
    options = ["--source", "image_folder", "--folder", str(data), "--size", str(SIZE), "--seed", "0"]
    build.main([*map(str, paths.values()), *options])
    return paths


def saved(place: Path, kind: str, **weights: float) -> Path:
    """Description of a net with initial weights, or with others in some modules."""
    net = model.build(f"tests.nets.dividing:{kind}", {"crop": SIZE, "pixels": PIXELS}, 3, 2, SIZE, seed=0)
    net.standardise_with(np.zeros((1, SIZE, SIZE, 3)))
    for name, value in weights.items():
        torch.nn.init.constant_(net.body.get_parameter(name.replace("_", ".")), value)
    model.save(net, place / "net0.pt", place / "net0.json")
    return place / "net0.json"


def moments(images: Path, net: Path, layer: str) -> None:
    options = ["--nets", str(net), "--layers", layer, "--blocks", "3", "--batch", "4", "--threads", "1"]
    accumulate.main([str(images), str(net.parent / "moments.zarr/zarr.json"), *options])


def samples(images: Path, net: Path, layer: str) -> None:
    options = ["--nets", str(net), str(net), "--layer", layer, "--batch", "4", "--edge-images", "2"]
    for end in (".pt", ".json"):
        net.with_suffix(end).with_stem("net1").write_bytes(net.with_suffix(end).read_bytes())
    options[2] = str(net.with_stem("net1"))
    information.main([str(images), str(net.parent / "information"), *options])


def patches(images: Path, net: Path, layer: str) -> None:
    options = ["--layers", layer, "--batch", "4", "--top", "25"]
    pictures.main([str(images), str(net), str(net.parent / "patches.zarr/zarr.json"), *options])


PASSES = [moments, samples, patches]


def refused(run: Callable[..., None], *arguments: object, **changed: object) -> str:
    with pytest.raises(SystemExit) as stopped:
        run(*arguments, **changed)
    message = str(stopped.value)
    assert "\n" not in message
    return message


def row_of(path: Path, name: str) -> int:
    names = [row.tobytes().rstrip(b"\0").decode() for row in store.load(path, "names")["names"]]
    return names.index(name)


@pytest.mark.slow
@pytest.mark.parametrize("run", PASSES)
def test_the_image_of_a_single_colour_is_named(tmp_path: Path, folder_of: Folders, run: Callable[..., None]) -> None:
    path = folder_of(*BLACK.values())["val"]
    message = refused(run, path, saved(tmp_path, "forward"), "1")
    assert message.startswith("net0: activations of 1 are not all finite, unit 0 is NaN; ")
    row = row_of(path, "val/b/black.png")
    named = (
        rf", or remove the images that cause it, 1 of the first \d+: val/b/black\.png \(row {row} of {path.parent}\)$"
    )
    assert re.search(named, message)


@pytest.mark.slow
@pytest.mark.parametrize("run", PASSES)
def test_where_the_net_is_at_fault_no_image_is_named(
    tmp_path: Path, folder_of: Folders, run: Callable[..., None]
) -> None:
    path = folder_of()["val"]
    message = refused(run, path, saved(tmp_path, "forward", **{"1_bias": np.nan}), "1")
    assert message.endswith("unit 0 is NaN; train the net again, or take other weights")


@pytest.mark.slow
@pytest.mark.parametrize("run", PASSES)
def test_without_such_an_image_all_is_well(tmp_path: Path, folder_of: Folders, run: Callable[..., None]) -> None:
    run(folder_of()["val"], saved(tmp_path, "forward"), "1")


@pytest.mark.slow
def test_the_image_whose_deconvolution_is_not_finite_is_named(tmp_path: Path, folder_of: Folders) -> None:
    """Its activations are finite, and all images are among the top ones."""
    path = folder_of(*BLACK.values())["val"]
    message = refused(patches, path, saved(tmp_path, "backward"), "1")
    assert "net0: deconvolution of 1 is not finite everywhere, first of unit 0 in val/b/black.png (row " in message


def training(place: Path, images: dict[str, Path], kind: str, **changed: object) -> None:
    files = [str(place / f"net0.{end}") for end in ("json", "pt", "csv")]
    settings = SETTINGS | {"batch": 8, "steps": 6, "clip": 0} | changed
    options = ["--name", "net0", "--seed", "0", "--checkpoints", str(place / "checkpoints")]
    options += ["--architecture", f"tests.nets.dividing:{kind}", "--code", train.__file__]
    sections = ["--settings", json.dumps({"crop": SIZE - 2, "pixels": PIXELS}), "--training", json.dumps(settings)]
    train.main([*map(str, images.values()), *files, *options, *sections])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["forward", "backward"])
def test_the_image_that_ruins_a_training_is_named(tmp_path: Path, folder_of: Folders, kind: str) -> None:
    paths = folder_of(BLACK["train"])
    message = refused(training, tmp_path, paths, kind)
    assert re.match(
        r"net0: loss is nan in epoch [12] at step \d; lower training\.learning_rate or training\.clip, or", message
    )
    assert re.search(r", 1 of the first \d+: train/b/black\.png \(row \d+ of \S+train\.zarr\)$", message)


@pytest.mark.slow
def test_the_image_that_ruins_a_validation_is_named(tmp_path: Path, folder_of: Folders) -> None:
    paths = folder_of(BLACK["val"])
    message = refused(training, tmp_path, paths, "forward")
    assert message.startswith("net0: validation loss is nan in epoch 1 at step 3; ")
    assert re.search(r", 1 of the first \d+: val/b/black\.png \(row \d+ of \S+val\.zarr\)$", message)


@pytest.mark.slow
def test_a_training_that_diverges_blames_no_image(tmp_path: Path, folder_of: Folders) -> None:
    message = refused(training, tmp_path, folder_of(), "backward", learning_rate=1e30)
    assert message.endswith("; lower training.learning_rate or training.clip")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([[1, 1], [1, 0]], "1 of the first 4: row 11 of"),
        ([[1, 0], [0, 0]], "1 of the first 2: row 7 of"),
        ([[0, 0], [1, 1]], ""),
        ([[0]], "1 of the first 1: row 5 of"),
        ([[1, 1], [1, 1]], ""),
        ([[1] + [0] * 5], "5 of the first 6: row 7 of"),
    ],
)
def test_the_first_images_that_fail_are_named_unless_all_do(tmp_path: Path, flags: list, said: str) -> None:
    path = tmp_path / "a.zarr/zarr.json"
    store.save(path, {"images": np.zeros((20, 2, 2, 3), np.uint8)}, kind="images")
    of_images = [torch.tensor(part, dtype=torch.bool) for part in flags]
    found = culprits.remedy(store.StoredArray(path, "images"), np.arange(5, 20, 2)[: sum(map(len, flags))], of_images)
    assert found.startswith(f", or remove the images that cause it, {said}" if said else "")
    assert bool(found) == bool(said)
    assert found.count("row ") <= culprits.NAMED


def test_images_are_looked_at_again_only_where_something_was_not_finite(tmp_path: Path, folder_of: Folders) -> None:
    """Other errors pass as they are."""
    path = folder_of()["val"]
    images, net = store.StoredArray(path, "images"), model.load(saved(tmp_path, "forward"))
    recorder = activations.Recorder({"net0": net}, ["1"])
    seen: list[int] = []
    net.body.get_submodule("1").register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    with pytest.raises(KeyError), culprits.named(recorder, images, np.arange(24), 4):
        raise KeyError
    with culprits.named(recorder, images, np.arange(24), 4):
        pass
    assert not seen
