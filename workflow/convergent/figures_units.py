"""Figures of pictures: what excites a unit most, and first-layer filters."""

import argparse
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import matching, plots, store, tables


def unit_layer(path: str, layer: str) -> dict[str, np.ndarray]:
    """Pictures of all units of a layer of one net: image (units, 9), patch, deconv (units, 9, h, w, C)."""
    names = [f"{layer}/{name}" for name in ("image", "patch", "deconv")]
    return {name.split("/")[1]: x for name, x in store.load(path, *names).items()}


def best_and_worst(similarity: np.ndarray, count: int) -> np.ndarray:
    """The most similar units first, the least similar last, those without a partner left out. (units,) -> (2 count,)"""
    order = np.argsort(-similarity, kind="stable")
    order = order[~np.isnan(similarity[order])]
    return np.concatenate([order[:count], order[-count:]]) if len(order) > 2 * count else order


def draw_match(
    axes: list[Axes], nets: list[dict[str, np.ndarray]], names: list[str], row: dict[str, Any], unit: str = ""
) -> None:
    """A unit over its greedy partner, four axes downwards; a dead unit has none. row: of a matching table"""
    dead = row["greedy"] == matching.UNMATCHED
    similarity = "dead" if dead else f"{row['greedy_similarity']:.2f}{unit}"
    axes[0].set_title(f"{similarity}\n{names[0]} {row['unit']}", fontsize=8)
    plots.unit_pictures(axes[:2], nets[0], row["unit"])
    if dead:
        for ax in axes[2:]:
            ax.axis("off")
        return
    axes[2].set_title(f"{names[1]} {row['greedy']}", fontsize=8)
    plots.unit_pictures(axes[2:], nets[1], row["greedy"])


def matches(args: argparse.Namespace, chosen: str, unit: str = "") -> Figure:
    """Units of a matching table with their greedy partners, eight in a row: --units, or the best and the worst."""
    nets = [unit_layer(path, args.layer) for path in args.inputs[:2]]
    names = [plots.title(Path(path).parent.stem) for path in args.inputs[:2]]
    table = matching.read(args.inputs[2])
    count = len(table["unit"])
    units = np.array(args.units) if args.units else best_and_worst(table["greedy_similarity"], 8)
    for number in units[(units < 0) | (units >= count)]:
        raise SystemExit(f"--units: {number} is not possible; {args.layer} has units 0 to {count - 1}")
    rows = [units[first : first + 8] for first in range(0, len(units), 8)]
    width = max(map(len, rows), default=1)
    figure = plt.figure(figsize=(1.25 * width + 0.4, 5.3 * max(len(rows), 1)))
    for part, some in zip(figure.subfigures(max(len(rows), 1), 1, squeeze=False).flat, rows, strict=False):
        grid = part.subplots(4, width, squeeze=False)
        for k, number in enumerate(some):
            row = {name: column[number] for name, column in table.items()}
            draw_match(list(grid[:, k]), nets, names, row, unit)
        for ax in grid[:, len(some) :].flat:
            ax.axis("off")
    between = "\n" if width < 6 else " "
    figure.suptitle(f"{args.layer}: units of {names[0]}{between}and most similar ones of {names[1]}{chosen}")
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
    means = {name.rsplit("/", 1)[1]: x for name, x in store.load(args.inputs[0], plots.TRAINED_MEANS).items()}
    figure = plt.figure(figsize=(12, 2.35 * len(means)))
    figure.suptitle(
        f"{args.layer}: most active units (left) and least active ones (right) of each net, with their means"
    )
    parts = figure.subfigures(len(means), 1, squeeze=False).flat
    for part, path, (net, mean) in zip(parts, args.inputs[1:], means.items(), strict=True):
        found, order = unit_layer(path, args.layer), np.argsort(-mean, kind="stable")
        grid = part.subplots(2, 12)
        part.supylabel(plots.title(net), fontsize=9)
        for k, unit in enumerate([*order[:6], *order[-6:]]):
            grid[0, k].set_title(f"{mean[unit]:.3g}", fontsize=8)
            plots.unit_pictures(grid[:, k], found, unit)
    return figure


def nets_filters(args: argparse.Namespace) -> Figure:
    """inputs: the store of filters"""
    found = store.load(args.inputs[0], "filters/*")
    columns = 8 if len(next(iter(found.values()))) <= 48 else 12
    figure, axes = plt.subplots(1, len(found), figsize=(2.4 * len(found), 1.8))
    for ax, (name, filters) in zip(axes, found.items(), strict=True):
        plots.filter_sheet(ax, filters, columns)
        ax.set_title(f"{plots.title(name.rsplit('/', 1)[1])}, conv1")
    return figure
