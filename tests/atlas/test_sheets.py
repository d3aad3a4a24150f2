"""Sprite sheets: each unit's pictures are where the page looks for them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.figures import stores
from workflow.convergent import store
from workflow.convergent.atlas import sheets


def pictures(path: Path, units: int, edge: int, channels: int = 3) -> np.ndarray:
    """A store of pictures of one colour each. -> their colours (units, 9, channels)"""
    colours = np.random.default_rng(0).integers(0, 256, (units, 9, channels), dtype=np.uint8)
    array = np.broadcast_to(colours[:, :, None, None], (units, 9, edge, edge, channels))
    image = np.zeros((units, 9), int)
    image[1] = -1
    about = {"kind": "patches", "images": "v", "nets": stores.digests("net0"), "layers": ["conv1"]}
    store.save(path, {"conv1/image": image, "conv1/patch": array}, **about)
    return colours


def found(folder: Path, sheet: dict, unit: int, which: int) -> np.ndarray:
    """Pixel in the middle of a picture of a unit, by what the data of the atlas say of the sheets. (4,)"""
    with Image.open(folder / f"{sheet['name']}-{unit // sheet['per']}.webp") as file:
        image = np.asarray(file.convert("RGBA"))
    place = unit % sheet["per"]
    top, left = place // sheet["columns"] * sheet["height"], place % sheet["columns"] * sheet["width"]
    row, column = divmod(which, 3)
    return image[top + (2 * row + 1) * sheet["height"] // 6, left + (2 * column + 1) * sheet["width"] // 6]


@pytest.mark.slow
@pytest.mark.parametrize(("units", "edge", "channels", "count"), [(5, 7, 3, 1), (40, 12, 1, 1), (200, 60, 3, 2)])
def test_a_unit_is_found_in_its_sheet(tmp_path: Path, units: int, edge: int, channels: int, count: int) -> None:
    colours = pictures(tmp_path / "net0.zarr/zarr.json", units, edge, channels)
    (sheet,) = sheets.write(tmp_path, tmp_path / "net0.zarr/zarr.json", "conv1", "net0").values()
    assert len(list(tmp_path.glob("*.webp"))) == count
    assert sheet["empty"] == [1]
    near = 0 if sheet["pixelated"] else 12
    for unit in (0, 2, units - 1):
        for which in range(9):
            pixel = found(tmp_path, sheet, unit, which).astype(int)
            assert pixel[3] == 255
            assert np.abs(pixel[:3] - colours[unit, which].astype(int)).max() <= near
    assert found(tmp_path, sheet, 1, 4)[3] == 0  # never active


@pytest.mark.parametrize("units", [1, 96, 384, 1000, 4096, 20000])
@pytest.mark.parametrize("edge", [7, 32, 163, 400])
def test_sheets_are_small_enough_for_a_telephone(units: int, edge: int) -> None:
    height, width = sheets.shrunk((edge, edge), units)
    grid = sheets.grid_of(height, width, units)
    assert max(height, width) <= edge
    assert grid.columns * grid.width <= sheets.MOST_PIXELS
    assert grid.per // grid.columns * grid.height <= sheets.MOST_PIXELS
    assert grid.per % grid.columns == 0
