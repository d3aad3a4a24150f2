"""Figures of sparse mappings: which units predict a unit of another net, and at what cost (paper, section 3.2)."""

import argparse
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure, SubFigure

from .. import store, tables
from ..alignment import matching
from ..commands import InputError
from ..stitching import mappings
from . import plots
from .units import unit_layer, whole_crops

SOURCES = 6  # of the chosen unit that are shown, at most


def median_unit(r2: np.ndarray) -> int:
    """The live unit of the median R2, of an even number of them the lower one; the first where none lives. (units,)"""
    live = np.flatnonzero(np.isfinite(r2))
    if not len(live):
        return 0
    return int(live[np.argsort(r2[live], kind="stable")[(len(live) - 1) // 2]])


def chosen_unit(wanted: str, r2: np.ndarray) -> int:
    """``median``, or a unit by its number. r2: (units,)"""
    if wanted == "median":
        return median_unit(r2)
    if not wanted.isdecimal() or int(wanted) >= len(r2):
        raise InputError(f"figures.unit: {wanted} is not possible; median, or a unit from 0 to {len(r2) - 1}")
    return int(wanted)


def draw_sources(part: SubFigure, path: list[str], layer: str, weights: np.ndarray, unit: int, title: str) -> None:
    """A target unit and the sources of largest weight with their pictures. path: patches of source and target"""
    pictures = [unit_layer(name, layer) for name in path]
    names = [plots.title(Path(name).parent.stem) for name in path]
    kinds = max(len(plots.kinds(picture)) for picture in pictures)
    order = np.argsort(-np.abs(weights), kind="stable")
    sources = order[weights[order] != 0][:SOURCES]
    grid = part.subplots(kinds, 1 + len(sources), squeeze=False)
    part.suptitle(title + whole_crops(pictures, names), fontsize=9)
    for column, (k, picture, number, label) in enumerate(
        [(1, pictures[1], unit, "target"), *((0, pictures[0], int(s), f"{weights[s]:+.3f}") for s in sources)]
    ):
        grid[0, column].set_title(f"{label}\n{names[k]} {number}", fontsize=8)
        plots.unit_pictures(list(grid[:, column]), picture, number)


def fig4_mapping(args: argparse.Namespace) -> Figure:
    """inputs: a mapping, patches of its source and target net; --alpha, and --unit 5 or median"""
    path, layer = args.inputs[0], args.layer
    about, point = store.attributes(path), mappings.path_point(path, args.alpha)
    weights, r2 = mappings.read_weights(path, point), store.load(path, "r2")["r2"][point]
    unit = chosen_unit(args.unit, r2)
    source, target = (plots.title(about[side]) for side in ("source", "target"))
    size = np.abs(weights)
    rows, columns = matching.diagonal_order(matching.assignment(size), size.shape[1])
    figure = plt.figure(figsize=(10.5, 7.6))
    matrices, pictures = figure.subfigures(2, 1, height_ratios=[1.25, 1], squeeze=False).flat
    axes = matrices.subplots(1, 2)
    orders = {
        "in native order": (np.arange(len(size)), np.arange(size.shape[1])),
        "columns permuted by the\nmaximum assignment of |W|": (rows, columns),
    }
    for ax, (name, order) in zip(axes, orders.items(), strict=True):
        image = plots.weight_matrix(ax, size[np.ix_(*order)], f"units of {target} (targets)", f"units of {source}")
        plots.mark_row(ax, int(np.flatnonzero(order[0] == unit)[0]), f"{target} {unit}")
        ax.set_title(f"{layer}, |W| {name}")
    matrices.colorbar(image, ax=axes, label="|weight|", shrink=0.8, pad=0.01)
    rule = "the unit of the median R²" if args.unit == "median" else "the unit chosen"
    used = f"from {(weights[unit] != 0).sum()} units of {source}, largest weights first"
    title = f"{rule}: {target} {unit}, R² {plots.shown(r2[unit])} {used}; units x decay = {args.alpha:g}"
    draw_sources(pictures, args.inputs[1:3], layer, weights[unit], unit, title)
    return figure


def live_means(found: dict[str, np.ndarray], name: str) -> list[float]:
    """Mean of a measure, (P, T) or (T,), over live target units at each point of a path."""
    live = np.isfinite(found["r2"])
    values = np.where(live, found[name][: len(live)] if found[name].ndim == 2 else found[name], np.nan)
    return [matching.live_mean(row) for row in values]


def mapping_rows(mapping: str, accuracy: str) -> list[dict[str, Any]]:
    """Rows of table 1 of one layer: a mapping's store and the table of its stitched nets."""
    about, stitched = store.attributes(mapping), tables.read(accuracy)
    names = ("train_loss", "val_loss", "r2", "nonzero", "above")
    found = store.load(mapping, "alpha", "decay", "zero_loss", *names)
    store.require_equal(
        "layers and penalties",
        **{
            mapping: (about["layer"], found["alpha"].tolist()),
            accuracy: (stitched[0]["layer"], [float(row["alpha"]) for row in stitched]),
        },
    )
    replayed = store.load(mapping, *(f"published/{name}" for name in names if name != "nonzero"))
    columns = {name: live_means(found, name) for name in (*names, "zero_loss")}
    published = {name.removeprefix("published/"): array for name, array in replayed.items()}
    columns |= {f"published_{name}": live_means(published, name) for name in published}
    units = {"units": found["r2"].shape[1], "live": int(np.isfinite(found["r2"][0]).sum())}
    units["sources"] = about["units"][about["source"]]
    rows = []
    for point, accuracies in enumerate(stitched):
        row = {"layer": about["layer"], **units, "decay": accuracies["decay"], "alpha": accuracies["alpha"]}
        row |= {name: column[point] for name, column in columns.items() if point < len(column)}
        rows.append(row | {name: cell for name, cell in accuracies.items() if name not in ("pair", *row)})
    return rows


def beside_paper(rows: list[dict[str, Any]], paper: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows with the paper's numbers at its layers and decays."""
    found = []
    for row in rows:
        same = [
            p for p in paper if p["layer"] == row["layer"] and np.isclose(p["decay"], row["decay"], rtol=1e-3, atol=0)
        ]
        known = same[0] if same else {}
        found.append(row | {f"paper_{name}": known.get(name, "") for name in ("loss", "weights", "certain")})
    return found


def table1_mapping(args: argparse.Namespace) -> Figure:
    """inputs: mappings of all layers, the tables of their stitched nets, the paper's table; also writes the table"""
    *stages, known = args.inputs
    half, paper = len(stages) // 2, tables.read(known)
    rows = [mapping_rows(*paths) for paths in zip(stages[:half], stages[half:], strict=True)]
    tables.write(args.table, [row for some in rows for row in beside_paper(some, paper)], digits=5)
    figure, axes = plt.subplots(3, half, figsize=(2.4 * half + 2.4, 8), sharex=True, sharey="row", squeeze=False)
    for column, some in enumerate(rows):
        layer = some[0]["layer"]
        same = [row for row in paper if row["layer"] == layer]
        plots.loss_path(axes[0, column], some, same)
        plots.weights_path(axes[1, column], some, same)
        plots.accuracy_path(axes[2, column], some)
        axes[0, column].set_title(f"{layer}, {some[0]['live']} of {some[0]['units']} units live")
        axes[2, column].set_xlabel("penalty, units x decay")
    for row in (0, 2):  # once all columns that share it are drawn
        axes[row, 0].set_ylim(0, None)
    labels = (
        "loss, half the mean squared error",
        "weights a target unit,\nshare of source units",
        "top-1 of the stitched net",
    )
    for row, label in zip(axes, labels, strict=True):
        row[0].set_ylabel(label)
        named = {name: line for ax in row for line, name in zip(*ax.get_legend_handles_labels(), strict=True)}
        if named:
            row[-1].legend(named.values(), named, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure
