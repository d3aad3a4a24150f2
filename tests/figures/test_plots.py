"""What panels show of the arrays that they are given."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from workflow.convergent.figures import plots


@pytest.fixture
def axes() -> Iterator[Axes]:
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_nets_have_colours_of_their_own() -> None:
    assert plots.net_colours(2) == ["C0", "C1"]
    assert [len({to_hex(colour) for colour in plots.net_colours(count)}) for count in (6, 7, 10, 100)] == [
        6,
        7,
        10,
        100,
    ]


def test_similarities_are_drawn_in_falling_order_without_dead_units(axes: Axes) -> None:
    greedy, assigned = np.array([0.2, np.nan, 0.9, 0.5]), np.array([0.1, np.nan, 0.9, 0.3])
    plots.sorted_similarities(axes, greedy, assigned, 1 / 3)
    drawn = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    np.testing.assert_array_equal(drawn["greedy, mean 0.533"], [0.9, 0.5, 0.2])
    np.testing.assert_array_equal(drawn["assigned, mean 0.433"], [0.9, 0.3, 0.1])
    assert "same partner: 33% of 3 units" in drawn


def test_units_that_an_unequal_assignment_leaves_over_are_counted(axes: Axes) -> None:
    greedy, assigned = np.array([0.2, -0.4, 0.9]), np.array([np.nan, np.nan, 0.9])
    plots.sorted_similarities(axes, greedy, assigned, 1 / 3)
    assert "assigned, mean 0.900 of 1 units" in [line.get_label() for line in axes.get_lines()]
    assert axes.get_ylim()[0] <= -0.4


def test_negative_means_of_nets_of_unequal_widths_are_drawn(axes: Axes) -> None:
    plots.sorted_means(axes, {"net0": np.array([0.5, 1.0]), "net1": np.array([-2.0, 3.0, 0.0, 1.0])})
    assert axes.get_ylim()[0] < -2
    assert [len(line.get_xdata()) for line in axes.get_lines()] == [2, 4]


def test_dead_units_are_grey_in_a_matrix(axes: Axes) -> None:
    image = plots.similarity_matrix(axes, np.array([[np.nan, 0.5]]), "rows", "columns")
    assert image.get_array().mask.tolist() == [[True, False]]


def test_mosaic_places_tiles_row_by_row() -> None:
    tiles = np.arange(5.0)[:, None, None, None] * np.ones((1, 2, 3, 1)) / 5
    sheet = plots.mosaic(tiles, columns=2)
    assert sheet.shape == (3 * 2 + 2, 2 * 3 + 1, 1)
    assert sheet[3, 4, 0] == tiles[3, 0, 0, 0]
    assert sheet[-1, -1, 0] == 1  # nothing there: white


def test_filters_are_scaled_around_grey(axes: Axes) -> None:
    filters = np.array([-2.0, 1.0, 0.0]).reshape(1, 1, 3, 1).repeat(3, axis=3)
    plots.filter_sheet(axes, filters, columns=1)
    np.testing.assert_allclose(axes.images[0].get_array()[0, :, 0], [0, 0.75, 0.5])


def test_the_paper_is_not_named_where_it_has_no_such_layer(axes: Axes) -> None:
    loss = {"val_loss": 0.2, "train_loss": 0.1, "zero_loss": 0.5}
    plots.loss_path(axes, [{"alpha": 0.1, **loss}], [])
    plots.weights_path(axes, [{"alpha": 0.1, "nonzero": 3, "above": 2, "sources": 4}], [])
    labels = axes.get_legend_handles_labels()[1]
    assert not any("paper" in label or "published" in label for label in labels)


def test_penalties_are_drawn_in_order_with_a_place_for_zero(axes: Axes) -> None:
    rows = [{"alpha": alpha} for alpha in (0.1, 0, 1.0, 0.01)]
    assert [row["alpha"] for row in plots.by_penalty(axes, rows)] == [0, 0.01, 0.1, 1.0]
    assert axes.transData.transform((0, 0))[0] < axes.transData.transform((1e-3, 0))[0]
