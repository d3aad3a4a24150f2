"""Top patches: the images that excite each unit most, what it sees there, and what of that it answers to.

One pass over the images finds, for every unit of every layer, the images of highest activation and the position of the
maximum in each. A second step cuts the unit's receptive field from these images and projects the activation back to the
pixels, many units and images at a time. Units of a layer without positions see the whole crop; of that a thumbnail is
kept.
"""

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.nn import functional

from .. import store
from ..commands import command, new_parser
from ..nets import activations, device, model
from . import deconvolution, receptive
from .search import EMPTY, Found, search

GREY = 128  # of pixels that do not exist, and of a deconvolution's zero
THUMBNAIL = 64  # pixels of width, at most: of 4096 units 0.45 GB, where whole crops of 227 pixels would take 5.7 GB


def display(signal: torch.Tensor) -> np.ndarray:
    """Pictures around mid-grey, each scaled by its own largest size. (N, C, H, W) -> (N, H, W, C) uint8"""
    largest = signal.abs().amax((1, 2, 3), keepdim=True)
    scaled = signal / torch.where(largest > 0, largest, 1)
    return (GREY + 127 * scaled).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def cut(pictures: np.ndarray, corner: np.ndarray, box: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """Rectangles with the given corners, grey outside their valid box.

    pictures: (N, crop, crop, C) uint8; corner: (N, 2); box: (N, 4); sides: (h, w) -> (N, h, w, C) uint8
    """
    last = pictures.shape[1] - 1
    inside, valid = [], []
    for axis, side in enumerate(sides):
        span = np.arange(side)
        inside.append(np.clip(corner[:, [axis]] + span, 0, last))  # (N, side)
        valid.append((span >= box[:, [axis]]) & (span < box[:, [axis + 2]]))
    rows, columns = inside
    rectangles = pictures[np.arange(len(pictures))[:, None, None], rows[:, :, None], columns[:, None, :]]
    seen = valid[0][:, :, None] & valid[1][:, None, :]
    return np.where(seen[..., None], rectangles, np.uint8(GREY))


def filled(image: np.ndarray, batch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Units and slots that hold an image, a batch at a time. (units, top) -> pairs of (n,)"""
    unit, slot = np.nonzero(image != EMPTY)
    for first in range(0, len(unit), batch):
        yield unit[first : first + batch], slot[first : first + batch]


def central(net: model.Net, stored: np.ndarray) -> np.ndarray:
    """The stored pixels that the net sees. (N, size, size, C) -> (N, crop, crop, C)"""
    corner = (net.size - net.crop_width) // 2
    return stored[:, corner : corner + net.crop_width, corner : corner + net.crop_width]


def reduced(pictures: np.ndarray) -> np.ndarray:
    """Pictures of thumbnail size, each pixel the mean of an area; smaller ones as they are. (N, width, width, C)"""
    if pictures.shape[1] <= THUMBNAIL:
        return pictures
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    return functional.adaptive_avg_pool2d(x, THUMBNAIL).round().byte().permute(0, 2, 3, 1).numpy()


def thumbnails(net: model.Net, images: store.StoredArray, image: np.ndarray, batch: int) -> dict[str, np.ndarray]:
    """``thumbnail`` (n, top, h, w, C) uint8 of what the net sees of n units' top images. image: (n, top)"""
    side = min(net.crop_width, THUMBNAIL)
    thumbnail = np.full((*image.shape, side, side, net.channels), GREY, np.uint8)
    for unit, slot in filled(image, batch):
        thumbnail[unit, slot] = reduced(central(net, images[image[unit, slot]]))
    return {"thumbnail": thumbnail}


def patches(
    net: model.Net,
    images: store.StoredArray,
    layer: str,
    seen: receptive.Fields,
    found: Found,
    units: np.ndarray,
    batch: int,
) -> dict[str, np.ndarray]:
    """``patch``, ``deconv`` (n, top, h, w, C) uint8 and valid ``box`` (n, top, 4) int32 of n units.

    found: what the search found of all units of the layer; units: (n,) of them
    """
    crop, place = net.crop_width, net.mean.device
    sides = [axis.side(crop) for axis in seen]
    some = {name: array[units] for name, array in found.items()}
    shape = some["image"].shape
    patch = np.full((*shape, *sides, net.channels), GREY, np.uint8)
    deconv, boxes = patch.copy(), np.zeros((*shape, 4), np.int32)
    for unit, slot in filled(some["image"], batch):
        image, row, column = (some[name][unit, slot] for name in ("image", "row", "column"))
        corner, box = receptive.windows(seen, crop, row, column)
        stored = images[image]
        at = (torch.from_numpy(index).long().to(place) for index in (units[unit], row, column))
        signal = deconvolution.deconvolve(net, layer, net.centre_crop(torch.from_numpy(stored).to(place)), *at)
        patch[unit, slot] = cut(central(net, stored), corner, box, sides)
        deconv[unit, slot] = cut(display(signal), corner, box, sides)
        boxes[unit, slot] = box
    return {"patch": patch, "deconv": deconv, "box": boxes}


def save_layer(
    path: str,
    net: model.Net,
    images: store.StoredArray,
    layer: str,
    seen: receptive.Fields | None,
    found: Found,
    batch: int,
) -> list[str]:
    """Write what was found of a layer and its pictures, of as many units at a time as a chunk holds; their names.

    Of the paper's net 2 GB are written, conv5's and fc6's 0.4 GB the most of a layer; 0.2 GB are held at a time.
    """
    names = [f"{layer}/{name}" for name in found]
    store.create(path, {f"{layer}/{name}": (array.shape, array.dtype) for name, array in found.items()}, wipe=False)
    for name, array in found.items():
        store.write(path, f"{layer}/{name}", array)
    count, top = found["image"].shape
    sides = [axis.side(net.crop_width) for axis in seen] if seen else [min(net.crop_width, THUMBNAIL)] * 2
    step = store.chunk_rows((count, top, *sides, net.channels), np.dtype(np.uint8))
    for first in range(0, count, step):
        units = np.arange(first, min(first + step, count))
        if seen:
            pictures = patches(net, images, layer, seen, found, units, batch)
        else:
            pictures = thumbnails(net, images, found["image"][units], batch)
        if first == 0:
            whole = {f"{layer}/{name}": ((count, *rows.shape[1:]), rows.dtype) for name, rows in pictures.items()}
            store.create(path, whole, wipe=False)
            names += whole
        for name, rows in pictures.items():
            store.write(path, f"{layer}/{name}", rows, first)
    return names


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="image store (zarr.json)")
    parser.add_argument("net", help="description of the net (.json), weights beside it")
    parser.add_argument("output", help="store to write (zarr.json)")
    parser.add_argument("--layers", nargs="+", required=True)
    parser.add_argument("--top", type=int, default=9, help="images of each unit")
    parser.add_argument("--batch", type=int, default=120, help="images, or pictures, in one pass")
    parser.add_argument("--threads", type=int, default=1, help="fixed, because the last bits depend on it")
    activations.add_options(parser)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    net = model.load(args.net, args.modules)
    device.deterministic(args.threads, strict=net.is_alexnet)  # of other nets the deconvolution is a gradient
    about, images = store.attributes(args.images), store.StoredArray(args.images, "images")
    store.require_equal("image shapes", images=images.shape[1:], net=(net.size, net.size, net.channels))
    seen = receptive.fields(net, args.layers)
    net = net.to(device.pick())
    store.create(args.output, {})
    names: list[str] = []
    for layer, found in search(net, images, args.batch, args.layers, args.top).items():
        names += save_layer(args.output, net, images, layer, seen.get(layer), found, args.batch)
        taken = found["image"] != EMPTY
        print(f"{layer}: {len(taken)} units, {(~taken.any(1)).sum()} never active, {taken.sum()} pictures", flush=True)
    store.finish(
        args.output,
        dict.fromkeys(names),
        images=about["sha256"],
        net=model.weights_digest(net),
        layers=args.layers,
        top=args.top,
        batch=args.batch,
    )


if __name__ == "__main__":
    main()
