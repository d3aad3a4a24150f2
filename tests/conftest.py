"""What several test files share: a tiny architecture, a store of random images and two nets made for it.

What loads torch is imported where it is used: pytest-xdist's own process, which only hands out tests, does without.
"""

import copy
import gc
from pathlib import Path

import numpy as np
import pytest
from xdist import is_xdist_controller

from tests import ROOT
from workflow.convergent import experiment, schema, store

SIZE, CLASSES = 20, 4
TINY = {
    "crop": 16,
    "pixels": {"mean": "image", "scale": "unit"},
    "conv": [
        {"units": 6, "kernel": 3, "padding": 1, "pool": [3, 2], "lrn": True},
        {"units": 7, "kernel": 3, "padding": 1, "pool": [2, 2], "lrn": True},
        {"units": 8, "kernel": 3, "padding": 1},
        {"units": 8, "kernel": 3, "padding": 1, "bias": 0.1},
        {"units": 6, "kernel": 3, "padding": 1, "pool": [3, 2]},
    ],
    "fc": [{"units": 12}, {"units": 10}],
    "dropout": 0.5,
}


@pytest.fixture
def config() -> dict:
    """The embedded configuration with the schema's defaults."""
    return schema.conform(experiment.read(ROOT / "config.yaml"))


def random_images(count: int, seed: int) -> dict[str, np.ndarray]:
    """Noise around a brightness that gives the class away; two images a group, in no order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % CLASSES).astype(np.int32)
    images = rng.normal(40 + 50 * labels[:, None, None, None], 30, (count, SIZE, SIZE, 3)).clip(0, 255).astype(np.uint8)
    return {"images": images, "labels": labels, "group": rng.permutation(np.arange(count) // 2).astype(np.int32)}


@pytest.fixture
def architecture() -> dict:
    """Five convolutions and three fully connected layers of a few units; a copy, to be changed at will."""
    return copy.deepcopy(TINY)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two small image stores, train and val."""
    folder = tmp_path_factory.mktemp("images")
    paths = {split: folder / f"{split}.zarr" / "zarr.json" for split in ("train", "val")}
    for seed, (path, count) in enumerate(zip(paths.values(), (64, 30), strict=True)):
        classes = [f"class {i}" for i in range(CLASSES)]
        store.save(path, random_images(count, seed), kind="images", split=path.parent.stem, classes=classes)
    return paths


@pytest.fixture(scope="session")
def nets(tmp_path_factory: pytest.TempPathFactory, images: dict[str, Path]) -> dict[str, Path]:
    """Two nets of the tiny architecture from different seeds, saved; their descriptions by name."""
    from tests.presets import preset
    from workflow.convergent.nets.model import save

    folder = tmp_path_factory.mktemp("nets")
    paths = {f"net{seed}": folder / f"net{seed}.json" for seed in (0, 1)}
    for seed, path in enumerate(paths.values()):
        net = preset(copy.deepcopy(TINY), 3, CLASSES, SIZE, seed)
        net.standardise_with(store.load(images["train"], "images")["images"])
        save(net, path.with_suffix(".pt"), path)
    return paths


# Files of tests that take minutes, longest first: begun last, one would keep a single worker busy at the end.
LONGEST = [f"test_{name}.py" for name in ("slurm", "readme", "workflow", "run", "plans", "extend")]
LONGEST += [f"test_{name}.py" for name in ("names", "machine", "train", "fitting")]


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Compute as every stage does."""
    if not is_xdist_controller(session):
        from workflow.convergent.nets import device

        device.deterministic(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with LONGEST. Checks that need CUDA are left out, and counted as deselected, where there is none."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    gc.freeze()  # what the modules hold; each full collection would look through it
    import torch

    if torch.cuda.is_available():
        return
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("gpu")])
    items[:] = [item for item in items if not item.get_closest_marker("gpu")]
