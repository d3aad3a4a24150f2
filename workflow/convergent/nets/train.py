"""Train one net from its seed. A training that was killed goes on from its checkpoint and ends with equal weights.

The weights depend on seed, settings, images, code, versions of packages and the kind of device, not on interruptions:
the order of images, the crops and the dropout of each epoch are drawn from seeds that are derived by name. A checkpoint
is resumed only where all of these are unchanged, and removed once its net is saved.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from .. import store, tables
from ..allocation import keep_freed_memory
from ..commands import InputError, command, new_parser
from ..seeds import derive
from . import batching, checkpoints, compiling, culprits, device, model, untrained
from .architecture import ALEXNET
from .crops import Split, batches, draws
from .optimisation import TrainingSettings, learning_rate, new_optimiser, set_learning_rate
from .snapshots import Snapshots, steps_of

CHECK_EVERY = 50  # steps between looks at the loss; each look waits for the device


class Job(NamedTuple):
    """One training: its name in messages, its seed, its settings, and its forward pass as of ``compiling``."""

    name: str
    seed: int
    settings: TrainingSettings
    forward: compiling.Forward = compiling.loss_and_hits


def require_finite(losses: torch.Tensor, name: str, epoch: int, first: int, kind: str = "loss") -> None:
    """Raise DivergedError that names net, epoch and step of the first loss that is not finite.

    losses: (steps,) from step ``first`` on; epochs and steps count from 0 here and from 1 in the message.
    """
    wrong = torch.nonzero(~torch.isfinite(losses)).flatten()
    if len(wrong):
        step = first + int(wrong[0])
        raise culprits.DivergedError(
            f"{name}: {kind} is {losses[wrong[0]].item()} in epoch {epoch + 1} at step {step + 1}; "
            "lower training.learning_rate or training.clip",
            step,
        )


def train_epoch(
    net: model.Net,
    optimiser: torch.optim.SGD,
    loader: Iterator[Sequence[torch.Tensor]],
    job: Job,
    epoch: int,
    steps: range,
    snapshots: Snapshots,
) -> tuple[float, float]:
    """Mean loss and top-1 accuracy over the given steps, which train the net in place. Takes the snapshots due."""
    place, settings = net.mean.device, job.settings
    half = compiling.in_bfloat16(settings, place)
    losses = torch.zeros(len(steps), device=place)
    correct = torch.zeros((), device=place)
    net.train()
    for k, (step, batch) in enumerate(zip(steps, loader, strict=False)):
        set_learning_rate(optimiser, learning_rate(step, settings))
        loss, hits = job.forward(net, job.name, half, *batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if settings.clip:
            torch.nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        optimiser.step()
        snapshots.take(step + 1, net)
        losses[k] = loss.detach()
        correct += hits
        if (k + 1) % CHECK_EVERY == 0 or k + 1 == len(steps):
            require_finite(losses[: k + 1], job.name, epoch, steps.start)
    return float(losses.mean()), float(correct) / (len(steps) * settings.batch)


@torch.no_grad()
def evaluate(net: model.Net, images: store.StoredArray, labels: np.ndarray, batch: int) -> tuple[float, float]:
    """Mean loss and top-1 accuracy on the centre crops of all images; the loss is NaN where a logit is not finite."""
    place = net.mean.device
    loss = correct = torch.zeros((), device=place)
    net.eval()
    parts = (np.arange(first, min(first + batch, len(labels))) for first in range(0, len(labels), batch))
    loaded = device.load_ahead(lambda part: [images[part], labels[part].astype(np.int64)], parts, place)
    for pixels, target in loaded:
        logits = net(net.centre_crop(pixels))
        batch_loss = functional.cross_entropy(logits, target, reduction="sum")
        loss = loss + torch.where(logits.isfinite().all(), batch_loss, torch.nan)
        correct = correct + (logits.argmax(1) == target).sum()
    return float(loss) / len(labels), float(correct) / len(labels)


def train_and_evaluate(
    net: model.Net,
    optimiser: torch.optim.SGD,
    splits: dict[str, Split],
    job: Job,
    epoch: int,
    snapshots: Snapshots,
) -> tuple[dict[str, float], float]:
    """One epoch, or the steps that are left of it: its row of the history, and training images per second."""
    split, batch = splits["train"], job.settings.batch
    per_epoch = len(split.labels) // batch
    steps = range(epoch * per_epoch, min((epoch + 1) * per_epoch, job.settings.steps))
    torch.manual_seed(derive(job.seed, "dropout", epoch))
    drawn = partial(draws, len(split.labels), batch, net.size - net.crop_width, derive(job.seed, "batches", epoch))
    loader = batches(split, drawn(), net.crop_width, net.mean.device)
    begun = time.monotonic()
    with culprits.of_training(net, split, drawn, steps.start, job.seed):
        loss, top1 = train_epoch(net, optimiser, loader, job, epoch, steps, snapshots)
    rate = len(steps) * batch / (time.monotonic() - begun)
    together = batching.of_nets([net])
    val_loss, val_top1 = evaluate(net, *splits["val"], together)
    # training losses are computed before each step's update: only this one has seen the last update
    with culprits.of_evaluation(net, splits["val"].images, together):
        require_finite(torch.tensor([val_loss]), job.name, epoch, steps.stop - 1, "validation loss")
    row = {"epoch": epoch + 1, "step": steps.stop, "loss": loss, "top1": top1}
    return {**row, "val_loss": val_loss, "val_top1": val_top1}, rate


def train(
    net: model.Net, splits: dict[str, Split], job: Job, checkpoint: Path, key: str
) -> tuple[list[dict[str, float]], Snapshots]:
    """History, one row an epoch, and snapshots of training a net in place.

    It goes on from the checkpoint where that has the key.
    """
    epochs = -(-job.settings.steps // (len(splits["train"].labels) // job.settings.batch))
    optimiser = new_optimiser(net, job.settings)
    snapshots = Snapshots(steps_of(job.settings.snapshots, job.settings.steps))
    history = checkpoints.resume(checkpoint, key, net, optimiser, snapshots, job.name)
    started, first = time.monotonic(), len(history)
    for epoch in range(first, epochs):
        row, rate = train_and_evaluate(net, optimiser, splits, job, epoch, snapshots)
        history.append(row)
        checkpoints.save(checkpoint, checkpoints.state_of(key, net, optimiser, snapshots, history))
        left = (time.monotonic() - started) / (epoch + 1 - first) * (epochs - epoch - 1)
        print(
            f"{job.name}: epoch {epoch + 1}/{epochs}, loss {row['loss']:.3f}, top-1 {row['top1']:.1%}, "
            f"validation top-1 {row['val_top1']:.1%}, {rate:.0f} images/s, {left:.0f} s left",
            flush=True,
        )
    return history, snapshots


def save_snapshots(net: model.Net, snapshots: Snapshots, descriptions: Sequence[Path], **origin: Any) -> None:
    """Write the weights of each snapshot in turn, which the net then has. descriptions: a ``.json`` of each"""
    for path, (step, weights) in zip(descriptions, sorted(snapshots.weights.items()), strict=True):
        net.load_state_dict(weights)
        model.save(net, path.with_suffix(".pt"), path, step=step, **origin)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("train", help="store of the images to train on (zarr.json)")
    parser.add_argument("val", help="store of the images to validate on (zarr.json)")
    parser.add_argument("description", type=Path, help="file to write digest and architecture to (.json)")
    parser.add_argument("weights", type=Path, help="file to write the weights to (.pt)")
    parser.add_argument("history", type=Path, help="table to write losses and accuracies to, one row an epoch (.csv)")
    parser.add_argument(
        "--snapshots",
        nargs="*",
        default=[],
        type=Path,
        help="file to write the description of each snapshot to, by step (.json), with weights beside it (.pt)",
    )
    parser.add_argument("--name", required=True, help="name of the net in messages and descriptions")
    untrained.add_options(parser)
    parser.add_argument(
        "--training",
        required=True,
        type=json.loads,
        help="JSON object, the configuration's section training with every key: steps, batch, learning_rate, ...",
    )
    parser.add_argument(
        "--code",
        nargs="+",
        required=True,
        type=Path,
        help="source files that the weights depend on; a checkpoint made by other contents is not resumed",
    )
    parser.add_argument("--checkpoints", required=True, type=Path, help="folder of the checkpoint, made where missing")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    settings = TrainingSettings.from_section(args.training)
    device.deterministic(settings.threads, strict=args.architecture == ALEXNET)
    keep_freed_memory()
    paths = {"train": args.train, "val": args.val}
    attributes = {split: store.attributes(path, "images") for split, path in paths.items()}
    splits = {
        split: Split(store.StoredArray(path, "images"), store.load(path, "labels")["labels"])
        for split, path in paths.items()
    }
    store.require_equal("image sizes", **{split: images.shape[1:] for split, (images, _) in splits.items()})
    store.require_equal("classes", **{split: stored["classes"] for split, stored in attributes.items()})
    images, labels = splits["train"]
    if len(labels) < settings.batch:
        raise InputError(f"training.batch: {settings.batch} images, but there are only {len(labels)} to train on")
    classes = len(attributes["train"]["classes"])
    net = untrained.initial_net(args.architecture, args.settings, images, classes, args.seed)
    if net.classes < classes:
        raise InputError(f"architecture: {args.architecture} has {net.classes} outputs for {classes} classes of images")
    net.to(device.pick())
    digests = [stored["sha256"] for stored in attributes.values()]
    job = Job(args.name, args.seed, settings, compiling.forward_of(net, args.name, settings))
    how = compiling.described(job.forward, settings, device.pick())
    key = checkpoints.training_key(net, settings, args.seed, digests, how, args.code)
    with checkpoints.lock(args.checkpoints, args.name):
        history, snapshots = train(net, splits, job, args.checkpoints / "state.pt", key)
        tables.write(args.history, history, kind="training", net=args.name, images=digests)
        origin = {"seed": args.seed, "images": attributes["train"]["sha256"], "computed": how}
        model.save(net.cpu(), args.weights, args.description, **origin, top1=history[-1]["val_top1"])
        origin |= {"snapshot_of": args.name, "becomes": model.weights_digest(net), "steps": settings.steps}
        save_snapshots(net, snapshots, args.snapshots, **origin)
        (args.checkpoints / "state.pt").unlink()


if __name__ == "__main__":
    main()
