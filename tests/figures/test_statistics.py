"""The numbers that figures of statistics show."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from tests import ROOT
from tests.evidence.stores import evidence
from tests.figures import stores
from workflow.convergent import tables
from workflow.convergent.commands import InputError
from workflow.convergent.evidence import summary
from workflow.convergent.figures import statistics

PAPER = ROOT / "workflow/resources/paper_matching.csv"

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


def test_figure_1_shows_the_planted_match_best_first() -> None:
    partner, similarity = np.array([2, 0, 3, 1]), np.array([0.5, 0.9, 0.7, 0.8])
    matrix, mean = statistics.matched_first(np.eye(4)[partner] * similarity[:, None])
    np.testing.assert_array_equal(matrix, np.diag([0.9, 0.8, 0.7, 0.5]))
    assert mean == pytest.approx(0.725)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
def test_units_without_partner_come_last_in_figure_1(shape: tuple[int, int]) -> None:
    between = np.random.default_rng(0).uniform(-0.1, 0.1, shape) + np.eye(*shape)
    between[1] = np.nan  # dead
    matrix, mean = statistics.matched_first(between)
    matched = np.diagonal(matrix)[: min(shape[0] - 1, shape[1])]
    assert (np.diff(matched) <= 0).all()
    assert mean == pytest.approx(matched.mean())
    assert np.isfinite(matched).all()
    np.testing.assert_array_equal(np.sort(matrix, axis=None), np.sort(between, axis=None))


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
    assert [ax.get_title() for ax in figure.axes[:2]] == ["within\nNet1", "within\nNet4"]
    assert figure.axes[3].get_title() == "between, partners on the diagonal,\nmean 1.00"
    np.testing.assert_allclose(np.diagonal(figure.axes[3].images[0].get_array()), 1)
    with Image.open(outputs[1]) as written:
        assert written.info["Description"] == "mean correlation of assigned partners 1.00"
    plt.close("all")


def test_figure_3_names_layer_and_nets_of_its_table(tmp_path: Path) -> None:
    rows = (0, 1, 0.9, 1, 0.9), (1, 1, 0.4, 0, 0.3)
    path = stores.matches(tmp_path / "t.csv", *rows, layer="conv2", pair="net1-net2")
    (axes,) = statistics.fig3_assignment(path, PAPER).axes
    assert axes.get_title().split("\n") == [
        "conv2: units of Net2 and their partners in Net3",
        "greedy 0.65 (paper 0.56), assigned 0.60 (paper 0.51)",
        "same partner 50% (paper 58%) of 2 units",
    ]
    plt.close("all")


def test_figure_3_says_how_many_units_are_left_over(tmp_path: Path) -> None:
    path = stores.matches(tmp_path / "t.csv", (0, 1, 0.9, 1, 0.9), (1, 1, 0.4, "", ""), layer="layer1")
    (axes,) = statistics.fig3_assignment(path, PAPER).axes
    assert axes.get_title().split("\n")[1:] == [
        "greedy 0.65, assigned 0.90, 1 left over",
        "same partner 50% of 2 units",
    ]
    plt.close("all")


@pytest.mark.slow
def test_the_page_of_figure_3_shows_all_layers_of_a_pair(tmp_path: Path) -> None:
    beside = evidence(tmp_path, "conv2", nets=2)
    described = summary.read(beside)["trained"].described["net0", "net1"]
    rows = [(k, k, 0.9 - 0.3 * k, k, 0.1 * k) for k in range(len(described.partner))]
    layers = ("conv1", "conv2", "conv3", "conv4", "fc6")
    paths = [stores.matches(tmp_path / f"{layer}.csv", *rows, layer=layer) for layer in layers]
    figure = statistics.fig3_layers(paths, PAPER, [beside])
    panels = figure.axes[:5]
    assert [ax.get_title().split(":")[0] for ax in panels] == list(layers)
    assert len({ax.get_ylim() for ax in panels}) == 1
    marked = ["rotated" in ax.get_title() for ax in panels]
    assert marked == [False, True, False, False, False]
    assert not any(ax.axison for ax in figure.axes[5:])
    assert f"on rotated axes {described.rotated_median.mean():.2f}" in figure.get_label()
    for wrong, said in (
        ({"layer": "conv1"}, "conv1 is given twice"),
        ({"layer": "fc6", "pair": "net0-net2"}, "pairs differ"),
    ):
        stores.matches(paths[-1], *rows, **wrong)
        with pytest.raises(InputError, match=said):
            statistics.fig3_layers(paths, PAPER)
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
        subprocess.run(
            [*command, "--matches", path, "--paper", PAPER, "--outputs", "f.png"], cwd=tmp_path, env=given, check=True
        )
        drawn.append((tmp_path / "f.png").read_bytes())
    assert drawn[0] == drawn[1]


@pytest.mark.slow
def test_means_are_of_the_layer_of_their_store(tmp_path: Path) -> None:
    means = {"net0": np.array([0.5, 2.0]), "net1": np.array([1.0, 3.0, 2.0])}
    path = stores.moments(tmp_path / "moments.zarr/zarr.json", means, layer="conv4")
    (axes,) = statistics.figS10_means(path).axes
    title = "conv4: mean activation on the validation images\nhighest: Net1 2.00, Net2 3.00"
    assert axes.get_title() == title
    assert [line.get_ydata().tolist() for line in axes.get_lines()] == [[2.0, 0.5], [3.0, 2.0, 1.0]]
    plt.close("all")


def test_the_legend_of_many_nets_stands_beside_the_axes(tmp_path: Path) -> None:
    path = stores.moments(tmp_path / "moments.zarr/zarr.json", {f"net{k}": np.arange(3.0) for k in range(10)})
    figure = statistics.figS10_means(path)
    assert figure.axes[0].get_legend() is None
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][-1] == "Net10"
    plt.close("all")


def test_the_page_of_figure_s10_shows_all_layers(tmp_path: Path) -> None:
    means = {"net0": np.array([0.5, 2.0]), "net1": np.array([1.0, 3.0])}
    paths = [stores.moments(tmp_path / f"{layer}.zarr/zarr.json", means, layer=layer) for layer in ("conv1", "fc6")]
    figure = statistics.figS10_layers(paths)
    assert [ax.get_title() for ax in figure.axes] == ["conv1", "fc6"]
    assert [line.get_ydata().tolist() for line in figure.axes[1].get_lines()] == [[2.0, 0.5], [3.0, 1.0]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Net1", "Net2"]
    with pytest.raises(InputError, match="--moments: conv1 is given twice"):
        statistics.figS10_layers([paths[0], paths[0]])
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
