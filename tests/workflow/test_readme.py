"""The README's examples, as they are printed there, from images to the last figure."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.workflow.test_workflow import copy_project
from workflow.convergent import store

pytestmark = pytest.mark.slow

README = (ROOT / "README.md").read_text()
FILES = dict(re.findall(r"```\w+\n# (my_\w+\.\w+)\n(.*?)```", README, flags=re.S))
COMMANDS = re.findall(r"^\.venv/bin/(.*my_.*)$", README, flags=re.M)


def run(folder: Path, command: str) -> str:
    """Output of a command of the README, by the Python that runs the tests."""
    program, *arguments = command.replace("--cores all", "--cores 2").split()
    module = ["-m", "snakemake"] if program == "snakemake" else []
    done = subprocess.run([sys.executable, *module, *arguments], cwd=folder, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which all the examples were run, in their order."""
    folder = copy_project(tmp_path_factory.mktemp("readme"))
    for name, text in FILES.items():
        (folder / name).write_text(text)
    for command in COMMANDS:
        run(folder, command)
    return folder


def test_all_examples_are_found() -> None:
    assert list(FILES) == ["my_images.py", "my_images.yaml", "my_nets.py", "my_nets.yaml"]
    assert [command.split()[0] for command in COMMANDS] == ["python", "snakemake", "python", "snakemake"]


def test_nets_are_trained_on_images_of_ones_own(project: Path) -> None:
    results = project / "results/my_images"
    assert store.attributes(results / "images/train.zarr/zarr.json")["classes"] == sorted(
        folder.name for folder in (project / "my_images/train").iterdir()
    )
    assert json.loads((results / "nets/net0.json").read_text())["top1"] > 0.5  # of three classes
    figures = {file.stem for file in (results / "figures").glob("*.pdf")}
    assert {"fig1_correlation", "fig2_matches_conv2", "nets_training", "summary_convergence"} <= figures
    assert not {"fig4_mapping", "figS4_information_conv1"} & figures


def test_nets_of_ones_own_are_compared_without_training(project: Path) -> None:
    results = project / "results/my_nets"
    assert not list((results / "nets").glob("net*.csv"))
    about = store.attributes(results / "moments/val/first.zarr/zarr.json")
    assert about["modules"] == {"net0": "1", "net1": "relu", "net0_untrained": "1"}
    assert about["grid"] == [30, 30]
    assert about["resampled"] == {"net1": [32, 32]}
    between = store.load(results / "correlation/first/net0-net1.zarr/zarr.json")["correlation"]
    assert between.shape == (24, 64)
    figures = {file.stem for file in (results / "figures").glob("*.pdf")}
    assert {"fig1_correlation", "fig2_matches_last", "fig4_mapping", "fig6_clusters", "figS_spectral_first"} <= figures
    assert "nets_training" not in figures


@pytest.mark.parametrize("name", ["my_images", "my_nets"])
def test_nothing_is_left_to_do(project: Path, name: str) -> None:
    assert "Nothing to be done" in run(project, f"snakemake -n --configfile {name}.yaml --cores all")


def test_an_edit_of_ones_own_architecture_reruns_its_net(project: Path) -> None:
    code = project / "my_nets.py"
    code.write_text(code.read_text().replace("stride=2", "stride=2, bias=True"))
    plan = run(project, "snakemake -n --configfile my_nets.yaml --until given --cores all")
    assert re.search(r"^given +1$", plan, flags=re.M)
    assert "net=net0" in plan


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "resnet18.pth",
            "gone.pth",
            "Configuration, nets.1.weights: 'gone.pth' is not possible; it must be an existing",
        ),
        (
            "{first: relu",
            "{frist: relu",
            "Configuration, nets.1.layers: 'frist' is not possible; it must be among layers, ",
        ),
        ("resample: area", "resample: none", "layers: first has positions 30x30 in net0, 32x32 in net1"),
        ("weights: small.pth", "weights: resnet18.pth", "weights: resnet18.pth do not fit my_nets:small: 0.weight"),
        ("{first: relu", "{first: layer1.0.relu", "layers: layer1.0.relu of net1 is called 2 times in a forward pass"),
        ("torchvision:resnet18", "torchvision:resnet19", "torchvision has no model 'resnet19', it has alexnet"),
        (
            '"torchvision:resnet18", weights: resnet18.pth',
            "resnet18",
            "nets[1].architecture: 'resnet18' does not match",
        ),
        (
            ", weights: resnet18.pth",
            "",
            "Configuration, nets: [None] is not possible; each net that is trained needs a",
        ),
    ],
)
def test_bad_input_is_one_line(project: Path, old: str, new: str, said: str) -> None:
    text = (project / "my_nets.yaml").read_text()
    assert old in text
    (project / "wrong.yaml").write_text(text.replace(old, new, 1).replace("run: my_nets", "run: wrong"))
    command = "-m snakemake --configfile wrong.yaml --cores 2 --until moments_val"
    done = subprocess.run([sys.executable, *command.split()], cwd=project, text=True, capture_output=True)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
