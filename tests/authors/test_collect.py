"""The authors' mappings as stores that the stages of this project take."""

from pathlib import Path

import numpy as np
import pytest

from tests.authors.clone import add_run
from workflow.convergent import store, tables
from workflow.convergent.authors import collect
from workflow.convergent.clustering import hierarchy
from workflow.convergent.stitching import mappings


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for power in ("0", "-2.6", "-1"):
        weights = rng.normal(size=(4, 3, 1, 1)).astype("<f4") * (power != "-1") * 0.3
        losses = np.linspace(1, 0.2, 150)
        add_run(tmp_path / "clone", f"net0_net1_L1_{power}_conv1", weights, (losses + 0.1).tolist(), losses.tolist())
    return tmp_path / "clone"


def test_a_store_holds_the_runs_by_rising_decay(clone: Path, tmp_path: Path) -> None:
    collect.main([str(clone), str(tmp_path / "out")])
    path = tmp_path / "out/conv1/net0-net1.zarr/zarr.json"
    arrays = store.load(path, "*")
    np.testing.assert_allclose(arrays["decay"], [0, 10**-2.6, 0.1])
    np.testing.assert_allclose(arrays["alpha"], 4 * arrays["decay"])
    assert arrays["above"][2].tolist() == [0, 0, 0, 0]
    losses = np.linspace(1, 0.2, 150)
    np.testing.assert_allclose(arrays["published/val_last"], 0.2)
    np.testing.assert_allclose(arrays["published/val_mean"], losses[-100:].mean())
    np.testing.assert_allclose(arrays["published/train_mean"], losses[-100:].mean() + 0.1)
    point = mappings.path_point(path, 10**-2.6, "decay")
    assert mappings.read_weights(path, point).shape == (4, 3)


def test_its_tree_grows_as_any_other(clone: Path, tmp_path: Path) -> None:
    collect.main([str(clone), str(tmp_path / "out")])
    path, tree, table = (
        tmp_path / "out/conv1/net0-net1.zarr/zarr.json",
        tmp_path / "t.zarr/zarr.json",
        tmp_path / "t.csv",
    )
    hierarchy.main([str(path), str(tree), str(table), "--decay", str(10**-2.6)])
    weights = mappings.read_weights(path, 1)
    assert len(tables.read(table, ("rank",))) == sum(weights.shape) - 1  # no weight is zero: each merge is one
    np.testing.assert_allclose(
        store.load(tree, "linkage")["linkage"], hierarchy.average_linkage(hierarchy.joined(weights))
    )


def test_runs_of_other_shapes_are_refused_together(clone: Path, tmp_path: Path) -> None:
    add_run(clone, "net0_net1_L1_-3_conv1", np.ones((4, 4), "<f4"), [1.0], [1.0])
    with pytest.raises(SystemExit, match=r"weights of shape \(4, 4\)"):
        collect.main([str(clone), str(tmp_path / "out")])
