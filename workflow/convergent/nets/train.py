"""Train one net from its seed; goes on from its checkpoint when that was made with the same settings.

The weights are a function of seed, settings, images and this source alone: the order of images, crops and dropout of
each epoch are drawn from seeds derived by name, so that a run that was killed ends with the same weights.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from .. import store, tables
from ..commands import InputError, command, new_parser
from ..seeds import derive
from . import checkpoints, device, model, untrained

CHECK_EVERY = 50  # steps between looks at the loss, each of which waits for the device


def learning_rate(step: int, settings: dict[str, Any]) -> float:
    """Rate of a step (from 0): linear warm-up, then linear decay to 0 or a factor every so many steps."""
    rate = settings["learning_rate"] * min(1.0, (step + 1) / max(settings["warmup"], 1))
    decay = settings["decay"]
    if decay == "linear":
        return rate * (1 - step / settings["steps"])
    return rate * decay["factor"] ** (step // decay["every"])


def optimiser(net: torch.nn.Module, settings: dict[str, Any]) -> torch.optim.SGD:
    """SGD whose biases may learn at another rate and without weight decay; ``scale`` keeps each group's factor."""
    weights = [p for name, p in net.named_parameters() if not name.endswith("bias")]
    biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
    groups = [
        {"params": weights, "scale": 1.0},
        {
            "params": biases,
            "scale": settings["bias_rate"],
            "weight_decay": settings["weight_decay"] * settings["bias_decay"],
        },
    ]
    return torch.optim.SGD(
        groups,
        lr=settings["learning_rate"],
        momentum=settings["momentum"],
        nesterov=settings["nesterov"],
        weight_decay=settings["weight_decay"],
    )


def draws(count: int, batch: int, span: int, seed: int) -> Iterator[tuple[np.ndarray, ...]]:
    """One epoch of indices, corners of the crops (from 0 to span) and whether to mirror, in seeded order. (batch,)"""
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    for first in range(0, count - batch + 1, batch):
        rows, columns = rng.integers(0, span + 1, (2, batch))
        yield order[first : first + batch], rows, columns, rng.random(batch) < 0.5


def batches(
    images: store.StoredArray, labels: np.ndarray, draw: Iterable[tuple[np.ndarray, ...]], place: torch.device
) -> Iterator[list[torch.Tensor]]:
    """Images, labels and the rest of each draw on their way to a device; loaded while it computes."""

    def load(drawn: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        index, *rest = drawn
        return [images[index], labels[index].astype(np.int64), *rest]

    return device.loaded(load, draw, place)


def require_finite(losses: torch.Tensor, name: str, epoch: int, first: int, kind: str = "loss") -> None:
    """Stop where a loss is not finite, naming net, epoch and step."""
    wrong = torch.nonzero(~torch.isfinite(losses)).flatten()
    if len(wrong):
        step = first + int(wrong[0])
        raise InputError(
            f"{name}: {kind} is {losses[wrong[0]].item()} in epoch {epoch + 1} at step {step + 1}; "
            "lower training.learning_rate or training.clip"
        )


def train_epoch(
    net: model.Net,
    sgd: torch.optim.SGD,
    loader: Iterator[Sequence[torch.Tensor]],
    settings: dict[str, Any],
    name: str,
    epoch: int,
    steps: range,
) -> tuple[float, float]:
    """Run the given steps; mean loss and top-1 over them."""
    place = net.mean.device
    losses = torch.zeros(len(steps), device=place)
    right = torch.zeros((), device=place)
    net.train()
    for k, (step, batch) in enumerate(zip(steps, loader, strict=False)):
        images, labels, rows, columns, flip = batch
        for group in sgd.param_groups:
            group["lr"] = learning_rate(step, settings) * group["scale"]
        with torch.autocast(place.type, torch.bfloat16, enabled=place.type == "cuda"):
            logits = net(net.crop(images, rows, columns, flip))
            if not isinstance(logits, torch.Tensor):
                raise InputError(
                    f"{name}: {net.architecture} returns a {type(logits).__name__} in training, not logits"
                )
            loss = functional.cross_entropy(logits, labels)
        sgd.zero_grad(set_to_none=True)
        loss.backward()
        if settings["clip"]:
            torch.nn.utils.clip_grad_norm_(net.parameters(), settings["clip"])
        sgd.step()
        losses[k] = loss.detach()
        right += (logits.detach().argmax(1) == labels).sum()
        if (k + 1) % CHECK_EVERY == 0 or k + 1 == len(steps):
            require_finite(losses[: k + 1], name, epoch, steps.start)
    return float(losses.mean()), float(right) / (len(steps) * settings["batch"])


@torch.no_grad()
def evaluate(net: model.Net, images: store.StoredArray, labels: np.ndarray, batch: int) -> tuple[float, float]:
    """Mean loss and top-1 on the centre crops of all images."""
    place = net.mean.device
    loss = right = torch.zeros((), device=place)
    net.eval()
    parts = ((np.arange(first, min(first + batch, len(labels))),) for first in range(0, len(labels), batch))
    for pixels, target in batches(images, labels, parts, place):
        logits = net(net.centre_crop(pixels))
        loss = loss + functional.cross_entropy(logits, target, reduction="sum")
        right = right + (logits.argmax(1) == target).sum()
    return float(loss) / len(labels), float(right) / len(labels)


def training_key(net: model.Net, training: dict, seed: int, images: list[str], kind: str, code: Iterable[Path]) -> str:
    """sha256 of all that weights and history depend on: training does not resume from a checkpoint of another key.

    code: the files that the weights are a function of, the same that make the workflow train again when one is edited
    """
    contents = [file.read_text() for file in code]
    what = [net.architecture, net.settings, training, seed, images, kind, torch.__version__, contents]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def train_and_evaluate(
    net: model.Net,
    sgd: torch.optim.SGD,
    splits: dict[str, tuple[store.StoredArray, np.ndarray]],
    settings: dict[str, Any],
    name: str,
    seed: int,
    epoch: int,
) -> tuple[dict[str, float], float]:
    """One epoch, or what the steps leave of it: its row of the history, and images trained on in a second."""
    images, labels = splits["train"]
    per_epoch = len(labels) // settings["batch"]
    steps = range(epoch * per_epoch, min((epoch + 1) * per_epoch, settings["steps"]))
    torch.manual_seed(derive(seed, "dropout", epoch))
    drawn = draws(len(labels), settings["batch"], net.size - net.width, derive(seed, "batches", epoch))
    loader = batches(images, labels, drawn, net.mean.device)
    begun = time.monotonic()
    loss, top1 = train_epoch(net, sgd, loader, settings, name, epoch, steps)
    rate = len(steps) * settings["batch"] / (time.monotonic() - begun)
    val_loss, val_top1 = evaluate(net, *splits["val"], settings["batch"])
    # no training loss has seen what the last step made of the weights
    require_finite(torch.tensor([val_loss]), name, epoch, steps.stop - 1, "validation loss")
    row = {"epoch": epoch + 1, "step": steps.stop, "loss": loss, "top1": top1}
    return {**row, "val_loss": val_loss, "val_top1": val_top1}, rate


def train(
    net: model.Net,
    splits: dict[str, tuple[store.StoredArray, np.ndarray]],
    settings: dict[str, Any],
    name: str,
    seed: int,
    checkpoint: Path,
    key: str,
) -> list[dict[str, float]]:
    """Train in place, or go on from the checkpoint; the history, one row an epoch."""
    epochs = -(-settings["steps"] // (len(splits["train"][1]) // settings["batch"]))
    sgd = optimiser(net, settings)
    history = checkpoints.resume(checkpoint, key, net, sgd, name)
    started, first = time.monotonic(), len(history)
    for epoch in range(first, epochs):
        row, rate = train_and_evaluate(net, sgd, splits, settings, name, seed, epoch)
        history.append(row)
        state = {"key": key, "net": net.state_dict(), "optimiser": sgd.state_dict(), "history": history}
        checkpoints.save(checkpoint, state)
        left = (time.monotonic() - started) / (epoch + 1 - first) * (epochs - epoch - 1)
        print(
            f"{name}: epoch {epoch + 1}/{epochs}, loss {row['loss']:.3f}, top-1 {row['top1']:.1%}, "
            f"validation top-1 {row['val_top1']:.1%}, {rate:.0f} images/s, {left:.0f} s left",
            flush=True,
        )
    return history


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("train", help="image store to train on (zarr.json)")
    parser.add_argument("val", help="image store for validation (zarr.json)")
    parser.add_argument("description", type=Path, help="digest and architecture to write (.json)")
    parser.add_argument("weights", type=Path, help="weights to write (.pt)")
    parser.add_argument("history", type=Path, help="history to write, one row an epoch (.csv)")
    parser.add_argument("--name", required=True, help="of the net, for messages")
    untrained.add_options(parser)
    parser.add_argument("--training", required=True, type=json.loads, help="JSON, the configuration's section")
    parser.add_argument(
        "--code",
        nargs="+",
        required=True,
        type=Path,
        help="source files that the weights depend on; a checkpoint made by others is not resumed",
    )
    parser.add_argument("--checkpoints", required=True, type=Path, help="folder of the resumable state")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    settings = args.training
    device.deterministic(settings["threads"], strict=args.architecture == model.ALEXNET)
    paths = {"train": args.train, "val": args.val}
    about = {split: store.attributes(path) for split, path in paths.items()}
    splits = {
        split: (store.StoredArray(path, "images"), store.load(path, "labels")["labels"])
        for split, path in paths.items()
    }
    store.require_equal("image sizes", **{split: images.shape[1:] for split, (images, _) in splits.items()})
    store.require_equal("classes", **{split: found["classes"] for split, found in about.items()})
    images, labels = splits["train"]
    if len(labels) < settings["batch"]:
        raise InputError(f"training.batch: {settings['batch']} images, but there are only {len(labels)} to train on")
    net = untrained.initial_net(args.architecture, args.settings, images, len(about["train"]["classes"]), args.seed)
    net.to(device.pick())
    digests = [found["sha256"] for found in about.values()]
    key = training_key(net, settings, args.seed, digests, device.pick().type, args.code)
    with checkpoints.lock(args.checkpoints, args.name):
        history = train(net, splits, settings, args.name, args.seed, args.checkpoints / "state.pt", key)
    tables.write(args.history, history)
    found = {"seed": args.seed, "images": about["train"]["sha256"], "top1": history[-1]["val_top1"]}
    model.save(net.cpu(), args.weights, args.description, **found)


if __name__ == "__main__":
    main()
