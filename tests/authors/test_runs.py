"""Runs of a clone by their names."""

from pathlib import Path

import numpy as np
import pytest

from tests.authors.clone import add_run
from workflow.convergent.authors.runs import LOG, WEIGHTS, mappings_of
from workflow.convergent.commands import InputError

ONES = np.ones((2, 3), "<f4")


def test_runs_are_sorted_by_layer_pair_and_penalty_and_power_0_is_none(tmp_path: Path) -> None:
    for name in ("net1_net0_L1_-2.6_conv1", "net0_net1_L1_-1_conv2", "net0_net1_L1_0_conv1", "net0_net1_L1_-3_conv1"):
        add_run(tmp_path, name, ONES, [1.0], [1.0])
    add_run(tmp_path, "notes", ONES, [1.0], [1.0])
    found = mappings_of(tmp_path)
    assert list(found) == [("conv1", "net0-net1"), ("conv1", "net1-net0"), ("conv2", "net0-net1")]
    assert [run.decay for run in found["conv1", "net0-net1"]] == [0, 1e-3]
    assert found["conv1", "net1-net0"][0].decay == pytest.approx(0.00251188643150958)


@pytest.mark.parametrize("missing", [WEIGHTS, LOG])
def test_a_missing_file_and_a_clone_without_runs_are_refused(tmp_path: Path, missing: str) -> None:
    with pytest.raises(InputError, match="must be a clone of the authors' repository"):
        mappings_of(tmp_path)
    folder = add_run(tmp_path, "net0_net1_L1_-1_conv1", ONES, [1.0], [1.0])
    (folder / missing).unlink()
    with pytest.raises(InputError, match=f"{missing} is missing; clone the repository again"):
        mappings_of(tmp_path)
