"""Panels: each function draws arrays or rows of a table on given axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from ..alignment import matching
from ..evidence.inference import Interval
from ..nets.names import title

CYCLE = 6  # colours of the style
NET_COLOURS = ("C0", "C1")  # of the first and the second net of a pair
GREEDY, ASSIGNED, OVERLAP, ROTATED = "C0", "C1", "C2", "0.75"
JUDGED = {"holds": "#a6d8b1", "fails": "#f3b0a6", "cannot tell": "0.88"}  # colours of claims
# Of verdicts on units, from what has a partner to what has nothing.
VERDICTS = {"matched": "C0", "several": "C9", "unmatched": "0.8", "one photograph": "C1", "dead": "0.4"}


def net_colours(count: int) -> list[Any]:
    """A colour for each of several nets: those of the style, and where they are too few, colours of the rainbow."""
    return (
        [f"C{k}" for k in range(count)] if count <= CYCLE else list(colormaps["turbo"](np.linspace(0.05, 0.95, count)))
    )


def shown(cell: float | str, form: str = ".2f") -> str:
    """A number as text, or "none" for NaN and for an empty cell of a table."""
    return "none" if cell == "" or cell != cell else format(cell, form)


def similarity_matrix(axes: Axes, matrix: np.ndarray, rows: str, columns: str) -> AxesImage:
    """Image of a matrix of signed similarities; dead units are grey.

    matrix: (units_a, units_b), NaN for dead units; rows, columns: labels of the axes
    """
    axes.set_facecolor("0.8")
    axes.spines[:].set_visible(True)
    axes.set(xlabel=columns, ylabel=rows, xticks=[], yticks=[])
    return axes.imshow(matrix, vmin=-1, vmax=1, interpolation="none")


def sorted_similarities(axes: Axes, greedy: np.ndarray, assigned: np.ndarray, overlap: float) -> None:
    """Draw the greedy similarity of units in falling order, and the assigned one of each (paper, figure 3).

    greedy, assigned: (units,), NaN where a unit is dead or left over; overlap: share of units whose partners agree
    """
    order = np.argsort(-greedy, kind="stable")  # NaN last
    order = order[~np.isnan(greedy[order])]
    rank = np.arange(1, len(order) + 1)
    axes.vlines(rank, assigned[order], greedy[order], color="0.85", linewidth=1, zorder=0)
    label = f"greedy, mean {matching.live_mean(greedy):.3f}"
    axes.plot(rank, greedy[order], ".-", color=GREEDY, linewidth=1, label=label)
    label = f"assigned, mean {matching.live_mean(assigned):.3f}"
    if (count := int(np.isfinite(assigned[order]).sum())) < len(order):
        label += f" of {count} units"
    axes.plot(rank, assigned[order], "x", color=ASSIGNED, label=label)
    axes.plot([], [], " ", label=f"same partner: {overlap:.0%} of {len(order)} units")
    axes.set(xlabel="units, by greedy similarity", ylabel="correlation", xlim=(0, len(order) + 1))
    axes.axhline(0, color="0.7", linewidth=0.5, zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(np.nanmin([0.0, *(assigned[order] - 0.03), *(greedy[order] - 0.03)]), 1)


def sorted_means(axes: Axes, means: Mapping[str, np.ndarray]) -> None:
    """Draw the mean activations of each net's units in falling order. means: net -> (units,)"""
    for (net, mean), colour in zip(means.items(), net_colours(len(means)), strict=True):
        label = f"{title(net)}, highest {mean.max():.3g}"
        axes.plot(np.arange(1, len(mean) + 1), np.sort(mean)[::-1], color=colour, label=label)
    axes.set(xlabel="units, by mean activation", ylabel="mean activation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(min([0, *(1.05 * mean.min() for mean in means.values())]))


def learning_curves(axes: Axes, histories: Mapping[str, Mapping[str, np.ndarray]], column: str, label: str) -> None:
    """Draw a column of each net's history, for validation images (solid) and for training crops (dashed)."""
    for (net, history), colour in zip(histories.items(), net_colours(len(histories)), strict=True):
        axes.plot(history["step"], history[column], "--", color=colour, linewidth=1)
        last = f"{title(net)}, {history['val_top1'][-1]:.1%} in the end"
        axes.plot(history["step"], history[f"val_{column}"], color=colour, label=last)
    axes.plot([], [], "--", color="0.4", linewidth=1, label="training crops, under dropout")
    axes.set(xlabel="step", ylabel=label, ylim=(0, None), xlim=(0, None))


def mosaic(tiles: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """A white sheet with the tiles in rows. tiles: (n, h, w, C) in [0, 1]; gap: pixels between them -> (H, W, C)"""
    count, height, width, channels = tiles.shape
    rows = -(-count // columns)
    sheet = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, channels))
    for k, tile in enumerate(tiles):
        top, left = k // columns * (height + gap), k % columns * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def filter_sheet(axes: Axes, filters: np.ndarray, columns: int) -> None:
    """Draw filters, each scaled by its own largest weight around grey. filters: (units, h, w, C)"""
    scale = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    sheet = mosaic(0.5 + 0.5 * filters / np.where(scale > 0, scale, 1), columns)
    axes.imshow(sheet if sheet.shape[2] == 3 else sheet[..., 0], cmap="gray", vmin=0, vmax=1)
    axes.axis("off")


TableRows = Sequence[Mapping[str, Any]]


def estimates(axes: Axes, where: Sequence[float], found: Sequence[Interval], colour: str, filled: bool = True) -> None:
    """Draw numbers with their intervals; hollow ones are of untrained nets."""
    value = np.array([of.estimate for of in found])
    ends = np.array([[of.estimate - of.low, of.high - of.estimate] for of in found]).T
    face = colour if filled else "white"
    axes.errorbar(where, value, ends, fmt="o", color=colour, markerfacecolor=face, capsize=2, linewidth=1, zorder=3)


def weight_matrix(axes: Axes, size: np.ndarray, rows: str, columns: str, cmap: str = "Greys") -> AxesImage:
    """Image of the sizes of weights, with zeros in white. size: (rows, columns)"""
    axes.spines[:].set_visible(True)
    axes.set(xlabel=columns, ylabel=rows, xticks=[], yticks=[])
    return axes.imshow(size, vmin=0, cmap=cmap, interpolation="none")


def mark_row(axes: Axes, row: int, label: str) -> None:
    """Draw a frame around a row of a matrix, with a label at its right end."""
    columns = axes.images[0].get_array().shape[1]  # type: ignore[union-attr]
    axes.add_patch(Rectangle((-0.5, row - 0.5), columns, 1, fill=False, edgecolor=ASSIGNED, linewidth=1))
    axes.annotate(label, (columns, row), color=ASSIGNED, fontsize=8, va="center", annotation_clip=False)


def frame(axes: Axes, first: int, size: int, colour: str, width: float) -> None:
    """Draw a square frame around the rows and columns of a matrix from the first one on."""
    axes.add_patch(
        Rectangle((first - 0.5, first - 0.5), size, size, fill=False, edgecolor=colour, linewidth=width, zorder=3)
    )


def colour_diagonal(axes: Axes, net: np.ndarray) -> None:
    """Colour the diagonal of a matrix by net. net: (units,), 0 for the pair's first net, 1 for its second"""
    diagonal = np.zeros((len(net), len(net), 4))
    diagonal[np.arange(len(net)), np.arange(len(net))] = np.array([to_rgba(colour) for colour in NET_COLOURS])[net]
    axes.imshow(diagonal, interpolation="none", zorder=2)


def net_handles(names: Sequence[str]) -> list[Patch]:
    """Entries of a legend for the two nets of a pair. names: as figures show them"""
    return [Patch(color=colour, label=f"units of {name}") for name, colour in zip(names, NET_COLOURS, strict=True)]


def beside_rotated(axes: Axes, value: float, rotated: np.ndarray, label: str) -> None:
    """Draw a number over a box that holds 95 % of its values on rotated axes, or all of fewer than 20. (rotations,)"""
    ends = [0.025, 0.975] if len(rotated) >= 20 else [0, 1]
    low, high = np.nanquantile(rotated, ends) if np.isfinite(rotated).any() else (np.nan, np.nan)
    axes.barh(0, high - low, 0.5, left=low, color=ROTATED, edgecolor="0.4", linewidth=0.5)
    axes.plot(value, 0, "o", color=GREEDY)
    axes.set(title=label, yticks=[], ylim=(-0.6, 0.6))
    axes.set_xlim(0, 1.15 * np.nanmax([value if np.isfinite(value) else np.nan, high, 1e-6]))
    axes.spines["left"].set_visible(False)


def eigenvalues(axes: Axes, values: np.ndarray, clusters: int) -> None:
    """Draw the smallest eigenvalues of a graph's Laplacian and the number of clusters. values: (count,)"""
    axes.plot(np.arange(1, len(values) + 1), values, ".-", color="0.4", linewidth=0.8)
    axes.axvline(clusters + 0.5, color=ASSIGNED, linewidth=1)
    axes.set(title=f"eigenvalues of the graph's Laplacian; {clusters} clusters", xlim=(0.5, len(values) + 0.5))


PENALTIES = [0, 1e-3, 1e-2, 1e-1, 1, 10]  # ticks of units x decay


def by_penalty(axes: Axes, rows: TableRows) -> TableRows:
    """The rows in order of their penalty; the horizontal axis becomes logarithmic with a place for 0."""
    axes.set_xscale("symlog", linthresh=PENALTIES[1], linscale=0.7)
    axes.set_xticks(PENALTIES, ["0", *(f"$10^{{{exponent}}}$" for exponent in (-3, -2, -1)), "1", "10"])
    axes.minorticks_off()
    axes.set_xlim(-0.1 * PENALTIES[1], 60)  # the paper's largest is 38
    return sorted(rows, key=lambda row: row["alpha"])


def loss_path(axes: Axes, rows: TableRows, paper: TableRows) -> None:
    """Draw the loss of a layer's mapping against its penalty (paper, table 1).

    At the exact optimum, as the published optimiser leaves it where it was replayed, of the zero map, and in the paper.
    """
    path = by_penalty(axes, rows)
    alpha = [row["alpha"] for row in path]
    axes.plot(alpha, [row["val_loss"] for row in path], "o-", color=GREEDY, markersize=3, label="exact, validation")
    axes.plot(alpha, [row["train_loss"] for row in path], "-", color=GREEDY, linewidth=0.8, label="exact, training")
    replayed = [row for row in path if "published_val_loss" in row]
    if replayed:
        alpha = [row["alpha"] for row in replayed]
        columns = {"validation": ("x--", "published_val_loss"), "training": (":", "published_train_loss")}
        for images, (style, name) in columns.items():
            label = f"published optimiser, {images}"
            axes.plot(alpha, [row[name] for row in replayed], style, color=ASSIGNED, linewidth=0.8, label=label)
    axes.axhline(path[0]["zero_loss"], color="0.6", linewidth=0.8, zorder=0, label="zero map, validation")
    kinds = {"yes": ("s", "paper (ImageNet)"), "no": ("D", "paper, from an uncertain source")}
    for certain, (marker, label) in kinds.items():
        if not (points := [row for row in paper if row["certain"] == certain]):
            continue
        alpha, loss = [row["units"] * row["decay"] for row in points], [row["loss"] for row in points]
        axes.plot(alpha, loss, marker, color="0.4", markersize=4, fillstyle="none", label=label)


def weights_path(axes: Axes, rows: TableRows, paper: TableRows) -> None:
    """Draw the weights a target unit, as a share of the source units, against the penalty (paper, table 1).

    At the exact optimum all that are not zero, and those above 0.01; the latter also as the published optimiser leaves
    them, where it was replayed, and in the paper.
    """
    path = by_penalty(axes, rows)
    replayed = [row for row in path if "published_above" in row]
    lines = {"nonzero": (path, "-", GREEDY, "exact, not zero"), "above": (path, "o-", GREEDY, "exact, above 0.01")}
    lines["published_above"] = (replayed, "x--", ASSIGNED, "published optimiser, above 0.01")
    for name, (points, style, colour, label) in ((name, line) for name, line in lines.items() if line[0]):
        share, alpha = [row[name] / row["sources"] for row in points], [row["alpha"] for row in points]
        axes.plot(alpha, share, style, color=colour, markersize=3, linewidth=0.8, label=label)
    axes.set_ylim(0, 1.05)
    if not (printed := [row for row in paper if row["weights"] != ""]):
        return
    alpha, share = [row["units"] * row["decay"] for row in printed], [row["weights"] / row["units"] for row in printed]
    axes.plot(alpha, share, "s", color="0.4", markersize=4, fillstyle="none", label="paper (ImageNet), above 0.01")


def accuracy_path(axes: Axes, rows: TableRows, means: TableRows) -> None:
    """Draw the top-1 accuracy of a layer's stitched nets against the penalty of their mapping, with its controls.

    Bands and bars are 95 % intervals. rows: of one pair, at each penalty; means: over all ordered pairs. Where the
    second net's classes are not those of the images, draw this reason instead.
    """
    path = by_penalty(axes, rows)
    if "target" not in path[0]:
        reason = "no top-1: the second net's\nclasses are not the images'"
        axes.text(0.5, 0.5, reason, ha="center", va="center", fontsize=8, transform=axes.transAxes)
        axes.set_yticks([])
        return
    alpha = [row["alpha"] for row in path]
    lines = {"top1_relu": ("o-", GREEDY, "stitched, ReLU behind"), "top1": (".--", OVERLAP, "stitched as mapped")}
    lines["untrained_relu"] = ("o-", "0.55", "from the untrained net")
    for name, (style, colour, label) in ((name, line) for name, line in lines.items() if name in path[0]):
        axes.plot(alpha, [row[name] for row in path], style, color=colour, markersize=3, linewidth=0.8, label=label)
        if name != "top1":
            low, high = ([row[f"{name}_{end}"] for row in path] for end in ("low", "high"))
            axes.fill_between(alpha, low, high, color=colour, alpha=0.2, linewidth=0)
        mean_of_pairs(axes, [row for row in means if name in row], name, colour, label)
    axes.axhline(path[0]["target"], color="k", linewidth=0.8, label="second net itself")
    axes.axhline(path[0]["self"], color=ASSIGNED, linewidth=1.6, linestyle=(0, (1, 3)), label="mapped onto itself")
    axes.axhline(path[0]["zero"], color="0.6", linewidth=0.8, zorder=0, label="zero map")


def mean_of_pairs(axes: Axes, means: TableRows, name: str, colour: str, label: str) -> None:
    """Draw the mean top-1 accuracy over all ordered pairs of nets at some penalties, with its intervals."""
    if means:
        alpha, mean = ([row[column] for row in means] for column in ("alpha", name))
        ends = [[row[name] - row[f"{name}_low"] for row in means], [row[f"{name}_high"] - row[name] for row in means]]
        of_all = f"{label}, all pairs"
        axes.errorbar(alpha, mean, ends, fmt="D", color=colour, mfc="w", markersize=4, capsize=2, label=of_all)
