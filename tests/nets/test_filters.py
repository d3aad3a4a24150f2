"""Filters: the store holds the weights of each net's first convolution."""

from pathlib import Path

import numpy as np

from workflow.convergent import store
from workflow.convergent.nets import filters
from workflow.convergent.nets.model import load


def test_filters_are_the_weights_of_conv1(nets: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "filters.zarr/zarr.json"
    filters.main([str(output), *map(str, nets.values())])
    found = store.load(output)
    for name, path in nets.items():
        weight = load(path).get_parameter("body.conv1.weight").detach().numpy()  # (units, channels, h, w)
        assert len({weight[:, channel].tobytes() for channel in range(3)}) == 3
        for channel in range(3):
            np.testing.assert_array_equal(found[f"filters/{name}"][..., channel], weight[:, channel])
