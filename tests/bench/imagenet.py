"""Cost of the ImageNet experiment, extrapolated from a run of every heavy stage on few images.

Rules, commands and the paper's nets are those of the experiment; weights are random and images are few. Times that grow
with the images are multiplied by their number, other times are taken as they are.
"""

import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
import yaml

from workflow.convergent.nets import model
from workflow.convergent.nets.architecture import ALEXNET

from .common import ROOT
from .images import make_photographs

RUN = "few_of_imagenet"
TRAIN, VAL = (4096, 1024) if torch.cuda.is_available() else (512, 128)  # images of the benchmark
STEPS = 2  # of the benchmark's training, with batches of 256
ALL_TRAIN, ALL_VAL = 1_281_167, 50_000  # images of ImageNet
CONVS = ["conv1", "conv2", "conv3", "conv4", "conv5"]


class Stage(NamedTuple):
    """Measured jobs of a rule, and the factor from their time to that of the whole experiment."""

    benchmarks: str  # pattern of the jobs' files below benchmarks/
    factor: float  # work of the whole experiment / measured work
    factor_of: str  # what there is more of


def experiment(folder: Path) -> dict:
    """Configuration of a copy of the project with few images, one net to be trained and three with given weights."""
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder)
    config = yaml.safe_load((ROOT / "workflow/experiments/imagenet.yaml").read_text())
    for split, count in (("train", TRAIN), ("val", VAL)):
        for kind in ("a", "b"):
            (folder / "photographs" / split / kind).mkdir(parents=True)
            make_photographs(folder / "photographs" / split / kind, count // 2)
    for net in range(3):
        made = model.build(ALEXNET, config["architecture"], 3, 2, 256, net)
        torch.save(made.body.state_dict(), folder / f"{net}.pth")
    config |= {"run": RUN, "nets": [{"seed": 3}, *({"weights": f"{net}.pth"} for net in range(3))]}
    config["data"]["folder"] = "photographs"
    config["training"]["steps"] = STEPS
    config["moments"] |= {"blocks": 4, "shards": 1}
    config["stitching"] |= {"images": TRAIN // 2, "evaluated": VAL, "blocks": 4, "shards": 1}
    (folder / "few.yaml").write_text(yaml.safe_dump(config))
    return config


def targets(config: Mapping) -> list[str]:
    """Files to make, by at least one job of every heavy stage; of evidence only for the convolutions."""
    results = f"results/{RUN}"
    pair = config["figures"]["pair"]
    return [
        f"{results}/nets/net0.json",
        f"{results}/patches/net0.zarr/zarr.json",
        *(f"{results}/moments/val/{layer}.zarr/zarr.json" for layer in config["layers"]),
        *(f"{results}/evidence/{layer}.zarr/zarr.json" for layer in CONVS),
        *(f"{results}/mutual_information/{layer}/{pair}.zarr/zarr.json" for layer in CONVS[:2]),
        *(f"{results}/functional/{layer}.zarr/zarr.json" for layer in CONVS),
        *(f"{results}/clustering/spectral/{layer}/{pair}.csv" for layer in CONVS),
    ]


def stages(config: Mapping) -> dict[str, Stage]:
    """The stages by the name under which they are printed."""
    whole = yaml.safe_load((ROOT / "workflow/experiments/imagenet.yaml").read_text())
    mapped = whole["stitching"]["images"] / config["stitching"]["images"]
    val = ALL_VAL / VAL
    return {
        "images": Stage("images", (ALL_TRAIN + ALL_VAL) / (TRAIN + VAL), "images"),
        "train": Stage("train/net0", 4 * whole["training"]["steps"] / STEPS, "steps of four nets"),
        "moments, validation": Stage("moments/val/0", val, "images in blocks of 32; whole blocks take a sixth (scale)"),
        "moments, training": Stage("moments/train/0", mapped, "images"),
        "evidence, conv1 to conv5": Stage("evidence/*", 1, ""),
        "information, conv1": Stage("information/conv1", val, "images"),
        "information, conv2": Stage("information/conv2", val, "images"),
        "patches": Stage("patches/net0", 4, "nets (pictures, not images, take the time)"),
        "stitching": Stage("stitching/*", 1, ""),
        "functional": Stage("functional/*", whole["stitching"]["evaluated"] / VAL, "images"),
        "spectral": Stage("spectral/*/*", 1, ""),
    }


def bench_imagenet() -> None:
    """Print seconds and memory of the heavy stages on few images, and hours of the experiment on this machine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = experiment(folder)
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--cores",
            "all",
            "--configfile",
            "few.yaml",
            "--quiet",
            "all",
            "--",
        ]
        subprocess.run([*command, *targets(config)], cwd=folder, check=True)
        print(f"{'stage':34} {'few, s':>8} {'memory, GB':>10} {'factor':>9} {'all, h':>9}")
        for stage, (benchmarks, factor, factor_of) in stages(config).items():
            jobs = []
            for file in sorted((folder / "results" / RUN / "benchmarks").glob(f"{benchmarks}.tsv")):
                with file.open() as table:
                    jobs += list(csv.DictReader(table, delimiter="\t"))
            seconds, memory = sum(float(job["s"]) for job in jobs), max(float(job["max_rss"]) for job in jobs) / 1e3
            print(f"{stage:34} {seconds:8.1f} {memory:10.1f} {factor:9.0f} {seconds * factor / 3600:9.1f}  {factor_of}")
