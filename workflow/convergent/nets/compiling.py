"""The forward pass of a training step, as it is or compiled.

On a GPU most of a step is not products but passes over memory between them: pooling, normalisation, conversions. The
compiler (torch.compile) joins these, which makes a step of the paper's nets twice as fast. To compile takes 40 seconds,
so it pays in long trainings alone. The last bits of the weights depend on it, as dropout does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.nn import functional

from ..commands import InputError
from . import model
from .optimisation import TrainingSettings

COMPILED_FROM = 5000  # steps of a training on CUDA that is compiled

Forward = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def logits_of(net: model.Net, crops: torch.Tensor, name: str) -> torch.Tensor:
    """Logits (N, classes) in training. Raises InputError where the net returns something else."""
    logits = net(crops)
    if not isinstance(logits, torch.Tensor):
        raise InputError(f"{name}: {net.architecture} returns a {type(logits).__name__} in training, not logits")
    return logits


def loss_and_hits(
    net: model.Net,
    name: str,
    half: bool,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
    flip: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss () of a batch in training, and how many of its labels come first ().

    name: of the net in messages, half: whether to compute in bfloat16; the rest is a batch as of ``crops.cut``
    """
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=half):
        logits = logits_of(net, net.crop(pixels, rows, columns, flip), name)
        loss = functional.cross_entropy(logits, labels)
    return loss, (logits.detach().argmax(1) == labels).sum()


def in_bfloat16(settings: TrainingSettings, place: torch.device) -> bool:
    """Whether a training computes in bfloat16: always on CUDA, elsewhere where it is set."""
    return place.type == "cuda" or settings.precision == "bfloat16"


def described(forward: Forward, settings: TrainingSettings, place: torch.device) -> str:
    """What the last bits of weights depend on beside settings, in words: ``cuda, bfloat16, compiled``."""
    precision = "bfloat16" if in_bfloat16(settings, place) else "float32"
    return ", ".join([place.type, precision, *(["compiled"] if forward is not loss_and_hits else [])])


@contextmanager
def unchanged(net: model.Net) -> Iterator[None]:
    """A net's buffers and gradients are afterwards as before."""
    buffers = [buffer.clone() for buffer in net.buffers()]
    try:
        yield
    finally:
        for buffer, before in zip(net.buffers(), buffers, strict=True):
            buffer.copy_(before)
        net.zero_grad()


def compiled(net: model.Net, name: str, batch: int) -> Forward:
    """``loss_and_hits`` compiled for a net and size of batch; as it is, with one line, where the compiler fails."""
    place, width = net.mean.device, net.crop_width
    zeros = torch.zeros(batch, dtype=torch.int64, device=place)
    grey = torch.zeros(batch, width, width, net.channels, dtype=torch.uint8, device=place)
    fast = torch.compile(loss_and_hits, dynamic=False)
    with unchanged(net):
        try:
            fast(net.train(), name, True, grey, zeros, zeros, zeros, zeros.bool())[0].backward()
        except InputError:
            raise
        except Exception as error:  # of the compiler, of what it starts, and of what it makes of a user's net
            why = str(error).strip().splitlines()[:1] or [type(error).__name__]
            print(f"{name}: torch.compile fails, training is not compiled and takes longer: {why[0]}", flush=True)
            return loss_and_hits
    return fast


def forward_of(net: model.Net, name: str, settings: TrainingSettings) -> Forward:
    """The forward pass of a training: compiled on CUDA where there are steps enough."""
    if net.mean.device.type == "cuda" and settings.steps >= COMPILED_FROM:
        return compiled(net, name, settings.batch)
    return loss_and_hits
