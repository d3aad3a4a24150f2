"""The numbers behind the figures of sparse mappings."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests import ROOT
from workflow.convergent import store, tables
from workflow.convergent.commands import InputError
from workflow.convergent.figures import mapping, plots

PAPER = str(ROOT / "workflow/resources/paper_table1.csv")
DECAY = [0.0, 1e-3, 0.08]
ALPHA = np.array([0, 3e-3, 0.24])
NETS = ("net0", "net1")


@pytest.mark.parametrize(
    ("r2", "expected"),
    [([0.1, 0.9, 0.5], 2), ([0.3, 0.1, 0.9, 0.5], 0), ([np.nan, 0.2, np.nan, 0.4], 1), ([np.nan, np.nan], 0)],
)
def test_the_median_unit_is_the_middle_one_of_the_live(r2: list[float], expected: int) -> None:
    assert mapping.median_unit(np.array(r2)) == expected


@pytest.mark.parametrize("wanted", ["7", "-1", "best"])
def test_a_unit_that_is_not_there_is_refused(wanted: str) -> None:
    with pytest.raises(InputError, match=f"figures.unit: {wanted} is not possible; median, or a unit from 0 to 2"):
        mapping.chosen_unit(wanted, np.zeros(3))


@pytest.fixture
def stored_mapping(tmp_path: Path) -> str:
    """Three target units from four sources at three penalties; the last target is dead."""
    path = tmp_path / "stitching" / "net0-net1.zarr/zarr.json"
    weights = np.zeros((3, 3, 4))
    weights[:, 0, 2], weights[:, 1, 0], weights[:2, 1, 3] = 0.7, -0.6, 0.1
    measures = {name: np.full((3, 3), k + 0.5) for k, name in enumerate(("train_loss", "val_loss", "r2"))}
    measures["r2"] = np.array([[0.9, 0.4, np.nan]] * 3)
    measures |= {"nonzero": (weights != 0).sum(axis=2), "above": (np.abs(weights) > 0.01).sum(axis=2)}
    published = {f"published/{name}": measures[name][:2] for name in ("train_loss", "val_loss", "r2", "above")}
    arrays = {"alpha": ALPHA, "decay": np.array(DECAY), "weights": weights, "zero_loss": np.full(3, 0.5)}
    about = {"layer": "conv1", "source": "net0", "target": "net1", "units": {"net0": 4, "net1": 3}}
    store.save(path, {**arrays, **measures, **published}, **about)
    return str(path)


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    paths = [str(tmp_path / f"{net}.zarr/zarr.json") for net in NETS]
    for path, units in zip(paths, (4, 3), strict=True):
        shown = rng.integers(0, 256, (2, units, 9, 5, 5, 3), dtype=np.uint8)
        named = {"conv1/image": np.zeros((units, 9), int), "conv1/patch": shown[0], "conv1/deconv": shown[1]}
        store.save(path, named)
    return paths


@pytest.fixture
def accuracy(tmp_path: Path) -> str:
    path = tmp_path / "functional.csv"
    same = {"source": 0.6, "target": 0.7, "self": 0.7, "zero": 0.1}
    rows = [
        {"layer": "conv1", "pair": "net0-net1", "decay": decay, "alpha": float(alpha), "top1": 0.5 - alpha, **same}
        for decay, alpha in zip(DECAY, ALPHA, strict=True)
    ]
    tables.write(path, [row | {"top1_relu": row["top1"], "untrained_relu": 0.2} for row in rows])
    return str(path)


def test_figure_4_puts_the_assignment_on_the_diagonal_and_shows_the_sources(
    stored_mapping: str, pictures: list[str]
) -> None:
    args = argparse.Namespace(inputs=[stored_mapping, *pictures], layer="conv1", alpha=3e-3, unit="median")
    figure = mapping.fig4_mapping(args)
    native, permuted = (ax.images[0].get_array() for ax in figure.subfigs[0].axes[:2])
    assert native[1, 0] == permuted[1, 1] == 0.6
    assert native[0, 2] == permuted[0, 0] == 0.7
    titles = [ax.get_title() for ax in figure.subfigs[1].axes if ax.get_title()]
    assert titles == ["target\nNet2 1", "-0.600\nNet1 0", "+0.100\nNet1 3"]
    assert "the unit of the median R²: Net2 1, R² 0.40 from 2 units" in figure.subfigs[1]._suptitle.get_text()
    plt.close("all")


def test_a_penalty_that_is_not_on_the_path_is_refused(stored_mapping: str, pictures: list[str]) -> None:
    args = argparse.Namespace(inputs=[stored_mapping, *pictures], layer="conv1", alpha=0.3, unit="median")
    with pytest.raises(InputError, match=r"--alpha 0.3 is not on the path, which has 0, 0.003, 0.24"):
        mapping.fig4_mapping(args)


def test_table_1_has_means_of_live_units_beside_the_paper(stored_mapping: str, accuracy: str, tmp_path: Path) -> None:
    table = tmp_path / "table1.csv"
    figure = mapping.table1_mapping(argparse.Namespace(inputs=[stored_mapping, accuracy, PAPER], table=str(table)))
    rows = tables.read(table)
    assert [row["alpha"] for row in rows] == ALPHA.tolist()
    assert [row["nonzero"] for row in rows] == [1.5, 1.5, 1.0]  # of the two live targets
    assert [row["published_above"] for row in rows] == [1.5, 1.5, ""]
    assert [row["paper_loss"] for row in rows] == [0.17, 0.172, ""]
    assert [row["paper_weights"] for row in rows] == [83.5, 14.5, ""]
    assert rows[0]["r2"] == pytest.approx(0.65)
    assert rows[0]["live"] == 2
    assert [ax.get_title() for ax in figure.axes][:1] == ["conv1, 2 of 3 units live"]
    shown = {line.get_label(): line.get_ydata() for line in figure.axes[1].get_lines()}
    np.testing.assert_allclose(shown["exact, not zero"], np.array([1.5, 1.5, 1.0]) / 4)
    plt.close("all")


def test_nets_of_other_classes_have_no_top1(stored_mapping: str, accuracy: str, tmp_path: Path) -> None:
    empty = dict.fromkeys(("top1", "top1_relu", "untrained_relu", "target", "self", "zero"), "")
    tables.write(accuracy, [row | empty for row in tables.read(accuracy)])
    table = str(tmp_path / "table1.csv")
    figure = mapping.table1_mapping(argparse.Namespace(inputs=[stored_mapping, accuracy, PAPER], table=table))
    assert "the second net's\nclasses are not the images'" in figure.axes[2].texts[0].get_text()
    assert not figure.axes[2].get_lines()
    assert tables.read(table)[0]["top1"] == ""
    plt.close("all")


def test_every_layer_fits_into_the_axis_that_they_share(stored_mapping: str, accuracy: str, tmp_path: Path) -> None:
    higher = tmp_path / "higher.zarr/zarr.json"
    found = store.load(stored_mapping)
    store.save(
        higher,
        found | {"val_loss": 9 * found["val_loss"]},
        **{name: store.attributes(stored_mapping)[name] for name in ("layer", "source", "target", "units")},
    )
    inputs = [stored_mapping, str(higher), accuracy, accuracy, PAPER]
    figure = mapping.table1_mapping(argparse.Namespace(inputs=inputs, table=str(tmp_path / "table1.csv")))
    low, high = figure.axes[1].get_ylim()
    assert low == 0
    assert high >= 9 * 1.5
    plt.close("all")


def test_the_paper_is_not_named_where_it_has_no_such_layer() -> None:
    figure, axes = plt.subplots()
    loss = {"val_loss": 0.2, "train_loss": 0.1, "zero_loss": 0.5}
    plots.loss_path(axes, [{"alpha": 0.1, **loss}], [])
    plots.weights_path(axes, [{"alpha": 0.1, "nonzero": 3, "above": 2, "sources": 4}], [])
    labels = axes.get_legend_handles_labels()[1]
    assert not any("paper" in label or "published" in label for label in labels)
    plt.close(figure)


def test_figure_4_shows_thumbnails_of_a_net_without_positions(stored_mapping: str, pictures: list[str]) -> None:
    thumbnail = np.zeros((3, 9, 5, 5, 3), np.uint8)
    store.save(pictures[1], {"conv1/image": np.zeros((3, 9), int), "conv1/thumbnail": thumbnail})
    args = argparse.Namespace(inputs=[stored_mapping, *pictures], layer="conv1", alpha=3e-3, unit="median")
    figure = mapping.fig4_mapping(args)
    axes = np.array(figure.subfigs[1].axes).reshape(2, 3)
    assert [ax.axison for ax in axes[1]] == [False, True, True]
    assert "no positions in Net2" in figure.subfigs[1]._suptitle.get_text()
    plt.close("all")


def test_a_table_of_another_path_is_refused(stored_mapping: str, accuracy: str, tmp_path: Path) -> None:
    rows = tables.read(accuracy)
    tables.write(accuracy, rows[:2])
    with pytest.raises(InputError, match="layers and penalties differ"):
        mapping.mapping_rows(stored_mapping, accuracy)


def test_penalties_are_drawn_in_order_with_a_place_for_zero() -> None:
    figure, axes = plt.subplots()
    rows = [{"alpha": alpha} for alpha in (0.1, 0, 1.0, 0.01)]
    assert [row["alpha"] for row in plots.by_penalty(axes, rows)] == [0, 0.01, 0.1, 1.0]
    assert axes.transData.transform((0, 0))[0] < axes.transData.transform((1e-3, 0))[0]
    plt.close(figure)


def test_the_papers_numbers_are_complete() -> None:
    """They are looked up by layer and decay; at conv1 the paper's 10^-2.6 is the penalty 0.24."""
    rows = tables.read(PAPER)
    assert len({(row["layer"], row["decay"]) for row in rows}) == len(rows) == 2 * 7 + 3 * 6
    assert 96 * rows[4]["decay"] == pytest.approx(0.24, abs=0.002)
    assert all(0 < row["loss"] < 0.52 for row in rows)
