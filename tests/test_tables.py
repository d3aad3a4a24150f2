"""Tables: what is written is read back."""

import math
from pathlib import Path

import numpy as np
import pytest

from workflow.convergent import tables


def test_cells_come_back_exactly(tmp_path: Path) -> None:
    rows = [{"layer": "conv1", "units": 32, "loss": 0.1 + 0.2}, {"layer": "fc6", "units": 1, "loss": np.float64(1e-17)}]
    tables.write(tmp_path / "new" / "t.csv", rows)
    assert tables.read(tmp_path / "new" / "t.csv") == rows


def test_cells_are_rounded_and_missing_ones_are_empty(tmp_path: Path) -> None:
    tables.write(tmp_path / "t.csv", [{"layer": "conv1", "a": 1.23456e-5, "n": 32}, {"b": math.nan, "n": ""}], digits=4)
    assert (tmp_path / "t.csv").read_text() == "layer,a,n,b\nconv1,1.235e-05,32,\n,,,\n"


@pytest.mark.parametrize(("text", "expected"), [("3", 3), ("-0.5", -0.5), ("1e-5", 1e-5), ("conv1", "conv1"), ("", "")])
def test_a_cell_is_a_number_where_it_can_be(text: str, expected: object) -> None:
    found = tables.value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_columns_are_arrays_whose_empty_cells_are_nan(tmp_path: Path) -> None:
    tables.write(tmp_path / "t.csv", [{"net": "net0", "unit": 3, "loss": ""}, {"net": "net1", "unit": 4, "loss": 0.5}])
    found = tables.columns(tmp_path / "t.csv")
    assert found["net"].tolist() == ["net0", "net1"]
    assert found["unit"].dtype.kind == "i"
    np.testing.assert_array_equal(found["loss"], [np.nan, 0.5])
