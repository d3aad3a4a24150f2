"""Top patches: the images that excite each unit most, what it sees there, and what of that it answers to.

One pass over the images finds, for every unit of every layer, the images of highest activation and the position of the
maximum in each. A second step cuts the unit's receptive field from these images and projects the activation back to the
pixels through the deconvolutional net of Zeiler & Fergus 2014 ("Visualizing and understanding convolutional networks",
section 2.1), many units and images at a time.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.grad import conv2d_input

from . import activations, alexnet, device, nets, receptive, store

EMPTY = -1  # image, row and column of a slot that no image takes
GREY = 128  # of pixels that do not exist, and of a deconvolution's zero
LATEST = 2**31 - 1  # images are counted down from here in a rank, so that the earlier of two equals ranks higher


class Top(NamedTuple):
    """The images of highest activation of each unit so far, highest first."""

    rank: torch.Tensor  # (top, units) int64
    position: torch.Tensor  # (top, units) int64, row-major


def ordered(bits: torch.Tensor) -> torch.Tensor:
    """Bits of floats as whole numbers of the same order, and back: those of negative ones are flipped. int32"""
    return bits ^ (bits >> 31 & 0x7FFFFFFF)


def rank(activation: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Whole numbers that sort by activation and, where it is equal, by earlier image: no two images tie.

    The upper half is the float, the lower half the image. activation: float32; image: int64, broadcast with it -> int64
    """
    bits = activation.contiguous().view(torch.int32)
    return torch.add(LATEST - image, ordered(bits).long(), alpha=2**32)


def ranked(rank: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Activation (float32) and image (int64) of a rank."""
    return ordered((rank >> 32).int()).view(torch.float32), LATEST - (rank & 0xFFFFFFFF)


def nothing_yet(top: int, units: int, floor: float, place: torch.device) -> Top:
    """Empty slots, which only an activation above the floor takes."""
    empty = torch.full((top, units), EMPTY, device=place)
    return Top(rank(torch.full((top, units), floor, device=place), empty), empty)


def update(best: Top, activation: torch.Tensor, first: int) -> Top:
    """Take in the images first, first + 1, ...: one position each, the first of equals. (n, positions, units)

    The positions are looked for only in the images that enter, a few in a hundred.
    """
    images, top = len(activation), len(best.rank)
    image = torch.arange(first, first + images, device=activation.device)[:, None]
    found, order = torch.cat([best.rank, rank(activation.amax(1), image)]).topk(top, dim=0)
    position = best.position.gather(0, order.clamp_max(top - 1))  # (top, units)
    slot, unit = (order >= top).nonzero(as_tuple=True)
    position[slot, unit] = activation[order[slot, unit] - top, :, unit].argmax(1)
    return Top(found, position)


def search(
    net: nets.Net, images: store.Rows, batch: int, layers: Sequence[str], top: int
) -> dict[str, dict[str, np.ndarray]]:
    """layer -> image, row, column (int32) and activation (float32) of each unit's top images. (units, top)

    Activations of rectified layers count where they are positive, logits always.
    """
    modules = {layer: activations.recorded_module(net, layer) for layer in layers}
    floor = {layer: 0.0 if isinstance(module, nn.ReLU) else -torch.inf for layer, module in modules.items()}
    best: dict[str, Top] = {}
    recorder, index = activations.Recorder({"net": net}, layers), np.arange(len(images))
    for number, outputs in enumerate(recorder.stream(images, index, batch)):
        for layer in layers:
            if layer not in best:
                _, _, units = outputs[layer]["net"].shape
                best[layer] = nothing_yet(top, units, floor[layer], outputs[layer]["net"].device)
            best[layer] = update(best[layer], outputs.pop(layer)["net"], number * batch)  # memory is free for the next
    return {layer: indices(best[layer], (recorder.grids[layer] or (1, 1))[1]) for layer in layers}


def indices(best: Top, width: int) -> dict[str, np.ndarray]:
    """Named arrays of what the search found in a layer with so many columns. (units, top)"""
    activation, image = (x.T.cpu().numpy() for x in ranked(best.rank))
    row, column = np.divmod(best.position.T.cpu().numpy(), width)
    taken = image != EMPTY
    named = {"image": image, "row": row, "column": column}
    found = {name: np.where(taken, index, EMPTY).astype(np.int32) for name, index in named.items()}
    return {**found, "activation": np.where(taken, activation, np.float32(0))}


Back = Callable[[torch.Tensor], torch.Tensor]


def forward_and_back(module: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, Back]:
    """Output of a module, and the function that takes a signal at the output to the input.

    Zeiler & Fergus 2014, section 2.1: pooling is undone at the places where its maxima were, rectification rectifies
    the signal (whatever the activation was), a convolution is transposed and has no bias. Normalisation divides the
    signal by the denominator that it divided the activation by.
    """
    if isinstance(module, nn.Conv2d):
        stride, padding = module.stride, module.padding
        return module(x), lambda signal: conv2d_input(x.shape, module.weight, signal, stride, padding)
    if isinstance(module, nn.ReLU):
        return module(x), lambda signal: signal.clamp_min(0)
    if isinstance(module, nn.MaxPool2d):
        y, switches = functional.max_pool2d(x, module.kernel_size, module.stride, return_indices=True)
        zeros = torch.zeros(x.shape, device=x.device).flatten(2)
        return y, lambda signal: zeros.scatter_add(2, switches.flatten(2), signal.flatten(2)).view(x.shape)
    if isinstance(module, alexnet.LocalResponseNorm):
        denominator = module.denominator(x)
        return x / denominator, lambda signal: signal / denominator
    raise TypeError(f"no way back through {module}")


@torch.no_grad()
def deconvolve(
    net: nets.Net, layer: str, x: torch.Tensor, unit: torch.Tensor, row: torch.Tensor, column: torch.Tensor
) -> torch.Tensor:
    """A signal of 1 from one unit and position per crop, projected back to the pixels (Zeiler & Fergus 2014).

    x: (N, C, crop, crop) as of ``centre_crop``; unit, row, column: (N,) -> (N, C, crop, crop)
    """
    backs: list[Back] = []
    for name, module in net.body.named_children():
        x, back = forward_and_back(module, x)
        backs.append(back)
        if name == layer:
            break
    signal = torch.zeros_like(x)
    signal[torch.arange(len(x), device=x.device), unit, row, column] = 1
    for back in reversed(backs):
        signal = back(signal)
    return signal


def display(signal: torch.Tensor) -> np.ndarray:
    """Pictures around mid-grey, each scaled by its own largest size. (N, C, H, W) -> (N, H, W, C) uint8"""
    largest = signal.abs().amax((1, 2, 3), keepdim=True)
    scaled = signal / torch.where(largest > 0, largest, 1)
    return (GREY + 127 * scaled).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def cut(pictures: np.ndarray, corner: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
    """Squares with the given corners, grey outside their valid box.

    pictures: (N, crop, crop, C) uint8; corner: (N, 2); box: (N, 4) -> (N, side, side, C) uint8
    """
    span, last = np.arange(side), pictures.shape[1] - 1
    rows, columns = (np.clip(corner[:, [axis]] + span, 0, last) for axis in (0, 1))  # (N, side)
    valid_rows, valid_columns = ((span >= box[:, [axis]]) & (span < box[:, [axis + 2]]) for axis in (0, 1))
    squares = pictures[np.arange(len(pictures))[:, None, None], rows[:, :, None], columns[:, None, :]]
    valid = valid_rows[:, :, None] & valid_columns[:, None, :]
    return np.where(valid[..., None], squares, np.uint8(GREY))


def filled(image: np.ndarray, batch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Units and slots that hold an image, a batch at a time. (units, top) -> pairs of (n,)"""
    unit, slot = np.nonzero(image != EMPTY)
    for first in range(0, len(unit), batch):
        yield unit[first : first + batch], slot[first : first + batch]


def central(net: nets.Net, stored: np.ndarray) -> np.ndarray:
    """The stored pixels that the net sees. (N, size, size, C) -> (N, crop, crop, C)"""
    corner = (net.size - net.width) // 2
    return stored[:, corner : corner + net.width, corner : corner + net.width]


def thumbnails(net: nets.Net, images: store.Rows, image: np.ndarray, batch: int) -> np.ndarray:
    """What the net sees of each unit's top images. (units, top) -> (units, top, crop, crop, C) uint8"""
    found = np.full((*image.shape, net.width, net.width, net.channels), GREY, np.uint8)
    for unit, slot in filled(image, batch):
        found[unit, slot] = central(net, images[image[unit, slot]])
    return found


def fields(
    net: nets.Net, images: store.Rows, layer: str, found: dict[str, np.ndarray], batch: int
) -> dict[str, np.ndarray]:
    """``patch``, ``deconv`` (units, top, h, w, C) uint8 and valid ``box`` (units, top, 4) int32 of a search's finds."""
    crop, place = net.width, net.mean.device
    seen = receptive.field(net.settings, layer)
    side = receptive.side(seen, crop)
    shape = found["image"].shape
    patch = np.full((*shape, side, side, net.channels), GREY, np.uint8)
    deconv, boxes = patch.copy(), np.zeros((*shape, 4), np.int32)
    for unit, slot in filled(found["image"], batch):
        image, row, column = (found[name][unit, slot] for name in ("image", "row", "column"))
        corner, box = receptive.windows(seen, crop, row, column)
        stored = images[image]
        at = (torch.from_numpy(index).long().to(place) for index in (unit, row, column))
        signal = deconvolve(net, layer, net.centre_crop(torch.from_numpy(stored).to(place)), *at)
        patch[unit, slot] = cut(central(net, stored), corner, box, side)
        deconv[unit, slot] = cut(display(signal), corner, box, side)
        boxes[unit, slot] = box
    return {"patch": patch, "deconv": deconv, "box": boxes}


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="image store (zarr.json)")
    parser.add_argument("net", help="description of the net (.json), weights beside it")
    parser.add_argument("output", help="store to write (zarr.json)")
    parser.add_argument("--layers", nargs="+", required=True)
    parser.add_argument("--top", type=int, default=9, help="images of each unit")
    parser.add_argument("--batch", type=int, default=120, help="images, or pictures, in one pass")
    parser.add_argument("--threads", type=int, default=1, help="fixed, because the last bits depend on it")
    activations.add_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    device.deterministic(args.threads)
    net = nets.load(args.net, args.modules).to(device.pick())
    about, images = store.attributes(args.images), store.Rows(args.images, "images")
    store.require_equal("image shapes", images=images.shape[1:], net=(net.size, net.size, net.channels))
    arrays: dict[str, np.ndarray] = {}
    for layer, found in search(net, images, args.batch, args.layers, args.top).items():
        if isinstance(net.body.get_submodule(layer), nn.Conv2d):
            pictures = fields(net, images, layer, found, args.batch)
        else:
            pictures = {"thumbnail": thumbnails(net, images, found["image"], args.batch)}
        arrays |= {f"{layer}/{name}": array for name, array in {**found, **pictures}.items()}
        taken = found["image"] != EMPTY
        print(f"{layer}: {len(taken)} units, {(~taken.any(1)).sum()} never active, {taken.sum()} pictures", flush=True)
    store.save(
        args.output,
        arrays,
        images=about["sha256"],
        net=nets.weights_digest(net),
        layers=args.layers,
        top=args.top,
        batch=args.batch,
    )


if __name__ == "__main__":
    main()
