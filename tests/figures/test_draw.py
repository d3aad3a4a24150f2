"""The numbers behind the figures."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from workflow.convergent import store
from workflow.convergent.alignment import matching
from workflow.convergent.commands import InputError
from workflow.convergent.figures import draw, plots, statistics, units


@pytest.fixture
def axes():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_nets_are_counted_from_one() -> None:
    assert [plots.title(net) for net in ("net0", "net9")] == ["Net1", "Net10"]


def test_panels_of_figure_1_show_the_planted_match() -> None:
    partner = np.array([2, 0, 3, 1])
    between = np.eye(4)[partner]
    native, loops, diagonal = statistics.between_panels(between, partner).values()
    np.testing.assert_array_equal(native, between)
    np.testing.assert_array_equal(loops, np.roll(np.eye(4), 1, axis=1))
    np.testing.assert_array_equal(diagonal, np.eye(4))


def test_unequal_widths_have_no_loops() -> None:
    between = np.eye(5)[[3, 0, 1]]
    panels = statistics.between_panels(between, matching.assignment(between))
    assert len(panels) == 2
    np.testing.assert_array_equal(np.diagonal(list(panels.values())[-1]), 1)


def test_similarities_are_drawn_in_falling_order_without_dead_units(axes: plt.Axes) -> None:
    greedy, assigned = np.array([0.2, np.nan, 0.9, 0.5]), np.array([0.1, np.nan, 0.9, 0.3])
    plots.sorted_similarities(axes, greedy, assigned, 1 / 3)
    drawn = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    np.testing.assert_array_equal(drawn["greedy, mean 0.533"], [0.9, 0.5, 0.2])
    np.testing.assert_array_equal(drawn["assigned, mean 0.433"], [0.9, 0.3, 0.1])
    assert "same partner: 33% of 3 units" in drawn


def test_units_that_an_unequal_assignment_leaves_over_are_counted(axes: plt.Axes) -> None:
    greedy, assigned = np.array([0.2, -0.4, 0.9]), np.array([np.nan, np.nan, 0.9])
    plots.sorted_similarities(axes, greedy, assigned, 1 / 3)
    assert "assigned, mean 0.900 of 1 units" in [line.get_label() for line in axes.get_lines()]
    assert axes.get_ylim()[0] <= -0.4


def test_negative_means_of_nets_of_unequal_widths_are_drawn(axes: plt.Axes) -> None:
    plots.sorted_means(axes, {"net0": np.array([0.5, 1.0]), "net1": np.array([-2.0, 3.0, 0.0, 1.0])})
    assert axes.get_ylim()[0] < -2
    assert [len(line.get_xdata()) for line in axes.get_lines()] == [2, 4]


def test_dead_units_are_grey_in_a_matrix(axes: plt.Axes) -> None:
    image = plots.similarity_matrix(axes, np.array([[np.nan, 0.5]]), "rows", "columns")
    assert image.get_array().mask.tolist() == [[True, False]]


def test_mosaic_places_tiles_row_by_row() -> None:
    tiles = np.arange(5.0)[:, None, None, None] * np.ones((1, 2, 3, 1)) / 5
    sheet = plots.mosaic(tiles, columns=2)
    assert sheet.shape == (3 * 2 + 2, 2 * 3 + 1, 1)
    assert sheet[3, 4, 0] == tiles[3, 0, 0, 0]
    assert sheet[-1, -1, 0] == 1  # nothing there: white


def test_filters_are_scaled_around_grey(axes: plt.Axes) -> None:
    filters = np.array([-2.0, 1.0, 0.0]).reshape(1, 1, 3, 1).repeat(3, axis=3)
    plots.filter_sheet(axes, filters, columns=1)
    np.testing.assert_allclose(axes.images[0].get_array()[0, :, 0], [0, 0.75, 0.5])


def test_every_figure_says_what_it_is_drawn_from() -> None:
    assert all(function.__doc__.startswith("inputs: ") for function in draw.FIGURES.values())


def test_best_and_worst_come_first_and_last_without_the_dead() -> None:
    similarity = np.array([0.5, np.nan, 0.9, -0.1, 0.2, 0.7])
    assert units.best_and_worst(similarity, 2).tolist() == [2, 5, 4, 3]
    assert units.best_and_worst(similarity, 3).tolist() == [2, 5, 0, 4, 3]


@pytest.fixture
def matched(tmp_path: Path) -> list[str]:
    """Pictures of two nets of three units, of which the first net's last one is dead, and their matching table."""
    rng = np.random.default_rng(0)
    paths = [str(tmp_path / f"net{k}.zarr/zarr.json") for k in (0, 1)]
    for k, path in enumerate(paths):
        image = np.zeros((3, 9), int)
        image[2] -= 1 - k
        pictures = rng.integers(0, 256, (2, 3, 9, 5, 5, 3), dtype=np.uint8)
        store.save(path, {"conv1/image": image, "conv1/patch": pictures[0], "conv1/deconv": pictures[1]})
    table = tmp_path / "net0-net1.csv"
    table.write_text(",".join(matching.HEADER) + "\n0,1,0.9,1,0.9\n1,0,0.4,0,0.4\n2,,,,\n")
    return [*paths, str(table)]


def test_matches_show_each_unit_over_its_partner_and_say_what_is_dead(matched: list[str]) -> None:
    figure = units.fig2_matches(argparse.Namespace(inputs=matched, layer="conv1", units=[0, 2]))
    axes = np.array(figure.subfigs[0].axes).reshape(4, 2)
    assert [ax.get_title() for ax in axes[0]] == ["0.90\nNet1 0", "dead\nNet1 2"]
    assert axes[2, 0].get_title() == "Net2 1"
    shown = store.load(matched[1], "conv1/patch")["conv1/patch"][1]
    np.testing.assert_allclose(axes[2, 0].images[0].get_array(), plots.tiles(shown))
    assert axes[0, 1].texts[0].get_text() == "never\nactive"
    assert not axes[2, 1].axison
    plt.close("all")


def test_thumbnails_stand_alone_where_a_layer_has_no_positions(matched: list[str]) -> None:
    thumbnail = np.random.default_rng(1).integers(0, 256, (3, 9, 5, 5, 3), dtype=np.uint8)
    store.save(matched[1], {"conv1/image": np.zeros((3, 9), int), "conv1/thumbnail": thumbnail})
    figure = units.fig2_matches(argparse.Namespace(inputs=matched, layer="conv1", units=[0, 1]))
    axes = np.array(figure.subfigs[0].axes).reshape(3, 2)
    assert axes[2, 0].get_title() == "Net2 1"
    np.testing.assert_allclose(axes[2, 0].images[0].get_array(), plots.tiles(thumbnail[1]))
    assert "no positions in Net2: pictures are the whole crops" in figure._suptitle.get_text()
    plt.close("all")


def test_most_and_least_active_units_of_unequal_nets(matched: list[str], tmp_path: Path) -> None:
    rng, count = np.random.default_rng(1), 20
    thumbnail = rng.integers(0, 256, (count, 9, 5, 5, 3), dtype=np.uint8)
    store.save(matched[1], {"conv1/image": np.zeros((count, 9), int), "conv1/thumbnail": thumbnail})
    moments = str(tmp_path / "moments.zarr/zarr.json")
    means = {"total/mean/net0": np.array([0.5, 2.0, -1.0]), "total/mean/net1": np.arange(count) / 1.0}
    store.save(moments, means, nets={"net0": "x", "net1": "y"}, controls=[])
    figure = units.figS11_active(argparse.Namespace(inputs=[moments, *matched[:2]], layer="conv1"))
    one, two = ([ax.get_title() for ax in part.axes if ax.get_title()] for part in figure.subfigs)
    assert one == ["2", "0.5", "-1"]
    assert two == [f"{k}" for k in [19, 18, 17, 16, 15, 14, 5, 4, 3, 2, 1, 0]]
    plt.close("all")


def test_filters_of_any_size_and_of_no_net(tmp_path: Path) -> None:
    path = str(tmp_path / "filters.zarr/zarr.json")
    store.save(path, {"filters/net0": np.ones((6, 7, 7, 3)), "filters/net2": np.ones((64, 3, 5, 3))})
    figure = units.nets_filters(argparse.Namespace(inputs=[path]))
    assert [ax.get_title() for ax in figure.axes] == [
        "Net1, first convolution\n6 filters of 7 x 7",
        "Net3, first convolution\n64 filters of 3 x 5",
    ]
    store.save(path, {})
    figure = units.nets_filters(argparse.Namespace(inputs=[path]))
    assert figure._suptitle.get_text() == "no net has a convolution of pixels"
    plt.close("all")


def test_a_unit_that_is_not_there_is_refused(matched: list[str]) -> None:
    with pytest.raises(InputError, match="--units: 3 is not possible; conv1 has units 0 to 2"):
        units.fig2_matches(argparse.Namespace(inputs=matched, layer="conv1", units=[0, 3]))


def test_matches_by_information_say_how_far_correlation_agrees(matched: list[str], tmp_path: Path) -> None:
    table = tmp_path / "information.csv"
    names = "layer,pair,live,best,best_shared,same_greedy,rank_agreement,rank_agreement_absolute"
    table.write_text(f"{names}\nconv2,net0-net1,3,2,2,1,1,1\nconv1,net0-net1,2,2,1,0.5,0.25,0.75\n")
    args = argparse.Namespace(inputs=[*matched, str(table)], layer="conv1", units=None)
    figure = units.figS4_information(args)
    said = figure._suptitle.get_text()
    assert "1 of the 2 best pairs are the same by correlation, 50% of 2 units" in said
    assert "0.25 with correlation, 0.75 with its absolute value" in said
    assert figure.subfigs[0].axes[0].get_title() == "0.90 nats\nNet1 0"
    plt.close("all")


def test_the_summary_shows_both_similarities_and_writes_all_rows(tmp_path: Path) -> None:
    measures = [f"{name}{end}" for name in ("greedy", "assigned") for end in ("", "_held_out")] + ["overlap"]
    ends = ("", "_low", "_high", "_null", "_null_low", "_null_high")
    cells = ",".join(f"{name}{end}" for name in measures for end in ends)
    files = [tmp_path / "conv1.csv", tmp_path / "information.csv"]
    values = ",".join("0.5" for _ in cells.split(","))
    for file, similarity in zip(files, ("correlation", "mutual_information"), strict=True):
        rows = [f"conv1,{pair},{similarity},{values}" for pair in ("net0-net1", "mean")]
        file.write_text("\n".join([f"layer,pair,similarity,{cells}", *rows]) + "\n")
    inputs, table = [str(file) for file in files], str(tmp_path / "summary.csv")
    figure = statistics.summary_convergence(argparse.Namespace(inputs=inputs, table=table))
    assert [ax.get_ylabel() for ax in figure.axes][-1] == "mean information, nats"
    alone = statistics.summary_convergence(argparse.Namespace(inputs=inputs[:1], table=table))
    assert len(figure.axes) == len(alone.axes) + 1 == 4
    plt.close("all")


def test_figure_1_is_written(tmp_path: Path) -> None:
    """From real stores of a net that is compared with a permutation of itself."""
    x = np.random.default_rng(0).normal(size=(50, 6))
    nets = {"net0": x, "net1": x[:, ::-1]}
    paths = []
    for a, b in (("net0", "net0"), ("net1", "net1"), ("net0", "net1")):
        paths.append(tmp_path / f"{a}-{b}.zarr/zarr.json")
        store.save(paths[-1], {"correlation": np.corrcoef(nets[a].T, nets[b].T)[:6, 6:]})
    draw.main(["fig1_correlation", *map(str, paths), "--outputs", str(tmp_path / "f.pdf"), str(tmp_path / "f.png")])
    assert plt.imread(tmp_path / "f.png").std() > 0.01
    figure = statistics.fig1_correlation(argparse.Namespace(inputs=[str(path) for path in paths]))
    np.testing.assert_allclose(np.diagonal(figure.axes[4].images[0].get_array()), 1)
    plt.close("all")
