"""Weights and losses of the authors' runs."""

from pathlib import Path

import numpy as np
import pytest

from tests.authors.clone import add_run, log_of
from workflow.convergent.authors.contents import read_losses, read_run
from workflow.convergent.authors.runs import LOG, mappings_of
from workflow.convergent.commands import InputError


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
