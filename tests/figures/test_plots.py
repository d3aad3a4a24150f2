"""What panels show of the arrays that they are given."""

from collections.abc import Iterator
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb

from workflow.convergent.figures import draw, plots


@pytest.fixture
def axes() -> Iterator[Axes]:
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_nets_have_colours_and_dashes_of_their_own() -> None:
    assert [len({to_hex(line["color"]) for line in plots.net_lines(count)}) for count in (2, 6, 7, 10, 100)] == [
        2,
        6,
        7,
        10,
        100,
    ]
    assert len({line["linestyle"] for line in plots.net_lines(4)}) == 4


def luminance(colour: str) -> float:
    """Relative luminance of a colour, which every colour-blind reader sees."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], channels))


def test_lines_of_neighbouring_nets_differ_in_lightness_or_dashes_of_the_style() -> None:
    with plt.style.context(["default", draw.STYLE]):
        lines = plots.net_lines(len(plots.NETS))
        for one, other in pairwise(lines):
            assert one["linestyle"] != other["linestyle"]
            assert abs(luminance(one["color"]) - luminance(other["color"])) > 0.03


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([1.52, 0.496, -1], ["1.52", "0.50", "-1.00"]),
        ([130.3, 1.04], ["130", "1"]),
        ([0.0123, 0.004], ["0.0123", "0.0040"]),
        ([0, np.nan], ["0.00", "nan"]),
    ],
)
def test_numbers_have_equal_digits(values: list[float], shown: list[str]) -> None:
    form = plots.decimals(np.array(values))
    assert [format(value, form) for value in values] == shown


def test_similarities_are_drawn_in_falling_order_without_dead_units(axes: Axes) -> None:
    greedy, assigned = np.array([0.2, np.nan, 0.9, 0.5]), np.array([0.1, np.nan, 0.9, 0.3])
    rotated = np.array([0.4, np.nan, 0.6, 0.5])
    plots.sorted_similarities(axes, greedy, assigned, rotated)
    drawn = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    np.testing.assert_array_equal(drawn["greedy partner"], [0.9, 0.5, 0.2])
    np.testing.assert_array_equal(drawn["assigned partner"], [0.9, 0.3, 0.1])
    np.testing.assert_array_equal(drawn["greedy partner on rotated axes"], [0.6, 0.5, 0.4])


def test_similarities_of_units_that_are_left_over_or_negative_are_seen(axes: Axes) -> None:
    greedy, assigned = np.array([0.2, -0.4, 0.9]), np.array([np.nan, np.nan, 0.9])
    plots.sorted_similarities(axes, greedy, assigned, np.full(3, np.nan))
    assert axes.get_ylim()[0] <= -0.4
    assert "greedy partner on rotated axes" not in axes.get_legend_handles_labels()[1]


def test_means_stand_beside_the_papers(axes: Axes) -> None:
    plots.sorted_similarities(axes, *np.array([[0.9, 0.5], [0.9, 0.3], [np.nan, np.nan]]))
    plots.means_of_similarities(axes, (0.7, 0.6), (0.5, 0.4, 0.3))
    marks = {mark: [line for line in axes.get_lines() if line.get_marker() == mark] for mark in ("<", "s")}
    assert [line.get_ydata().item() for line in marks["<"]] == [0.7, 0.6]
    assert [line.get_ydata().item() for line in marks["s"]] == [0.5, 0.4]
    assert all(line.get_xdata().item() > 2 for line in marks["s"])  # right of the units
    assert plots.key_of_similarities([axes])[1][-2:] == ["their means", "means in the paper"]


def test_the_key_of_similarities_has_what_any_panel_has(axes: Axes) -> None:
    """Without the paper, and with rotated axes in the second panel alone."""
    second = axes.figure.add_subplot()
    for panel, rotated in ((axes, np.nan), (second, 0.4)):
        plots.sorted_similarities(panel, *np.array([[0.9, 0.5], [0.9, 0.3], [rotated] * 2]))
        plots.means_of_similarities(panel, (0.7, 0.6), None)
    assert plots.key_of_similarities([axes, second])[1] == [
        "greedy partner",
        "assigned partner",
        "greedy partner on rotated axes",
        "their means",
    ]


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
