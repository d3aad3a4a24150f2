"""Shared by several benchmarks: configuration, photographs and nets of the paper's size."""

import subprocess
import sys
import time

import numpy as np
from PIL import Image

from tests import ROOT
from tests.presets import preset
from workflow.convergent import schema
from workflow.convergent.experiment import read
from workflow.convergent.images import listing
from workflow.convergent.nets.model import Net

LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]


def section(experiment: str, name: str) -> dict:
    """A section of a configuration of the repository, with the schema's defaults."""
    return schema.conform(read(ROOT / experiment))[name]


class Photographs:
    """The embedded photographs, repeated, as images of one size with the interface of ``store.StoredArray``."""

    def __init__(self, size: int) -> None:
        files = listing.image_files(ROOT / "workflow/resources/scenes")
        self.pool = np.stack([np.asarray(Image.open(file).convert("RGB").resize((size, size))) for file in files])

    def __len__(self) -> int:
        return 60 * len(self.pool)

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        return self.pool[np.asarray(index) % len(self.pool)]


def paper_nets(count: int, images: Photographs) -> dict[str, Net]:
    """The paper's architecture with random weights."""
    architecture = section("workflow/experiments/imagenet.yaml", "architecture")
    nets = {f"net{i}": preset(architecture, 3, 1000, 256, seed=i).eval() for i in range(count)}
    for net in nets.values():
        net.standardise_with(images.pool)
    return nets


def in_fresh_process(code: str) -> tuple[float, float]:
    """Seconds and peak memory in GiB of a new process that runs ``code``.

    The peak is Linux's VmHWM, because ru_maxrss of a new process begins at the peak of the process that started it.
    """
    peak = "open('/proc/self/status').read().split('VmHWM:')[1].split()[0]"
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint({peak})"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return time.perf_counter() - begun, float(done.stdout.split()[-1]) / 2**20
