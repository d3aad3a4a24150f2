"""Groups of image files by their names."""

from pathlib import Path

import pytest

from workflow.convergent.commands import InputError
from workflow.convergent.images.groups import key_of, numbered

NAMES = ["train/cat/a-1.png", "train/cat/a-2.png", "train/cat/b-1.png", "train/dog/a-1.png"]


@pytest.mark.parametrize(
    ("groups", "numbers"),
    [
        ("", [0, 1, 2, 3]),
        (r"[ab]-", [0, 0, 1, 0]),
        (r"([^/]+)/(\w+)-", [0, 0, 1, 2]),  # the class too
        (r"(a)-|(b)-", [0, 0, 1, 0]),  # one of the parts finds nothing
        (r"^train", [0, 0, 0, 0]),
        (r"(train/.*)", [0, 1, 2, 3]),
    ],
)
def test_names_of_one_group_have_one_number(groups: str, numbers: list[int]) -> None:
    assert numbered(NAMES, groups) == numbers


def test_a_table_lists_groups_in_any_order_and_may_list_more(tmp_path: Path) -> None:
    rows = [f"{name},{group}" for name, group in zip(NAMES, "xyxz", strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["file,group", "train/gone.png,x", *reversed(rows), '"a,b",y']))
    assert numbered(NAMES, str(tmp_path / "t.csv")) == [0, 1, 0, 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "columns none; must be file, group"),
        (b"name,group\na,b\n", "columns name, group; must be file, group"),
        (b"file,group\na,b,c\n", "row 'a,b,c'; each file has one row with its group"),
        (b"file,group\na\n", "row 'a'; each"),
        (b"file,group\na,\n", "row 'a,'; each"),
        (b"file,group\na,b\na,c\n", "row 'a,c'; each"),
        (b"file,group\n\xff,b\n", "cannot be read as a table ('utf-8'"),
        (b"file,group\na,b\n", "has no row for 'train/cat/a-1.png'; every image file needs one"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError) as refusal:
        numbered(NAMES, str(tmp_path / "t.csv"))
    assert said in str(refusal.value)
    assert "t.csv" in str(refusal.value)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ("[", "data.groups: '[' is no regular expression (unterminated character set at position 0)"),
        ("a{1,99999999999}", "data.groups: 'a{1,99999999999}' is no regular expression (the repetition number"),
        ("cat", "data.groups: 'cat' finds nothing in 'train/dog/a-1.png'; it must in every image's name"),
    ],
)
def test_a_wrong_pattern_is_refused(groups: str, said: str) -> None:
    with pytest.raises(InputError) as refusal:
        numbered(NAMES, groups)
    assert str(refusal.value).startswith(said)


def test_the_key_holds_what_the_parts_find() -> None:
    assert key_of(r"(\w+)-(\d+)")("val/x/beach-07.png") == ("beach", "07")
