"""Figures as commands."""

import sys
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from workflow.convergent.figures import clusters, draw, mapping, overview, statistics, units

FAMILIES = (statistics, units, mapping, clusters, overview)
drawn: dict[str, object] = {}  # what the toy figure was given


def toy_figure(
    weights: Annotated[Path, "store of weights"],
    net_means: Annotated[list[Path], "tables of means"],
    paper: Annotated[Path, "table of the paper"] | None = None,
    *,
    alpha: Annotated[float, "penalty, units x decay"] = 0.5,
    units: Annotated[list[int], "units to show"] | None = None,
) -> Figure:
    """A figure of this family.

    It draws nothing.
    """
    drawn.update(locals())
    return plt.figure()


def toy_helper(figure: Figure) -> None:
    """No figure of this family."""


def run(*arguments: str) -> None:
    draw.run(__name__, ["toy_figure", "--weights", "w", "--net-means", "a", "b", *arguments])


def test_figures_of_a_family_are_its_own_functions_that_return_one() -> None:
    assert list(draw.figures_of(__name__)) == ["toy_figure"]
    assert list(draw.figures_of(mapping.__name__)) == ["fig4_mapping", "table1_mapping"]


@pytest.mark.slow
def test_inputs_and_settings_are_given_by_name(tmp_path: Path) -> None:
    outputs = [tmp_path / "figure.pdf", tmp_path / "figure.png"]
    run("--outputs", *map(str, outputs))
    assert drawn["weights"] == Path("w")
    assert drawn["net_means"] == [Path("a"), Path("b")]
    assert [drawn[name] for name in ("paper", "alpha", "units")] == [None, 0.5, None]
    assert all(path.stat().st_size for path in outputs)
    run("--paper", "p", "--alpha", "2", "--units", "3", "5", "--outputs", str(outputs[0]))
    assert [drawn[name] for name in ("paper", "alpha", "units")] == [Path("p"), 2.0, [3, 5]]
    plt.close("all")


def test_an_input_that_is_not_given_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run()
    assert "the following arguments are required: --outputs" in capsys.readouterr().err


def test_help_of_a_figure_lists_its_inputs_with_their_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        draw.run(__name__, ["toy_figure", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "It draws nothing." in text
    assert "--weights WEIGHTS store of weights" in text
    assert "penalty, units x decay (default: 0.5)" in text
    assert "tables of means" in text


def test_help_of_a_family_lists_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        draw.run(__name__, ["--help"])
    assert "toy_figure A figure of this family." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__.rsplit(".", 1)[1])
def test_every_family_has_figures_and_no_other_family_s(family: object) -> None:
    name = family.__name__  # type: ignore[attr-defined]
    figures = draw.figures_of(name)
    assert figures
    assert not [own for own in figures if any(own in draw.figures_of(f.__name__) for f in FAMILIES if f is not family)]
    assert not [other for other in sys.modules[name].__dict__.values() if other in FAMILIES]
