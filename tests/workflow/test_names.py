"""Folders, classes, files, layers, weights and modules of the user's may have any name: nothing in it is a command."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.configurations import ODD
from tests.workflow.tiny import copy_project, snakemake
from workflow.convergent import store

pytestmark = pytest.mark.slow

MODULE = ODD.replace(".", "")  # torch allows no dots
NETS = f"""
import torch

def net(num_classes):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5))
    net.add_module({MODULE!r}, torch.nn.ReLU())
    net.append(torch.nn.AdaptiveAvgPool2d(2)).append(torch.nn.Flatten())
    return net.append(torch.nn.Linear(16, num_classes))

if __name__ == "__main__":
    torch.save(net(2).state_dict(), {ODD!r})
    torch.save(net(2).state_dict(), "{{run}}.pth")
"""
MOMENTS = "results/odd/moments/val/first.zarr/zarr.json"
CONFIG = {
    "run": "odd",
    "data": {"source": "image_folder", "folder": f"-{ODD}", "size": 40},
    "architecture": {"crop": 36},
    "nets": [
        {"architecture": "größe.netz:net", "weights": weights, "layers": {"first": MODULE}} | name
        for weights, name in ((ODD, {"name": "name"}), ("{run}.pth", {}))
    ],
    "layers": ["first"],
    "moments": {"blocks": 2},
    **{stage: {"layers": []} for stage in ("information", "stitching", "clustering")},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in a folder of an odd name, with images, nets and weights of odd names."""
    (folder := tmp_path_factory.mktemp("names") / ODD).mkdir()
    copy_project(folder)
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in (ODD, f"y{ODD}"):
            (images := folder / CONFIG["data"]["folder"] / split / name).mkdir(parents=True)
            for number in range(2):
                Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(images / f"{ODD}{number}.png")
    (folder / "größe").mkdir()
    (folder / "größe/netz.py").write_text(NETS)
    subprocess.run([sys.executable, "größe/netz.py"], cwd=folder, check=True)
    (folder / f"{ODD}.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


def run(folder: Path, *arguments: str, ok: bool = True) -> str:
    """What Snakemake says of the odd experiment."""
    return snakemake(folder, "--configfile", f"./{ODD}.yaml", *arguments, "--", MOMENTS, ok=ok)


def test_a_net_of_odd_names_runs_on_images_of_odd_names(project: Path) -> None:
    run(project)
    assert store.attributes(project / MOMENTS)["modules"] == {"name": MODULE, "net1": MODULE}
    images = store.attributes(project / "results/odd/images/train.zarr/zarr.json")
    assert images["classes"] == sorted([ODD, f"y{ODD}"])
    assert not list(project.rglob("INJECTED"))
    for file in [project / "{run}.pth", project / "größe/netz.py", *project.glob(f"{CONFIG['data']['folder']}/*/*/*")]:
        file.touch()
    assert "Nothing to be done" in run(project, "-n")


@pytest.mark.parametrize(
    ("file", "rules"),
    [
        (f"-{ODD}/val/{ODD}/{ODD}0.png", {"images", "given", "moments_val", "merge_val"}),
        ("{run}.pth", {"given", "moments_val", "merge_val"}),
    ],
    ids=["photograph", "weights"],
)
def test_an_older_file_in_place_of_another_reruns_what_depends_on_it(project: Path, file: str, rules: set[str]) -> None:
    path, before = project / file, (project / file).read_bytes()
    path.write_bytes(before + b"\n")
    os.utime(path, (0, 0))
    lines = run(project, "-n").splitlines()
    path.write_bytes(before)
    planned = [line.split()[1].rstrip(":") for line in lines if line.startswith(("rule ", "localrule "))]
    assert set(planned) == rules
    assert planned.count("given") == (1 if file == "{run}.pth" else 2)


@pytest.mark.parametrize("arguments", [["--sdm", "conda", "-n"], ["--executor", "slurm", "--jobs", "1"]], ids=str)
def test_programs_that_quote_no_names_are_refused_in_an_odd_folder(project: Path, arguments: list[str]) -> None:
    said = run(project, *arguments, "--forceall", ok=False).splitlines()
    assert sum(": not possible in " in line for line in said) == 1
    assert not list(project.rglob("INJECTED"))
