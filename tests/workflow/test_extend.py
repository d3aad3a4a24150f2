"""The project is extended as docs/extend.md says, in a copy of it; jobs run in an environment that conda makes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.tiny import copy_project, edit, planned, snakemake

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
        "report": ("3 Mappings", "What loss does the paper have?"),
        "inputs": {"paper": "workflow/resources/paper_table1.csv"},
        "settings": ["--size", 3],
    },
"""
CAPTION = "Loss of the paper's mappings against their decay.\n"


def insert(path: Path, text: str, before: str) -> None:
    assert path.read_text().count(before) == 1
    path.write_text(path.read_text().replace(before, text + before))


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with a new figure, which is drawn."""
    folder = copy_project(tmp_path_factory.mktemp("extended"))
    insert(folder / "workflow/convergent/figures/mapping.py", FUNCTION, "@command\ndef main")
    insert(folder / "workflow/rules/figures.smk", ENTRY, '    "summary_convergence": {')
    (folder / "workflow/report/paper_loss.rst").write_text(CAPTION)
    assert "draw_paper_loss" in planned(folder)
    snakemake(folder, "paper_loss")
    return folder


@pytest.mark.slow
def test_a_new_figure_is_a_function_an_entry_and_a_caption(extended: Path) -> None:
    folder, family = extended, extended / "workflow/convergent/figures/mapping.py"
    figures = folder / "results/scenes/figures"
    assert sorted(path.name for path in figures.iterdir()) == ["paper_loss.pdf", "paper_loss.png"]
    assert "Nothing to be done" in snakemake(folder, "-n", "paper_loss")
    for _ in edit(family, 'ylabel="loss"', 'ylabel="loss of the mapping"'):
        assert planned(folder, "paper_loss") == {"draw_paper_loss", "paper_loss"}
    command = [sys.executable, "-m", "workflow.convergent.figures.mapping", "paper_loss", "--help"]
    text = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert "table of the paper's numbers (.csv)" in text
    assert "width and height, inches (default: 4)" in text


# Conda as far as Snakemake calls it. It installs a link to this Python, which leaves a mark where it runs.
CONDA = """#!/bin/sh
case "$*" in
    "info --json") echo '{{"conda_prefix": "{prefix}", "platform": "linux-64"}}' ;;
    --version) echo conda 25.1.0 ;;
    config*) echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
    "env create"*)
        while [ "$1" != --prefix ]; do shift; done
        mkdir -p "$2/bin"
        printf '#!/bin/sh\\ntouch "%s/used"\\nexec {python} "$@"\\n' "$2" > "$2/bin/python"
        chmod +x "$2/bin/python" ;;
esac
"""


@pytest.mark.slow
def test_jobs_run_in_the_environment_that_conda_makes_and_again_when_it_changes(
    extended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/conda").write_text(CONDA.format(prefix=tmp_path, python=sys.executable))
    (tmp_path / "bin/conda").chmod(0o755)
    (tmp_path / "bin/activate").write_text('PATH="$1/bin:$PATH"')
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    arguments = ("--sdm", "conda", "--", "paper_loss")
    snakemake(extended, *arguments)
    assert len(list(extended.glob(".snakemake/conda/*/used"))) == 1
    assert planned(extended, *arguments) == set()
    for _ in edit(extended / "environment.yml", "python>=3.11", "python>=3.12"):
        assert "draw_paper_loss" in planned(extended, *arguments)
