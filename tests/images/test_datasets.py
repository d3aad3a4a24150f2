"""What of a folder of classes is stored and what is left out, beside torchvision's ImageFolder."""

import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from torchvision.datasets import ImageFolder

from workflow.convergent import photographs, store
from workflow.convergent.images import build, listing
from workflow.convergent.images.listing import LeftOut
from workflow.convergent.schema import conform

SIZE = 8
COMPOSED, APART = (unicodedata.normalize(form, "élan") for form in ("NFC", "NFD"))


def picture(file: Path, seed: int = 0, **options: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, *os.fsencode(file.name)]).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    Image.fromarray(pixels).save(file, options.pop("kind", "PNG"), **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with two images each in train, and one in val."""
    for seed, name in enumerate(["train/a/0.png", "train/a/1.png", "train/b/0.png", "train/b/1.png"]):
        picture(tmp_path / "data" / name, seed)
    for seed, name in enumerate(["val/a/0.png", "val/b/0.png"], 4):
        picture(tmp_path / "data" / name, seed)
    return tmp_path / "data"


def built(folder: Path, *options: str) -> dict[str, Path]:
    paths = {split: folder.parent / "out" / f"{split}.zarr" / "zarr.json" for split in build.SPLITS}
    arguments = ["--source", "image_folder", "--folder", str(folder), "--size", str(SIZE), "--seed", "0"]
    build.main([*map(str, paths.values()), *arguments, *options])
    return paths


def names_of(path: Path) -> list[str]:
    return [os.fsdecode(row.tobytes().rstrip(b"\0")) for row in store.load(path, "names")["names"]]


def stored(path: Path) -> dict[str, tuple[str, bytes]]:
    """Class and pixels of each file that is stored."""
    arrays, classes = store.load(path), store.attributes(path)["classes"]
    pixels = [image.tobytes() for image in arrays["images"]]
    known = {n: (classes[k], x) for n, k, x in zip(names_of(path), arrays["labels"], pixels, strict=True)}
    assert len(known) == len(pixels)
    return known


def of_torchvision(folder: Path, split: str) -> dict[str, tuple[str, bytes]]:
    """The same by torchvision, whose images are as large as those that are stored."""
    of_split = ImageFolder(folder / split)
    places = [(Path(file).relative_to(folder).as_posix(), of_split.classes[label]) for file, label in of_split.samples]
    pixels = [np.asarray(image).tobytes() for image, _ in of_split]
    return {name: (label, x) for (name, label), x in zip(places, pixels, strict=True)}


def data(folder: Path, **changed: object) -> dict:
    """The section of a configuration, with the schema's defaults."""
    return {"source": "image_folder", "folder": str(folder), "size": SIZE, "on_error": "stop", "groups": ""} | changed


def linked(folder: Path) -> None:
    """A file, a folder within a class, a class, and folders within linked folders."""
    elsewhere = folder.parent / "elsewhere"
    for number in range(3):
        picture(elsewhere / f"more/{number}.png", number)
        picture(elsewhere / f"class/deep/{number}.png", number)
    (folder / "train/a/more").symlink_to(elsewhere / "more")
    (folder / "train/a/one.png").symlink_to(elsewhere / "more/0.png")
    (folder / "train/c").symlink_to(elsewhere / "class")
    (folder / "val/c").symlink_to(elsewhere / "class/deep")
    (elsewhere / "class/again").symlink_to(elsewhere / "more")
    (folder / "train/b/album.png").symlink_to(elsewhere / "more")  # a folder, whatever it is named


def nested(folder: Path) -> None:
    for name in ("train/a/x/y/z/0.png", "train/a/x/1.JPG", "val/b/holiday.jpg/0.png", "val/b/.hidden.txt"):
        picture(folder / name)


def formats(folder: Path) -> None:
    """All that ImageFolder reads."""
    kinds = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "ppm": "PPM", "bmp": "BMP", "pgm": "PPM", "tif": "TIFF"}
    for extension, kind in (kinds | {"tiff": "TIFF", "webp": "WEBP", "JPEG": "JPEG", "Tif": "TIFF"}).items():
        picture(folder / f"train/b/one.{extension}", kind=kind)
    Image.fromarray(np.full((SIZE, SIZE), 9, np.uint8)).save(folder / "train/a/grey.pgm")


def other_files(folder: Path) -> None:
    for name in ("train/notes.txt", "train/a/list.csv", "val/b/no extension", "test/a/0.png", "train/b/0.png.part"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("no image")


@pytest.mark.slow
@pytest.mark.parametrize("change", [linked, nested, formats, other_files])
def test_images_and_classes_are_those_of_torchvision(folder: Path, change: Callable[[Path], None]) -> None:
    change(folder)
    for split, path in built(folder).items():
        expected = of_torchvision(folder, split)
        assert stored(path) == expected
        assert store.attributes(path)["classes"] == ImageFolder(folder / split).classes
        assert photographs.count(photographs.image_names(data(folder), split)) == len(expected)


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[ExifTags.Base.Orientation] = orientation
    return made


def test_formats_that_torchvision_passes_over_are_read(folder: Path) -> None:
    kinds = {"jfif": "JPEG", "jpe": "JPEG", "avif": "AVIF", "jp2": "JPEG2000", "j2k": "JPEG2000", "gif": "GIF"}
    for extension, kind in kinds.items():
        picture(folder / f"train/a/one.{extension}", kind=kind)
    path = built(folder)["train"]
    assert set(stored(path)) - set(of_torchvision(folder, "train")) == {f"train/a/one.{e}" for e in kinds}
    assert store.attributes(path)["left_out"] == {}
    one = Image.open(folder / "train/a/one.jp2").convert("RGB")
    assert stored(path)["train/a/one.jp2"] == ("a", np.asarray(one).tobytes())


LITTER = {
    "hidden": ["train/.ipynb_checkpoints/a-checkpoint.png", "train/a/._0.png", "train/a/.DS_Store", "val/.b/0.png"],
    "of the system": ["train/a/@eaDir/0.png", "val/b/Thumbs.db", "train/__MACOSX/a/0.png", "train/b/lost+found/0.png"],
    ".heic is not read": ["train/a/2.heic", "train/a/3.HEIC"],
    ".psd is not read": ["val/a/1.psd"],
    "not named as an image": ["train/a/notes.txt", "train/readme"],
}


def litter(folder: Path) -> None:
    for name in (name for names in LITTER.values() for name in names):
        picture(folder / name)


@pytest.mark.slow
def test_what_is_left_out_is_counted_and_named_in_log_and_store(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {split: stored(path) for split, path in built(folder).items()}
    litter(folder)
    capsys.readouterr()
    paths = built(folder)
    assert {split: stored(path) for split, path in paths.items()} == before
    whole = {"hidden": ["train/.ipynb_checkpoints", "train/a/.DS_Store", "train/a/._0.png", "val/.b"]}
    whole |= {"of the system": ["train/__MACOSX", "train/a/@eaDir", "train/b/lost+found", "val/b/Thumbs.db"]}
    expected = {reason: {"count": len(n), "first": n} for reason, n in sorted((LITTER | whole).items())}
    log = capsys.readouterr().out
    for path in paths.values():
        assert store.attributes(path)["left_out"] == expected
    for reason, found in expected.items():
        assert f"left out, {reason}: {found['count']}, first {found['first'][0]}\n" in log


def test_few_of_many_names_are_kept(folder: Path) -> None:
    left_out = LeftOut(folder)
    for number in np.random.default_rng(0).permutation(1000):
        left_out(folder / f"train/a/{number:04}.heic", ".heic is not read")
    first = [f"train/a/{number:04}.heic" for number in range(5)]
    assert left_out.attribute() == {".heic is not read": {"count": 1000, "first": first}}


def test_litter_changes_neither_the_digest_nor_the_count(folder: Path) -> None:
    before = listing.listing_digest(folder)
    counts = {split: photographs.count(photographs.image_names(data(folder), split)) for split in build.SPLITS}
    litter(folder)
    assert listing.listing_digest(folder) == before
    assert counts == {"train": 4, "val": 2}
    for split, count in counts.items():
        assert photographs.count(photographs.image_names(data(folder), split)) == count
    assert photographs.classes(data(folder)) == 2


@pytest.mark.slow
def test_spellings_of_one_class_are_one_class(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one split and the other, and within a split."""
    assert COMPOSED != APART
    picture(folder / f"train/{APART}/0.png", 1)
    picture(folder / f"val/{COMPOSED}/0.png", 2)
    paths = built(folder)
    assert [store.attributes(path)["classes"] for path in paths.values()] == [["a", "b", COMPOSED]] * 2
    assert "one class in" not in capsys.readouterr().out
    picture(folder / f"train/{COMPOSED}/1.png", 3)
    found = stored(built(folder)["train"])
    assert {name: label for name, (label, _) in found.items() if label not in "ab"} == {
        f"train/{APART}/0.png": COMPOSED,
        f"train/{COMPOSED}/1.png": COMPOSED,
    }
    assert "one class in 2 folders, whose names differ only in Unicode: 'train/e\\u0301lan', 'train/\\xe9lan'" in (
        capsys.readouterr().out
    )
    assert photographs.classes(data(folder)) == 3
    assert photographs.count(photographs.image_names(data(folder), "train")) == 6


@pytest.mark.slow
def test_the_spelling_of_names_changes_no_order(folder: Path, tmp_path: Path) -> None:
    """A copy of a folder that went through a Mac has equal pixels, labels and groups."""
    for number, name in enumerate(["éa", "fa", "za"]):
        for split in build.SPLITS:
            picture(folder / split / name / f"{name}.png", number)
    copy = tmp_path / "copy" / "data"
    for file in folder.rglob("*.png"):
        other = copy / unicodedata.normalize("NFD", file.relative_to(folder).as_posix())
        other.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, other)
    for split, path in built(folder).items():
        one, two = store.load(path), store.load(built(copy)[split])
        for name in ("images", "labels", "group"):
            np.testing.assert_array_equal(one[name], two[name])


@pytest.mark.parametrize("form", ["pattern", "table"])
@pytest.mark.parametrize("written", [COMPOSED, APART])
def test_groups_are_found_in_any_spelling(folder: Path, form: str, written: str) -> None:
    for split in build.SPLITS:
        for number, name in enumerate([COMPOSED, APART]):
            picture(folder / split / "a" / f"{name}-{number}.png", number)
    table = folder.parent / "groups.csv"
    rows = [f"{split}/{label}/{k}.png,{k}" for split in build.SPLITS for label in "ab" for k in range(2)]
    rows += [f"{split}/a/{written}-{number}.png,same" for split in build.SPLITS for number in range(2)]
    table.write_text("\n".join(["file,group", *rows]) + "\n", encoding="utf-8")
    groups = str(table) if form == "table" else rf"({written}|\d\.png)"
    path = built(folder, f"--groups={groups}")["train"]
    group = dict(zip(names_of(path), store.load(path, "group")["group"].tolist(), strict=True))
    assert group[f"train/a/{COMPOSED}-0.png"] == group[f"train/a/{APART}-1.png"]
    assert len(set(group.values())) == 3


@pytest.mark.slow
@pytest.mark.parametrize("source", ["image_folder", "scenes"])
def test_orientation_is_not_applied_unless_asked_for(
    folder: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log says so."""
    for number in range(3):
        picture(folder / f"train/a/turned {number}.png", number, exif=exif(6))
    picture(folder / "val/b/mirrored.png", 9, exif=exif(2))
    where = folder if source == "image_folder" else folder / "train/a"
    crops = {"train": 2, "val": 2, "smallest": 4, "largest": 4, "left": 0.5}
    arguments = ["--source", source, "--crops", json.dumps(crops)]
    plain = store.load(built(where, *arguments)["train"])
    log = capsys.readouterr().out
    assert "train: the EXIF orientation of 3 files is not applied; data.rotate: true applies it\n" in log
    paths = built(where, *arguments, "--rotate")
    assert "EXIF" not in capsys.readouterr().out
    for path in paths.values():
        assert (store.attributes(path)["turned"], store.attributes(path)["rotate"]) == (0, True)
    turned = store.load(paths["train"])["images"]
    for image, other, name in zip(turned, plain["images"], names_of(paths["train"]), strict=True):
        if source == "image_folder":
            np.testing.assert_array_equal(image, np.rot90(other, -1) if "turned" in name else other)
        else:
            assert (image.tolist() != other.tolist()) == ("turned" in name)


def test_only_sources_with_files_can_be_turned(config: dict) -> None:
    config["data"] |= {"source": "cifar10", "size": 32, "rotate": True}
    del config["data"]["crops"]
    with pytest.raises(
        Exception, match=r"data\.rotate: True is not possible; it goes with data\.source: scenes or image_"
    ):
        photographs.check_data(conform(config)["data"])


@pytest.mark.parametrize("kind", ["to nowhere", "to itself"])
def test_a_dangling_link_is_named_before_any_work(folder: Path, kind: str) -> None:
    link = folder / "train/a/gone.png"
    link.symlink_to(link if kind == "to itself" else "/nowhere/0.png")
    names = photographs.image_names(data(folder), "train")
    with pytest.raises(listing.InputError, match=r"train/a/gone\.png: unreadable image \(a link that leads nowhere\)"):
        photographs.count(names)
    assert photographs.count(photographs.image_names(data(folder, on_error="skip"), "train")) == 4
