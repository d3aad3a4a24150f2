"""The small run that tests of the atlas read."""

from pathlib import Path

import pytest

from . import runs


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three nets with all stages; the folder of its results."""
    return runs.make(tmp_path_factory.mktemp("results") / "toy")
