"""Runs of a clone by their names, and their losses."""

from pathlib import Path

import numpy as np
import pytest

from tests.authors.clone import add_run, log_of
from workflow.convergent.authors.runs import LOG, WEIGHTS, mappings_of, read_losses, read_run
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


def test_weights_of_a_convolution_are_a_matrix_and_losses_are_those_of_the_log(tmp_path: Path) -> None:
    weights = np.arange(6, dtype="<f4").reshape(2, 3, 1, 1)
    add_run(tmp_path, "net0_net1_L1_-1_conv1", weights, [3.0, 2.0], [4.0, 1.01618254185])
    ((run,),) = mappings_of(tmp_path).values()
    read = read_run(run)
    assert read.weights.tolist() == weights[:, :, 0, 0].tolist()
    assert {split: losses.tolist() for split, losses in read.losses.items()} == {
        "train": [3, 2],
        "val": [4, 1.01618254185],
    }


@pytest.mark.parametrize("shape", [(3,), (2, 3, 1, 2), (2, 3, 1), (), (0, 3)])
def test_weights_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    add_run(tmp_path, "net0_net1_L1_-1_conv1", np.ones(shape, "<f4"), [1.0], [1.0])
    ((run,),) = mappings_of(tmp_path).values()
    with pytest.raises(InputError, match="an array of shape"):
        read_run(run)


@pytest.mark.parametrize("missing", [WEIGHTS, LOG])
def test_a_missing_file_and_a_clone_without_runs_are_refused(tmp_path: Path, missing: str) -> None:
    with pytest.raises(InputError, match="must be a clone of the authors' repository"):
        mappings_of(tmp_path)
    folder = add_run(tmp_path, "net0_net1_L1_-1_conv1", ONES, [1.0], [1.0])
    (folder / missing).unlink()
    with pytest.raises(InputError, match=f"{missing} is missing; clone the repository again"):
        mappings_of(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("1 val loss is 0.5", "1 val loss is nan", "'1 val loss is nan' is not the finite loss of iteration 1"),
        ("1 val loss is 0.5", "1 val loss is much", "'1 val loss is much' is not the finite loss of iteration 1"),
        ("1 val", "2 val", "'2 val loss is 0.5' is not the finite loss of iteration 1"),
        ("val loss", "test loss", "or none of val; fetch it again"),
    ],
)
def test_losses_that_are_missing_or_not_finite_are_refused(tmp_path: Path, old: str, new: str, line: str) -> None:
    path = tmp_path / LOG
    path.write_text(log_of([1.0, 0.6], [1.0, 0.5]).replace(old, new))
    with pytest.raises(InputError) as refused:
        read_losses(path)
    assert line in str(refused.value)
