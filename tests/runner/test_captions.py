"""What the report says of figures and tables of a run."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from docutils.core import publish_parts

from workflow.convergent import tables
from workflow.convergent.commands import InputError
from workflow.runner import captions


@pytest.fixture(autouse=True)
def registered() -> None:
    captions.register()


def rendered(text: str) -> str:
    """Text as Snakemake shows it; an error of docutils is an exception."""
    return publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        (
            "conv1 0.75 [0.70, 0.80]; <b> & *stars* are text",
            ["conv1 0.75 [0.70, 0.80]", "&lt;b&gt; &amp; *stars* are text"],
        ),
        ("", []),
    ],
)
def test_a_caption_says_what_its_figure_says(tmp_path: Path, description: str, expected: list[str]) -> None:
    file = tmp_path / "a folder" / "figure.png"
    file.parent.mkdir()
    figure = plt.figure()
    figure.savefig(file, metadata={"Description": description})
    plt.close(figure)
    html = rendered(f"Seen.\n\n.. says:: {file}\n")
    assert re.findall("<li>(?:<p>)?(.*?)(?:</p>)?</li>", html) == expected
    assert ("<p>This run:</p>" in html) == bool(description)


def test_a_caption_says_how_large_a_table_is(tmp_path: Path) -> None:
    tables.write(tmp_path / "t.csv", [{"unit": k, "partner": 0.5} for k in range(1200)], kind="matches")
    assert captions.says(tmp_path / "t.csv") == ["t.csv: 1,200 rows, columns unit, partner"]
    tables.write(tmp_path / "t.csv", [], header=["unit"], kind="matches")
    assert "t.csv: no rows" in rendered(f".. says:: {tmp_path / 't.csv'}")
    (tmp_path / "t.csv").write_text("unit\n1\n")
    with pytest.raises(InputError, match="does not match its digest"):
        captions.says(tmp_path / "t.csv")


def test_the_start_page_has_the_numbers_of_a_run_that_has_any(tmp_path: Path) -> None:
    row = {"layer": "conv1", "state": "trained", "pair": "mean", "similarity": "correlation", "greedy_crossfit": 0.8125}
    tables.write(tmp_path / "summary.csv", [row], kind="summary")
    html = rendered(f".. headline:: {tmp_path / 'summary.csv'}")
    assert "<pre" in html
    assert " ".join(html.split()).count("conv1 0.812 - - - 0.703") == 1
    assert rendered(f"Text.\n\n.. headline:: {tmp_path / 'none.csv'}") == "<p>Text.</p>\n"
