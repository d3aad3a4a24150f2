"""What panels of table 1 show of the rows that they are given."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes

from workflow.convergent.figures import penalties


@pytest.fixture
def axes() -> Iterator[Axes]:
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_the_paper_is_not_named_where_it_has_no_such_layer(axes: Axes) -> None:
    loss = {"val_loss": 0.2, "train_loss": 0.1, "zero_loss": 0.5}
    penalties.loss_path(axes, [{"alpha": 0.1, **loss}], [])
    penalties.weights_path(axes, [{"alpha": 0.1, "nonzero": 3, "above": 2, "sources": 4}], [])
    labels = axes.get_legend_handles_labels()[1]
    assert not any("paper" in label or "published" in label for label in labels)


def test_penalties_are_drawn_in_order_with_a_place_for_zero(axes: Axes) -> None:
    rows = [{"alpha": alpha} for alpha in (0.1, 0, 1.0, 0.01)]
    assert [row["alpha"] for row in penalties.by_penalty(axes, rows)] == [0, 0.01, 0.1, 1.0]
    assert axes.transData.transform((0, 0))[0] < axes.transData.transform((1e-3, 0))[0]


def test_lines_that_coincide_are_drawn_apart(axes: Axes) -> None:
    """The second net itself and mapped onto itself; stitched as mapped and with a ReLU behind."""
    interval = {"top1_relu_low": 0.4, "top1_relu_high": 0.6}
    row = {"top1_relu": 0.5, "top1": 0.5, "target": 0.7, "self": 0.7, "zero": 0.1, **interval}
    means = [{"alpha": 0, "pair": "mean", "top1_relu": 0.45, **interval}]
    penalties.accuracy_path(axes, [{"alpha": alpha, **row} for alpha in (0, 0.1)], means)
    drawn = {line.get_label(): line for line in axes.get_lines()}
    for one, other in (
        ("second net itself", "second net mapped onto itself"),
        ("stitched as mapped", "stitched, ReLU behind"),
    ):
        assert drawn[one].get_ydata()[0] == drawn[other].get_ydata()[0]
        looks = {
            (line.get_marker(), line.get_markerfacecolor(), line.get_color()) for line in (drawn[one], drawn[other])
        }
        assert len(looks) == 2


def test_accuracies_without_a_penalty_are_said_of_all_pairs() -> None:
    row = {"layer": "conv1", "pair": "mean", "alpha": 0, "top1_relu": 0.45}
    row |= {"top1_relu_low": 0.4, "top1_relu_high": 0.6}
    others = [row | {"alpha": 0.24, "top1_relu": 0.2}, row | {"pair": "net0-net1", "top1_relu": 0.3}]
    assert penalties.unpenalised([*others, row]) == "all pairs, no penalty:\n0.45 [0.40, 0.60]"
    assert penalties.says([[*others, row], others]).split("; ")[1:] == ["conv1 0.45 [0.40, 0.60]"]
    assert penalties.says([others]) == ""
