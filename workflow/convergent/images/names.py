"""Where each stored image comes from: names of files as an array of a store, and the name of a row."""

import os
from collections.abc import Sequence

import numpy as np

from .. import store

ARRAY = "names"  # of a store of images
LONGEST = 256  # bytes of a name that are kept: its end


def as_array(names: Sequence[str]) -> np.ndarray:
    """The bytes of each name, filled up with zeros. (N, bytes of the longest) uint8

    >>> as_array(["a", "abc"]).tolist()
    [[97, 0, 0], [97, 98, 99]]
    """
    encoded = np.array([os.fsencode(name)[-LONGEST:] for name in names], np.bytes_)
    return encoded.view(np.uint8).reshape(len(names), encoded.itemsize)


def name_of(images: store.StoredArray, row: int) -> str:
    """The file that an image of a store was made from, and its row; only the row where the store has no names."""
    place = f"row {row} of {images.path.parent}"
    if ARRAY not in store.attributes(images.path)["arrays"]:
        return place
    return f"{os.fsdecode(store.StoredArray(images.path, ARRAY)[[row]].tobytes().rstrip(bytes(1)))} ({place})"
