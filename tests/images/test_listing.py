"""What is found below a folder, and what changes the digest of a listing."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from workflow.convergent.commands import InputError
from workflow.convergent.images.listing import below, listing_digest

ODD = ["a b", "a'b", 'a"b', "a\nb", "a%b", "-a", "ä", "a\udcffb", "a{b}", "$(a)", "a\\b"]  # \udcff: invalid UTF-8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of one class, one of another, and one beside them."""
    for name in ("train/cat/0.png", "train/cat/1.png", "train/dog/0.png", "README"):
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path / "data"


def names(folder: Path) -> list[str]:
    return sorted(name for name, _ in below(folder))


def later(file: Path) -> None:
    state = file.stat()
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda f: (f / "train/dog/1.png").touch(),
        lambda f: (f / "train/dog/0.png").unlink(),
        lambda f: (f / "train/cat/1.png").rename(f / "train/dog/1.png"),
        lambda f: later(f / "train/cat/1.png"),
        lambda f: (f / "train/cat/1.png").write_text("longer than it was"),
        lambda f: (f / "train/dog/1.png").symlink_to("nowhere"),
        lambda f: (f / "train/cow").symlink_to("cat"),
    ],
    ids=["added", "removed", "moved", "later", "written", "broken link", "linked folder"],
)
def test_a_change_changes_the_digest(folder: Path, change: Callable[[Path], object]) -> None:
    before = listing_digest(folder)
    change(folder)
    assert listing_digest(folder) != before


def test_two_photographs_that_are_swapped_change_the_digest(folder: Path) -> None:
    """Of equal size, each with its own time."""
    one, two = folder / "train/cat/0.png", folder / "train/cat/1.png"
    later(one)
    before = listing_digest(folder)
    one.rename(folder / "other")
    two.rename(one)
    (folder / "other").rename(two)
    assert one.stat().st_size == two.stat().st_size
    assert listing_digest(folder) != before


def test_a_linked_file_has_the_state_of_what_it_links_to(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.png"
    target.write_text("one")
    (folder / "linked.png").symlink_to(target)
    before = listing_digest(folder)
    later(target)
    assert listing_digest(folder) != before


def test_the_place_and_the_order_of_creation_change_nothing(folder: Path, tmp_path: Path) -> None:
    before = listing_digest(folder)
    copy = tmp_path / "elsewhere" / "other name"
    for name in sorted(names(folder), reverse=True):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(name)
        state = (folder / name).stat()
        os.utime(copy / name, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert listing_digest(copy) == before
    assert listing_digest(str(copy) + "/") == before


def test_a_missing_folder_has_the_digest_of_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert listing_digest(tmp_path / "nowhere") == listing_digest(tmp_path / "empty")


@pytest.mark.parametrize("name", ODD)
def test_any_name_is_listed(folder: Path, name: str) -> None:
    before = listing_digest(folder)
    (folder / name).mkdir()
    (folder / name / f"{name}.png").touch()
    assert f"{name}/{name}.png" in names(folder)
    assert listing_digest(folder) != before


def test_links_are_followed_and_what_is_no_file_is_listed(folder: Path) -> None:
    (folder / "linked").symlink_to("train")
    (folder / "chain").symlink_to("train/cat/0.png")
    (folder / "broken.png").symlink_to("nowhere.png")
    (folder / "itself.png").symlink_to("itself.png")
    (folder / "folder.png").mkdir()
    (folder / "folder.png" / "inside.png").touch()
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "socket.png"))
    files = ["README", "chain", "train/cat/0.png", "train/cat/1.png", "train/dog/0.png"]
    files += ["linked/cat/0.png", "linked/cat/1.png", "linked/dog/0.png"]
    others = ["broken.png", "itself.png", "folder.png/inside.png", "pipe.png", "socket.png"]
    assert names(folder) == sorted(files + others)
    assert {name for name, state in below(folder) if state is None} == {"broken.png", "itself.png"}


@pytest.mark.parametrize(("link", "target"), [("train/again", "."), ("train/cat/up", ".."), ("train/cat/top", "../..")])
def test_a_link_back_is_refused(folder: Path, link: str, target: str) -> None:
    (folder / link).symlink_to(target)
    with pytest.raises(InputError, match=rf"{link}: a link that leads back"):
        list(below(folder))
    with pytest.raises(InputError, match="leads back"):
        listing_digest(folder)


def test_a_folder_that_cannot_be_listed_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"README: the system cannot read it \(Not a directory\)"):
        list(below(folder / "README"))
