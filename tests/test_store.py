"""Stores: arrays that are written come back; damaged and unfinished stores and input that differs are refused."""

import json
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

from workflow.convergent import chunks, store
from workflow.convergent.commands import InputError

RNG = np.random.default_rng(0)
ARRAYS = {
    "count": np.int64(7),
    "images": RNG.integers(0, 256, (10, 4, 5, 3), np.uint8),
    "mean/net0": RNG.normal(size=3),
    "mean/net1": RNG.normal(size=4),
    "total/mean/net0": RNG.normal(size=(2, 3)).astype(np.float32),
    "live": np.array([True, False, True]),
    "none": np.empty((0, 2), np.float32),
    "holes": np.array([np.nan, 0.0, -np.inf]),
}


def save(path: Path, arrays: dict = ARRAYS, **attributes: object) -> Path:
    """The zarr.json of a new store."""
    store.save(path / "zarr.json", arrays, **attributes)
    return path / "zarr.json"


def sha256(path: Path) -> str:
    return store.attributes(path)["sha256"]


def test_round_trip(tmp_path: Path) -> None:
    loaded = store.load(save(tmp_path / "a.zarr"))
    assert list(loaded) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(loaded[name], array, strict=True)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["images"], ["images"]),
        (["mean/*"], ["mean/net0", "mean/net1"]),
        (["total/*", "count"], ["count", "total/mean/net0"]),
        (["*net0"], ["mean/net0", "total/mean/net0"]),
    ],
)
def test_patterns_choose_arrays(tmp_path: Path, patterns: list[str], names: list[str]) -> None:
    assert list(store.load(save(tmp_path / "a.zarr"), *patterns)) == names


def test_attributes_are_kept_and_saving_replaces_the_whole_store(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr", layer="conv1", seed=1)
    path = save(tmp_path / "a.zarr", {"x": np.arange(3)}, layer="conv2")
    assert list(store.load(path)) == ["x"]
    digests = ("arrays", "chunks", "sha256")
    assert {k: v for k, v in store.attributes(path).items() if k not in digests} == {"layer": "conv2"}
    assert not (tmp_path / "a.zarr" / "images").exists()


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"x": np.arange(6)}, True),
        ({"x": np.arange(12)[::2] // 2}, True),  # other strides
        ({"x": np.arange(1, 7)}, False),
        ({"x": np.arange(6).astype(np.int32)}, False),
        ({"x": np.arange(6).astype(np.uint64)}, False),  # same bytes
        ({"x": np.arange(6).reshape(2, 3)}, False),  # same bytes
        ({"y": np.arange(6)}, False),
        ({"x": np.arange(6), "y": np.arange(6)}, False),
    ],
)
def test_the_digest_is_of_names_types_shapes_and_values(tmp_path: Path, other: dict, same: bool) -> None:
    one, two = save(tmp_path / "a.zarr", {"x": np.arange(6)}), save(tmp_path / "b.zarr", other)
    assert (sha256(one) == sha256(two)) == same


def test_the_digest_does_not_depend_on_the_order_of_arrays_nor_on_attributes(tmp_path: Path) -> None:
    one = save(tmp_path / "a.zarr", {"x": np.arange(3), "y": np.ones(2)}, seed=1)
    two = save(tmp_path / "b.zarr", {"y": np.ones(2), "x": np.arange(3)}, seed=2)
    assert sha256(one) == sha256(two)


def test_the_digest_tells_a_scalar_from_an_array_of_one(tmp_path: Path) -> None:
    one, two = save(tmp_path / "a.zarr", {"x": np.array(1.0)}), save(tmp_path / "b.zarr", {"x": np.array([1.0])})
    assert sha256(one) != sha256(two)


def test_equal_data_give_equal_bytes_of_zarr_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the code revision, and so the provenance, differs."""
    one = save(tmp_path / "a.zarr", layer="conv1")
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "empty"], check=True)
    two = save(tmp_path / "b.zarr", layer="conv1")
    provenances = [dict(zarr.open_group(path.parent / "provenance", mode="r").attrs) for path in (one, two)]
    assert provenances[0]["revision"] != provenances[1]["revision"]
    assert one.read_bytes() == two.read_bytes()


def test_git_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # where no revision is known yet
    path = save(tmp_path / "a.zarr")
    assert zarr.open_group(path.parent / "provenance", mode="r").attrs["revision"] == ""
    store.load(path)


@pytest.mark.parametrize("read", [store.attributes, store.load, lambda path: store.StoredArray(path, "images")])
def test_an_unfinished_store_is_refused(tmp_path: Path, read) -> None:
    path = save(tmp_path / "a.zarr")
    content = json.loads(path.read_text())
    del content["attributes"]["sha256"]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"{path}: unfinished store"):
        read(path)


@pytest.mark.parametrize("read", [store.attributes, store.load, lambda path: store.StoredArray(path, "images")])
def test_a_missing_store_is_refused(tmp_path: Path, read) -> None:
    with pytest.raises(InputError, match="no such store"):
        read(tmp_path / "a.zarr" / "zarr.json")


def test_a_store_whose_writing_died_is_refused(tmp_path: Path) -> None:
    """Arrays of objects cannot be written: here the second array fails after the first is on disk."""
    with pytest.raises((TypeError, ValueError), match=r"object"):
        save(tmp_path / "a.zarr", {"x": np.arange(3), "y": np.array([{}], object)})
    with pytest.raises(InputError, match="unfinished store"):
        store.load(tmp_path / "a.zarr" / "zarr.json")


def delete(file: Path) -> None:
    file.unlink()


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("damage", [delete, flip_a_bit])
def test_load_notices_a_damaged_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", 200)  # three images
    path = save(tmp_path / "a.zarr")
    damage(path.parent / "images" / "c" / "1" / "0" / "0" / "0")
    with pytest.raises(InputError, match=r"array images is damaged, images/c/1/0/0/0 .*; make it again: rm -r "):
        store.load(path)
    store.load(path, "mean/*", "count")  # undamaged


INDICES = [[0], [9], [5, 0, 7, 7, 9], list(range(10)), list(range(9, -1, -1)), []]


@pytest.mark.parametrize("chunk_bytes", [1, 60, 200, 2**20])
@pytest.mark.parametrize("index", INDICES)
def test_rows_equal_fancy_indexing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int, index: list[int]
) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", chunk_bytes)
    path = save(tmp_path / "a.zarr", {"images": ARRAYS["images"], "labels": np.arange(10, 20)})
    for name, array in store.load(path).items():
        rows = store.StoredArray(path, name)
        assert len(rows.chunks) == -(-10 // rows.chunk_rows)
        assert (len(rows), rows.shape, rows.dtype) == (10, array.shape, array.dtype)
        np.testing.assert_array_equal(rows[np.array(index, int)], array[np.array(index, int)], strict=True)


def test_chunks_are_no_larger_than_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", 200)
    path = save(tmp_path / "a.zarr", {"images": ARRAYS["images"]})
    sizes = [file.stat().st_size for file in path.parent.glob("images/c/**/*") if file.is_file()]
    assert sizes == [3 * 60] * 4


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [delete, truncate])
def test_rows_with_a_damaged_chunk_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", 200)
    path = save(tmp_path / "a.zarr")
    damage(path.parent / "images" / "c" / "2" / "0" / "0" / "0")
    with pytest.raises(InputError, match="array images is damaged, images/c/2/0/0/0 is missing or cut"):
        store.StoredArray(path, "images")


def test_rows_of_zeros(tmp_path: Path) -> None:
    """By default Zarr writes no file for a chunk of zeros."""
    path = save(tmp_path / "a.zarr", {"images": np.zeros((4, 2, 2, 3), np.uint8)})
    np.testing.assert_array_equal(store.StoredArray(path, "images")[[1, 3]], np.zeros((2, 2, 2, 3)))


@pytest.mark.parametrize("index", [10, 11, 12, -1, -10])
def test_rows_outside_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: int) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", 200)
    path = save(tmp_path / "a.zarr")
    with pytest.raises(IndexError, match=f"row {index} is outside 0 to 9"):
        store.StoredArray(path, "images")[[3, index]]


@pytest.mark.parametrize("values", [{}, {"a": 1}, {"a": [1, 2], "b": [1, 2]}, {"a": {"x": 1}, "b": {"x": 1}}])
def test_equal_things_fit_together(values: dict) -> None:
    store.require_equal("images", **values)


@pytest.mark.parametrize("values", [{"a": 1, "b": 2}, {"a": "x", "b": "x", "c": "y"}, {"a": [1, 2], "b": [2, 1]}])
def test_different_things_do_not_fit_together(values: dict) -> None:
    with pytest.raises(InputError) as refusal:
        store.require_equal("images", **values)
    message = str(refusal.value)
    assert "\n" not in message
    assert "images differ" in message
    assert all(f"{owner}: {value}" in message for owner, value in values.items())


CHUNKED = {"x": ((7, 3), np.float32), "y": ((2,), np.int64)}
X = RNG.normal(size=(7, 3)).astype(np.float32)


def begin(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An unfinished store whose array x has two rows a chunk."""
    monkeypatch.setattr(store, "CHUNK_BYTES", 24)
    store.create(path / "zarr.json", CHUNKED)
    store.write(path / "zarr.json", "y", np.arange(2))
    return path / "zarr.json"


def test_what_must_agree_may_have_any_name() -> None:
    with pytest.raises(InputError, match="sizes differ: name: 1, values: 2"):
        store.require_equal("sizes", name=1, values=2)


def test_a_store_can_be_written_some_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = begin(tmp_path / "a.zarr", monkeypatch)
    for first in (4, 0, 2, 6):
        store.write(path, "x", X[first : first + 2], first)
    digests = store.array_digests(X)
    np.testing.assert_array_equal(chunks.ChunkedArray(path, "x", digests)[[6, 0]], X[[6, 0]])
    with pytest.raises(InputError, match="unfinished store"):
        store.load(path)
    store.finish(path, {"x": None, "y": store.array_digests(np.arange(2))}, layer="conv1")
    whole = save(tmp_path / "b.zarr", {"x": X, "y": np.arange(2)}, layer="conv1")
    assert path.read_bytes() == whole.read_bytes()
    np.testing.assert_array_equal(store.load(path)["x"], X, strict=True)


@pytest.mark.parametrize("rows", [1, 4, 5, 7])
def test_a_store_that_turns_out_shorter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    path = begin(tmp_path / "a.zarr", monkeypatch)
    store.write(path, "x", X)
    store.finish(path, {"x": None, "y": None}, {"x": rows})
    np.testing.assert_array_equal(store.load(path)["x"], X[:rows], strict=True)
    np.testing.assert_array_equal(store.StoredArray(path, "x")[range(rows)], X[:rows], strict=True)
    assert path.read_bytes() == save(tmp_path / "b.zarr", {"x": X[:rows], "y": np.arange(2)}).read_bytes()


def test_an_unfinished_store_can_be_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without its zarr.json, which Snakemake removes after a failed job."""
    path = begin(tmp_path / "a.zarr", monkeypatch)
    store.write(path, "x", X[:4], 0)
    path.unlink()
    store.create(path, CHUNKED, wipe=False)
    store.write(path, "x", X[4:], 4)
    store.finish(path, {"x": None, "y": None})
    np.testing.assert_array_equal(store.load(path)["x"], X)
    store.create(path, CHUNKED)
    assert not (path.parent / "x" / "c").exists()


def test_a_chunk_can_be_written_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from rows of other strides, and the last chunk, which is not full. The files equal those of one write."""
    paths = [begin(tmp_path / f"{name}.zarr", monkeypatch) for name in "ab"]
    store.write(paths[0], "x", X)
    rows = np.asfortranarray(X)
    for first in (6, 0, 4, 2):
        digest = store.write_chunk(paths[1], "x", iter(rows[first : first + 2]), first)
        assert digest == chunks.chunk_digest(X[first : first + 2])
    one, two = (
        {str(f.relative_to(p.parent)): f.read_bytes() for f in p.parent.rglob("c/**/*") if f.is_file()} for p in paths
    )
    assert one == two


def test_an_array_that_was_cut_has_its_length_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an interrupted ``finish``. The file that an interrupted write left is removed."""
    path = begin(tmp_path / "a.zarr", monkeypatch)
    store.write(path, "x", X)
    store.finish(path, {"x": None, "y": None}, {"x": 3})
    (leftover := path.parent / "x" / "c" / "0" / "0.1234.partial").touch()
    path.unlink()
    store.create(path, CHUNKED, wipe=False)
    assert not leftover.exists()
    store.write(path, "x", X[3:], 3)
    store.finish(path, {"x": None, "y": None})
    np.testing.assert_array_equal(store.load(path)["x"], X, strict=True)


@pytest.fixture
def few_files() -> Iterator[int]:
    """Limit of open files of this process, set to a few more than it has open; the process may raise it."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = len(os.listdir("/dev/fd")) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, limits[1]))
    yield few
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_rows_of_more_chunks_than_files_may_be_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_files: int
) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", 8)
    array = np.arange(few_files + 50)
    path = save(tmp_path / "a.zarr", {"x": array})
    np.testing.assert_array_equal(store.StoredArray(path, "x")[array], array, strict=True)


def test_more_open_files_than_the_system_allows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (50, 1000))
    with pytest.raises(InputError, match="files have to be open at once, this system allows 1000; raise"):
        chunks.allow_maps(1000)


def test_the_digest_of_an_array_is_joined_from_those_of_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", 24)
    parts = [chunks.chunk_digest(X[first : first + 2]) for first in range(0, 7, 2)]
    assert parts == store.array_digests(X)
    assert chunks.joined_digest(X.shape, X.dtype, parts) != chunks.joined_digest(X.shape, X.dtype, parts[::-1])
