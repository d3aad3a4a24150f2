"""The numbers that figures of the evidence show."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba

from tests import ROOT
from tests.evidence.stores import evidence
from tests.figures import stores
from workflow.convergent import tables
from workflow.convergent.commands import InputError
from workflow.convergent.evidence import summary
from workflow.convergent.evidence.units import VERDICTS
from workflow.convergent.figures import evidence as figures
from workflow.convergent.figures import plots

PAPER = ROOT / "workflow/resources/paper_matching.csv"


def information(path: Path, *pairs: str) -> Path:
    cells = {"greedy": 0.5, "greedy_low": 0.4, "greedy_high": 0.7}
    cells |= {"assigned": 0.25, "assigned_low": 0.2, "assigned_high": 0.3}
    rows = [{"layer": "conv1", "pair": pair, "similarity": "mutual_information", **cells} for pair in (*pairs, "mean")]
    about = {"images": "v", "nets": stores.digests("net0", "net1", "net2")}
    tables.write(path, rows, kind="agreement", **about)
    return path


@pytest.mark.slow
def test_the_summary_draws_and_writes_all_numbers(tmp_path: Path) -> None:
    paths = [evidence(tmp_path, layer) for layer in ("conv1", "conv2")]
    informed = information(tmp_path / "information.csv", "net0-net1", "net0-net2")
    figure = figures.summary_convergence(paths, PAPER, informed, table=tmp_path / "summary.csv")
    assert [ax.get_ylabel() for ax in figure.axes][-1] == "mean information, nats"
    bars = [line.get_segments()[0][:, 1].tolist() for line in figure.axes[-1].collections]
    assert bars == [pytest.approx([0.4, 0.7]), pytest.approx([0.2, 0.3])]
    dots = [line.get_xydata().tolist() for line in figure.axes[-1].get_lines() if line.get_marker() == "."]
    assert dots == [[[-0.15, 0.5]] * 2, [[0.15, 0.25]] * 2]  # of each pair, by either partner
    rows = tables.read(tmp_path / "summary.csv")
    assert [row["similarity"] for row in rows] == ["correlation"] * 16 + ["mutual_information"] * 3
    assert {row["layer"] for row in rows} == {"conv1", "conv2"}
    expected = summary.read(paths[0])["trained"].interval("greedy_crossfit")
    (mean,) = (row for row in rows[:8] if (row["pair"], row["state"]) == ("mean", "trained"))
    assert [mean[f"greedy_crossfit{end}"] for end in ("", "_low", "_high")] == pytest.approx(expected[:3], rel=1e-3)
    alone = figures.summary_convergence(paths, PAPER, table=tmp_path / "summary.csv")
    assert len(figure.axes) == len(alone.axes) + 1 == 4
    plt.close("all")


def drawn(axes: plt.Axes, colour: str = "white") -> list[list[float]]:
    """Values of the lines whose marks have a colour."""
    return [line.get_ydata().tolist() for line in axes.get_lines() if line.get_markerfacecolor() == colour]


@pytest.mark.slow
def test_the_evidence_shows_trained_and_untrained_nets(tmp_path: Path) -> None:
    paths = [evidence(tmp_path, "conv1"), evidence(tmp_path, "conv2", untrained=False)]
    figure = figures.evidence(paths, PAPER)
    ways = [summary.read(path) for path in paths]
    similar, excess, verdicts = figure.axes
    assert drawn(similar) == [[ways[0]["untrained"].interval("greedy_crossfit").estimate]]
    for axes, name in ((similar, "greedy_crossfit"), (excess, "greedy_crossfit_excess")):
        trained = [of["trained"].interval(name).estimate for of in ways]
        assert any(np.allclose(values, trained) for values in drawn(axes, "C0") if len(values) == 2)
    assert [0.70299, 0.55595] in [line.get_ydata().tolist() for line in similar.get_lines()]  # the paper's
    heights = [[bar.get_height() for bar in bars] for bars in verdicts.containers]
    assert len(heights) == 2 * len(VERDICTS)  # of two layers trained, then of one untrained
    np.testing.assert_allclose(np.sum(heights[: len(VERDICTS)], axis=0), 1)
    shown = [bars[0] for bars in heights[len(VERDICTS) :]]
    order = [VERDICTS.index(verdict) for verdict in plots.VERDICTS]
    np.testing.assert_allclose(shown, ways[0]["untrained"].verdict_shares()[order])
    plt.close("all")


def test_the_scorecard_shows_each_claim_in_its_layer(tmp_path: Path) -> None:
    claim = {"claim": "axes are alike", "against": "rotated axes", "paper": np.nan, "ours": 0.5}
    rows = [
        {**claim, "layer": "conv1", "low": 0.4, "high": 0.6, "verdict": "holds"},
        {**claim, "layer": "conv2", "low": np.nan, "high": np.nan, "verdict": "cannot tell"},
        {**claim, "claim": "similarity falls", "layer": "conv2", "paper": 0.25, "ours": -0.3, "low": -0.4, "high": -0.2,
         "verdict": "fails"},
    ]  # fmt: skip
    tables.write(tmp_path / "scorecard.csv", rows, kind="scorecard")
    (axes,) = figures.scorecard(tmp_path / "scorecard.csv").axes
    cells = {(patch.get_center()[0], patch.get_center()[1]): patch.get_facecolor() for patch in axes.patches}
    colours = {verdict: to_rgba(colour) for verdict, colour in plots.JUDGED.items()}
    assert cells == {
        (0, 0): colours["holds"], (1, 0): colours["cannot tell"], (1, 1): colours["fails"]
    }  # fmt: skip
    texts = {text.get_text() for text in axes.texts}
    assert {"0.50", "0.40 to 0.60", "no interval", "-0.30", "-0.40 to -0.20", "paper 0.25"} <= texts
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 1.5), (1.5, -0.5))  # the cells, the first claim above
    plt.close("all")


@pytest.mark.slow
def test_layers_that_are_not_the_papers_have_no_square(tmp_path: Path) -> None:
    figure = figures.evidence([evidence(tmp_path, "first", nets=2)], PAPER)
    assert [] in [line.get_ydata().tolist() for line in figure.axes[0].get_lines() if line.get_marker() == "s"]
    shown = {text.get_text() for text in figure.legends[0].get_texts()}
    assert figures.TWINS in shown
    alone = figures.evidence([evidence(tmp_path / "given", "first", untrained=False, nets=2)], PAPER)
    assert figures.NO_TWINS in {text.get_text() for text in alone.legends[0].get_texts()}
    plt.close("all")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nets": {"net1": "of another run"}}, "weights of net1 differ"),
        ({"images": "others"}, "images differ"),
        ({"layer": "conv1"}, "stores of evidence: conv1 is given twice"),
        ({"kind": "moments"}, "a store of moments; must be one of evidence"),
    ],
)
def test_stores_of_other_runs_are_not_summarised(tmp_path: Path, change: dict, said: str) -> None:
    paths = [evidence(tmp_path, layer, nets=2) for layer in ("conv1", "conv2")]
    stores.resave(paths[1], **change)
    with pytest.raises(InputError, match=said):
        figures.summary_convergence(paths, PAPER, table=tmp_path / "summary.csv")
    assert not (tmp_path / "summary.csv").exists()
