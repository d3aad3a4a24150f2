"""An experiment of a user's own: a folder of images, an architecture of their own, weights; all names can be chosen."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.workflow.tiny import copy_project

from . import experiment

SIZE = 24  # of an image, in pixels
COUNTS = {"train": 8, "val": 4}  # images of a class
CODE = '''"""A net of two layers."""

from torch import nn

NAME = {name!r}


def net(num_classes: int) -> nn.Sequential:
    net = nn.Sequential()
    net.add_module("to " + NAME, nn.Conv2d(3, 4, 5, stride=2))
    net.add_module(NAME, nn.ReLU())
    net.add_module("pool", nn.AdaptiveAvgPool2d(2))
    net.add_module("flat", nn.Flatten())
    net.add_module("logits", nn.Linear(16, num_classes))
    return net
'''


@dataclass(frozen=True)
class Names:
    """Names that a user chooses."""

    data: str = "photographs"
    classes: tuple[str, ...] = ("cat", "dog", "owl")
    file: str = "a"  # begins the name of each image file
    module: str = "first"
    weights: str = "weights.pth"


def write_images(folder: Path, names: Names) -> None:
    """Noise of another brightness for each class."""
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for number, name in enumerate(names.classes):
            (folder / split / name).mkdir(parents=True)
            for image in range(count):
                pixels = rng.normal(60 + 60 * number, 30, (SIZE, SIZE, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{names.file}{image}.png")


def write_weights(file: Path, names: Names) -> None:
    """Weights of the net before training."""
    code: dict = {}
    exec(CODE.format(name=names.module), code)
    torch.manual_seed(0)
    torch.save(code["net"](len(names.classes)).state_dict(), file)


def configuration(names: Names) -> dict:
    net = {"architecture": "own_net:net", "layers": {"first": names.module}}
    pixels = {"mean": [0.5] * 3, "deviation": [0.25] * 3}
    return {
        "run": "scenes",
        "data": {"source": "image_folder", "folder": names.data, "size": SIZE},
        "nets": [net | {"seed": 0}, net | {"weights": names.weights, "pixels": pixels}],
        "architecture": {"crop": 20},
        "training": {"steps": 8, "batch": 6, "learning_rate": 0.01},
        "layers": ["first"],
        "moments": {"blocks": 4},
        "information": {"layers": ["first"]},
        "stitching": {"layers": ["first"], "decays": [0, 0.01], "alphas": [0.1], "images": 24, "blocks": 2},
        "clustering": {"layers": ["first"], "resamples": 2},
        "evidence": {"rotations": 2, "derangements": 2},
    }


def own_project(folder: Path, names: Names | None = None) -> Path:
    """A project with this experiment as its config.yaml."""
    names = names or Names()
    copy_project(folder)
    (folder / "own_net.py").write_text(CODE.format(name=names.module))
    write_images(folder / names.data, names)
    write_weights(folder / names.weights, names)
    experiment.write_config(folder, configuration(names))
    return folder
