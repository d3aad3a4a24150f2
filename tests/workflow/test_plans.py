"""Dry runs: which jobs a configuration asks for, and the one line that a wrong one ends with."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import ROOT
from tests.configurations import change

pytestmark = pytest.mark.slow
EXPERIMENTS = sorted((ROOT / "workflow/experiments").glob("*.yaml"))


def plan(folder: Path, config: dict) -> subprocess.CompletedProcess[str]:
    """A dry run of the repository's workflow with another configuration."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "-n", "--configfile", str(folder / "config.yaml"), "--nolock"]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("colour", "red", "'colour' was unexpected"),
        ("training.batch", 0, "training.batch: 0 is less than the minimum of 1. Number of images in a batch."),
        ("data.source", "imagenet", "data.source: 'imagenet' is not one of"),
        ("moments", None, "'moments' is a required property"),
        ("information.bins", 1, "information.bins: 1 is less than the minimum of 2. Number of bins of a unit"),
        ("stitching.decays", [0.1], "stitching.decays: [0.1] does not contain items matching the given schema"),
        ("stitching.alpha", 0, "stitching.alpha: 0 is less than or equal to the minimum of 0"),
        ("figures.unit", "best", "figures.unit: 'best' is not valid"),
        ("information.positions", "some", "information.positions: 'some' is not valid"),
    ],
)
def test_a_wrong_entry_stops_the_workflow_with_one_line(
    config: dict, tmp_path: Path, key: str, value: object, said: str
) -> None:
    change(config, key, value)
    done = plan(tmp_path, config)
    assert done.returncode != 0
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Configuration")]
    assert len(lines) == 1
    assert said in lines[0]
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("changes", "there", "gone"),
    [
        ({"information.layers": []}, ["stitching"], ["information", "agreement", "draw_figS4_information"]),
        ({"stitching.layers": []}, ["spectral"], ["moments_train", "stitching", "functional", "draw_fig5_hierarchy"]),
        ({"stitching.layers": ["conv3"]}, ["hierarchy", "draw_table1_mapping", "draw_fig4_mapping"], []),
        ({"clustering.layers": []}, ["hierarchy", "draw_fig6_clusters"], ["spectral", "draw_figS_spectral"]),
        ({"clustering.layers": ["fc6"]}, ["spectral"], ["draw_figS_spectral"]),
        ({"information.layers": ["fc7"], "stitching.layers": ["fc6"]}, ["information", "hierarchy"], ["fig4_mapping"]),
        ({"stitching.as_published": False, "figures.pair": "net1-net3"}, ["stitching", "functional"], []),
        ({"nets": [{"seed": seed} for seed in range(3)]}, ["train", "draw_summary_convergence"], []),
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


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_can_be_planned(experiment: Path, tmp_path: Path) -> None:
    config = yaml.safe_load(experiment.read_text())
    config["data"]["folder"] = str(tmp_path)
    done = plan(tmp_path, config)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_jobs_of_the_imagenet_experiment_are_those_that_its_page_states(tmp_path: Path) -> None:
    page = (ROOT / "docs/scale.md").read_text()
    stated = dict(re.findall(r"^\| (\w+) \| (\d+) \|", page[page.index("| submitted |") :], flags=re.M))
    config = yaml.safe_load((ROOT / "workflow/experiments/imagenet.yaml").read_text())
    config["data"]["folder"] = str(tmp_path)
    done = plan(tmp_path, config)
    planned = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, flags=re.M))
    assert f"plans {planned['total']} jobs" in page
    assert f"{sum(map(int, stated.values()))} are submitted" in page
    assert {rule: planned[rule] for rule in stated} == stated
