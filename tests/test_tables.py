"""Tables: rows that are written are read back, and what is no table of a stage is refused."""

import hashlib
import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from workflow.convergent import files, tables
from workflow.convergent.commands import InputError


def test_cells_come_back_exactly(tmp_path: Path) -> None:
    rows = [{"layer": "conv1", "units": 32, "loss": 0.1 + 0.2}, {"layer": "fc6", "units": 1, "loss": np.float64(1e-17)}]
    tables.write(tmp_path / "new" / "t.csv", rows)
    assert tables.read(tmp_path / "new" / "t.csv") == rows


def test_cells_are_rounded_and_missing_ones_are_empty(tmp_path: Path) -> None:
    tables.write(tmp_path / "t.csv", [{"layer": "conv1", "a": 1.23456e-5, "n": 32}, {"b": math.nan, "n": ""}], digits=4)
    assert (tmp_path / "t.csv").read_text() == "layer,a,n,b\nconv1,1.235e-05,32,\n,,,\n"


@pytest.mark.parametrize(("text", "expected"), [("3", 3), ("-0.5", -0.5), ("1e-5", 1e-5), ("conv1", "conv1"), ("", "")])
def test_a_cell_is_a_number_where_it_can_be(text: str, expected: object) -> None:
    cell = tables.parsed(text)
    assert cell == expected
    assert type(cell) is type(expected)


def test_columns_are_arrays_whose_empty_cells_are_nan(tmp_path: Path) -> None:
    tables.write(tmp_path / "t.csv", [{"pair": "a", "unit": 3, "loss": ""}, {"pair": "b", "unit": 4, "loss": 0.5}])
    columns = tables.columns(tmp_path / "t.csv")
    assert columns["pair"].tolist() == ["a", "b"]
    assert columns["unit"].dtype.kind == "i"
    np.testing.assert_array_equal(columns["loss"], [np.nan, 0.5])


def test_columns_of_texts_hold_texts_whatever_they_look_like(tmp_path: Path) -> None:
    rows = [{"layer": "inf", "members": "net0:1", "size": 3}, {"layer": "12", "members": "", "size": 2}]
    tables.write(tmp_path / "t.csv", rows)
    assert tables.read(tmp_path / "t.csv") == rows
    columns = tables.columns(tmp_path / "t.csv")
    assert (columns["layer"].tolist(), columns["members"].tolist()) == (["inf", "12"], ["net0:1", ""])


def by_hand(path: Path, content: bytes) -> Path:
    """A table with the digest that a stage would have written."""
    digest = hashlib.sha256(content).hexdigest()
    path.write_bytes(content)
    about = json.dumps(files.sealed({"kind": "matches", "sha256": digest}))
    tables.digest_file(path).write_text(f"# {about}\n{digest}  {path.name}\n")
    return path


def of_the_project(path: Path, content: bytes) -> Path:
    """A table without a digest."""
    path.write_bytes(content)
    return path


READERS = {
    "read": (by_hand, lambda path: tables.read(path, ["unit", "greedy"])),
    "columns": (by_hand, lambda path: tables.columns(path, ["unit", "greedy"])),
    "resource": (of_the_project, lambda path: tables.read_resource(path, ["unit", "greedy"])),
}


@pytest.mark.parametrize(("make", "reader"), READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column unit, greedy; there are none"),
        (b"\n", "no column unit, greedy; there are none"),
        (b"unit,assigned\n0,1\n", "no column greedy; there are unit, assigned"),
        (b"unit,greedy\n", "table without rows"),
        (b"unit,greedy\n0,3\n1\n", "row 2 has fewer cells than the header, which has 2"),
        (b"unit,greedy\n0,3,4\n", "row 1 has more cells than the header, which has 2"),
        (b"unit,greedy\n0,3\n1,conv1\n", "row 2 has 'conv1' in column greedy; allowed are numbers and empty cells"),
        (b"unit,greedy\n0,nan\n", "row 1 has 'nan' in column greedy"),
        ("unit,greedy\n0,\u00e9\n".encode("latin-1"), "no table; a table is CSV in UTF-8"),
        (bytes(range(256)), "no table; a table is CSV in UTF-8"),
        (b"unit,greedy\n0,\0\n", "row 1 has"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(
    tmp_path: Path, make: Callable, reader: Callable, content: bytes, said: str
) -> None:
    path = make(tmp_path / "t.csv", content)
    with pytest.raises(InputError) as refusal:
        reader(path)
    assert str(refusal.value).startswith(f"{path}: {said}")
    assert "\n" not in str(refusal.value)


def test_a_table_says_what_it_is_of(tmp_path: Path) -> None:
    tables.write(tmp_path / "t.csv", [{"unit": 0}], kind="matches", nets={"net0": "x"})
    about = tables.about(tmp_path / "t.csv", "matches")
    assert about["nets"] == {"net0": "x"}
    with pytest.raises(InputError, match=r"t\.csv: no entry layer; there are kind, nets, sha256"):
        about["layer"]
    with pytest.raises(InputError, match=r"t\.csv: a table of matches; must be one of agreement or stitched"):
        tables.about(tmp_path / "t.csv", "agreement", "stitched")


def test_the_digest_is_one_that_sha256sum_understands(tmp_path: Path) -> None:
    tables.write(tmp_path / "t.csv", [{"unit": 0}], kind="matches")
    done = subprocess.run(
        ["sha256sum", "-c", "t.csv.sha256"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "t.csv: OK\n", "")
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "t.csv.sha256"}


def test_a_table_without_its_digest_is_refused_with_what_to_do(tmp_path: Path) -> None:
    tables.write(path := tmp_path / "my t.csv", [{"unit": 0}])
    tables.digest_file(path).unlink()
    with pytest.raises(InputError) as refusal:
        tables.read(path)
    said = (
        "no my t.csv.sha256 beside it, which the stage that writes a table writes too; tables made by hand are not read"
    )
    assert str(refusal.value) == f"{path}: {said}; if the workflow made it, remove it and run again"


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t\.csv: no such table"):
        tables.read(tmp_path / "t.csv")


def test_a_table_may_be_without_rows_where_its_reader_says_so(tmp_path: Path) -> None:
    """As that of the clusters of a layer all of whose units are dead. It has a header all the same."""
    tables.write(tmp_path / "t.csv", [], header=["unit", "greedy"])
    assert (tmp_path / "t.csv").read_text() == "unit,greedy\n"
    assert tables.read(tmp_path / "t.csv", ["unit"], allow_no_rows=True) == []
    with pytest.raises(InputError, match="no column assigned; there are unit, greedy"):
        tables.read(tmp_path / "t.csv", ["assigned"], allow_no_rows=True)


def test_columns_of_the_header_come_first(tmp_path: Path) -> None:
    tables.write(tmp_path / "t.csv", [{"a": 1, "b": 2, "c": 3}], header=["c", "d"])
    assert (tmp_path / "t.csv").read_text() == "c,d,a,b\n3,,1,2\n"


@pytest.mark.parametrize("text", ["1_0", "nan", "0x1", "1 2", "e5", "--1", "conv1"])
def test_what_only_python_takes_for_a_number_is_a_text(text: str) -> None:
    assert tables.parsed(text) == text


def test_numbers_of_any_precision_are_written_alike(tmp_path: Path) -> None:
    tables.write(tmp_path / "t.csv", [{"a": np.float32(1 / 3), "b": np.float32(np.nan), "c": np.inf}], digits=3)
    assert (tmp_path / "t.csv").read_text() == "a,b,c\n0.333,,inf\n"
    assert tables.read(tmp_path / "t.csv") == [{"a": 0.333, "b": "", "c": np.inf}]
