"""Image stores of every source, from tiny generated folders."""

import json
import os
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.images.test_listing import ODD
from workflow.convergent import store
from workflow.convergent.commands import InputError
from workflow.convergent.images import build, datasets
from workflow.convergent.images.listing import image_files

RED, BLUE = (255, 0, 0), (0, 0, 255)
CROPS = {"train": 7, "val": 4, "smallest": 10, "largest": 30, "left": 0.6}


def paint(file: Path, width: int, height: int) -> None:
    """A photograph that is red left of the border and blue right of it."""
    pixels = np.full((height, width, 3), RED, np.uint8)
    pixels[:, int(CROPS["left"] * width) :] = BLUE
    Image.fromarray(pixels).save(file)


def noise(file: Path, seed: int, mode: str = "RGB", size: tuple[int, int] = (9, 7)) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(file)


def same_picture(file: Path, image: np.ndarray) -> bool:
    """Whether a stored image is the picture of a file."""
    warped = Image.open(file).resize(image.shape[:2], Image.Resampling.BILINEAR)
    return bool((np.asarray(warped) == image).all())


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Three photographs of different sizes."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name, width, height in (("beach", 101, 40), ("attic", 77, 90), ("castle", 120, 31)):
        paint(folder / f"{name}.png", width, height)
    return folder


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """A folder of 2 x 3 + 2 x 2 images of two classes."""
    folder = tmp_path / "classes"
    for seed, (split, name, number) in enumerate(
        (split, name, number)
        for split, count in (("train", 3), ("val", 2))
        for name in ("cat", "dog")
        for number in range(count)
    ):
        noise(folder / split / name / f"{number}.png", seed)
    return folder


def built(
    source: str, folder: Path, *options: str, size: int = 8, seed: int = 0, crops: dict | None = CROPS
) -> dict[str, Path]:
    """The declared file of each split, after a run of the stage."""
    out = folder.parent / f"out-{seed}"
    paths = {split: out / f"{split}.zarr" / "zarr.json" for split in build.SPLITS}
    where = ["--source", source, "--folder", str(folder), "--size", str(size), "--seed", str(seed)]
    cut = ["--crops", json.dumps(crops)] if source == "scenes" and crops else []
    build.main([*map(str, paths.values()), *where, *cut, *options])
    return paths


def refusal(*arguments: object, **changed: object) -> str:
    """The line with which the stage refuses its input."""
    with pytest.raises(SystemExit) as stopped:
        built(*arguments, **changed)
    message = str(stopped.value)
    assert "\n" not in message
    return message


def test_scenes_counts_labels_and_groups(photographs: Path) -> None:
    for split, path in built("scenes", photographs).items():
        arrays = store.load(path)
        assert store.attributes(path)["classes"] == ["attic", "beach", "castle"]
        assert arrays["images"].shape == (3 * CROPS[split], 8, 8, 3)
        assert arrays["images"].dtype == np.uint8
        assert np.bincount(arrays["labels"]).tolist() == [CROPS[split]] * 3
        np.testing.assert_array_equal(arrays["group"], arrays["labels"])
        assert arrays["labels"].dtype == arrays["group"].dtype == np.int32


def test_training_and_validation_crops_share_no_pixel(photographs: Path) -> None:
    """Not even by resampling: no pixel is a mixture of both sides."""
    paths = built("scenes", photographs)
    for split, colour in (("train", RED), ("val", BLUE)):
        assert (store.load(paths[split])["images"] == colour).all()


def test_crops_are_cut_from_the_photograph_and_reach_all_of_it() -> None:
    """Each pixel holds its row and column; a crop that keeps its size is an exact copy."""
    rows, columns = np.mgrid[:20, :30]
    photo = Image.fromarray(np.stack([rows, columns, 0 * rows], 2).astype(np.uint8))
    made = np.stack(list(datasets.random_crops(photo, 400, (6, 6), 6, seed=0)))
    corners = made[:, 0, 0, :2].astype(int)
    assert corners.min(0).tolist() == [0, 0]
    assert corners.max(0).tolist() == [14, 24]
    np.testing.assert_array_equal(made - made[:, :1, :1], np.broadcast_to(np.asarray(photo)[:6, :6], made.shape))


def test_widths_of_crops_are_between_the_given_ones() -> None:
    """Brightness is the column, so that the range of a crop's brightness is its width."""
    photo = Image.fromarray(np.repeat(np.tile(np.arange(90, dtype=np.uint8), (40, 1))[..., None], 3, 2))
    made = np.stack(list(datasets.random_crops(photo, 300, (20, 30), 40, seed=0)))
    widths = made[..., 0].max((1, 2)).astype(int) - made[..., 0].min((1, 2)) + 1
    assert (widths.min(), widths.max()) == (20, 30)


def test_crops_see_nothing_outside_themselves() -> None:
    """Only the last column is bright: a crop beside it is dark, though a resampling kernel could reach it."""
    pixels = np.zeros((30, 31, 3), np.uint8)
    pixels[:, 30] = 255
    brightest = {int(crop.max()) for crop in datasets.random_crops(Image.fromarray(pixels), 40, (30, 30), 6, seed=0)}
    assert len(brightest) == 2
    assert 0 in brightest


@pytest.mark.slow
@pytest.mark.parametrize("source", ["scenes", "image_folder"])
def test_the_seed_decides_all(photographs: Path, classes: Path, source: str) -> None:
    folder = photographs if source == "scenes" else classes
    if source == "scenes":
        for seed, file in enumerate(image_files(folder)):
            noise(file, seed, size=(90, 50))
    contents = [{s: p.read_bytes() for s, p in built(source, folder, seed=seed).items()} for seed in (0, 0, 1)]
    assert contents[0] == contents[1]
    assert all(contents[0][split] != contents[2][split] for split in build.SPLITS)


@pytest.mark.slow
def test_the_seed_of_an_image_folder_changes_nothing_but_the_order(classes: Path) -> None:
    one, two = (store.load(built("image_folder", classes, seed=seed)["train"]) for seed in (0, 1))
    assert one["group"].tolist() != two["group"].tolist()
    for name, array in one.items():
        np.testing.assert_array_equal(array[np.argsort(one["group"])], two[name][np.argsort(two["group"])])


def test_image_folder(classes: Path) -> None:
    for split, path in built("image_folder", classes, size=5).items():
        arrays = store.load(path)
        files = image_files(classes / split)
        assert sorted(arrays["group"]) == list(range(len(files)))
        for image, label, group in zip(arrays["images"], arrays["labels"], arrays["group"], strict=True):
            warped = Image.open(files[group]).resize((5, 5), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(image, np.asarray(warped))
            assert files[group].parent.name == store.attributes(path)["classes"][label]


@pytest.mark.parametrize("form", ["pattern", "table"])
def test_images_of_one_photograph_are_one_group(classes: Path, tmp_path: Path, form: str) -> None:
    """Here those of one number, in both classes."""
    names = [file.relative_to(classes).as_posix() for file in image_files(classes)]
    table = tmp_path / "groups.csv"
    table.write_text("".join(f"{name},{group}\n" for name, group in [("file", "group"), *((n, n[-5]) for n in names)]))
    groups = {"pattern": r"/(\d)\.png", "table": str(table)}[form]
    for split, path in built("image_folder", classes, f"--groups={groups}").items():
        arrays = store.load(path)
        number: dict[int, set[str]] = {group: set() for group in arrays["group"].tolist()}
        for image, group in zip(arrays["images"], arrays["group"], strict=True):
            (file,) = (file for file in image_files(classes / split) if same_picture(file, image))
            number[group].add(file.stem)
        assert sorted(map(sorted, number.values())) == [[str(n)] for n in range({"train": 3, "val": 2}[split])]


def test_an_image_without_a_group_is_refused(classes: Path) -> None:
    assert "data.groups: 'cat' finds nothing in 'train/dog/0.png'" in refusal("image_folder", classes, "--groups=cat")


def test_the_order_depends_on_seed_and_split() -> None:
    orders = [build.shuffle(50, seed, split).tolist() for seed, split in ((0, "train"), (0, "val"), (1, "train"))]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert build.shuffle(50, 0, "train").tolist() == orders[0]


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "CMYK"])
def test_every_kind_of_image_becomes_three_channels(classes: Path, mode: str) -> None:
    file = classes / "train" / "cat" / ("0.tif" if mode == "CMYK" else "0.png")
    noise(file, 0, mode, size=(4, 4))
    images = store.load(built("image_folder", classes, size=4)["train"])["images"]
    assert images.shape[3] == 3
    expected = np.asarray(Image.open(file).convert("RGB"))
    assert any((image == expected).all() for image in images)
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize("level", [0, 77, 255])
def test_grey_is_the_same_in_every_channel(classes: Path, level: int) -> None:
    Image.fromarray(np.full((6, 6), level, np.uint8)).save(classes / "val" / "dog" / "0.png")
    images = store.load(built("image_folder", classes)["val"])["images"]
    assert (images == level).all((1, 2, 3)).sum() == 1


def remove(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def unreadable(file: Path) -> None:
    file.write_bytes(b"not an image")


def cut_short(file: Path) -> None:
    noise(file, 0, size=(60, 60))
    file.write_bytes(file.read_bytes()[:1000])


def empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def only_cats(folder: Path) -> None:
    for split in build.SPLITS:
        remove(folder / split / "dog")


def no_validation(folder: Path) -> None:
    for name in ("cat", "dog"):
        remove(folder / "val" / name)
    (folder / "val").rmdir()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: unreadable(f / "val/dog/1.png"), ["val/dog/1.png", "unreadable"]),
        (lambda f: cut_short(f / "train/cat/0.png"), ["train/cat/0.png", "unreadable"]),
        (lambda f: empty(f / "train/cat"), ["class cat", "no images in train"]),
        (lambda f: empty(f / "val/dog"), ["class dog", "no images in val"]),
        (lambda f: remove(f / "val/dog"), ["class dog is missing", "val"]),
        (lambda f: remove(f / "train/cat"), ["class cat is missing", "train"]),
        (no_validation, ["val: no such folder"]),
        (only_cats, ["1 classes found"]),
    ],
)
def test_a_damaged_image_folder_is_refused(classes: Path, damage: Callable[[Path], None], words: list[str]) -> None:
    damage(classes)
    message = refusal("image_folder", classes)
    assert all(word in message for word in words), message
    for split in build.SPLITS:  # unfinished stores stay for the next run
        with pytest.raises(InputError, match=r"unfinished store|no such store"):
            store.attributes(classes.parent / "out-0" / f"{split}.zarr" / "zarr.json")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: unreadable(f / "beach.png"), ["beach.png", "unreadable"]),
        (lambda f: paint(f / "attic.png", 100, 29), ["attic.png", "train part is 60x29", "30"]),
        (lambda f: paint(f / "attic.png", 70, 90), ["attic.png", "val part is 28x90", "30"]),
        (lambda f: [(f / name).unlink() for name in ("attic.png", "beach.png")], ["1 classes found"]),
        (empty, ["0 classes found"]),
    ],
)
def test_damaged_photographs_are_refused(photographs: Path, damage: Callable[[Path], None], words: list[str]) -> None:
    damage(photographs)
    message = refusal("scenes", photographs)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("source", ["scenes", "image_folder"])
def test_a_missing_folder_is_refused(tmp_path: Path, source: str) -> None:
    assert "nowhere is not a folder" in refusal(source, tmp_path / "nowhere")


@pytest.mark.slow
def test_unreadable_images_can_be_skipped_and_are_listed(classes: Path) -> None:
    damaged = [classes / "train/cat/2.png", classes / "val/dog/0.png"]
    for file in damaged:
        unreadable(file)
    for split, count in (("train", 5), ("val", 3)):
        path = built("image_folder", classes, "--on-error", "skip")[split]
        assert store.attributes(path)["skipped"] == ["train/cat/2.png", "val/dog/0.png"]
        assert len(store.load(path)["labels"]) == count


def test_a_class_of_nothing_but_unreadable_images_is_refused(classes: Path) -> None:
    for number in range(2):
        unreadable(classes / f"val/cat/{number}.png")
    assert "class cat has no images in val" in refusal("image_folder", classes, "--on-error", "skip")


def test_unreadable_photographs_can_be_skipped(photographs: Path) -> None:
    unreadable(photographs / "beach.png")
    for split, path in built("scenes", photographs, "--on-error", "skip").items():
        arrays, attributes = store.load(path), store.attributes(path)
        assert (attributes["classes"], attributes["skipped"]) == (["attic", "castle"], ["beach.png"])
        assert np.bincount(arrays["labels"]).tolist() == [CROPS[split]] * 2
        np.testing.assert_array_equal(arrays["group"], arrays["labels"])


@pytest.mark.slow
@pytest.mark.parametrize("source", ["scenes", "image_folder"])
def test_the_place_of_the_folder_changes_nothing(photographs: Path, classes: Path, source: str) -> None:
    folder = photographs if source == "scenes" else classes
    unreadable(folder / ("beach.png" if source == "scenes" else "val/cat/1.png"))
    elsewhere = folder.parent / "elsewhere" / folder.name
    shutil.copytree(folder, elsewhere)
    one, two = (built(source, where, "--on-error", "skip") for where in (folder, elsewhere))
    assert all(one[split].read_bytes() == two[split].read_bytes() for split in build.SPLITS)


def no_file(kind: str, file: Path) -> None:
    """Something that is named like an image, and is none."""
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to({"broken link": "nowhere.png", "link in a loop": file.name}[kind])


NO_FILES = ["pipe", "broken link", "link in a loop"]


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_named_like_an_image_and_is_none_is_refused_or_skipped(photographs: Path, kind: str) -> None:
    no_file(kind, photographs / "door.png")
    assert re.search(
        r"door\.png: unreadable image \((no file|a link that leads nowhere)\)", refusal("scenes", photographs)
    )
    attributes = store.attributes(built("scenes", photographs, "--on-error", "skip")["val"])
    assert (attributes["classes"], attributes["skipped"]) == (["attic", "beach", "castle"], ["door.png"])


@pytest.mark.parametrize("kind", NO_FILES)
def test_in_a_class_too(classes: Path, kind: str) -> None:
    unreadable(classes / "train/cat/2.png")
    no_file(kind, classes / "train/cat/1a.png")
    assert "train/cat/1a.png: unreadable image" in refusal("image_folder", classes)
    path = built("image_folder", classes, "--on-error", "skip")["train"]
    assert store.attributes(path)["skipped"] == ["train/cat/1a.png", "train/cat/2.png"]
    assert len(store.load(path)["labels"]) == 5


@pytest.mark.parametrize("place", ["train/cow", "val/cat/more", "val/cat/notes.txt"])
def test_any_link_that_leads_nowhere_may_have_been_images(classes: Path, place: str) -> None:
    """A folder on a disk that is not there."""
    (classes / place).symlink_to("/nowhere/at all")
    assert f"{place}: unreadable image (a link that leads nowhere)" in refusal("image_folder", classes)
    assert store.attributes(built("image_folder", classes, "--on-error", "skip")["train"])["skipped"] == [place]


def test_an_image_outside_of_all_classes_is_refused_or_skipped(classes: Path) -> None:
    noise(classes / "val/stray.png", 0)
    assert "val/stray.png: unreadable image (in no folder of a class)" in refusal("image_folder", classes)
    assert store.attributes(built("image_folder", classes, "--on-error", "skip")["val"])["skipped"] == ["val/stray.png"]


@pytest.mark.slow
def test_linked_folders_are_as_good_as_others(classes: Path, tmp_path: Path) -> None:
    whole = [path.read_bytes() for path in built("image_folder", classes).values()]
    (classes / "train/cat").rename(tmp_path / "elsewhere")
    (tmp_path / "inner").mkdir()
    (tmp_path / "elsewhere/1.png").rename(tmp_path / "inner/1.png")
    (classes / "train/cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/1.png").symlink_to("../inner/1.png")
    assert [path.read_bytes() for path in built("image_folder", classes).values()] == whole
    (tmp_path / "elsewhere/1.png").unlink()
    (tmp_path / "elsewhere/1").symlink_to("../inner")
    linked = built("image_folder", classes)
    assert len(store.load(linked["train"])["labels"]) == 6


@pytest.mark.parametrize("place", ["train/cat/self", "val/dog/up"])
def test_a_folder_linked_from_within_itself_is_refused(classes: Path, place: str) -> None:
    (classes / place).symlink_to("." if place.endswith("self") else "..")
    assert "a link that leads back to a folder in which it lies" in refusal(
        "image_folder", classes, "--on-error", "skip"
    )


@pytest.mark.parametrize("source", ["scenes", "image_folder"])
def test_an_error_of_the_system_stops_though_bad_pictures_are_skipped(
    photographs: Path, classes: Path, source: str
) -> None:
    """A picture that cannot be read now is not a bad one."""
    folder = photographs if source == "scenes" else classes
    file = photographs / "door.png" if source == "scenes" else classes / "train/cat/1.png"
    file.unlink(missing_ok=True)
    file.symlink_to("/proc/self/mem")
    assert f"{file}: the system cannot read it (Input/output error)" in refusal(source, folder, "--on-error", "skip")


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
def test_any_name_of_a_class_and_a_file(classes: Path, name: str) -> None:
    """The last is no valid UTF-8."""
    for split in build.SPLITS:
        (classes / split / "dog").rename(classes / split / name)
    good, bad = (classes / "val" / name / number for number in ("0.png", "1.png"))
    good.rename(good.with_name(f"{name}.png"))
    unreadable(bad.rename(bad.with_name(f"{name}2.png")))
    assert "unreadable image" in refusal("image_folder", classes)  # one line
    path = built("image_folder", classes, "--on-error", "skip")["val"]
    assert store.attributes(path)["classes"] == sorted(["cat", name])
    assert store.attributes(path)["skipped"] == [f"val/{name}/{name}2.png"]
    assert len(store.load(path)["images"]) == 3


def test_other_files_are_no_images(photographs: Path) -> None:
    (photographs / "ATTRIBUTION.md").write_text("by nobody")
    for name in ("._beach.png", "@eaDir"):
        (photographs / name).write_bytes(b"no image")
    attributes = store.attributes(built("scenes", photographs)["val"])
    assert attributes["classes"] == ["attic", "beach", "castle"]
    assert {reason: found["first"] for reason, found in attributes["left_out"].items()} == {
        "hidden": ["._beach.png"],
        "not named as an image": ["ATTRIBUTION.md"],
        "of the system": ["@eaDir"],
    }


def test_crops_are_named_by_their_photograph(photographs: Path) -> None:
    path = built("scenes", photographs)["val"]
    arrays, classes = store.load(path), store.attributes(path)["classes"]
    names = [row.tobytes().rstrip(b"\0").decode() for row in arrays["names"]]
    assert sorted(names) == sorted(f"{name}.png, val crop {number}" for name in classes for number in range(4))
    assert [name.split(".")[0] for name in names] == [classes[label] for label in arrays["labels"]]


@pytest.mark.parametrize("other", ["beach.jpg", "more/beach.png"])
def test_two_photographs_of_one_name_are_refused(photographs: Path, other: str) -> None:
    (photographs / "more").mkdir()
    paint(photographs / other, 80, 80)
    message = refusal("scenes", photographs)
    assert all(str(photographs / name) in message for name in ("beach.png", other)), message
    assert "both would be class beach" in message


@pytest.mark.parametrize(("kind", "mode"), [(np.uint16, "I;16"), (np.int32, "I"), (np.float32, "F")])
def test_more_than_eight_bits_are_refused_or_skipped(classes: Path, kind: type, mode: str) -> None:
    """Pillow would clip their values."""
    file = classes / "train" / "cat" / "0.tif"
    Image.fromarray(np.linspace(0, 65535, 64).astype(kind).reshape(8, 8)).save(file)
    assert f"{file}: unreadable image (mode {mode}, allowed" in refusal("image_folder", classes)
    path = built("image_folder", classes, "--on-error", "skip")["train"]
    assert store.attributes(path)["skipped"] == ["train/cat/0.tif"]


@pytest.mark.parametrize(
    ("crops", "words"),
    [
        ([], "data.crops: train, val, smallest, largest, left missing"),
        (["--crops", "{}"], "data.crops: train, val, smallest, largest, left missing"),
        (["--crops", json.dumps({k: v for k, v in CROPS.items() if k != "left"})], "data.crops: left missing"),
        (["--crops", json.dumps(CROPS | {"smallest": 31})], "data.crops.smallest: 31, allowed is up to largest, 30"),
    ],
)
def test_impossible_crops_are_refused(photographs: Path, crops: list[str], words: str) -> None:
    assert words in refusal("scenes", photographs, *crops, crops=None)


def write_idx(file: Path, array: np.ndarray) -> None:
    """Write the format of MNIST: magic number, shape, bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


@pytest.fixture
def fashion(tmp_path: Path) -> tuple[Path, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """A folder with files of Fashion-MNIST, and their 20 and 10 random images with labels."""
    rng, made = np.random.default_rng(0), {}
    for split, prefix, count in (("train", "train", 20), ("val", "t10k", 10)):
        made[split] = rng.integers(0, 256, (count, 28, 28), np.uint8), (np.arange(count) % 10).astype(np.uint8)
        raw = tmp_path / "sets" / "FashionMNIST" / "raw"
        write_idx(raw / f"{prefix}-images-idx3-ubyte", made[split][0])
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", made[split][1])
    return tmp_path / "sets", made


def test_torchvision_sets_keep_their_own_channels(fashion: tuple) -> None:
    folder, made = fashion
    for split, path in built("fashion_mnist", folder, size=28).items():
        arrays, (pixels, labels) = store.load(path), made[split]
        np.testing.assert_array_equal(arrays["images"], pixels[arrays["group"]][..., None], strict=True)
        np.testing.assert_array_equal(arrays["labels"], labels[arrays["group"]])
        assert len(store.attributes(path)["classes"]) == 10


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("length", [0, 3, 12])
def test_a_damaged_file_of_torchvision_is_named_by_its_set(fashion: tuple, name: str, length: int) -> None:
    folder, _ = fashion
    os.truncate(folder / "FashionMNIST/raw" / name, length)
    message = refusal("fashion_mnist", folder, size=28)
    assert message.startswith(f"{folder}: fashion_mnist is damaged, or could not be downloaded (")


def test_torchvision_sets_of_another_size_are_refused(fashion: tuple) -> None:
    with pytest.raises(SystemExit, match=r"data\.size: 32, but images of fashion_mnist are 28 pixels wide"):
        built("fashion_mnist", fashion[0], size=32)
