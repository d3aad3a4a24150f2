"""Stitched nets: one net up to a layer, a mapping, then another net from there on. Do they still tell classes apart?

For every point of the mapping's path the top-1 accuracy on the validation images, as mapped and with a ReLU behind the
mapping, beside both nets' own and three controls: the second net mapped onto itself at decay 0, everything mapped to
its mean, and the mapping from a net before training (with a ReLU).
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .. import store, tables
from ..commands import InputError, command, new_parser
from ..nets import activations, device, model
from . import mappings


class Affine(nn.Module):
    """A mapping of standardised units, put between activations as the nets compute them."""

    gain: torch.Tensor  # (target, source)
    bias: torch.Tensor  # (target,)

    def __init__(self, weights: np.ndarray, source: mappings.Scale, target: mappings.Scale) -> None:
        """weights: (target, source). A dead source unit adds nothing, a dead target unit stays at its mean."""
        super().__init__()
        inverse = np.divide(1, source.deviation, where=source.deviation > 0, out=np.zeros(len(source.deviation)))
        gain = weights * target.deviation[:, None] * inverse
        self.register_buffer("gain", torch.from_numpy(gain).float())
        self.register_buffer("bias", torch.from_numpy(target.mean - gain @ source.mean).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, source, H, W) -> (N, target, H, W), or (N, source) -> (N, target)"""
        if x.dim() == 2:
            return functional.linear(x, self.gain, self.bias)
        return functional.conv2d(x, self.gain[:, :, None, None], self.bias)


class Stitched(NamedTuple):
    """A net up to the layer, what is between, and a net from there on."""

    head: str
    between: nn.Module
    tail: str


@torch.no_grad()
def top1(
    variants: Mapping[str, Stitched],
    recorder: activations.Recorder,
    images: store.StoredArray,
    labels: np.ndarray,
    batch: int,
) -> dict[str, float]:
    """Share of images that each stitched net tells right, from one pass over the images.

    A mapping is from and to the grid that the layer is compared on; the rest of the net gets its own back.
    """
    (layer,) = recorder.layers
    own = recorder.own[layer]
    place = next(iter(recorder.nets.values())).mean.device
    tails = {name: activations.tail(recorder.nets[name], layer) for name in {v.tail for v in variants.values()}}
    heads = {variant.head for variant in variants.values()}
    between = {name: variant.between.to(place) for name, variant in variants.items()}
    right = {name: torch.zeros((), dtype=torch.int64, device=place) for name in variants}
    wanted = torch.from_numpy(labels.astype(np.int64)).to(place).split(batch)
    for pixels, here in zip(activations.batches(images, np.arange(len(labels)), batch, place), wanted, strict=True):
        crops = {name: recorder.nets[name].centre_crop(pixels) for name in heads | set(tails)}
        found = {
            name: activations.record(recorder.nets[name], crops[name], recorder.found[name])[layer] for name in heads
        }
        for name, variant in variants.items():
            x = found[variant.head]
            if not isinstance(variant.between, nn.Identity):
                x = between[name](activations.regrid(x, recorder.grids[layer]))
            logits = tails[variant.tail](crops[variant.tail], activations.regrid(x, own[variant.tail]))
            right[name] += (logits.argmax(1) == here).sum()
    return {name: int(count) / len(labels) for name, count in right.items()}


def affine(path: Path, point: int | None) -> Affine:
    """The mapping of a point of a stored path; of no point, everything to the mean."""
    about = store.attributes(path)
    source, target = (
        mappings.Scale(*(store.load(path, name)[name] for name in (f"mean/{net}", f"deviation/{net}")))
        for net in (about["source"], about["target"])
    )
    shape = len(target.mean), len(source.mean)
    return Affine(np.zeros(shape) if point is None else mappings.read_weights(path, point), source, target)


def variants(mapped: Path, onto_itself: Path, untrained: Path) -> dict[str, Stitched]:
    """All stitched nets by name; ``3``, ``3 relu`` and ``3 untrained`` are those of the path's point 3.

    A point whose weights are all zero is the zero map and not run again.
    """
    source, target = (store.attributes(mapped)[side] for side in ("source", "target"))
    start = store.attributes(untrained)["source"]
    unpenalised = int(np.flatnonzero(store.load(onto_itself, "decay")["decay"] == 0)[0])
    found = {
        "source": Stitched(source, nn.Identity(), source),
        "target": Stitched(target, nn.Identity(), target),
        "self": Stitched(target, affine(onto_itself, unpenalised), target),
        "zero": Stitched(source, affine(mapped, None), target),
    }
    live, live_untrained = (store.load(path, "nonzero")["nonzero"].sum(axis=1) > 0 for path in (mapped, untrained))
    for point in range(len(live)):
        if live[point]:
            mapping = affine(mapped, point)
            found[f"{point}"] = Stitched(source, mapping, target)
            found[f"{point} relu"] = Stitched(source, nn.Sequential(mapping, nn.ReLU()), target)
        if live_untrained[point]:
            rectified = nn.Sequential(affine(untrained, point), nn.ReLU())
            found[f"{point} untrained"] = Stitched(start, rectified, target)
    return found


def rows(accuracy: Mapping[str, float], path: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """Rows of the table, one a point of the path; what was not measured is NaN."""
    found = []
    for point, (decay, alpha) in enumerate(zip(path["decay"].tolist(), path["alpha"].tolist(), strict=True)):
        named = {"top1": f"{point}", "top1_relu": f"{point} relu", "untrained_relu": f"{point} untrained"}
        stitched = {column: accuracy.get(name, accuracy.get("zero", np.nan)) for column, name in named.items()}
        same = {name: accuracy.get(name, np.nan) for name in ("source", "target", "self", "zero")}
        found.append({"decay": decay, "alpha": alpha, **stitched, **same})
    return found


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="image store (zarr.json)")
    parser.add_argument("output", type=Path, help="table to write (.csv)")
    parser.add_argument("--nets", nargs="+", required=True, type=Path, help="descriptions (.json), weights beside them")
    parser.add_argument("--mapped", required=True, type=Path, help="store of the mapping from net to net (zarr.json)")
    parser.add_argument("--self", dest="onto_itself", required=True, type=Path, help="of the second net onto itself")
    parser.add_argument("--untrained", required=True, type=Path, help="from a net before training to the second net")
    parser.add_argument("--batch", type=int, default=60, help="images in one forward pass")
    parser.add_argument("--threads", type=int, default=2, help="fixed, because the last bits depend on it")
    activations.add_options(parser)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    device.deterministic(args.threads)
    device.keep_freed_memory()
    about = {str(path): store.attributes(path) for path in (args.mapped, args.onto_itself, args.untrained)}
    loaded = {path.stem: model.load(path, args.modules) for path in args.nets}
    store.require_equal("layers", **{path: found["layer"] for path, found in about.items()})
    for path, found in about.items():
        for net, digest in found["nets"].items():
            if net not in loaded:
                raise InputError(f"--nets: {', '.join(loaded)} given, but {path} maps {found['pair']}")
            store.require_equal(f"weights of {net}", **{path: digest, net: model.weights_digest(loaded[net])})
    loaded = {name: net.to(device.pick()) for name, net in loaded.items()}
    first, about_images = about[str(args.mapped)], store.attributes(args.images)
    store.require_equal("images", **{str(args.mapped): first["images"]["val"], args.images: about_images["sha256"]})
    images, labels = store.StoredArray(args.images, "images"), store.load(args.images, "labels")["labels"]
    recorder = activations.Recorder(loaded, [first["layer"]], resample=args.resample)
    stitched = variants(args.mapped, args.onto_itself, args.untrained)
    classes = len(about_images["classes"])
    for name, net in loaded.items():
        if net.classes != classes:  # of other classes: no image can be told right or wrong
            print(f"{name} tells {net.classes} classes apart, the images have {classes}: its top-1 is left empty")
            stitched = {key: variant for key, variant in stitched.items() if variant.tail != name}
    accuracy = top1(stitched, recorder, images, labels, args.batch)
    table = rows(accuracy, store.load(args.mapped, "decay", "alpha"))
    tables.write(args.output, [{"layer": first["layer"], "pair": first["pair"], **row} for row in table])
    own, onto_itself = (accuracy.get(name, np.nan) for name in ("target", "self"))
    control = f"{first['target']} mapped onto itself {onto_itself:.4f}, itself {own:.4f}"
    print(
        f"{first['layer']} {first['pair']}: {len(stitched)} stitched nets on {len(labels)} images; {control}",
        flush=True,
    )


if __name__ == "__main__":
    main()
