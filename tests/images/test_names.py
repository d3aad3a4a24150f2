"""Names of stored images."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.images.test_listing import ODD
from workflow.convergent import store
from workflow.convergent.images.names import LONGEST, as_array, name_of


def test_each_row_has_its_name(tmp_path: Path) -> None:
    names = [*ODD, "train/cat/" + "é" * LONGEST]
    path = tmp_path / "a.zarr/zarr.json"
    store.save(path, {"images": np.zeros((len(names), 2, 2, 3), np.uint8), "names": as_array(names)}, kind="images")
    images = store.StoredArray(path, "images")
    for row, name in enumerate(names):
        end = os.fsdecode(os.fsencode(name)[-LONGEST:])
        assert name_of(images, row) == f"{end} (row {row} of {path.parent})"


@pytest.mark.parametrize("row", [0, 1])
def test_a_store_without_names_has_rows(tmp_path: Path, row: int) -> None:
    path = tmp_path / "a.zarr/zarr.json"
    store.save(path, {"images": np.zeros((2, 2, 2, 3), np.uint8)}, kind="images")
    assert name_of(store.StoredArray(path, "images"), row) == f"row {row} of {path.parent}"
