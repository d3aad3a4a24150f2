"""Which stitched nets there are: stored mappings as modules between two nets, and the controls of each pair.

Every ordered pair of nets has stitched nets by the unpenalised mapping and by that at one penalty, with a ReLU behind
it, and as their control those from the source's untrained twin. Some pairs have those of their whole path, also without
the ReLU.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .. import store
from ..commands import InputError
from ..nets.names import twin_name
from . import mappings
from .mappings import MAPPED, RELU, UNTRAINED


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


class Joint(NamedTuple):
    """Points of the paths of a pair of nets at which the nets are stitched together."""

    source: str
    target: str
    path: Path  # of the mapping
    points: list[int]
    twin: Path | None  # mapping from the source's untrained twin, where it has one
    twin_points: list[int]  # of equal penalties
    as_mapped: bool  # whether there are also stitched nets without a ReLU

    @property
    def pair(self) -> str:
        return f"{self.source}-{self.target}"

    @property
    def kinds(self) -> list[str]:
        """Kinds of stitched nets that there are."""
        return [RELU, *([UNTRAINED] if self.twin else []), *([MAPPED] if self.as_mapped else [])]


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
        raise InputError(f"--mappings: {path} has no decay of 0; a mapping without penalty is needed")
    return int(points[0])


def joint(paths: Mapping[str, Path], source: str, target: str, alpha: float | None) -> Joint:
    """The points of a pair: its whole path, or with an alpha the unpenalised mapping and the one at this penalty.

    paths: stores of mappings by pair. Raises InputError where one lacks a penalty.
    """
    path, twin = paths[f"{source}-{target}"], paths.get(f"{twin_name(source)}-{target}")
    alphas = store.load(path, "alpha")["alpha"]
    points = list(range(len(alphas))) if alpha is None else [unpenalised_point(path), mappings.path_point(path, alpha)]
    twin_points = [mappings.path_point(twin, alphas[point]) for point in points] if twin else []
    return Joint(source, target, path, points, twin, twin_points, as_mapped=alpha is None)


def joints(paths: Mapping[str, Path], whole: Collection[str], alpha: float) -> list[Joint]:
    """The points of all ordered pairs of two nets that are no controls; those of pairs in ``whole`` are whole paths."""
    attributes = [store.attributes(path, "mapping") for path in paths.values()]
    pairs = [(of["source"], of["target"]) for of in attributes if not of["controls"] and of["source"] != of["target"]]
    return [joint(paths, *nets, alpha=None if "-".join(nets) in whole else alpha) for nets in pairs]


def has_weights(path: Path, point: int) -> bool:
    """Whether a weight of a point is not zero. Where none is, the stitched net is that of the mapping to means."""
    return bool(store.load(path, "nonzero")["nonzero"][point].any())


def lacks_weights(of: Joint) -> bool:
    """Whether some point of a pair, or of the source's twin, has no weight other than zero."""
    points = [(of.path, point) for point in of.points] + [(of.twin, point) for point in of.twin_points]
    return not all(has_weights(path, point) for path, point in points if path)


def of_joint(of: Joint) -> dict[str, StitchedNet]:
    """Stitched nets of a pair, named <kind>/<pair>/<number of the point>; points without weights are left out."""
    nets: dict[str, StitchedNet] = {}
    for number, point in enumerate(of.points):
        if has_weights(of.path, point):
            mapping = stored_mapping(of.path, point)
            rectified = nn.Sequential(mapping, nn.ReLU())
            nets[f"{RELU}/{of.pair}/{number}"] = StitchedNet(of.source, rectified, of.target)
            if of.as_mapped:
                nets[f"{MAPPED}/{of.pair}/{number}"] = StitchedNet(of.source, mapping, of.target)
    for number, point in enumerate(of.twin_points):
        if of.twin and has_weights(of.twin, point):
            rectified = nn.Sequential(stored_mapping(of.twin, point), nn.ReLU())
            nets[f"{UNTRAINED}/{of.pair}/{number}"] = StitchedNet(twin_name(of.source), rectified, of.target)
    return nets


def assemble(paths: Mapping[str, Path], pairs: Iterable[str], of_pairs: Iterable[Joint]) -> dict[str, StitchedNet]:
    """All stitched nets by name, and the nets of some pairs as they are.

    ``whole/<net>`` is a net itself, ``self/<net>`` one that is joined to itself by its unpenalised mapping,
    ``zero/<net>`` the mapping to the means of a target; the others are those of ``of_joint``.
    """
    nets: dict[str, StitchedNet] = {}
    for source, target in (pair.split("-") for pair in pairs):
        own = paths[f"{target}-{target}"]
        nets |= {f"whole/{net}": StitchedNet(net, nn.Identity(), net) for net in (source, target)}
        nets[f"self/{target}"] = StitchedNet(target, stored_mapping(own, unpenalised_point(own)), target)
    for of in of_pairs:
        nets |= of_joint(of)
        if of.as_mapped or lacks_weights(of):
            nets.setdefault(f"zero/{of.target}", StitchedNet(of.source, mapping_to_means(of.path), of.target))
    return nets
