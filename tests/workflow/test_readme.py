"""What the documents print, run as it is printed, from images to the last figure."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.configurations import ODD
from tests.workflow.tiny import copy_project, snakemake
from workflow.convergent import store

pytestmark = pytest.mark.slow

OWN = (ROOT / "docs/own.md").read_text()
FILES = dict(re.findall(r"```\w+\n# (my_\w+\.\w+)\n(.*?)```", OWN, flags=re.S))
COMMANDS = re.findall(r"^(?:\.venv/bin/python|make figures) .*my_.*$", OWN, flags=re.M)
PYTHON = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), flags=re.S)


def run(folder: Path, command: str) -> str:
    """Output of a printed command, by the Python that runs the tests and without an installation."""
    here = Path(sys.executable).parent
    program, *arguments = shlex.split(command)
    printed = {
        "make": ["make", "-o", ".venv/installed", f"BIN={here}", "CORES=2"],
        ".venv/bin/python": [sys.executable],
        ".venv/bin/snakemake": [sys.executable, "-m", "snakemake", "--cores", "2"],
    }
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # workers of the tests would keep each other waiting
    done = subprocess.run([*printed[program], *arguments], cwd=folder, text=True, capture_output=True, env=one_thread)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in an odd folder, with results of the embedded experiment, where all examples ran in their order."""
    folder = copy_project(tmp_path_factory.mktemp("readme") / ODD, photographs=12)
    shutil.copytree(made / "results", folder / "results")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    for command in COMMANDS:
        run(folder, command)
    return folder


def test_all_examples_are_found() -> None:
    assert list(FILES) == ["my_images.py", "my_images.yaml", "my_nets.py", "my_nets.yaml"]
    assert [command.split()[0] for command in COMMANDS] == [".venv/bin/python", "make"] * 2
    assert "\nmake figures\n" in (ROOT / "README.md").read_text()
    assert len(PYTHON) == 2


@pytest.mark.parametrize(
    ("program", "printed"), list(zip(PYTHON, ["net1:", "filters/net0"], strict=True)), ids=["api", "store"]
)
def test_python_runs_as_printed(project: Path, program: str, printed: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], cwd=project, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


def test_the_first_program_has_ten_lines() -> None:
    assert len(PYTHON[0].splitlines()) == 10


def test_any_units_are_drawn_as_printed(project: Path) -> None:
    (command,) = re.findall(
        r"^\.venv/bin/python .*--outputs units.png$", (ROOT / "docs/method.md").read_text(), flags=re.M
    )
    run(project, command)
    assert (project / "units.png").stat().st_size > 1000


def test_nets_are_trained_on_images_of_ones_own(project: Path) -> None:
    results = project / "results/my_images"
    assert store.attributes(results / "images/train.zarr/zarr.json")["classes"] == sorted(
        folder.name for folder in (project / "my_images/train").iterdir()
    )
    assert json.loads((results / "nets/net0.json").read_text())["top1"] > 0.7  # of two classes
    figures = {file.stem for file in (results / "figures").glob("*.pdf")}
    assert {"fig1_correlation", "fig2_matches_conv2", "nets_training", "summary_convergence"} <= figures
    assert not {"fig4_mapping", "figS4_information_conv1", "figS_spectral_conv1"} & figures


def test_nets_of_ones_own_are_compared_without_training(project: Path) -> None:
    results = project / "results/my_nets"
    assert not list((results / "nets").glob("*.csv"))
    attributes = store.attributes(results / "moments/val/first.zarr/zarr.json")
    assert attributes["modules"] == {"small": "1", "resnet18": "relu"}
    assert attributes["grid"] == [14, 14]
    assert attributes["resampled"] == {"resnet18": [16, 16]}
    between = store.load(results / "correlation/first/small-resnet18.zarr/zarr.json")["correlation"]
    assert between.shape == (24, 64)
    figures = {file.stem for file in (results / "figures").glob("*.pdf")}
    assert figures == {
        "overview",
        "units_matched_first",
        "units_matched_last",
        "fig1_correlation",
        "fig3_layers",
        *(f"{figure}_{layer}" for figure in ("fig2_matches", "fig3_assignment") for layer in ("first", "last")),
        *(f"figS11_active_{layer}" for layer in ("first", "last")),
    }


@pytest.mark.parametrize("name", ["my_images", "my_nets"])
def test_nothing_is_left_to_do(project: Path, name: str) -> None:
    assert "Nothing to be done" in run(project, f".venv/bin/snakemake -n --configfile {name}.yaml")


def test_an_edit_of_ones_own_architecture_reruns_its_net(project: Path) -> None:
    code = project / "my_nets.py"
    code.write_text(code.read_text().replace("stride=2", "stride=2, bias=True"))
    plan = run(project, ".venv/bin/snakemake -n --configfile my_nets.yaml --until given")
    assert re.search(r"^given +1$", plan, flags=re.M)
    assert "net=small" in plan


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
        ("resample: area", "resample: none", "layers: first has positions 14x14 in small, 16x16 in resnet18"),
        ("weights: small.pth", "weights: resnet18.pth", "weights: resnet18.pth do not fit my_nets:small: 0.weight"),
        (
            "{first: relu",
            "{first: layer1.0.relu",
            "layers: layer1.0.relu of resnet18 is called 2 times in a forward pass",
        ),
        (
            "torchvision:resnet18",
            "torchvision:resnet19",
            "'torchvision:resnet19' is not possible; torchvision has",
        ),
        (
            '"torchvision:resnet18", weights: resnet18.pth',
            "resnet18",
            "nets.1.architecture: 'resnet18'",
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
    output = snakemake(project, "--configfile", "wrong.yaml", "--until", "moments_val", ok=False)
    assert said in output
    assert "Traceback" not in output
