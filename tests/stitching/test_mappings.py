"""Stored mappings: weights come back from dense and sparse stores, and only penalties on the path have a point."""

from pathlib import Path

import numpy as np
import pytest

from workflow.convergent import store
from workflow.convergent.commands import InputError
from workflow.convergent.stitching import mappings

RNG = np.random.default_rng(0)
ALPHAS = np.array([0.0, 0.3, 0.24, 0.3])


def path_of_weights(targets: int = 5, sources: int = 7) -> np.ndarray:
    """Sparse weights of a path of four points with an empty row, an empty column and an empty point. (P, T, S)"""
    weights = RNG.normal(size=(len(ALPHAS), targets, sources))
    weights[RNG.random(weights.shape) < 0.6] = 0
    weights[:, 2] = 0
    weights[:, :, 3] = 0
    weights[1] = 0
    return weights


def saved(path: Path, weights: np.ndarray, sparse: bool) -> Path:
    """The zarr.json of a store of a path, as the stage of the mappings writes it."""
    arrays = {"alpha": ALPHAS}
    if sparse:
        for point, mapping in enumerate(weights):
            arrays |= {f"weights/{point}/{name}": array for name, array in mappings.compressed(mapping).items()}
    else:
        arrays["weights"] = weights
    units = {"net0": weights.shape[2], "net1": weights.shape[1]}
    store.save(path / "zarr.json", arrays, source="net0", target="net1", units=units)
    return path / "zarr.json"


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_weights_come_back(tmp_path: Path, sparse: bool) -> None:
    weights = path_of_weights()
    path = saved(tmp_path / "a.zarr", weights, sparse)
    for point, mapping in enumerate(weights):
        np.testing.assert_array_equal(mappings.read_weights(path, point), mapping, strict=True)


def test_a_compressed_mapping_is_a_csr_matrix() -> None:
    arrays = mappings.compressed(np.array([[0, 2.5, 0], [0, 0, 0], [-1.0, 0, 4.0]]))
    assert arrays["indptr"].tolist() == [0, 1, 1, 3]
    assert arrays["indices"].tolist() == [1, 0, 2]
    assert arrays["data"].tolist() == [2.5, -1, 4]


def test_weights_of_a_damaged_store_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.zarr", path_of_weights(), sparse=True)
    (path.parent / "weights/0/data/c/0").unlink()
    with pytest.raises(InputError, match="array weights/0/data is damaged, weights/0/data/c/0 is missing or cut"):
        mappings.read_weights(path, 0)


@pytest.mark.parametrize(("alpha", "point"), [(0, 0), (0.3, 1), (0.24, 2), (0.24 * (1 + 1e-9), 2)])
def test_a_penalty_is_found_at_its_first_point(tmp_path: Path, alpha: float, point: int) -> None:
    assert mappings.path_point(saved(tmp_path / "a.zarr", path_of_weights(), sparse=False), alpha) == point


def test_a_penalty_that_is_not_on_the_path_is_refused_with_those_that_are(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.zarr", path_of_weights(), sparse=False)
    with pytest.raises(InputError) as refusal:
        mappings.path_point(path, 0.25)
    assert str(refusal.value) == f"{path}: --alpha 0.25 is not on the path, which has 0, 0.3, 0.24, 0.3"
