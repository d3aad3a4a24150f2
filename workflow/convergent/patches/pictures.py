"""Find and draw top patches: the images that excite each unit most, and what the unit sees and answers to in them.

One pass over the images finds the images of highest activation for every unit of every layer, at most ``per_group`` of
one photograph, and the position of the maximum in each. A second step cuts the unit's receptive field out of these
images and projects the activation back to the pixels, many units and images at a time. A unit of a layer without
positions sees the whole crop; a thumbnail of the crop is kept.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from .. import store
from ..commands import InputError, command, new_parser
from ..images.names import name_of
from ..nets import activations, batching, culprits, device, model
from . import deconvolution, receptive
from .search import EMPTY, TopImages, search

GREY = 128  # of pixels outside a picture's valid box, and of a deconvolution's zero
THUMBNAIL = 64  # largest width in pixels: 0.45 GB for 4096 units, where whole crops of 227 pixels would take 5.7 GB


def display(signal: torch.Tensor) -> np.ndarray:
    """Pictures of signals around mid-grey, each scaled by its own largest magnitude.

    (N, C, H, W) -> (N, H, W, C) uint8
    """
    largest = signal.abs().amax((1, 2, 3), keepdim=True)
    scaled = signal / torch.where(largest > 0, largest, 1)
    return (GREY + 127 * scaled).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def require_finite(
    net: str, layer: str, units: np.ndarray, rows: np.ndarray, images: store.StoredArray, signal: torch.Tensor
) -> None:
    """Raise InputError that names the first unit and image whose signal is not finite.

    units, rows of the images: (N,), signal: (N, C, H, W)
    """
    wrong = np.flatnonzero(~culprits.rowwise(signal).cpu().numpy())
    if wrong.size:
        raise InputError(
            f"{net}: deconvolution of {layer} is not finite everywhere, first of unit {units[wrong[0]]} in "
            f"{name_of(images, int(rows[wrong[0]]))}; train the net again, or take other weights or images"
        )


def cut(pictures: np.ndarray, corner: np.ndarray, box: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """Rectangles cut out of pictures at the given corners; grey outside their valid boxes.

    pictures: (N, crop, crop, C) uint8; corner: (N, 2); box: (N, 4); sides: (h, w) -> (N, h, w, C) uint8
    """
    last = pictures.shape[1] - 1
    indices, valid = [], []
    for axis, side in enumerate(sides):
        span = np.arange(side)
        indices.append(np.clip(corner[:, [axis]] + span, 0, last))  # (N, side)
        valid.append((span >= box[:, [axis]]) & (span < box[:, [axis + 2]]))
    rows, columns = indices
    rectangles = pictures[np.arange(len(pictures))[:, None, None], rows[:, :, None], columns[:, None, :]]
    inside = valid[0][:, :, None] & valid[1][:, None, :]
    return np.where(inside[..., None], rectangles, np.uint8(GREY))


def filled_slots(image: np.ndarray, batch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Units and slots that hold an image, a batch at a time. (units, top) -> pairs of (n,)"""
    unit, slot = np.nonzero(image != EMPTY)
    for first in range(0, len(unit), batch):
        yield unit[first : first + batch], slot[first : first + batch]


def central(net: model.Net, stored: np.ndarray) -> np.ndarray:
    """The centre crops of stored images. (N, size, size, C) -> (N, crop, crop, C)"""
    corner = (net.size - net.crop_width) // 2
    return stored[:, corner : corner + net.crop_width, corner : corner + net.crop_width]


def first_crop(net: model.Net, images: store.StoredArray) -> torch.Tensor:
    """The crop of the first image, where the net is. (1, C, crop, crop)"""
    return net.centre_crop(torch.from_numpy(images[[0]]).to(net.mean.device))


def reduced(pictures: np.ndarray) -> np.ndarray:
    """Pictures reduced to thumbnails by means over areas; pictures that are small enough are returned unchanged.

    (N, width, width, C) uint8 -> (N, side, side, C) uint8, side = min(width, THUMBNAIL)
    """
    if pictures.shape[1] <= THUMBNAIL:
        return pictures
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    return functional.adaptive_avg_pool2d(x, THUMBNAIL).round().byte().permute(0, 2, 3, 1).numpy()


def thumbnails(net: model.Net, images: store.StoredArray, image: np.ndarray, batch: int) -> dict[str, np.ndarray]:
    """``thumbnail`` (n, top, h, w, C) uint8 of the crops of n units' top images. image: (n, top)"""
    side = min(net.crop_width, THUMBNAIL)
    thumbnail = np.full((*image.shape, side, side, net.channels), GREY, np.uint8)
    for unit, slot in filled_slots(image, batch):
        thumbnail[unit, slot] = reduced(central(net, images[image[unit, slot]]))
    return {"thumbnail": thumbnail}


def patches(
    net: model.Net,
    images: store.StoredArray,
    layer: str,
    fields: receptive.Fields,
    top_images: TopImages,
    units: np.ndarray,
    batch: int,
    projected: bool = True,
) -> dict[str, np.ndarray]:
    """``patch`` and ``deconv`` (n, top, h, w, C) uint8 and their valid ``box`` (n, top, 4) int32 of n units.

    top_images: of all units of the layer; units: (n,) the units to draw; batch: pictures at a time; projected: whether
    there are deconvolutions
    """
    crop, place = net.crop_width, net.mean.device
    sides = [axis.side(crop) for axis in fields]
    slots = {name: array[units] for name, array in top_images.items()}  # (n, top) each
    shape = slots["image"].shape
    patch = np.full((*shape, *sides, net.channels), GREY, np.uint8)
    found = {"patch": patch, **({"deconv": patch.copy()} if projected else {}), "box": np.zeros((*shape, 4), np.int32)}
    for unit, slot in filled_slots(slots["image"], batch):
        image, row, column = (slots[name][unit, slot] for name in ("image", "row", "column"))
        corner, box = receptive.windows(fields, crop, row, column)
        stored = images[image]
        found["patch"][unit, slot] = cut(central(net, stored), corner, box, sides)
        found["box"][unit, slot] = box
        if not projected:
            continue
        index = (torch.from_numpy(array).long().to(place) for array in (units[unit], row, column))
        signal = deconvolution.deconvolve(net, layer, net.centre_crop(torch.from_numpy(stored).to(place)), *index)
        require_finite(net.name, layer, units[unit], image, images, signal)
        found["deconv"][unit, slot] = cut(display(signal), corner, box, sides)
    return found


def save_layer(
    path: str,
    net: model.Net,
    images: store.StoredArray,
    layer: str,
    fields: receptive.Fields | None,
    top_images: TopImages,
    batch: int,
) -> list[str]:
    """Names of the arrays that are written for a layer: its top images and their pictures.

    Pictures are made and written a chunk of the store at a time. At the paper's size a net takes 2 GB on disk, of which
    conv5 and fc6 take the most, 0.4 GB each; 0.2 GB are held in memory at a time.
    fields: None of a layer without positions
    """
    names = [f"{layer}/{name}" for name in top_images]
    store.create(
        path, {f"{layer}/{name}": (array.shape, array.dtype) for name, array in top_images.items()}, wipe=False
    )
    for name, array in top_images.items():
        store.write(path, f"{layer}/{name}", array)
    count, top = top_images["image"].shape
    sides = [axis.side(net.crop_width) for axis in fields] if fields else [min(net.crop_width, THUMBNAIL)] * 2
    projected = bool(fields) and deconvolution.reaches_pixels(net, layer, first_crop(net, images))
    step = store.chunk_rows((count, top, *sides, net.channels), np.dtype(np.uint8))
    for first in range(0, count, step):
        units = np.arange(first, min(first + step, count))
        if fields:
            pictures = patches(net, images, layer, fields, top_images, units, batch, projected)
        else:
            pictures = thumbnails(net, images, top_images["image"][units], batch)
        if first == 0:
            whole = {f"{layer}/{name}": ((count, *rows.shape[1:]), rows.dtype) for name, rows in pictures.items()}
            store.create(path, whole, wipe=False)
            names += whole
        for name, rows in pictures.items():
            store.write(path, f"{layer}/{name}", rows, first)
    return names


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="store of the images to search (zarr.json)")
    parser.add_argument("net", type=Path, help="description of the net (.json), weights beside it")
    parser.add_argument("output", help="store to write (zarr.json)")
    parser.add_argument("--layers", nargs="+", required=True, help="layers whose units are searched and drawn")
    parser.add_argument("--top", type=int, default=9, help="images kept for each unit")
    parser.add_argument(
        "--per-group",
        type=int,
        default=1,
        help="images of one photograph, or of one group of data.groups, among the images kept for a unit, at most",
    )
    parser.add_argument(
        "--batch", type=batching.whole, default=120, help="images in one forward pass, or pictures in one backward"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch; the last bits depend on it")
    activations.add_options(parser)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    net = model.load(args.net, args.modules)
    device.deterministic(args.threads, strict=net.is_alexnet)  # other nets are deconvolved by a gradient
    attributes, images = store.attributes(args.images, "images"), store.StoredArray(args.images, "images")
    store.require_equal("image shapes", images=images.shape[1:], net=(net.size, net.size, net.channels))
    group = store.load(args.images, "group")["group"]
    fields = receptive.fields(net, args.layers)
    net = net.to(device.pick())
    store.create(args.output, {})
    names: list[str] = []
    found = search(net, images, args.batch, args.layers, args.top, group, args.per_group)
    for layer, top_images in found.items():
        names += save_layer(args.output, net, images, layer, fields.get(layer), top_images, args.batch)
        taken = top_images["image"] != EMPTY
        print(f"{layer}: {len(taken)} units, {(~taken.any(1)).sum()} never active, {taken.sum()} pictures", flush=True)
    store.finish(
        args.output,
        dict.fromkeys(names),
        kind="patches",
        images=attributes["sha256"],
        nets={args.net.stem: model.weights_digest(net)},
        layers=args.layers,
        top=args.top,
        per_group=args.per_group,
        batch=args.batch,
    )


if __name__ == "__main__":
    main()
