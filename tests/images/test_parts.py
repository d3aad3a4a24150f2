"""A store built in parts equals one that is built at once, whatever interrupts it and however many processes decode."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workflow.convergent import store
from workflow.convergent.images import build, parts
from workflow.convergent.images.listing import image_files

SIZE, ROWS = 6, 3  # of a stored image; of a part
COUNTS = {"train": 5, "val": 2}  # images of each of two classes: 4 and 2 parts


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", ROWS * SIZE * SIZE * 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of noise."""
    return noise(tmp_path / "photographs", COUNTS)


def noise(folder: Path, counts: dict[str, int], width: int = 9) -> Path:
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (width, width + 2, 3), np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder


def arguments(folder: Path, out: Path, *options: str) -> list[str]:
    stores = [str(out / f"{split}.zarr" / "zarr.json") for split in build.SPLITS]
    return [*stores, "--source", "image_folder", "--folder", str(folder), "--size", str(SIZE), "--seed", "0", *options]


def built(folder: Path, out: str, *options: str) -> dict[str, Path]:
    """The declared file of each split, after a run of the stage."""
    made = folder.parent / out
    build.main(arguments(folder, made, *options))
    return {split: made / f"{split}.zarr" / "zarr.json" for split in build.SPLITS}


def content(out: Path) -> dict[str, bytes]:
    """Every file of the stores of a run but their provenance."""
    files = (file for file in out.rglob("*") if file.is_file() and file.parent.name != "provenance")
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def in_one_go(folder: Path, split: str) -> dict[str, np.ndarray]:
    """The arrays that the store has to hold: all files decoded in order of their names, then shuffled."""
    files = image_files(folder / split)
    images = np.stack([np.asarray(Image.open(f).resize((SIZE, SIZE), Image.Resampling.BILINEAR)) for f in files])
    labels = np.array([f.parent.name == "dog" for f in files], np.int32)
    order = build.shuffle(len(files), 0, split)
    names = [file.relative_to(folder).as_posix().encode() for file in files]
    padded = np.array([list(name.ljust(max(map(len, names)), b"\0")) for name in names], np.uint8)
    arrays = {"images": images[order], "labels": labels[order], "group": order.astype(np.int32)}
    return {**arrays, "names": padded[order]}


def damage(folder: Path, split: str, rows: list[int]) -> list[str]:
    """Names of the files of some rows of the store, sorted, after they were made unreadable."""
    files = image_files(folder / split)
    order = build.shuffle(len(files), 0, split)
    for row in rows:
        files[order[row]].write_bytes(b"not an image")
    return [files[i].relative_to(folder).as_posix() for i in sorted(order[rows])]


def chunks(path: Path, numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Inodes and times of some chunks of images; a chunk that is written again gets others."""
    states = [(path.parent / f"images/c/{number}/0/0/0").stat() for number in numbers]
    return [(state.st_ino, state.st_mtime_ns) for state in states]


@pytest.mark.slow
def test_parts_are_the_store_that_is_built_in_one_go(folder: Path) -> None:
    for split, path in built(folder, "out").items():
        whole, attributes = in_one_go(folder, split), store.attributes(path)
        for name, array in store.load(path).items():
            np.testing.assert_array_equal(array, whole[name], strict=True)
        assert store.StoredArray(path, "images").chunk_rows == ROWS
        assert not (path.parent / "parts").exists()
        saved = folder.parent / "saved.zarr" / "zarr.json"
        store.save(
            saved, whole, **{key: attributes[key] for key in attributes if key not in ("arrays", "chunks", "sha256")}
        )
        assert path.read_bytes() == saved.read_bytes()


@pytest.mark.slow
def test_any_number_of_processes_gives_the_same_bytes(folder: Path) -> None:
    damage(folder, "train", [1, 8])
    for workers in ("1", "2", "3"):
        built(folder, workers, "--workers", workers, "--on-error", "skip")
    assert content(folder.parent / "1") == content(folder.parent / "2") == content(folder.parent / "3")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "remain"),
    [
        ([0], [9, 1, 2, 3, 4, 5, 6, 7, 8]),
        ([9], [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ([3, 4, 5], [0, 1, 2, 7, 8, 9, 6]),
        ([6, 7, 8, 9], [0, 1, 2, 3, 4, 5]),
        ([0, 9], [8, 1, 2, 3, 4, 5, 6, 7]),
        ([2, 7], [0, 1, 8, 3, 4, 5, 6, 9]),
        ([0, 1, 2, 3, 5, 7, 9], [4, 6, 8]),
    ],
)
def test_the_last_readable_rows_fill_holes(folder: Path, rows: list[int], remain: list[int]) -> None:
    whole = in_one_go(folder, "train")
    names = damage(folder, "train", rows)
    path = built(folder, "out", "--on-error", "skip")["train"]
    arrays = store.load(path)
    for name in ("images", "labels", "names"):
        np.testing.assert_array_equal(arrays[name], whole[name][remain], strict=True)
    np.testing.assert_array_equal(store.StoredArray(path, "images")[range(len(remain))], whole["images"][remain])
    np.testing.assert_array_equal(np.argsort(arrays["group"]), np.argsort(whole["group"][remain]))
    assert sorted(arrays["group"]) == list(range(len(remain)))  # a number per readable file
    assert store.attributes(path)["skipped"] == names


@pytest.mark.parametrize("seed", range(20))
def test_filling_holes_moves_as_little_as_possible(seed: int) -> None:
    rng = np.random.default_rng(seed)
    readable = rng.random(30) < rng.random()
    rows = parts.without_holes(readable)
    assert sorted(rows) == np.flatnonzero(readable).tolist()
    kept = np.flatnonzero(readable[: len(rows)])
    np.testing.assert_array_equal(rows[kept], kept)


class Died(BaseException):
    """Raised in place of a kill; nothing catches it."""


def dies_at(monkeypatch: pytest.MonkeyPatch, last: int) -> Callable[[], int]:
    """A function that counts replacements and removals of files; the process dies in place of number ``last``."""
    begun = 0

    def counted(step: Callable) -> Callable:
        def count(*args: object, **kwargs: object) -> object:
            nonlocal begun
            begun += 1
            if begun >= last:
                raise Died
            return step(*args, **kwargs)

        return count

    for name in ("replace", "unlink"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    return lambda: begun


@pytest.mark.slow
def test_a_run_that_dies_anywhere_is_gone_on_with_to_the_same_bytes(tmp_path: Path) -> None:
    """Also while rows are moved and cut off, and with one store complete; Snakemake may remove declared files or not.

    Dies at every third step, to save time; a step of 1 tries them all.
    """
    folder, out = noise(tmp_path / "photographs", {"train": 4, "val": 1}), tmp_path / "out"
    damage(folder, "train", [1])
    built(folder, "whole", "--on-error", "skip")
    whole = content(tmp_path / "whole")
    for step in range(1, 1000, 3):
        shutil.rmtree(out, ignore_errors=True)
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Died):
            begun = dies_at(patch, step)
            built(folder, "out", "--on-error", "skip")
        if begun() < step:
            break
        for split in build.SPLITS if step % 2 else ():
            (out / f"{split}.zarr" / "zarr.json").unlink(missing_ok=True)
        built(folder, "out", "--on-error", "skip")
        assert content(out) == whole, f"without step {step}"
    assert step > 60


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_run_is_gone_on_with(tmp_path: Path, workers: str, capsys: pytest.CaptureFixture) -> None:
    """To the same bytes; finished parts are not decoded again, and no process of the killed run is left."""
    folder = noise(tmp_path / "photographs", {"train": 180, "val": 3}, width=200)
    built(folder, "whole")
    out = tmp_path / "out"
    code = "from workflow.convergent import store; from workflow.convergent.images import build; "
    code += f"store.CHUNK_BYTES = {store.CHUNK_BYTES}; "
    code += f"build.main({arguments(folder, out, '--workers', workers)})"
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    train = out / "train.zarr" / "zarr.json"
    wait_for(lambda: len(list(train.parent.glob("parts/*.json"))) >= 4)
    helpers = children(run.pid)
    run.send_signal(signal.SIGKILL)
    run.wait()
    wait_for(lambda: not any(Path(f"/proc/{helper}").exists() for helper in helpers))
    finished = [int(record.stem) for record in train.parent.glob("parts/*.json")]
    assert 4 <= len(finished) < 120
    before = chunks(train, finished)
    capsys.readouterr()
    built(folder, "out")
    assert f"train: going on with {len(finished)} of 120 parts of an earlier run\n" in capsys.readouterr().out
    assert chunks(train, finished) == before
    assert content(out) == content(tmp_path / "whole")


MEND = "mend that, then run again"


def stops(folder: Path, *options: str) -> str:
    """The line with which the stage refuses its input."""
    with pytest.raises(SystemExit) as stopped:
        built(folder, "out", *options)
    message = str(stopped.value)
    assert "\n" not in message
    return message


@pytest.mark.slow
def test_after_a_file_is_mended_only_its_part_is_made_again(folder: Path) -> None:
    built(folder, "whole")
    files = image_files(folder / "train")
    broken = files[build.shuffle(10, 0, "train")[-1]]
    good = broken.read_bytes()
    broken.write_bytes(b"not an image")
    assert stops(folder).startswith(f"{broken}: unreadable image (")
    train = folder.parent / "out" / "train.zarr" / "zarr.json"
    before = chunks(train, range(4))
    assert stops(folder).startswith(f"{broken}: unreadable image (")
    broken.write_bytes(good)
    built(folder, "out")
    assert [a == b for a, b in zip(before, chunks(train, range(4)), strict=True)] == [True, True, True, False]
    assert content(folder.parent / "out") == content(folder.parent / "whole")


@pytest.mark.slow
def test_an_error_of_the_system_is_not_remembered(folder: Path) -> None:
    """The file is readable again; nothing of it changed that a record could tell."""
    built(folder, "whole", "--on-error", "skip")
    file = folder / "train/cat/0.png"
    good, times = file.read_bytes(), (0, file.stat().st_mtime_ns)
    file.unlink()
    file.symlink_to("/proc/self/mem")
    assert stops(folder, "--on-error", "skip") == f"{file}: the system cannot read it (Input/output error); " + MEND
    number = int(np.flatnonzero(build.shuffle(10, 0, "train") == 0)[0]) // ROWS
    records = {int(record.stem) for record in (folder.parent / "out/train.zarr/parts").glob("*.json")}
    assert records == set(range(number))
    file.unlink()
    file.write_bytes(good)
    os.utime(file, ns=times)
    built(folder, "out", "--on-error", "skip")
    assert content(folder.parent / "out") == content(folder.parent / "whole")


@pytest.mark.parametrize("after", ["the list", "the state"])
def test_a_file_that_vanishes_ends_the_run_with_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """After the list of files was made, or after the files' sizes and times were read."""
    file = folder / "train/dog/1.png"
    step = "plan_parts" if after == "the list" else "earlier_record"
    whole = getattr(parts, step)

    def vanishing(*arguments: object) -> object:
        file.unlink(missing_ok=True)
        return whole(*arguments)

    monkeypatch.setattr(parts, step, vanishing)
    line = f"{file}: the system cannot read it (No such file or directory); " + MEND
    assert stops(folder, "--on-error", "skip") == line


def flip(file: Path) -> None:
    """Change one byte in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def bad_row(file: Path) -> None:
    """A record that names another unreadable row, with a checksum of before."""
    file.write_text(file.read_text().replace('"unreadable": {}', '"unreadable": {"4": "damaged"}'))


CUTS = [flip, Path.unlink, lambda file: os.truncate(file, 0), lambda file: os.truncate(file, file.stat().st_size // 2)]
DAMAGE = [(name, cut) for name in ("images/c/1/0/0/0", "parts/1.json") for cut in CUTS] + [("parts/1.json", bad_row)]
# without these the whole store is made anew, or they are written again
DAMAGE += [(name, CUTS[2]) for name in ("parts/key", "images/zarr.json", "labels/zarr.json", "provenance/zarr.json")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "harm"), DAMAGE)
def test_what_an_interrupted_run_left_may_be_damaged(folder: Path, name: str, harm: Callable[[Path], None]) -> None:
    """What is damaged is made again, and a part that is not is taken over."""
    built(folder, "whole")
    last = image_files(folder / "train")[build.shuffle(10, 0, "train")[-1]]
    good = last.read_bytes()
    last.write_bytes(b"not an image")
    stops(folder)
    last.write_bytes(good)
    train = folder.parent / "out" / "train.zarr" / "zarr.json"
    (train.parent / "provenance").mkdir()
    (train.parent / "provenance/zarr.json").touch()  # of a run that died while it finished the store
    harm(train.parent / name)
    intact = chunks(train, [0, 2])
    built(folder, "out")
    assert name == "parts/key" or chunks(train, [0, 2]) == intact
    assert content(folder.parent / "out") == content(folder.parent / "whole")


@pytest.mark.slow
def test_what_stopped_can_be_skipped_without_decoding_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(folder, "val", [3])
    stops(folder)
    monkeypatch.setattr(parts, "pixels", None)
    with pytest.raises(SystemExit, match="TypeError"):
        built(folder, "other", "--on-error", "skip")
    built(folder, "out", "--on-error", "skip")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [["--size", "7"], ["--seed", "1"], []],
    ids=["size", "seed", "another file"],
)
def test_another_list_of_files_or_size_or_order_starts_anew(
    folder: Path, capsys: pytest.CaptureFixture, options: list[str]
) -> None:
    damage(folder, "val", [3])
    stops(folder)
    if not options:
        shutil.copy(folder / "train/cat/0.png", folder / "train/cat/9.png")
    capsys.readouterr()
    built(folder, "out", "--on-error", "skip", *options)
    assert "train: going on" not in capsys.readouterr().out
    built(folder, "anew", "--on-error", "skip", *options)
    assert content(folder.parent / "out") == content(folder.parent / "anew")


def test_classes_without_images_are_refused_before_any_is_decoded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "pixels", None)
    for file in (folder / "val/dog").iterdir():
        file.unlink()
    assert "class dog has no images in val" in stops(folder)
    assert not (folder.parent / "out").exists()


@pytest.mark.parametrize(
    ("decoded", "seconds", "line"),
    [
        (0, 0.1, "train: 3 of 8 parts, 900 of 2400 images"),
        (600, 2.0, "train: 3 of 8 parts, 900 of 2400 images, 300 images/s, 0:00:05 left"),
        (1, 10.0, "train: 3 of 8 parts, 900 of 2400 images, 0 images/s, 4:10:00 left"),
    ],
)
def test_progress(decoded: int, seconds: float, line: str) -> None:
    assert parts.progress("train", (3, 8), (900, 2400), decoded, seconds) == line


@pytest.mark.slow
def test_progress_is_printed_now_and_then(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    built(folder, "seldom")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" images")[0] for line in lines] == [
        "train: 4 of 4 parts, 10 of 10",
        "val: 2 of 2 parts, 4 of 4",
        "train: 10",
        "val: 4",
    ]
    monkeypatch.setattr(parts, "REPORT_SECONDS", 0.0)
    built(folder, "often")
    assert len(capsys.readouterr().out.splitlines()) == 4 + 2 + 2
