"""The numbers that figures of statistics show."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests import ROOT
from tests.figures import stores
from workflow.convergent import tables
from workflow.convergent.alignment import matching
from workflow.convergent.commands import InputError
from workflow.convergent.figures import statistics

USERS = """
font.size: 30
font.family: serif
figure.facecolor: 202020
savefig.dpi: 300
savefig.bbox: tight
axes.grid: True
image.origin: lower
backend: QtAgg
"""


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


@pytest.mark.slow
def test_figure_1_is_written(tmp_path: Path) -> None:
    """From stores of a net that is compared with a permutation of itself."""
    x = np.random.default_rng(0).normal(size=(50, 6))
    nets = {"net0": x, "net3": x[:, ::-1]}
    paths = {}
    for a, b in (("net0", "net0"), ("net3", "net3"), ("net0", "net3")):
        matrix = np.corrcoef(nets[a].T, nets[b].T)[:6, 6:]
        paths[a, b] = stores.correlation(tmp_path / f"{a}-{b}.zarr/zarr.json", matrix, *dict.fromkeys((a, b)))
    within, between = [paths["net3", "net3"], paths["net0", "net0"]], paths["net0", "net3"]
    outputs = [str(tmp_path / f"figure.{end}") for end in ("pdf", "png")]
    options = ["--within", *map(str, within), "--between", str(between), "--outputs", *outputs]
    statistics.main(["fig1_correlation", *options])
    assert plt.imread(outputs[1]).std() > 0.01
    figure = statistics.fig1_correlation(within, between)
    assert [ax.get_title() for ax in figure.axes[:2]] == ["within Net1", "within Net4"]
    np.testing.assert_allclose(np.diagonal(figure.axes[4].images[0].get_array()), 1)
    plt.close("all")


def test_figure_3_names_layer_and_nets_of_its_table(tmp_path: Path) -> None:
    rows = (0, 1, 0.9, 1, 0.9), (1, 1, 0.4, 0, 0.3)
    path = stores.matches(tmp_path / "t.csv", *rows, layer="conv2", pair="net1-net2")
    (axes,) = statistics.fig3_assignment(path).axes
    assert axes.get_title() == "conv2: units of Net2 and their partners in Net3"
    assert "same partner: 50% of 2 units" in [line.get_label() for line in axes.get_lines()]
    plt.close("all")


@pytest.mark.slow
def test_figures_do_not_depend_on_a_users_settings_of_matplotlib(tmp_path: Path) -> None:
    """Neither his file in the folder of the run, nor the display of his notebook."""
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    path = stores.matches(tmp_path / "t.csv", (0, 1, 0.9, 1, 0.9), (1, 1, 0.4, 0, 0.3), layer="conv2", pair="net1-net2")
    drawn = []
    for settings, display in (("", "agg"), (USERS, "module://matplotlib_inline.backend_inline")):
        (tmp_path / "matplotlibrc").write_text(settings)
        command = [sys.executable, "-m", "workflow.convergent.figures.statistics", "fig3_assignment"]
        given = {**os.environ, "MPLBACKEND": display}
        subprocess.run([*command, "--matches", path, "--outputs", "f.png"], cwd=tmp_path, env=given, check=True)
        drawn.append((tmp_path / "f.png").read_bytes())
    assert drawn[0] == drawn[1]


def test_means_are_of_the_layer_of_their_store(tmp_path: Path) -> None:
    means = {"net0": np.array([0.5, 2.0]), "net1": np.array([1.0, 3.0, 2.0])}
    path = stores.moments(tmp_path / "moments.zarr/zarr.json", means, layer="conv4")
    (axes,) = statistics.figS10_means(path).axes
    assert axes.get_title() == "conv4: mean activation on the validation images"
    assert [line.get_ydata().tolist() for line in axes.get_lines()] == [[2.0, 0.5], [3.0, 2.0, 1.0]]
    plt.close("all")


def test_the_legend_of_many_nets_stands_beside_the_axes(tmp_path: Path) -> None:
    path = stores.moments(tmp_path / "moments.zarr/zarr.json", {f"net{k}": np.arange(3.0) for k in range(10)})
    figure = statistics.figS10_means(path)
    assert figure.axes[0].get_legend() is None
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][-1] == "Net10, highest 2"
    plt.close("all")


def test_learning_curves_are_those_of_the_tables(tmp_path: Path) -> None:
    for net, top1 in (("net0", [0.1, 0.5]), ("net2", [0.2, 0.6])):
        rows = [{"epoch": k, "step": 10 * k, "loss": 1 / k, "top1": top1[k - 1]} for k in (1, 2)]
        rows = [row | {"val_loss": 2.0, "val_top1": row["top1"] / 2} for row in rows]
        tables.write(tmp_path / f"{net}.csv", rows, kind="training", net=net, images=["t", "v"])
    figure = statistics.nets_training([tmp_path / "net0.csv", tmp_path / "net2.csv"])
    drawn = {line.get_label(): line.get_ydata().tolist() for line in figure.axes[1].get_lines()}
    assert drawn["Net1, 25.0% in the end"] == [0.05, 0.25]
    assert drawn["Net3, 30.0% in the end"] == [0.1, 0.3]
    plt.close("all")
    for change, said in (
        ({"images": ["t", "w"]}, "images differ"),
        ({"net": "net0"}, "--histories: net0 is given twice"),
    ):
        stores.rewrite(tmp_path / "net2.csv", **{"images": ["t", "v"], **change})
        with pytest.raises(InputError, match=said):
            statistics.nets_training([tmp_path / "net0.csv", tmp_path / "net2.csv"])


@pytest.mark.parametrize("wrong", ["patches", "moments of a shard", None])
def test_a_store_of_another_kind_is_refused(tmp_path: Path, wrong: str | None) -> None:
    path = stores.moments(tmp_path / "moments.zarr/zarr.json", {"net0": np.ones(2)})
    stores.resave(path, kind=wrong)
    with pytest.raises(InputError, match=f"a store of {wrong}; must be one of moments"):
        statistics.figS10_means(path)
