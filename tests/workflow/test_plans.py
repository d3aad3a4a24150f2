"""Dry runs: which jobs a configuration asks for, and the one line that a wrong one ends with."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import ROOT
from tests.configurations import change
from tests.configurations_refused import REFUSED, write
from tests.workflow.tiny import command

pytestmark = pytest.mark.slow
GIVEN = [{"weights": str(ROOT / name)} for name in ("LICENSE", "Makefile", "README.md")]  # a plan reads no weights
EXPERIMENTS = sorted((ROOT / "workflow/experiments").glob("*.yaml"))


def plan(folder: Path, config: dict, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A dry run of the repository's workflow with another configuration."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return command(ROOT, "-n", "--nolock", "--configfile", str(folder / "config.yaml"), *arguments)


def stopped(folder: Path, *arguments: str) -> list[str]:
    """Lines of a dry run that a configuration stops, but for the one that names the profile."""
    done = command(folder, "-n", "--nolock", *arguments)
    assert done.returncode == 1
    return [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("Using workflow specific")]


@pytest.mark.parametrize("name", ["key twice below", "training.learning_rate: nan", "training.threads: 1000"])
def test_a_wrong_configuration_stops_the_workflow_with_one_line(tmp_path: Path, name: str) -> None:
    (refused,) = (each for each in REFUSED if each.name == name)
    (line,) = stopped(ROOT, "--configfile", str(write(refused, tmp_path)))
    assert refused.said in line


def test_so_does_one_of_several_and_config_yaml(config: dict, tmp_path: Path) -> None:
    (twice,) = (each for each in REFUSED if each.name == "key twice")
    (tmp_path / "first.yaml").write_text(yaml.safe_dump(config))
    second = write(twice, tmp_path)
    several = ["--configfile", str(tmp_path / "first.yaml"), str(second)]
    assert stopped(ROOT, *several) == [f"{second}, {twice.said}"]
    for name in ("Snakefile", "workflow", "profiles", "environment.yml"):
        (tmp_path / name).symlink_to(ROOT / name)
    assert stopped(tmp_path) == ["config.yaml: no such configuration; there are wrong.yaml, first.yaml"]
    for content, line in (
        (twice.content, "config.yaml, line 2: key run stands there twice; remove one"),
        (b"run: \xe4", "config.yaml, line 1: byte 0xe4 is not UTF-8; save the file as UTF-8"),
        (b"__use_yte__: true\n?print('run'): 1\n", "config.yaml, line 1: __use_yte__: a configuration is no template"),
    ):
        (tmp_path / "config.yaml").write_bytes(content)
        assert stopped(tmp_path) == [line]


def test_a_figure_is_planned_from_several_files(config: dict, tmp_path: Path) -> None:
    """The later one replaces entries of the earlier one; the figure follows ``--``."""
    later = tmp_path / "later one.yaml"
    later.write_text("run: nothing_yet\nstages: [matching]\nmoments: {batch: 7}\n")
    done = plan(tmp_path, config, str(later), "-p", "--", "fig3_assignment_conv2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " --batch 7 " in done.stdout
    assert "results/nothing_yet/figures/fig3_assignment_conv2.pdf" in done.stdout


def test_whole_numbers_may_be_written_with_a_point(config: dict, tmp_path: Path) -> None:
    commands, config["run"] = [], "nothing_yet"
    for _ in range(2):
        done = plan(tmp_path, config, "-p", "--until", "moments_val")
        commands.append(sorted(re.findall(r"^Shell command: (.*)", done.stdout, flags=re.M)))
        for section, key in (("training", "steps"), ("data", "size"), ("moments", "blocks"), ("moments", "shards")):
            config[section][key] = float(config[section][key])
    assert commands[0] == commands[1]
    assert '"steps": 3000,' in "".join(commands[1])


@pytest.mark.parametrize(
    ("changes", "there", "gone"),
    [
        (
            {"information.layers": [], "clustering.layers": []},
            ["stitching", "hierarchy", "draw_fig6_clusters"],
            ["information", "agreement", "draw_figS4_information", "spectral", "draw_figS_spectral"],
        ),
        ({"stitching.layers": []}, ["spectral"], ["moments_train", "stitching", "functional", "draw_fig5_hierarchy"]),
        (
            {"clustering.layers": ["fc6"], "information.layers": ["fc7"], "stitching.layers": ["fc6"]},
            ["spectral", "information", "hierarchy"],
            ["draw_figS_spectral", "draw_fig4_mapping"],
        ),
        (
            {"nets": [{"seed": seed} for seed in range(3)], "stitching.layers": ["conv3"]},
            ["train", "hierarchy", "draw_table1_mapping", "draw_fig4_mapping", "draw_summary_training"],
            [],
        ),
        (
            {"training.snapshots": []},
            ["train", "compare", "draw_evidence"],
            ["moments_snapshots", "merge_snapshots", "compare_training", "draw_summary_training"],
        ),
        (
            {"nets.1": GIVEN[0], "stitching.layers": []},
            ["given", "moments_snapshots", "compare_training", "draw_summary_training"],
            [],
        ),
        (
            {f"nets.{net}": entry for net, entry in enumerate(GIVEN)} | {"stitching.layers": []},
            ["train", "compare"],
            ["moments_snapshots", "compare_training", "draw_summary_training"],
        ),
        ({"stitching.as_published": False, "figures.pair": "net1-net3"}, ["stitching", "functional"], []),
        (
            {"stages": ["stitching", "clustering"]},
            ["hierarchy", "functional", "spectral", "draw_fig5_hierarchy", "draw_table1_mapping"],
            ["patches", "matching", "information", "compare", "draw_fig6_clusters", "draw_figS_spectral", "filters"],
        ),
        (
            {"figures.pairs": ["net1-net3"], "stages": ["stitching", "clustering", "patches"]},
            [f"draw_{name}_of_pairs" for name in ("fig4_mapping", "fig6_clusters", "figS_spectral", "table1_mapping")],
            ["draw_figS11_active_of_pairs", "draw_fig2_matches_of_pairs"],
        ),
        ({"stages": ["nets"]}, ["train", "draw_nets_training", "draw_nets_filters", "draw_figS10_means"], ["matching"]),
        ({"stages": ["information"]}, ["agreement", "matching"], ["patches", "draw_figS4_information", "compare"]),
        (
            {"stages": ["information", "patches"]},
            ["draw_figS4_information", "draw_figS11_active"],
            ["draw_fig2_matches"],
        ),
        (
            {"stages": ["evidence"]},
            ["moments_untrained", "compare_training", "draw_scorecard"],
            ["stitching", "patches"],
        ),
    ],
    ids=str,
)
def test_stages_can_be_left_out_or_take_other_layers(
    config: dict, tmp_path: Path, changes: dict, there: list[str], gone: list[str]
) -> None:
    for key, value in changes.items():
        change(config, key, value)
    config["run"] = "nothing_yet"
    done = plan(tmp_path, config)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = {line.split()[0] for line in done.stdout.splitlines() if line and line.split()[-1].isdecimal()}
    assert set(there) <= jobs
    assert not set(gone) & jobs


def test_a_comparison_of_two_given_nets_by_matching_alone_takes_few_jobs(config: dict, tmp_path: Path) -> None:
    config |= {"run": "nothing_yet", "stages": ["matching"], "nets": GIVEN[:2], "layers": ["conv1", "fc7"]}
    done = plan(tmp_path, config)
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, flags=re.M))
    assert {rule: int(count) for rule, count in jobs.items() if rule not in ("all", "total")} == {
        "images": 1,
        "given": 2,
        "moments_val": 1,
        "merge_val": 2,
        "correlation": 1,
        "matching": 2,
        "draw_fig1_correlation": 1,
        "draw_fig3_assignment": 1,
        "draw_fig3_layers": 1,
        "atlas_layer": 2,
        "atlas_page": 1,
    }


@pytest.mark.parametrize(
    ("target", "off"),
    [
        ("fig2_matches_conv1", "patches"),
        ("fig6_clusters", "stitching and clustering and patches"),
        ("results/nothing_yet/figures/figS4_information_conv1.pdf", "information and patches"),
        ("results/nothing_yet/tables/units.csv", "evidence"),
    ],
)
def test_what_needs_a_stage_that_is_off_is_refused(config: dict, tmp_path: Path, target: str, off: str) -> None:
    done = plan(tmp_path, config | {"run": "nothing_yet", "stages": ["matching"]}, "--", target)
    assert done.returncode == 1
    (line,) = (line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("Using workflow"))
    assert line == f"{target} needs stage {off}, which is off; stages are matching"


def test_figures_of_further_pairs_have_their_names(config: dict, tmp_path: Path) -> None:
    """The first pair keeps the names that it has alone. Mappings of further pairs are replayed and stitched whole."""
    config |= {
        "run": "nothing_yet",
        "figures": {"pairs": ["net0-net1", "net1-net3"]},
        "stages": ["matching", "stitching"],
    }
    targets = ["fig1_correlation", "fig3_assignment_conv2_net1-net3", "table1_mapping_net1-net3"]
    done = plan(tmp_path, config, "-p", "--", *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    drawn = re.findall(r"--outputs results/nothing_yet/figures/(\S+)\.pdf", done.stdout)
    assert sorted(drawn) == sorted(targets)
    (third,) = re.findall(r"fig3_assignment --matches (\S+)", done.stdout)
    assert third == "results/nothing_yet/matching/correlation/conv2/net1-net3.csv"
    assert set(re.findall(r"--published (.*?) --alphas", done.stdout)) == {"net0-net1 net1-net3"}
    assert set(re.findall(r"--whole (.*?) --batch", done.stdout)) == {"net0-net1 net1-net3"}
    (table,) = re.findall(r"table1_mapping --mappings (.*?) --stitched", done.stdout)
    assert {path.split("/")[-2] for path in table.split()} == {"net1-net3.zarr"}


def test_nets_of_equal_weights_are_planned_with_a_warning(config: dict, tmp_path: Path) -> None:
    done = plan(tmp_path, config | {"run": "nothing_yet", "stages": ["matching"], "nets": [*GIVEN[:1] * 2, *GIVEN[1:]]})
    assert done.returncode == 0
    warned = [line for line in done.stderr.splitlines() if line.startswith("Warning")]
    assert warned == ["Warning: net0, net1 have the same weights; how alike they are says nothing of learning."]


def twins(layer: str) -> str:
    """The merged moments of the nets before training."""
    return f"results/nothing_yet/moments/untrained/{layer}.zarr/zarr.json"


@pytest.mark.parametrize(
    ("changes", "layer", "untrained"),
    [
        ({}, "fc7", 4),
        ({"nets.1": GIVEN[0], "stitching.layers": []}, "conv1", 3),
        ({"moments.wide": {"units": 769}}, "fc6", 4),
        ({"moments.wide": {"units": 768}}, "fc6", 0),
        ({f"nets.{net}": entry for net, entry in enumerate(GIVEN)}, "conv1", 0),
    ],
    ids=["all", "one given", "not yet wide", "wide", "three given"],
)
def test_nets_before_training_have_moments_of_their_own(
    config: dict, tmp_path: Path, changes: dict, layer: str, untrained: int
) -> None:
    """Nets that are trained here, in layers that are not wide; no net is trained for them."""
    for key, value in changes.items():
        change(config, key, value)
    config["run"] = "nothing_yet"
    done = plan(tmp_path, config, "--", twins(layer))
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, flags=re.M))
    if untrained:
        expected = {"images": 1, "untrained": untrained, "moments_untrained": 1, "merge_untrained": 1}
        assert {rule: int(count) for rule, count in jobs.items() if rule != "total"} == expected
    else:
        assert f"There is no target {twins(layer)}" in done.stdout + done.stderr


def images_of_nothing(folder: Path) -> Path:
    """Names of images in folders of classes: all that a plan looks at."""
    counts = {"train": 300, "val": 5000}  # as many as stitched nets are evaluated on
    for split, number in ((split, number) for split, count in counts.items() for number in range(count)):
        file = folder / split / f"class{number % 3}" / f"{number}.JPEG"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return folder


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_can_be_planned(experiment: Path, tmp_path: Path) -> None:
    config = yaml.safe_load(experiment.read_text())
    config["data"]["folder"] = str(images_of_nothing(tmp_path / "images"))
    done = plan(tmp_path, config)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_jobs_of_the_imagenet_experiment_are_those_that_its_page_states(tmp_path: Path) -> None:
    page = (ROOT / "docs/scale.md").read_text()
    stated = dict(re.findall(r"^\| (\w+) \| (\d+) \|", page[page.index("| submitted |") :], flags=re.M))
    config = yaml.safe_load((ROOT / "workflow/experiments/imagenet.yaml").read_text())
    config["data"]["folder"] = str(images_of_nothing(tmp_path / "images"))
    done = plan(tmp_path, config)
    planned = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, flags=re.M))
    assert f"plans {planned['total']} jobs" in page
    assert f"{sum(map(int, stated.values()))} are submitted" in page
    assert {rule: planned[rule] for rule in stated} == stated
