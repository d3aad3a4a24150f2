"""Pictures of the units of a layer as sprite sheets: a tile of nine pictures a unit, some hundred tiles a sheet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from .. import store

KINDS = ("patch", "deconv", "thumbnail")  # of the pictures of a store of patches
ACROSS = 3  # pictures in a row of a tile
MOST_PIXELS = 2048  # width and height of a sheet: larger ones take a telephone long to decode
LARGEST, SMALLEST = 56, 24  # edge of one picture, pixels
LAYER_PIXELS = 12e6  # of all pictures of a kind of a net in one layer; wide layers have small pictures
PIXELATED = 16  # pictures of so few pixels are magnified without blur, and stored without loss
QUALITY = 62  # of WebP


class Grid(NamedTuple):
    """Where the tiles of a layer lie in their sheets."""

    width: int  # of a tile, pixels
    height: int
    columns: int  # tiles in a row of a sheet
    per: int  # tiles in a sheet


def edge(units: int) -> int:
    """Edge of one picture in pixels.

    >>> edge(96), edge(1000), edge(4096)
    (56, 36, 24)
    """
    return int(np.clip(np.sqrt(LAYER_PIXELS / (ACROSS**2 * units)), SMALLEST, LARGEST))


def shrunk(shape: tuple[int, int], units: int) -> tuple[int, int]:
    """Height and width of one picture of a unit as the atlas shows it, never larger than it is stored."""
    factor = min(1.0, edge(units) / max(shape))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def gap_of(height: int) -> int:
    """Transparent pixels around each picture."""
    return max(1, height // 24)


def grid_of(height: int, width: int, units: int) -> Grid:
    """The grid for pictures of a size. Sheets are as square as they can be."""
    gap = gap_of(height)
    tall, wide = (ACROSS * (length + gap) + gap for length in (height, width))
    columns = min(max(1, MOST_PIXELS // wide), int(np.ceil(np.sqrt(units * tall / wide))))
    return Grid(wide, tall, columns, columns * min(max(1, MOST_PIXELS // tall), -(-units // columns)))


def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture in another size, in colour. (h, w, C) uint8 -> (height, width, 3) uint8"""
    colour = picture if picture.shape[2] == 3 else picture[..., :1].repeat(3, axis=2)
    if colour.shape[:2] == (height, width):
        return colour
    return np.asarray(Image.fromarray(colour).resize((width, height), Image.Resampling.LANCZOS))


def tile(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pictures of a unit in rows of three, transparent between them. (n, h, w, C) uint8 -> (H, W, 4) uint8"""
    gap = gap_of(height)
    sheet = np.zeros([ACROSS * (length + gap) + gap for length in (height, width)] + [4], np.uint8)
    for k, picture in enumerate(pictures[: ACROSS**2]):
        top, left = gap + k // ACROSS * (height + gap), gap + k % ACROSS * (width + gap)
        sheet[top : top + height, left : left + width, :3] = resized(picture, height, width)
        sheet[top : top + height, left : left + width, 3] = 255
    return sheet


def sheets(array: store.StoredArray, shown: np.ndarray, height: int, width: int, grid: Grid) -> Iterator[np.ndarray]:
    """Sheets of the units of an array of pictures, (units, 9, h, w, C); a unit that is not shown has an empty tile."""
    units = array.shape[0]
    for first in range(0, units, grid.per):
        count = min(grid.per, units - first)
        rows = -(-count // grid.columns)
        sheet = np.zeros((rows * grid.height, min(count, grid.columns) * grid.width, 4), np.uint8)
        for place in np.flatnonzero(shown[first : first + count]).tolist():
            top, left = place // grid.columns * grid.height, place % grid.columns * grid.width
            pictures = array[[first + place]][0]
            sheet[top : top + grid.height, left : left + grid.width] = tile(pictures, height, width)
        yield sheet


def write_kind(folder: Path, name: str, array: store.StoredArray, shown: np.ndarray) -> dict[str, Any]:
    """Write the sheets of one kind of pictures, ``<name>-<number>.webp``, and say how they are cut."""
    units = array.shape[0]
    height, width = shrunk((array.shape[2], array.shape[3]), units)
    grid, few = grid_of(height, width, units), max(height, width) <= PIXELATED
    for number, sheet in enumerate(sheets(array, shown, height, width, grid)):
        Image.fromarray(sheet).save(folder / f"{name}-{number}.webp", quality=QUALITY, lossless=few, method=4)
    return {**grid._asdict(), "name": name, "pixelated": few, "empty": np.flatnonzero(~shown).tolist()}


def write(folder: Path, path: Path, layer: str, net: str) -> dict[str, Any]:
    """Write the sheets of a net's units in a layer, and say how they are cut, by kind. path: store of patches"""
    names = store.attributes(path, "patches")["arrays"]
    shown = (store.load(path, f"{layer}/image")[f"{layer}/image"] >= 0).any(axis=1)
    kinds = [kind for kind in KINDS if f"{layer}/{kind}" in names]
    return {
        kind: write_kind(folder, f"{net}-{kind}", store.StoredArray(path, f"{layer}/{kind}"), shown) for kind in kinds
    }
