"""The user's own commands, in a copy of the project with a tiny configuration."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.atlas import browser
from tests.workflow.tiny import DIVERGING, copy_project, edit, planned, snakemake

pytestmark = pytest.mark.slow

FIGURES = {
    f"draw_{name}"
    for name in (
        "fig1_correlation",
        "fig2_matches",
        "units_matched",
        "fig3_assignment",
        "fig3_layers",
        "fig4_mapping",
        "fig5_hierarchy",
        "fig6_clusters",
        "figS_spectral",
        "figS4_information",
        "figS10_means",
        "figS10_layers",
        "figS11_active",
        "nets_training",
        "nets_filters",
        "overview",
        "evidence",
        "scorecard",
        "summary_convergence",
        "summary_training",
        "table1_mapping",
    )
}
BY_LAYER = (
    *("fig2_matches", "units_matched", "fig3_assignment", "figS4_information", "figS10_means", "figS11_active"),
    "figS_spectral",
)


@pytest.fixture(scope="module")
def project(all_stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run of all stages, to be changed."""
    return shutil.copytree(all_stages, tmp_path_factory.mktemp("project") / "all_stages")


@pytest.fixture
def edited(project: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The finished project with one file changed: (path, old text, new text)."""
    name, old, new = request.param
    for _ in edit(project / name, old, new):
        yield project


def test_every_figure_and_table_is_there(project: Path) -> None:
    layers = ["conv1", "conv2", "fc7"]
    names = [name.removeprefix("draw_") for name in FIGURES - {f"draw_{name}" for name in BY_LAYER}]
    names += [
        f"{name}_{layer}"
        for name in ("fig2_matches", "units_matched", "fig3_assignment", "figS11_active")
        for layer in layers[:2]
    ]
    names += ["figS4_information_conv1", "figS_spectral_conv1", *(f"figS10_means_{layer}" for layer in layers)]
    expected = sorted(f"{name}.{end}" for name in names for end in ("pdf", "png"))
    assert sorted(file.name for file in (project / "results/scenes/figures").iterdir()) == expected
    written = (project / "results/scenes/tables").glob("*.csv")
    tables = {file.name: len(file.read_text().splitlines()) - 1 for file in written}
    # a pair and the mean, trained and not, in each layer, and in conv1 by information; two decays and two alphas of a
    # pair, and two penalties of the other pair and of the mean
    numbers = {"summary.csv": 4 * 3 + 2, "information.csv": 2, "table1_mapping.csv": 4 + 2 + 2, "measures.csv": 4 * 3}
    numbers |= {"training.csv": 3 * 3}  # before, in and after training, in each layer
    numbers |= {"units.csv": 2 * 2 * (6 + 6 + 8), "scorecard.csv": 3 * 5 + 1 + 3 + 2}  # of steps, training, mappings
    assert tables == numbers


def test_its_atlas_opens_at_every_unit(project: Path, chromium: Any) -> None:
    """From the first page to each layer, a unit of it, its partner and its matrix; the console says nothing.

    All units of fc7 are dead in the second net.
    """
    page = project / "results/scenes/atlas/index.html"
    tab = browser.open_page(chromium, page)
    assert tab.locator(".figure").count() == len(list((project / "results/scenes/figures").glob("*.png")))
    for layer in ("conv1", "conv2"):
        for where, heading in (
            (".home", "Do different networks"),
            (f"#layers a[data-layer={layer}]", f"{layer}: 6 units of Net1"),
            ("#grid a:not(.dead)", f"{layer}, Net1, unit "),
            (".beside .tile", f"{layer}, My.net_1, unit "),
            ("#up", f"{layer}: 6 units of My.net_1"),
            (".switch a:has-text('matrix')", f"{layer}: correlations of My.net_1 and Net1"),
        ):
            tab.locator(where).first.click()
            browser.settle(tab)
            assert tab.locator("h1").inner_text().startswith(heading)
    tab.locator("#layers a[data-layer=fc7]").click()
    browser.settle(tab)
    tab.locator("#grid a").first.click()
    browser.settle(tab)
    assert "No partner" in tab.locator(".beside").inner_text()
    assert tab.said == []


def test_nothing_is_left_to_do_even_when_every_file_was_touched(project: Path) -> None:
    assert "Nothing to be done" in snakemake(project, "-n")
    for file in project.rglob("*"):
        if file.is_file() and ".snakemake" not in file.parts:
            file.touch()
    assert "Nothing to be done" in snakemake(project, "-n")


STATISTICS = {"merge_val", "correlation", "matching", "compare", "information", "agreement", "spectral"}
TWINS = {"untrained", "moments_untrained", "merge_untrained"}
SNAPSHOTS = {"moments_snapshots", "merge_snapshots", "compare_training"}
MAPPINGS = {"moments_train", "merge_train", "stitching", "functional", "hierarchy"}
TREES = {"draw_fig5_hierarchy", "draw_fig6_clusters"}
UNITS = {
    *("draw_fig2_matches", "draw_units_matched", "draw_figS4_information", "draw_figS11_active", "draw_nets_filters"),
    "draw_overview",
}
TABLES = {"tabulate", "scorecard_table"}
JUDGED = {"scorecard_table", "draw_scorecard", "draw_overview"}
SUMMARIES = {"draw_evidence", "draw_summary_convergence", "draw_scorecard", "draw_overview", *TABLES}
NEW_SEED = ("config.yaml", "seed: 1", "seed: 5")
EDITS = {
    "plots": (("workflow/convergent/figures/plots.py", '"""', '"""Edited. '), FIGURES),
    "style": (("workflow/convergent/figures/figures.mplstyle", "figure.dpi: 100", "figure.dpi: 90"), FIGURES),
    "units": (("workflow/convergent/figures/units.py", '"""', '"""Edited. '), UNITS),
    "hierarchy": (
        ("workflow/convergent/clustering/hierarchy.py", '"""', '"""Edited. '),
        {"hierarchy", "draw_figS_spectral", "atlas_layer", *TREES},
    ),
    "matching": (
        ("workflow/convergent/alignment/matching.py", '"""', '"""Edited. '),
        {
            *(
                "matching",
                "compare",
                "compare_training",
                "agreement",
                "spectral",
                "stitching",
                "functional",
                "hierarchy",
                "atlas_layer",
            ),
            *TABLES,
            *FIGURES,
        },
    ),
    "lasso": (
        ("workflow/convergent/stitching/lasso.py", '"""', '"""Edited. '),
        {
            *("stitching", "functional", "hierarchy", "draw_fig4_mapping", "draw_table1_mapping", "atlas_layer"),
            *TREES,
            *JUDGED,
        },
    ),
    "histograms": (
        ("workflow/convergent/alignment/histograms.py", '"""', '"""Edited. '),
        {"information", "agreement", "matching", "draw_figS4_information", "draw_summary_convergence", "atlas_layer"},
    ),
    "paper": (("workflow/resources/paper_table1.csv", ".170", ".171"), {"draw_table1_mapping"}),
    "clusters": (("config.yaml", "clusters: auto", "clusters: 3"), {"spectral", "draw_figS_spectral", "atlas_layer"}),
    "seed": (
        NEW_SEED,
        {
            *("train", "moments_val", "filters", "patches", "atlas_layer"),
            *(*TWINS, *SNAPSHOTS, *STATISTICS, *MAPPINGS, *TABLES, *FIGURES),
        },
    ),
    "derangements": (
        ("config.yaml", "derangements: 2", "derangements: 3"),
        {"compare", "atlas_layer", "draw_fig2_matches", "draw_fig3_assignment", "draw_fig3_layers", *SUMMARIES},
    ),
}


@pytest.mark.parametrize(("edited", "rules"), EDITS.values(), indirect=["edited"], ids=EDITS)
def test_an_edit_reruns_what_depends_on_it(edited: Path, rules: set[str]) -> None:
    assert planned(edited) == {*rules, "atlas_page"}  # which links every figure


@pytest.mark.parametrize("edited", [NEW_SEED], indirect=True)
def test_a_changed_seed_trains_one_net(edited: Path) -> None:
    plan = snakemake(edited, "-n", "--until", "train")
    assert next(line for line in plan.splitlines() if line.startswith("train ")).split() == ["train", "1"]


def test_one_figure_alone(project: Path) -> None:
    """It is drawn, and nets that have not changed since they were probed are not probed again."""
    probed = (project / "results/scenes/nets/probe.json").stat().st_mtime_ns
    figure = project / "results/scenes/figures/fig3_assignment_conv1.pdf"
    figure.unlink()
    assert planned(project, "fig3_assignment_conv1") == {"draw_fig3_assignment", "fig3_assignment_conv1"}
    snakemake(project, "fig3_assignment_conv1")
    assert figure.stat().st_size > 1000
    assert (project / "results/scenes/nets/probe.json").stat().st_mtime_ns == probed


@pytest.mark.parametrize(
    ("file", "rules"),
    [
        ("moments/val/shards/1/conv1.zarr/zarr.json", {"moments_val", "merge_val", "compare", "draw_evidence"}),
        ("nets/net0.pt", {"train", "moments_val", "merge_val", "compare", "draw_evidence"}),
        ("correlation/conv1/net0-net0.zarr/zarr.json", {"correlation", "matching"}),
    ],
)
def test_what_is_missing_between_finished_results_is_made_again(project: Path, file: str, rules: set[str]) -> None:
    """A failed job has removed it: what was made from it before is out of date, for a single figure too."""
    whole = project / "results/scenes" / file
    aside = whole.with_name("aside")
    whole.rename(aside)
    try:
        assert rules <= planned(project)
        assert planned(project, "fig3_assignment_conv1") > {
            "draw_fig3_assignment",
            *(rules - {"compare", "draw_evidence"}),
        }
    finally:
        aside.rename(whole)
    assert "Nothing to be done" in snakemake(project, "-n")


def test_another_number_of_shards_gives_the_same_bits(project: Path, tmp_path: Path) -> None:
    """The merged moments of one shard and of two are the same file."""
    stores = [project / f"results/scenes/moments/val/{layer}.zarr/zarr.json" for layer in ("conv1", "fc7")]
    before = [store.read_bytes() for store in stores]
    for _ in edit(project / "config.yaml", "shards: 2", "shards: 1"):
        snakemake(project, *(str(store.relative_to(project)) for store in stores))
        assert [store.read_bytes() for store in stores] == before
    snakemake(project, *(str(store.relative_to(project)) for store in stores))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("on_error: stop", "on_error: skip", "moments.blocks, or stitching.blocks: 6, but the images come from 5 "),
        (*DIVERGING, "lower training.learning_rate or training.clip"),
    ],
)
def test_what_only_shows_with_the_images_fails_with_one_line(
    all_stages: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    folder = shutil.copytree(all_stages, tmp_path / "edited")
    if "skip" in new:
        next((folder / "workflow/resources/scenes").glob("*.jpg")).write_bytes(b"no photograph")
    for _ in edit(folder / "config.yaml", old, new):
        output = snakemake(folder, "--until", "moments_val", ok=False)
    assert said in output
    assert "Traceback" not in output


def test_a_net_that_cannot_work_stops_before_any_job(tmp_path: Path) -> None:
    """One line, with the user's file."""
    folder = copy_project(tmp_path)
    (folder / "my_nets.py").write_text("def net(num_classes):\n    return torch.nn.Linear(num_classes, 2)\n")
    for _ in edit(folder / "config.yaml", "- seed: 1", "- {architecture: 'my_nets:net', seed: 1}"):
        output = snakemake(folder, ok=False)
    said = "architecture: my_nets:net: NameError: name 'torch' is not defined (my_nets.py:2)"
    assert [line for line in output.splitlines() if line.startswith("architecture: ")] == [said]
    assert "Traceback" not in output
    assert not list(folder.glob("results/scenes/*/*"))


def test_an_unreadable_photograph_stops_before_training(tmp_path: Path) -> None:
    folder = copy_project(tmp_path)
    photograph = next((folder / "workflow/resources/scenes").glob("*.jpg"))
    photograph.write_bytes(photograph.read_bytes()[:500])
    output = snakemake(folder, "--until", "train", ok=False)
    assert photograph.name in output
    assert "epoch 1/" not in output


@pytest.mark.parametrize("edited", [("workflow/convergent/store.py", '"""', '"""Edited. ')], indirect=True)
def test_an_edit_of_the_store_trains_nothing_once_images_are_the_same(edited: Path) -> None:
    """Images are built again and come out with the same digest, so that the weights stay."""
    weights = (edited / "results/scenes/nets/net0.pt").stat().st_mtime_ns
    snakemake(edited, "--until", "images")
    assert "train" not in planned(edited)
    assert (edited / "results/scenes/nets/net0.pt").stat().st_mtime_ns == weights


def test_an_edit_of_what_the_weights_depend_on_trains_other_weights(all_stages: Path, tmp_path: Path) -> None:
    """The first code again gives the first weights again."""
    folder = shutil.copytree(all_stages, tmp_path / "edited")
    net = "results/scenes/nets/net0.json"

    def digest() -> str:
        snakemake(folder, net)
        return json.loads((folder / net).read_text())["sha256"]

    first = json.loads((folder / net).read_text())["sha256"]
    for _ in edit(folder / "workflow/convergent/seeds.py", ">> 1", ">> 2"):
        assert digest() != first
    assert digest() == first
