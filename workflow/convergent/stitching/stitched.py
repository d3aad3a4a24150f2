"""Top-1 accuracy of stitched nets: a net up to a layer, a mapping, and another net from that layer on.

The mapping's path gives a stitched net for each penalty, with and without a ReLU behind the mapping. Their accuracy on
the validation images stands beside that of both nets and of three controls: the second net joined to itself by its
mapping onto itself at decay 0, a mapping to the means of the second net's units, and, with a ReLU, the mapping from an
untrained net.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .. import store, tables
from ..commands import InputError, command, new_parser
from ..nets import activations, device, model
from . import mappings


class Affine(nn.Module):
    """A mapping between standardised units, as a module that maps activations of one net to those of another."""

    gain: torch.Tensor  # (target, source)
    bias: torch.Tensor  # (target,)

    def __init__(self, weights: np.ndarray, source: mappings.Scale, target: mappings.Scale) -> None:
        """``weights``: (target, source). A dead source unit contributes nothing, a dead target unit is at its mean.

        Raises InputError where the factor between two activations exceeds float32.
        """
        super().__init__()
        inverse = np.divide(1, source.deviation, where=source.deviation > 0, out=np.zeros(len(source.deviation)))
        gain = weights * target.deviation[:, None] * inverse
        for t, s in np.argwhere(np.abs(gain) > np.finfo(np.float32).max)[:1]:
            raise InputError(f"mapping from unit {s} to unit {t}: a factor of {gain[t, s]:.0e} exceeds float32")
        self.register_buffer("gain", torch.from_numpy(gain).float())
        self.register_buffer("bias", torch.from_numpy(target.mean - gain @ source.mean).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, source, H, W) -> (N, target, H, W), or (N, source) -> (N, target)"""
        if x.dim() == 2:
            return functional.linear(x, self.gain, self.bias)
        return functional.conv2d(x, self.gain[:, :, None, None], self.bias)


class StitchedNet(NamedTuple):
    """A net up to a layer, a module that maps the layer's activations, and a net from the layer on."""

    head: str
    between: nn.Module
    tail: str


def require_finite_logits(nets: Mapping[str, StitchedNet], finite: Mapping[str, torch.Tensor], layer: str) -> None:
    """Raise InputError that names the first stitched net whose logits are not all finite. finite: () bool each"""
    flags = torch.stack(list(finite.values())).tolist()
    for name in [name for name, flag in zip(finite, flags, strict=True) if not flag][:1]:
        raise InputError(
            f"{layer}, {nets[name].head}-{nets[name].tail}: logits of the stitched net {name!r} are not all finite; "
            "train the nets again, or take other weights"
        )


@torch.no_grad()
def top1_accuracy(
    stitched_nets: Mapping[str, StitchedNet],
    recorder: activations.Recorder,
    images: store.StoredArray,
    labels: np.ndarray,
    batch: int,
) -> dict[str, float]:
    """Top-1 accuracy of each stitched net, a share of the images from 0 to 1, from one pass over the images.

    ``recorder`` records one layer of all nets. A mapping is applied on the grid on which that layer is compared. Its
    result is brought to the tail's own grid. Raises InputError where logits are not finite.
    """
    (layer,) = recorder.layers
    grid, net_grids = recorder.common_grids[layer], recorder.net_grids[layer]
    place = next(iter(recorder.nets.values())).mean.device
    heads = {stitched.head for stitched in stitched_nets.values()}
    tails = {net: activations.tail(recorder.nets[net], layer) for net in {s.tail for s in stitched_nets.values()}}
    between = {name: stitched.between.to(place) for name, stitched in stitched_nets.items()}
    correct = {name: torch.zeros((), dtype=torch.int64, device=place) for name in stitched_nets}
    finite: dict[str, torch.Tensor] = {}
    targets = torch.from_numpy(labels.astype(np.int64)).to(place).split(batch)
    batches = activations.batches(images, np.arange(len(labels)), batch, place)
    for pixels, target in zip(batches, targets, strict=True):
        crops = {net: recorder.nets[net].centre_crop(pixels) for net in tails}
        recorded = {
            net: activations.record(recorder.nets[net], recorder.nets[net].centre_crop(pixels), shapes)[layer]
            for net, shapes in recorder.shapes.items()
            if net in heads
        }
        for name, stitched in stitched_nets.items():
            x = recorded[stitched.head]
            if not isinstance(stitched.between, nn.Identity):
                x = between[name](activations.regrid(x, grid))
            logits = tails[stitched.tail](crops[stitched.tail], activations.regrid(x, net_grids[stitched.tail]))
            correct[name] += (logits.argmax(1) == target).sum()
            finite[name] = logits.isfinite().all()
        require_finite_logits(stitched_nets, finite, layer)
    return {name: int(count) / len(labels) for name, count in correct.items()}


def stored_scales(path: Path) -> list[mappings.Scale]:
    """Scales of the source and of the target net of a stored mapping."""
    attributes = store.attributes(path)
    names = ((f"mean/{net}", f"deviation/{net}") for net in (attributes["source"], attributes["target"]))
    return [mappings.Scale(*(store.load(path, name)[name] for name in pair)) for pair in names]


def stored_mapping(path: Path, point: int) -> Affine:
    """The mapping at one point of a stored path."""
    return Affine(mappings.read_weights(path, point), *stored_scales(path))


def mapping_to_means(path: Path) -> Affine:
    """A mapping between the nets of a stored path that predicts the mean of every target unit."""
    source, target = stored_scales(path)
    return Affine(np.zeros((len(target.mean), len(source.mean))), source, target)


def unpenalised_point(path: Path) -> int:
    """Index of the first point of a stored path at decay 0. Raises InputError where there is none."""
    points = np.flatnonzero(store.load(path, "decay")["decay"] == 0)
    if not points.size:
        raise InputError(f"--self: {path} has no decay of 0; a mapping without penalty is needed")
    return int(points[0])


def all_stitched_nets(mapped: Path, onto_itself: Path, untrained: Path) -> dict[str, StitchedNet]:
    """All stitched nets by name, and both nets as they are: ``source`` and ``target``.

    ``self``, ``zero`` and, for point 3 of the path, ``3 untrained`` are the controls; ``3`` and ``3 relu`` are the
    stitched nets. Points whose weights are all zero are left out, because each of them is ``zero``.
    """
    source, target = (store.attributes(mapped)[side] for side in ("source", "target"))
    untrained_source = store.attributes(untrained)["source"]
    stitched_nets = {
        "source": StitchedNet(source, nn.Identity(), source),
        "target": StitchedNet(target, nn.Identity(), target),
        "self": StitchedNet(target, stored_mapping(onto_itself, unpenalised_point(onto_itself)), target),
        "zero": StitchedNet(source, mapping_to_means(mapped), target),
    }
    nonzero, untrained_nonzero = (
        store.load(path, "nonzero")["nonzero"].sum(axis=1) > 0 for path in (mapped, untrained)
    )
    for point in range(len(nonzero)):
        if nonzero[point]:
            mapping = stored_mapping(mapped, point)
            stitched_nets[f"{point}"] = StitchedNet(source, mapping, target)
            stitched_nets[f"{point} relu"] = StitchedNet(source, nn.Sequential(mapping, nn.ReLU()), target)
        if untrained_nonzero[point]:
            rectified = nn.Sequential(stored_mapping(untrained, point), nn.ReLU())
            stitched_nets[f"{point} untrained"] = StitchedNet(untrained_source, rectified, target)
    return stitched_nets


def table_rows(accuracy: Mapping[str, float], path: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """Rows of the table, one for each point of the path. A net without an accuracy is NaN.

    ``accuracy``: by the names of ``all_stitched_nets``; ``path``: the arrays ``decay`` and ``alpha``.
    """
    rows = []
    for point, (decay, alpha) in enumerate(zip(path["decay"].tolist(), path["alpha"].tolist(), strict=True)):
        columns = {"top1": f"{point}", "top1_relu": f"{point} relu", "untrained_relu": f"{point} untrained"}
        of_point = {column: accuracy.get(name, accuracy.get("zero", np.nan)) for column, name in columns.items()}
        of_all = {name: accuracy.get(name, np.nan) for name in ("source", "target", "self", "zero")}
        rows.append({"decay": decay, "alpha": alpha, **of_point, **of_all})
    return rows


def check_mappings(mapped: Mapping[str, dict[str, Any]], nets: Mapping[str, model.Net]) -> None:
    """Raise InputError where mappings are of different layers, or of nets or weights other than ``nets``.

    ``mapped``: attributes of the stores of the mappings by path.
    """
    store.require_equal("layers", **{path: attributes["layer"] for path, attributes in mapped.items()})
    for path, attributes in mapped.items():
        for net, digest in attributes["nets"].items():
            if net not in nets:
                raise InputError(f"--nets: {', '.join(nets)} given, but {path} maps {attributes['pair']}")
            store.require_equal(f"weights of {net}", **{path: digest, net: model.weights_digest(nets[net])})


def with_classes(
    stitched_nets: Mapping[str, StitchedNet], nets: Mapping[str, model.Net], classes: int
) -> dict[str, StitchedNet]:
    """Stitched nets whose tail has as many classes as the images; the others have no top-1 accuracy."""
    others = {name: net.classes for name, net in nets.items() if net.classes != classes}
    for name, count in others.items():
        print(f"{name} has {count} classes, the images have {classes}: its top-1 accuracy is left empty")
    return {name: stitched for name, stitched in stitched_nets.items() if stitched.tail not in others}


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("images", help="store of the validation images (zarr.json)")
    parser.add_argument("output", type=Path, help="table to write (.csv)")
    parser.add_argument(
        "--nets", nargs="+", required=True, type=Path, help="descriptions of all nets (.json), weights beside them"
    )
    parser.add_argument(
        "--mapped", required=True, type=Path, help="mapping from the first to the second net (zarr.json)"
    )
    parser.add_argument(
        "--self", dest="onto_itself", required=True, type=Path, help="mapping of the second net onto itself (zarr.json)"
    )
    parser.add_argument(
        "--untrained", required=True, type=Path, help="mapping from an untrained net to the second net (zarr.json)"
    )
    parser.add_argument("--batch", type=int, default=60, help="images in one forward pass")
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of the nets; results may differ in the last bits"
    )
    activations.add_options(parser)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    device.deterministic(args.threads)
    device.keep_freed_memory()
    nets = model.load_all(args.nets, args.modules)
    mapped = {str(path): store.attributes(path, "mapping") for path in (args.mapped, args.onto_itself, args.untrained)}
    check_mappings(mapped, nets)
    mappings.check_roles(args.mapped, args.onto_itself, args.untrained)
    mapping, image_attributes = mapped[str(args.mapped)], store.attributes(args.images, "images")
    digests = {path: attributes["images"]["val"] for path, attributes in mapped.items()}
    store.require_equal("images", **digests, **{args.images: image_attributes["sha256"]})
    images, labels = store.StoredArray(args.images, "images"), store.load(args.images, "labels")["labels"]
    nets = {name: net.to(device.pick()) for name, net in nets.items()}
    recorder = activations.Recorder(nets, [mapping["layer"]], resample=args.resample)
    stitched_nets = all_stitched_nets(args.mapped, args.onto_itself, args.untrained)
    stitched_nets = with_classes(stitched_nets, nets, len(image_attributes["classes"]))
    accuracy = top1_accuracy(stitched_nets, recorder, images, labels, args.batch)
    rows = table_rows(accuracy, store.load(args.mapped, "decay", "alpha"))
    of = {key: mapping[key] for key in ("layer", "pair")}
    tables.write(args.output, [{**of, **row} for row in rows], kind="stitched", mapping=mapping["sha256"], **of)
    print(
        f"{mapping['layer']} {mapping['pair']}: {len(stitched_nets)} stitched nets on {len(labels)} images; top-1 "
        f"accuracy of {mapping['target']} {accuracy.get('target', np.nan):.4f}, stitched to itself "
        f"{accuracy.get('self', np.nan):.4f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
