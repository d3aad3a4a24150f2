"""The numbers that the figure of the training shows."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.evidence.stores import through
from tests.figures import stores
from workflow.convergent import tables
from workflow.convergent.commands import InputError
from workflow.convergent.evidence import summary
from workflow.convergent.figures import training as figures

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Stores of two layers."""
    folder = tmp_path_factory.mktemp("through")
    return [through(folder, layer, nets=2) for layer in ("conv1", "conv2")]


def lines(axes: plt.Axes, face: str) -> list[tuple[list[float], list[float]]]:
    """Steps and values of the marks of a colour."""
    marked = [line for line in axes.get_lines() if line.get_marker() == "o" and line.get_markerfacecolor() == face]
    return [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in marked]


def test_each_layer_shows_its_similarity_and_excess_by_step(made: list[Path], tmp_path: Path) -> None:
    figure = figures.summary_training(made, table=tmp_path / "training.csv")
    panels = np.reshape(figure.axes, (2, 2))  # rows of numbers, columns of layers
    assert [axes.get_title() for axes in panels[0]] == ["conv1", "conv2"]
    for path, column in zip(made, panels.T, strict=True):
        for name, axes in zip(("greedy_crossfit", "greedy_crossfit_excess"), column, strict=True):
            first, *others = [of.interval(name).estimate for of in summary.read(path).values()]
            assert lines(axes, "white") == [([0], [first])]
            assert lines(axes, "C0") == [([3, 10, 40, 100], others)]
    plt.close("all")


def test_the_table_has_a_row_for_each_layer_and_state(made: list[Path], tmp_path: Path) -> None:
    figures.summary_training(made, table=tmp_path / "training.csv")
    rows = tables.read(tmp_path / "training.csv")
    assert [(row["layer"], row["step"]) for row in rows] == [
        (layer, step) for layer in ("conv1", "conv2") for step in (0, 3, 10, 40, 100)
    ]
    trained = summary.read(made[1])["trained"].interval("greedy_crossfit_excess")
    ends = [rows[-1][f"greedy_crossfit_excess{end}"] for end in ("", "_low", "_high")]
    assert ends == pytest.approx(trained[:3], rel=1e-3)
    plt.close("all")


def test_many_layers_fill_several_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: list[Path]) -> None:
    """Panels that no layer fills are not seen."""
    monkeypatch.setattr(figures, "COLUMNS", 2)
    third = through(tmp_path, "conv3", nets=2)
    figure = figures.summary_training([*made, third], table=tmp_path / "training.csv")
    titled = [axes.get_title() for axes in np.reshape(figure.axes, (4, 2)).flat]
    assert titled == ["conv1", "conv2", "", "", "conv3", "", "", ""]
    assert [axes.get_visible() for axes in figure.axes] == [True] * 5 + [False, True, False]
    plt.close("all")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": {"untrained": 0, "trained": 9}}, "steps differ"),
        ({"nets": {"net1": "of another run"}}, "weights of net1 differ"),
        ({"layer": "conv1"}, "stores of training evidence: conv1 is given twice"),
    ],
)
def test_stores_of_other_runs_are_not_drawn_together(tmp_path: Path, change: dict, said: str, made: list[Path]) -> None:
    other = through(tmp_path, "conv2", nets=2)
    stores.resave(other, **change)
    with pytest.raises(InputError, match=said):
        figures.summary_training([made[0], other], table=tmp_path / "training.csv")
    assert not (tmp_path / "training.csv").exists()
