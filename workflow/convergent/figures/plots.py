"""Panels: each function draws arrays or rows of a table on given axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ..evidence.inference import Interval
from ..nets.names import title

# Colours of nets in the order in which they are taken: neighbours differ in lightness too, for colour-blind readers.
NETS = ("C0", "C1", "C5", "C2", "C4", "C3")
DASHES = ("-", (0, (6, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)))
NET_COLOURS = ("C0", "C1")  # of the first and the second net of a pair
GREEDY, ASSIGNED, OVERLAP, ROTATED = "C0", "C1", "C2", "0.75"
JUDGED = {"holds": "#a6d8b1", "fails": "#f3b0a6", "cannot tell": "0.88"}  # colours of claims
# Of verdicts on units, from what has a partner to what has nothing.
VERDICTS = {"matched": "C0", "several": "C9", "unmatched": "0.8", "one photograph": "C1", "dead": "0.4"}


def net_lines(count: int) -> list[dict[str, Any]]:
    """Colour and dashes of the line of each of several nets; of many nets, colours of the rainbow."""
    many = count > len(NETS)
    colours = list(colormaps["turbo"](np.linspace(0.05, 0.95, count))) if many else NETS[:count]
    return [{"color": colour, "linestyle": DASHES[k % len(DASHES)]} for k, colour in enumerate(colours)]


def shown(cell: float | str, form: str = ".2f") -> str:
    """A number as text, or "none" for NaN and for an empty cell of a table."""
    return "none" if cell == "" or cell != cell else format(cell, form)


def decimals(values: np.ndarray) -> str:
    """A format that shows three digits of the largest value, and as many decimals of all others."""
    largest = np.abs(values[np.isfinite(values)]).max(initial=0)
    return f".{max(0, 2 - int(np.floor(np.log10(largest)))) if largest > 0 else 2}f"


def similarity_matrix(axes: Axes, matrix: np.ndarray, rows: str, columns: str) -> AxesImage:
    """Image of a matrix of signed similarities; dead units are grey.

    matrix: (units_a, units_b), NaN for dead units; rows, columns: labels of the axes
    """
    axes.set_facecolor("0.8")
    axes.spines[:].set_visible(True)
    axes.set(xlabel=columns, ylabel=rows, xticks=[], yticks=[])
    return axes.imshow(matrix, vmin=-1, vmax=1, interpolation="none")


def sorted_similarities(axes: Axes, greedy: np.ndarray, assigned: np.ndarray, rotated: np.ndarray) -> None:
    """Draw the greedy similarity of units in falling order, and the assigned one of each (paper, figure 3).

    greedy, assigned: (units,), NaN where a unit is dead or left over; rotated: on rotated axes, NaN where not known
    """
    order = np.argsort(-greedy, kind="stable")  # NaN last
    order = order[~np.isnan(greedy[order])]
    rank, dots = np.arange(1, len(order) + 1), max(1.5, 4 - len(order) / 100)
    axes.vlines(rank, assigned[order], greedy[order], color="0.85", linewidth=1, zorder=0)
    axes.plot(rank, greedy[order], ".-", color=GREEDY, linewidth=1, markersize=dots + 2, label="greedy partner")
    axes.plot(rank, assigned[order], "x", color=ASSIGNED, markersize=dots, label="assigned partner")
    if np.isfinite(rotated).any():
        axes.plot(rank, rotated[order], "_", color="0.45", markersize=dots, label="greedy partner on rotated axes")
    axes.set(xlabel="units, by greedy similarity", ylabel="correlation", xlim=(0, 1.09 * len(order) + 1))
    axes.axhline(0, color="0.7", linewidth=0.5, zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(np.nanmin([0.0, *(assigned[order] - 0.03), *(greedy[order] - 0.03)]), 1.02)


def means_of_similarities(axes: Axes, ours: Sequence[float], paper: Sequence[float] | None) -> None:
    """Draw the mean greedy and assigned similarity at the right end of a panel, and beside them the paper's."""
    end = axes.get_xlim()[1]
    for value, colour, size in zip(ours, (GREEDY, ASSIGNED), (8, 5), strict=True):  # both are seen where they agree
        axes.plot(end, value, "<", color=colour, markersize=size, clip_on=False)
    for value, colour, size in zip(paper or (), (GREEDY, ASSIGNED), (7, 4), strict=False):
        axes.plot(0.965 * end, value, "s", color=colour, markerfacecolor="w", markersize=size, zorder=3)


def key_of_similarities(panels: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    """Handles and labels of the legend of panels of sorted similarities, of what any of them has."""
    shown = {name: line for axes in panels for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    marks = {line.get_marker() for axes in panels for line in axes.get_lines()}
    for mark, name, face in (("<", "their means", "0.3"), ("s", "means in the paper", "w")):
        if mark in marks:
            shown[name] = Line2D([], [], marker=mark, color="0.3", markerfacecolor=face, linestyle="")
    return list(shown.values()), list(shown)


def sorted_means(axes: Axes, means: Mapping[str, np.ndarray]) -> None:
    """Draw the mean activations of each net's units in falling order. means: net -> (units,)"""
    for (net, mean), line in zip(means.items(), net_lines(len(means)), strict=True):
        axes.plot(np.arange(1, len(mean) + 1), np.sort(mean)[::-1], label=title(net), **line)
    axes.set(xlabel="units, by mean activation", ylabel="mean activation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(min([0, *(1.05 * mean.min() for mean in means.values())]))


def highest(means: Mapping[str, np.ndarray]) -> str:
    """The highest mean activation of each net, as text. means: net -> (units,)"""
    form = decimals(np.array([mean.max() for mean in means.values()]))
    return ", ".join(f"{title(net)} {mean.max():{form}}" for net, mean in means.items())


def learning_curves(axes: Axes, histories: Mapping[str, Mapping[str, np.ndarray]], column: str, label: str) -> None:
    """Draw a column of each net's history, for validation images (thick) and for training crops (thin)."""
    for (net, history), line in zip(histories.items(), net_lines(len(histories)), strict=True):
        axes.plot(history["step"], history[column], linewidth=0.8, **line)
        last = f"{title(net)}, {history['val_top1'][-1]:.1%} in the end"
        axes.plot(history["step"], history[f"val_{column}"], linewidth=2, label=last, **line)
    axes.plot([], [], color="0.4", linewidth=0.8, label="training crops, under dropout")
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


def filter_tiles(filters: np.ndarray) -> np.ndarray:
    """Filters as tiles, each scaled by its own largest weight around grey. (units, h, w, C) -> in [0, 1]"""
    scale = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    return 0.5 + 0.5 * filters / np.where(scale > 0, scale, 1)


def filter_sheet(axes: Axes, filters: np.ndarray, columns: int) -> None:
    """Draw filters in rows. filters: (units, h, w, C)"""
    sheet = mosaic(filter_tiles(filters), columns)
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


def net_handles(names: Sequence[str]) -> list[Line2D]:
    """Entries of a legend for the two nets of a pair. names: as figures show them"""
    return [
        Line2D([], [], color=colour, linewidth=3, label=f"units of {name}")
        for name, colour in zip(names, NET_COLOURS, strict=True)
    ]


def beside_rotated(axes: Axes, value: float, rotated: np.ndarray, label: str) -> None:
    """Draw a number over a box that holds 95 % of its values on rotated axes, or all of fewer than 20. (rotations,)"""
    ends = [0.025, 0.975] if len(rotated) >= 20 else [0, 1]
    low, high = np.nanquantile(rotated, ends) if np.isfinite(rotated).any() else (np.nan, np.nan)
    axes.bar(0, high - low, 0.5, bottom=low, color=ROTATED, edgecolor="0.4", linewidth=0.5)
    axes.plot(0, value, "o", color=GREEDY, markersize=6)
    axes.set_title(label, fontsize=8)
    axes.set(xticks=[], xlim=(-0.6, 0.6))
    largest = np.nanmax([value if np.isfinite(value) else np.nan, high, 1e-6])
    axes.set_ylim(np.nanmin([0, value, low]) * 1.15, 1.15 * largest)
    axes.spines["bottom"].set_visible(False)


def eigenvalues(axes: Axes, values: np.ndarray, clusters: int) -> None:
    """Draw the smallest eigenvalues of a graph's Laplacian and the number of clusters. values: (count,)"""
    axes.plot(np.arange(1, len(values) + 1), values, ".-", color="0.4", linewidth=0.8)
    axes.axvline(clusters + 0.5, color=ASSIGNED, linewidth=1)
    axes.set(title=f"eigenvalues of the graph's Laplacian; {clusters} clusters", xlim=(0.5, len(values) + 0.5))
