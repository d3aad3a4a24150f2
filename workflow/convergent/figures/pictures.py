"""Pictures of units: the top image patches of each, over their deconvolution."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from .. import store
from ..commands import InputError
from . import plots

# From top to bottom, and as rows are called; thumbnails of a layer without positions.
KINDS = {"patch": "patches", "deconv": "deconvolution", "thumbnail": "whole crops"}


class Pictures(NamedTuple):
    """Pictures of the units of one layer of a net."""

    name: str  # the net's, as figures show it: Net1
    image: np.ndarray  # (units, 9), the image of each picture, -1 where there is none
    kinds: Mapping[str, store.StoredArray]  # kind -> (units, 9, h, w, C): patch and deconv; patch; or thumbnail


def read_pictures(paths: Iterable[Path], layer: str, nets: Mapping[str, str], images: str) -> list[Pictures]:
    """Pictures of a layer's units, in the order of ``nets``, from the stores of patches of these nets in any order.

    nets: name -> digest of its weights; images: digest of the images. Rows of the stores are read when they are shown.
    Raises InputError where the stores are of other nets, weights or images, or lack the layer.
    """
    attributes = {path: store.attributes(path, "patches") for path in paths}
    names = {path: ", ".join(own["nets"]) for path, own in attributes.items()}
    store.require_distinct("--patches", names.values())
    if set(names.values()) != set(nets):
        raise InputError(f"--patches: stores of {', '.join(names.values())}; must be of {', '.join(nets)}")
    store.same_nets({"the other input": nets, **{str(path): own["nets"] for path, own in attributes.items()}})
    shown = {str(path): own["images"] for path, own in attributes.items()}
    store.require_equal("images", **{"the other input": images}, **shown)
    found = {names[path]: read_layer(path, names[path], layer) for path in attributes}
    return [found[net] for net in nets]


def read_layer(path: Path, net: str, layer: str) -> Pictures:
    """Pictures of a layer's units from a store of the patches of a net. Raises InputError where it lacks the layer."""
    attributes = store.attributes(path)
    if layer not in attributes["layers"]:
        raise InputError(f"{path}: no patches of {layer}; it has {', '.join(attributes['layers'])}")
    image = store.load(path, f"{layer}/image")[f"{layer}/image"]
    kinds = [kind for kind in KINDS if f"{layer}/{kind}" in attributes["arrays"]]
    arrays = {kind: store.StoredArray(path, f"{layer}/{kind}") for kind in kinds}
    return Pictures(plots.title(net), image, arrays)


def remarks(nets: Sequence[Pictures]) -> str:
    """A line for the nets whose pictures are whole crops, one for those without deconvolutions; or nothing."""
    without = [pictures.name for pictures in nets if "thumbnail" in pictures.kinds]
    patches = [pictures.name for pictures in nets if list(pictures.kinds) == ["patch"]]
    lines = [f"\nno positions in {' and '.join(without)}: pictures are the whole crops"] if without else []
    lines += [f"\nno gradient in {' and '.join(patches)}: no deconvolutions"] if patches else []
    return "".join(lines)


def tiles(pictures: np.ndarray) -> np.ndarray:
    """A unit's top pictures as one sheet of three columns. (9, h, w, C) uint8 -> (H, W, 3) in [0, 1]"""
    sheet = plots.mosaic(pictures / 255, columns=3, gap=max(1, pictures.shape[1] // 24))  # wide enough to be seen
    return sheet if sheet.shape[2] == 3 else sheet.repeat(3, axis=2)


def name_rows(axes: Sequence[Axes], pictures: Pictures, heading: str) -> None:
    """Say what each row of a net's pictures shows, on axes left of them, and what the lines of their titles are."""
    for ax in axes:
        ax.axis("off")
    axes[0].set_title(heading, loc="right", fontsize=8, color="0.35")
    for ax, kind in zip(axes, pictures.kinds, strict=False):
        ax.text(1, 0.5, KINDS[kind], ha="right", va="center", fontsize=8, color="0.35", transform=ax.transAxes)


def draw_unit(axes: Sequence[Axes], pictures: Pictures, unit: int) -> None:
    """Draw each kind of a unit's pictures, or empty frames that say that the unit was never active.

    Axes beyond the kinds that there are stay empty.
    """
    there = pictures.image[unit] >= 0  # fewer than nine where there are fewer photographs
    for ax in axes[len(pictures.kinds) :]:
        ax.axis("off")
    for ax, array in zip(axes, pictures.kinds.values(), strict=False):
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(True)
        ax.spines[:].set_linewidth(0.5)
        if there.any():
            ax.imshow(tiles(np.where(there[:, None, None, None], array[[unit]][0], 255)))
        else:
            ax.set_aspect("equal")
            ax.text(0.5, 0.5, "never\nactive", ha="center", va="center", fontsize=7, transform=ax.transAxes)
