import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests import ROOT
from tests.conftest import random_images
from tests.in_memory import split_of
from tests.nets.settings import settings_with
from tests.nets.test_train import OWN, interrupted, trained
from tests.presets import preset
from workflow.convergent.nets import compiling, crops, device, train
from workflow.convergent.nets.compiling import COMPILED_FROM, compiled, described, forward_of, loss_and_hits
from workflow.convergent.nets.optimisation import new_optimiser
from workflow.convergent.nets.snapshots import Snapshots

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def random_batch(seed: int) -> list[torch.Tensor]:
    made = random_images(8, seed)
    drawn = crops.draws(8, 8, 4, seed)
    return next(crops.batches(split_of(made["images"], made["labels"]), drawn, 16, CPU))


def test_loss_and_hits_are_those_of_the_logits(architecture: dict) -> None:
    net = preset(architecture | {"dropout": 0}, 3, 4, 20, seed=0)
    pixels, labels, *rest = batch = random_batch(0)
    loss, hits = loss_and_hits(net, "net0", False, *batch)
    logits = net(net.crop(pixels, *rest))
    torch.testing.assert_close(loss, functional.cross_entropy(logits, labels))
    assert hits == sum(int(row.argmax()) == label for row, label in zip(logits, labels.tolist(), strict=True))


def test_bfloat16_is_near_and_is_another_training(architecture: dict) -> None:
    losses = []
    for precision in ("float32", "bfloat16", "bfloat16"):
        net = preset(architecture | {"dropout": 0}, 3, 4, 20, seed=0)
        job = train.Job("net0", 0, settings_with(steps=3, batch=8, precision=precision))
        optimiser = new_optimiser(net, job.settings)
        loader = iter([random_batch(seed) for seed in range(3)])
        losses.append(train.train_epoch(net, optimiser, loader, job, 0, range(3), Snapshots([]))[0])
    assert losses[0] != losses[1] == losses[2]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_it_is_said_how_weights_were_computed() -> None:
    single, half = settings_with(), settings_with(precision="bfloat16")
    assert described(loss_and_hits, single, CPU) == "cpu, float32"
    assert described(loss_and_hits, half, CPU) == "cpu, bfloat16"
    assert described(loss_and_hits, single, CUDA) == "cuda, bfloat16"
    assert described(lambda *args: loss_and_hits(*args), single, CUDA) == "cuda, bfloat16, compiled"


def test_nothing_is_compiled_on_a_cpu(architecture: dict) -> None:
    net = preset(architecture, 3, 4, 20, seed=0)
    assert forward_of(net, "net0", settings_with(steps=COMPILED_FROM)) is loss_and_hits


@pytest.mark.slow
def test_without_a_compiler_training_goes_on_as_it_is(tmp_path: Path) -> None:
    """Said in one line; the net's buffers are as they were, and it has no gradients."""
    code = f"""
from tests.nets.test_compiling import compiled, loss_and_hits, torch
from workflow.convergent.nets import model
net = model.build("tests.nets.test_train:Normalised", {OWN}, 3, 4, 20, seed=0)
before = {{name: buffer.clone() for name, buffer in net.named_buffers()}}
assert compiled(net, "net0", 8) is loss_and_hits
assert all(torch.equal(before[name], buffer) for name, buffer in net.named_buffers())
assert all(p.grad is None for p in net.parameters())
"""
    bare = {"PATH": "", "CXX": "/no/compiler", "HOME": str(tmp_path), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **bare}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    (said,) = run.stdout.splitlines()
    assert said.startswith("net0: torch.compile fails, training is not compiled and takes longer: ")


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")
def test_compiled_training_has_equal_weights_in_two_runs_and_after_a_kill(
    tmp_path: Path, images: dict[str, Path], architecture: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = trained(tmp_path / "plain", images, architecture)
    monkeypatch.setattr(compiling, "COMPILED_FROM", 1)
    once, again = (trained(tmp_path / name, images, architecture) for name in ("once", "again"))
    assert once == again != plain
    assert '"cuda, bfloat16, compiled"' in (tmp_path / "once/net0.json").read_text()
    interrupted(2, tmp_path / "parts", images, architecture)
    assert trained(tmp_path / "parts", images, architecture) == once


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")
def test_compiled_steps_have_the_loss_of_plain_ones(architecture: dict) -> None:
    losses = []
    for fast in (False, True):
        net = preset(architecture | {"dropout": 0}, 3, 4, 20, seed=0).to(device.pick())
        forward = compiled(net, "net0", 8) if fast else loss_and_hits
        assert (forward is not loss_and_hits) == fast
        job = train.Job("net0", 0, settings_with(batch=8), forward)
        loader = iter([[x.to(net.mean.device) for x in random_batch(seed)] for seed in range(5)])
        losses.append(train.train_epoch(net, new_optimiser(net, job.settings), loader, job, 0, range(5), Snapshots([])))
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.02)
