"""Which images make a net put out what is not finite. They are looked for only once something was not.

A net that standardises each picture divides by zero in one of a single colour, and is sound on all others.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch
from torch.nn import functional

from .. import store
from ..commands import InputError
from ..images.names import name_of
from . import activations, model
from .crops import Split, cut

NAMED = 3  # images in a message


def remedy(images: store.StoredArray, index: np.ndarray, finite: Iterable[torch.Tensor]) -> str:
    """The end of a message that names images to remove; empty where it is not some images alone that fail.

    index: (n,) rows of the images; finite: (k,) bool of each k of them in turn, read up to the first that fail
    """
    seen = 0
    for flags in finite:
        wrong = index[seen : seen + len(flags)][~flags.cpu().numpy()]
        seen += len(flags)
        if len(wrong) == seen > 1:  # it is the net
            return ""
        if len(wrong):
            names = ", ".join(name_of(images, row) for row in wrong[:NAMED].tolist())
            return f", or remove the images that cause it, {len(wrong)} of the first {seen}: {names}"
    return ""


def rowwise(output: torch.Tensor) -> torch.Tensor:
    """Whether all that a net puts out for an image is finite. (n, ...) -> (n,) bool"""
    return output.isfinite().flatten(1).all(1)


@contextmanager
def named(recorder: activations.Recorder, images: store.StoredArray, index: np.ndarray, batch: int) -> Iterator[None]:
    """A NotFiniteError of the block is raised again with the images that cause it.

    index: rows of the images that the block looks at, in the order of the pass; batch: images in one forward pass
    """
    try:
        yield
    except activations.NotFiniteError as error:
        again = recorder.stream(images, index, batch)
        finite = (rowwise(outputs[error.layer][error.net]) for outputs in again)
        raise activations.NotFiniteError(f"{error}{remedy(images, index, finite)}", error.net, error.layer) from None


class DivergedError(InputError):
    """The loss of a net is not finite in a step, counted from 0."""

    def __init__(self, text: str, step: int) -> None:
        super().__init__(text)
        self.step = step


@contextmanager
def of_evaluation(net: model.Net, images: store.StoredArray, batch: int) -> Iterator[None]:
    """A DivergedError of the block is raised again with the images, where the net's logits are finite for others."""
    try:
        yield
    except DivergedError as error:
        index = np.arange(len(images))
        crops = map(net.centre_crop, activations.batches(images, index, batch, net.mean.device))
        with torch.no_grad():
            raise DivergedError(f"{error}{remedy(images, index, map(rowwise, map(net, crops)))}", error.step) from None


def finite_alone(net: model.Net, arrays: Sequence[np.ndarray]) -> torch.Tensor:
    """Whether a net's logits and gradients are finite for one image. () bool

    arrays: pixels of its crop, label, row and column of the corner, and mirroring, (1, ...) each
    """
    pixels, label, *window = (torch.from_numpy(array).to(net.mean.device) for array in arrays)
    net.zero_grad()
    logits = net(net.crop(pixels, *window))
    functional.cross_entropy(logits, label).backward()
    slopes = [weight.grad for weight in net.parameters() if weight.grad is not None]
    return torch.stack([x.isfinite().all() for x in (logits, *slopes)]).all()


@contextmanager
def of_training(
    net: model.Net,
    split: Split,
    draw: Callable[[], Iterable[tuple[np.ndarray, ...]]],
    first: int,
    seed: int,
) -> Iterator[None]:
    """A DivergedError of the block is raised again with the images, where a net before its training fails at some.

    The net itself is ruined by then. Looked at are the images of that step and of the one before, whose gradient may
    have done it. draw: the batches of the epoch again, as ``train.draws``; first: number of its first step
    """
    try:
        yield
    except DivergedError as error:
        fresh = model.build(**{name: getattr(net, name) for name in model.BUILT_FROM}, seed=seed).eval()
        fresh.mean, fresh.deviation = net.mean, net.deviation
        fresh.to(net.mean.device)
        step = error.step - first
        drawn = [np.concatenate(parts) for parts in zip(*islice(draw(), max(0, step - 1), step + 1), strict=True)]
        alone = (
            finite_alone(fresh, cut(split, tuple(part[[i]] for part in drawn), net.crop_width))
            for i in range(len(drawn[0]))
        )
        raise DivergedError(f"{error}{remedy(split.images, drawn[0], [torch.stack([*alone])])}", error.step) from None
