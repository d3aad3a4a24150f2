"""The project is extended as docs/extend.md says, in a copy of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.test_workflow import copy_project, edit, planned, snakemake

# What a new figure takes: a function of a family, an entry of the table of figures, a caption.
FUNCTION = '''def paper_loss(
    paper: Annotated[Path, "table of the paper's numbers (.csv)"],
    *,
    size: Annotated[float, "width and height, inches"] = 4,
) -> Figure:
    """Loss of the paper's mappings against their decay."""
    rows = tables.read_resource(paper, ["decay", "loss"])
    figure, axes = plt.subplots(figsize=(size, size))
    axes.plot([row["decay"] for row in rows], [row["loss"] for row in rows], ".")
    axes.set(xlabel="decay", ylabel="loss")
    return figure


'''
ENTRY = """    "paper_loss": {
        "family": "mapping",
        "report": ("Mapping", "Paper"),
        "inputs": {"paper": "workflow/resources/paper_table1.csv"},
        "settings": "--size 3",
    },
"""
CAPTION = "Loss of the paper's mappings against their decay.\n"


def insert(path: Path, text: str, before: str) -> None:
    assert path.read_text().count(before) == 1
    path.write_text(path.read_text().replace(before, text + before))


@pytest.mark.slow
def test_a_new_figure_is_a_function_an_entry_and_a_caption(tmp_path: Path) -> None:
    folder = copy_project(tmp_path)
    family = folder / "workflow/convergent/figures/mapping.py"
    insert(family, FUNCTION, "@command\ndef main")
    insert(folder / "workflow/rules/figures.smk", ENTRY, '    "summary_convergence": {')
    (folder / "workflow/report/paper_loss.rst").write_text(CAPTION)
    assert "draw_paper_loss" in planned(folder)
    snakemake(folder, "paper_loss")
    figures = folder / "results/scenes/figures"
    assert sorted(path.name for path in figures.iterdir()) == ["paper_loss.pdf", "paper_loss.png"]
    assert "Nothing to be done" in snakemake(folder, "-n", "paper_loss")
    for _ in edit(family, 'ylabel="loss"', 'ylabel="loss of the mapping"'):
        assert planned(folder, "paper_loss") == {"draw_paper_loss", "paper_loss"}
    command = [sys.executable, "-m", "workflow.convergent.figures.mapping", "paper_loss", "--help"]
    text = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert "table of the paper's numbers (.csv)" in text
    assert "width and height, inches (default: 4)" in text
