"""Damage of any stored file is found by its reader, in one line, or is without consequence."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import TINY
from tests.presets import preset
from workflow.convergent import store, tables
from workflow.convergent.commands import InputError
from workflow.convergent.images import parts
from workflow.convergent.nets import checkpoints, model
from workflow.convergent.nets.snapshots import Snapshots

Change = Callable[[Path, Path], None]  # of a file, with another of its kind
Read = Callable[[Path], Any]  # what a folder holds, as something to compare


def flip(place: float) -> Change:
    """A change of one bit of the byte at a place from 0 to 1."""

    def change(file: Path, _: Path) -> None:
        content = bytearray(file.read_bytes())
        if content:
            content[round(place * (len(content) - 1))] ^= 4
        file.write_bytes(content)

    return change


CHANGES: dict[str, Change] = {
    "first": flip(0),
    "middle": flip(0.5),
    "last": flip(1),
    "half": lambda file, _: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "empty": lambda file, _: file.write_bytes(b""),
    "deleted": lambda file, _: file.unlink(),
    "other": lambda file, other: shutil.copyfile(other, file),
    "json": lambda file, _: file.write_text('{"attributes": [], "shape": 3, "sha256": "0"}'),
    "rubbish": lambda file, _: file.write_bytes(bytes(range(256))),
}


def make_store(folder: Path, seed: int) -> None:
    """A store with arrays of several chunks, of one, of no axis, and of a name with a slash."""
    rng = np.random.default_rng(seed)
    arrays = {
        "images": rng.integers(0, 256, (10, 4, 5, 3), np.uint8),
        "mean/net0": rng.normal(size=7),
        "count": np.int64(seed + 7),
    }
    store.save(folder / "a.zarr/zarr.json", arrays, kind="images", layer=f"conv{seed}", nets={"net0": f"{seed}"})


def read_store(folder: Path) -> Any:
    path = folder / "a.zarr/zarr.json"
    return store.attributes(path, "images"), {name: array.tolist() for name, array in store.load(path).items()}


def read_rows(folder: Path) -> Any:
    path = folder / "a.zarr/zarr.json"
    return store.attributes(path)["layer"], store.StoredArray(path, "images")[[3, 9, 0]].tolist()


def make_table(folder: Path, seed: int) -> None:
    rows = [{"pair": "net0-net1", "unit": unit, "greedy": seed + unit / 3} for unit in range(5)]
    tables.write(folder / "t.csv", rows, kind="matches", layer=f"conv{seed}", nets={"net0": "x"})


def read_table(folder: Path) -> Any:
    path = folder / "t.csv"
    return tables.about(path, "matches"), tables.read(path, ["unit"]), str(tables.columns(path, ["greedy"]))


def make_net(folder: Path, seed: int) -> None:
    net = preset(TINY, 3, 4, 20, seed)
    model.save(net, folder / "net0.pt", folder / "net0.json", seed=seed)


def read_net(folder: Path) -> Any:
    net = model.load(folder / "net0.json")
    return model.weights_digest(net), net.settings


def training(seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    net = torch.nn.Linear(3, 2)
    torch.nn.init.constant_(net.weight, seed)
    return net, torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)


def make_checkpoint(folder: Path, seed: int) -> None:
    net, optimiser = training(seed + 1)
    state = checkpoints.state_of(f"{seed}", net, optimiser, Snapshots([]), [{"epoch": 1}])
    checkpoints.save(folder / "state.pt", state)


KINDS = {
    "store": (make_store, read_store),
    "rows": (make_store, read_rows),
    "table": (make_table, read_table),
    "net": (make_net, read_net),
}


def outcome(read: Read, folder: Path) -> Any:
    """What is read, or None where it is refused in one line that names a file of the folder."""
    try:
        return read(folder)
    except InputError as refusal:
        said = str(refusal)
    assert "\n" not in said
    assert said.startswith(str(folder))
    return None


def read(kind: str, folder: Path) -> Any:
    return outcome(KINDS[kind][1], folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Path]]]:
    """For each kind two folders of other content."""
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "CHUNK_BYTES", 200)  # three images
        for kind, (make, _) in KINDS.items():
            folders[kind] = [tmp_path_factory.mktemp(f"{kind}{seed}-") for seed in (0, 1)]
            for seed, folder in enumerate(folders[kind]):
                make(folder, seed)
        yield folders


def damaged(kind: str, made: dict[str, list[Path]], folder: Path, change: Change) -> Iterator[tuple[Path, Path]]:
    """Copies of the folder of a kind, each with one of its files changed, and that file."""
    one, two = made[kind]
    for number, file in enumerate(sorted(f.relative_to(one) for f in one.rglob("*") if f.is_file())):
        copied = folder / f"{number}"
        shutil.copytree(one, copied)
        change(copied / file, two / file)
        yield copied, file


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found_or_without_consequence(
    kind: str, change: str, made: dict[str, list[Path]], tmp_path: Path
) -> None:
    expected = read(kind, made[kind][0])
    assert expected
    for folder, file in damaged(kind, made, tmp_path, CHANGES[change]):
        assert read(kind, folder) in (None, expected), file


FOUND = {  # files all of whose bytes are computed on
    "store": ["a.zarr/images/c/0/0/0/0", "a.zarr/images/c/2/0/0/0", "a.zarr/mean/net0/c/0", "a.zarr/count/c"],
    "rows": ["a.zarr/images/c/1/0/0/0"],
    "table": ["t.csv"],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", FOUND)
def test_damage_of_what_is_computed_on_is_found(
    kind: str, change: str, made: dict[str, list[Path]], tmp_path: Path
) -> None:
    """Not only without consequence."""
    found = [
        file.as_posix() for folder, file in damaged(kind, made, tmp_path, CHANGES[change]) if not read(kind, folder)
    ]
    assert set(FOUND[kind]) <= set(found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["store", "table", "net"])
def test_a_flip_of_any_byte_of_a_small_file_is_found_or_without_consequence(
    kind: str, made: dict[str, list[Path]], tmp_path: Path
) -> None:
    """Every seventh byte, from the first on."""
    folder, found = tmp_path / kind, 0
    shutil.copytree(made[kind][0], folder)
    expected = read(kind, folder)
    small = [f for f in folder.rglob("*") if f.is_file() and f.stat().st_size < 4000 and "provenance" not in f.parts]
    for file in small:
        content = file.read_bytes()
        for place in range(0, len(content), 7):
            file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            result = read(kind, folder)
            found += result is None
            assert result in (None, expected)
        file.write_bytes(content)
    assert found > 40


def test_what_the_refusal_says_to_remove_is_what_is_damaged(made: dict[str, list[Path]], tmp_path: Path) -> None:
    """Quoted for a shell: a folder's name may hold anything."""
    for kind, removed in (("store", ["a.zarr"]), ("table", ["t.csv"]), ("net", ["net0.pt", "net0.json"])):
        folder = tmp_path / f"it's; $(touch {kind})"
        shutil.copytree(made[kind][0], folder)
        for file in folder.rglob("*"):
            if file.name in ("1", "t.csv", "net0.json"):
                (file / "0/0/0" if file.is_dir() else file).write_bytes(b"")
        with pytest.raises(InputError) as refusal:
            KINDS[kind][1](folder)
        quoted = " ".join("'" + str(folder / name).replace("'", "'\"'\"'") + "'" for name in removed)
        assert str(refusal.value).endswith(f"; make it again: rm -r {quoted}, then run again")


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_checkpoint_counts_as_absent(change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (0, 1):
        make_checkpoint(tmp_path / f"{seed}", seed)
    file = tmp_path / "0/state.pt"
    net, optimiser = training(0)
    assert checkpoints.resume(file, "0", net, optimiser, Snapshots([]), "net0") == [{"epoch": 1}]
    assert (net.weight == 1).all()
    capsys.readouterr()
    CHANGES[change](file, tmp_path / "1/state.pt")
    net, optimiser = training(0)
    assert checkpoints.resume(file, "0", net, optimiser, Snapshots([]), "net0") == []
    assert (net.weight == 0).all()
    said = {"other": "net0: the checkpoint is of other settings, images or code; training starts anew\n", "deleted": ""}
    assert capsys.readouterr().out == said.get(change, "net0: the checkpoint is damaged; training starts anew\n")


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> parts.Plan:
    """A store of five images in two parts."""
    monkeypatch.setattr(store, "CHUNK_BYTES", 3 * 6 * 6 * 3)
    rng, names = np.random.default_rng(0), [f"{number}.png" for number in range(5)]
    (tmp_path / "data").mkdir()
    for name in names:
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).save(tmp_path / "data" / name)
    return parts.plan_parts(tmp_path / "a.zarr/zarr.json", tmp_path / "data", names, 6)


def build(plan: parts.Plan) -> bytes:
    """The zarr.json of the store of a plan, which is built without removing its records."""
    parts.finish(plan, parts.build_parts(plan, map, "stop"), dict.fromkeys(("labels", "group"), np.zeros(5, np.int32)))
    return plan.path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("damaged", ["parts/key", "parts/0.json", "images/zarr.json", "images/c/0/0/0/0"])
def test_a_half_built_store_is_gone_on_with_whatever_is_damaged(damaged: str, plan: parts.Plan, tmp_path: Path) -> None:
    """A damaged record is made again with its chunk; a damaged chunk is found at its first use."""
    whole, folder = build(plan), plan.path.parent
    expected = read_whole(plan.path)
    kept = shutil.copytree(folder, tmp_path / "kept.zarr")
    for name, change in CHANGES.items():
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        plan.path.unlink()  # as Snakemake does after a failure
        change(folder / damaged, kept / "images/c/1/0/0/0")
        assert build(plan) == whole, name
        assert outcome(read_whole, plan.path) in ([expected, None] if "/c/" in damaged else [expected]), name


def read_whole(path: Path) -> Any:
    return store.load(path)["images"].tolist()


def test_a_chunk_is_checked_once_whatever_threads_read_it(made: dict[str, list[Path]], tmp_path: Path) -> None:
    """A chunk that was intact at its first use is not read again as a whole; all threads see a damaged one."""
    shutil.copytree(made["store"][0] / "a.zarr", tmp_path / "a.zarr")
    chunk = tmp_path / "a.zarr/images/c/1/0/0/0"
    rows = store.StoredArray(tmp_path / "a.zarr/zarr.json", "images")
    rows[[0, 4]]
    assert rows.intact == [True, True, False, False]
    flip(0.5)(tmp_path / "a.zarr/images/c/2/0/0/0", chunk)
    refusals = []

    def read() -> None:
        try:
            rows[[8, 1]]
        except InputError as refusal:
            refusals.append(str(refusal))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refusals) == 8
    assert "images/c/2/0/0/0 does not match its digest" in refusals[0]


@pytest.mark.parametrize("attribute", ["kind", "layer", "nets", "controls", "arrays", "chunks", "sha256"])
def test_an_attribute_changed_by_hand_is_found(attribute: str, made: dict[str, list[Path]], tmp_path: Path) -> None:
    path = tmp_path / "a.zarr/zarr.json"
    shutil.copytree(made["store"][0] / "a.zarr", path.parent)
    content = json.loads(path.read_text())
    content["attributes"][attribute] = {}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"zarr\.json: damaged, or changed by hand; make it again: rm -r "):
        store.attributes(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.zarr", "no store; the name of one is <name>.zarr/zarr.json"),
        ("a.zarr/images/zarr.json", "no store; the name of one is"),
        ("t.csv", "no store; the name of one is"),
        ("gone.zarr/zarr.json", "no such store"),
        ("file.zarr/zarr.json", r"cannot be read \(Not a directory\)"),
        ("folder.zarr/zarr.json", r"cannot be read \(Is a directory\)"),
    ],
)
def test_what_is_no_store_is_refused_without_a_word_of_removing_it(name: str, said: str, tmp_path: Path) -> None:
    make_store(tmp_path, 0)
    make_table(tmp_path, 0)
    (tmp_path / "file.zarr").touch()
    (tmp_path / "folder.zarr/zarr.json").mkdir(parents=True)
    with pytest.raises(InputError, match=f"{name}: {said}") as refusal:
        store.attributes(tmp_path / name)
    assert "rm -r" not in str(refusal.value)


def test_an_array_or_attribute_that_is_not_there_is_named(tmp_path: Path) -> None:
    make_store(tmp_path, 0)
    path = tmp_path / "a.zarr/zarr.json"
    with pytest.raises(InputError, match=r"zarr\.json: no array labels; there are images, mean/net0, count"):
        store.StoredArray(path, "labels")
    with pytest.raises(InputError, match=r"zarr\.json: no array labels; there are none"):
        store.load(path, "labels")["labels"]
    with pytest.raises(InputError, match=r"zarr\.json: no attribute moments; there are kind, layer, nets, arrays"):
        store.attributes(path)["moments"]
