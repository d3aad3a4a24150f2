"""Figures of pictures: what excites a unit most, and first-layer filters."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import store, tables
from ..alignment import matching
from ..commands import InputError
from ..moments.covariance import net_means
from . import plots


def unit_layer(path: str, layer: str) -> dict[str, Any]:
    """Pictures of all units of a layer of one net: image (units, 9), patch and deconv (units, 9, h, w, C).

    Of a layer without positions thumbnail instead of both. Pictures are rows of the store: a few of them are shown.
    """
    arrays = dict.fromkeys(name.removeprefix(f"{layer}/") for name in store.attributes(path)["arrays"])
    pictures = {kind: store.StoredArray(path, f"{layer}/{kind}") for kind in plots.kinds(arrays)}
    return {"image": store.load(path, f"{layer}/image")[f"{layer}/image"], **pictures}


def whole_crops(pictures: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """A line that says of which nets pictures are whole crops."""
    without = [name for found, name in zip(pictures, names, strict=True) if "thumbnail" in found]
    return f"\nno positions in {' and '.join(without)}: pictures are the whole crops" if without else ""


def best_and_worst(similarity: np.ndarray, count: int) -> np.ndarray:
    """The most similar units first, the least similar last, those without a partner left out. (units,) -> (2 count,)"""
    order = np.argsort(-similarity, kind="stable")
    order = order[~np.isnan(similarity[order])]
    return np.concatenate([order[:count], order[-count:]]) if len(order) > 2 * count else order


def draw_match(
    axes: list[Axes], nets: list[dict[str, Any]], names: list[str], row: dict[str, Any], unit: str = ""
) -> None:
    """A unit over its greedy partner, up to four axes downwards; a dead unit has none. row: of a matching table"""
    own = len(plots.kinds(nets[0]))
    dead = row["greedy"] == matching.UNMATCHED
    similarity = "dead" if dead else f"{row['greedy_similarity']:.2f}{unit}"
    axes[0].set_title(f"{similarity}\n{names[0]} {row['unit']}", fontsize=8)
    plots.unit_pictures(axes[:own], nets[0], row["unit"])
    if dead:
        for ax in axes[own:]:
            ax.axis("off")
        return
    axes[own].set_title(f"{names[1]} {row['greedy']}", fontsize=8)
    plots.unit_pictures(axes[own:], nets[1], row["greedy"])


def matches(args: argparse.Namespace, chosen: str, unit: str = "") -> Figure:
    """Units of a matching table with their greedy partners, eight in a row: --units, or the best and the worst."""
    nets = [unit_layer(path, args.layer) for path in args.inputs[:2]]
    names = [plots.title(Path(path).parent.stem) for path in args.inputs[:2]]
    table = matching.read(args.inputs[2])
    count = len(table["unit"])
    units = np.array(args.units) if args.units else best_and_worst(table["greedy_similarity"], 8)
    for number in units[(units < 0) | (units >= count)]:
        raise InputError(f"--units: {number} is not possible; {args.layer} has units 0 to {count - 1}")
    rows = [units[first : first + 8] for first in range(0, len(units), 8)]
    width, kinds = max(map(len, rows), default=1), sum(len(plots.kinds(found)) for found in nets)
    figure = plt.figure(figsize=(1.25 * max(width, 4) + 0.4, (1.15 * kinds + 0.7) * max(len(rows), 1)))
    for part, some in zip(figure.subfigures(max(len(rows), 1), 1, squeeze=False).flat, rows, strict=False):
        grid = part.subplots(kinds, width, squeeze=False)
        for k, number in enumerate(some):
            row = {name: column[number] for name, column in table.items()}
            draw_match(list(grid[:, k]), nets, names, row, unit)
        for ax in grid[:, len(some) :].flat:
            ax.axis("off")
    between = "\n" if width < 6 else " "
    title = f"{args.layer}: units of {names[0]}{between}and most similar ones of {names[1]}{chosen}"
    figure.suptitle(title + whole_crops(nets, names))
    return figure


def fig2_matches(args: argparse.Namespace) -> Figure:
    """inputs: patches of both nets, a matching table; --units 5,17 shows these instead of the best and worst"""
    return matches(args, "" if args.units else ", best matches above, worst below")


def figS4_information(args: argparse.Namespace) -> Figure:  # noqa: N802
    """inputs: patches of both nets, a matching table by mutual information, the table of its agreement"""
    pair = Path(args.inputs[2]).stem
    (row,) = [row for row in tables.read(args.inputs[3]) if (row["layer"], row["pair"]) == (args.layer, pair)]
    agreement = (
        f"best by mutual information above, worst below\n{row['best_shared']} of the {row['best']} best pairs are the "
        f"same by correlation, {plots.shown(row['same_greedy'], '.0%')} of {row['live']} units have the same partner; "
        f"rank agreement over all pairs of units\n{plots.shown(row['rank_agreement'])} with correlation, "
        f"{plots.shown(row['rank_agreement_absolute'])} with its absolute value"
    )
    return matches(args, f", {agreement}", " nats")


def figS11_active(args: argparse.Namespace) -> Figure:  # noqa: N802
    """inputs: a layer's moments, patches of each net"""
    means = net_means(args.inputs[0])
    nets = [unit_layer(path, args.layer) for path in args.inputs[1:]]
    heights = [0.25 + 1.05 * len(plots.kinds(found)) for found in nets]
    figure = plt.figure(figsize=(12, sum(heights) + 0.3))
    title = f"{args.layer}: most active units (left) and least active ones (right) of each net, with their means"
    figure.suptitle(title + whole_crops(nets, list(map(plots.title, means))))
    parts = figure.subfigures(len(means), 1, squeeze=False, height_ratios=heights).flat
    for part, found, (net, mean) in zip(parts, nets, means.items(), strict=True):
        order = np.argsort(-mean, kind="stable")
        shown = [*order[:6], *order[max(6, len(order) - 6) :]]
        grid = part.subplots(len(plots.kinds(found)), 12, squeeze=False)
        part.supylabel(plots.title(net), fontsize=9)
        for k, unit in enumerate(shown):
            grid[0, k].set_title(f"{mean[unit]:.3g}", fontsize=8)
            plots.unit_pictures(list(grid[:, k]), found, unit)
        for ax in grid[:, len(shown) :].flat:
            ax.axis("off")
    return figure


def nets_filters(args: argparse.Namespace) -> Figure:
    """inputs: the store of filters"""
    found = store.load(args.inputs[0], "filters/*")
    figure, axes = plt.subplots(1, max(len(found), 1), figsize=(2.4 * max(len(found), 1), 2), squeeze=False)
    if not found:
        axes[0, 0].axis("off")
        figure.suptitle("no net has a convolution of pixels")
    for ax, (name, filters) in zip(axes.flat, found.items(), strict=False):
        count, rows, columns, _ = filters.shape
        plots.filter_sheet(ax, filters, 8 if count <= 48 else 12)
        ax.set_title(f"{plots.title(name.rsplit('/', 1)[1])}, first convolution\n{count} filters of {rows} x {columns}")
    return figure
