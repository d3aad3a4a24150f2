"""Tables: rows that are written are read back, and damaged files are refused."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from workflow.convergent import tables
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
    tables.write(tmp_path / "t.csv", [{"net": "net0", "unit": 3, "loss": ""}, {"net": "net1", "unit": 4, "loss": 0.5}])
    columns = tables.columns(tmp_path / "t.csv")
    assert columns["net"].tolist() == ["net0", "net1"]
    assert columns["unit"].dtype.kind == "i"
    np.testing.assert_array_equal(columns["loss"], [np.nan, 0.5])


def test_a_column_with_a_text_is_one_of_texts(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("members,size\nnet0:1,3\n,2\n")
    columns = tables.columns(tmp_path / "t.csv")
    assert columns["members"].tolist() == ["net0:1", ""]
    assert columns["size"].tolist() == [3, 2]


@pytest.mark.parametrize("reader", [tables.read, tables.columns])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty file"),
        ("unit,greedy\n", "table without rows"),
        ("\n", "table without rows"),
        ("unit,greedy\n0,3\n1\n", "row 2 has fewer cells than the header, which has 2"),
        ("unit,greedy\n0,3,4\n", "row 1 has more cells than the header, which has 2"),
    ],
)
def test_a_damaged_table_is_refused_in_one_line_that_names_it(
    tmp_path: Path, reader: Callable, text: str, said: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError) as refusal:
        reader(tmp_path / "t.csv")
    assert str(refusal.value).startswith(f"{tmp_path / 't.csv'}: {said}")
    assert "\n" not in str(refusal.value)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t\.csv: no such table"):
        tables.read(tmp_path / "t.csv")


def test_a_table_may_be_without_rows_where_its_reader_says_so(tmp_path: Path) -> None:
    """As that of the clusters of a layer all of whose units are dead."""
    tables.write(tmp_path / "t.csv", [])
    assert tables.read(tmp_path / "t.csv", allow_no_rows=True) == []
    (tmp_path / "t.csv").write_text("")
    with pytest.raises(InputError, match="empty file"):
        tables.read(tmp_path / "t.csv", allow_no_rows=True)


@pytest.mark.parametrize("text", ["1_0", "nan", "0x1", "1 2", "e5", "--1", "conv1"])
def test_what_only_python_takes_for_a_number_is_a_text(text: str) -> None:
    assert tables.parsed(text) == text


def test_numbers_of_any_precision_are_written_alike(tmp_path: Path) -> None:
    tables.write(tmp_path / "t.csv", [{"a": np.float32(1 / 3), "b": np.float32(np.nan), "c": np.inf}], digits=3)
    assert (tmp_path / "t.csv").read_text() == "a,b,c\n0.333,,inf\n"
    assert tables.read(tmp_path / "t.csv") == [{"a": 0.333, "b": "", "c": np.inf}]
