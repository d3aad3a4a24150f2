"""Arrays and axes to a panel."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from ..alignment import matching

NET_COLOURS = ("C0", "C1")  # of the first and the second net of a pair
GREEDY, ASSIGNED, OVERLAP, CHANCE = "C0", "C1", "C2", "0.6"


def title(net: str) -> str:
    """The name that figures show: net0 is Net1, as in the paper."""
    return f"Net{int(net.removeprefix('net')) + 1}"


def shown(cell: float | str, form: str = ".2f") -> str:
    """A number, or "none" where there is none: a NaN, or an empty cell of a table."""
    return "none" if cell == "" or cell != cell else format(cell, form)


def similarity_matrix(axes: Axes, matrix: np.ndarray, rows: str, columns: str) -> AxesImage:
    """A signed similarity matrix in its order; dead units are grey. (units_a, units_b)"""
    axes.set_facecolor("0.8")
    axes.spines[:].set_visible(True)
    axes.set(xlabel=columns, ylabel=rows, xticks=[], yticks=[])
    return axes.imshow(matrix, vmin=-1, vmax=1, interpolation="none")


def sorted_similarities(axes: Axes, greedy: np.ndarray, assigned: np.ndarray, overlap: float) -> None:
    """Greedy similarity in falling order and the assigned one of the same units (paper, figure 3). (units,) each"""
    order = np.argsort(-np.where(np.isnan(greedy), -np.inf, greedy), kind="stable")
    order = order[~np.isnan(greedy[order])]
    rank = np.arange(1, len(order) + 1)
    axes.vlines(rank, assigned[order], greedy[order], color="0.85", linewidth=1, zorder=0)
    label = f"greedy, mean {matching.live_mean(greedy):.3f}"
    axes.plot(rank, greedy[order], ".-", color=GREEDY, linewidth=1, label=label)
    label = f"assigned, mean {matching.live_mean(assigned):.3f}"
    if (some := int(np.isfinite(assigned[order]).sum())) < len(order):
        label += f" of {some} units"
    axes.plot(rank, assigned[order], "x", color=ASSIGNED, label=label)
    axes.plot([], [], " ", label=f"same partner: {overlap:.0%} of {len(order)} units")
    axes.set(xlabel="units, by greedy similarity", ylabel="correlation", xlim=(0, len(order) + 1))
    axes.axhline(0, color="0.7", linewidth=0.5, zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(np.nanmin([0.0, *(assigned[order] - 0.03), *(greedy[order] - 0.03)]), 1)


def sorted_means(axes: Axes, means: Mapping[str, np.ndarray]) -> None:
    """Mean activation of each net's units in falling order. net -> (units,)"""
    for net, mean in means.items():
        axes.plot(np.arange(1, len(mean) + 1), np.sort(mean)[::-1], label=f"{title(net)}, highest {mean.max():.3g}")
    axes.set(xlabel="units, by mean activation", ylabel="mean activation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(min([0, *(1.05 * mean.min() for mean in means.values())]))
    axes.legend()


def learning_curves(axes: Axes, histories: Mapping[str, Mapping[str, np.ndarray]], column: str, label: str) -> None:
    """A column of each net's history, on validation images (solid) and on training crops (dashed)."""
    for k, (net, history) in enumerate(histories.items()):
        axes.plot(history["step"], history[column], "--", color=f"C{k}", linewidth=1)
        last = f"{title(net)}, {history['val_top1'][-1]:.1%} in the end"
        axes.plot(history["step"], history[f"val_{column}"], color=f"C{k}", label=last)
    axes.plot([], [], "--", color="0.4", linewidth=1, label="training crops, under dropout")
    axes.set(xlabel="step", ylabel=label, ylim=(0, None), xlim=(0, None))


def mosaic(tiles: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Tiles in rows on white. (n, h, w, C) in [0, 1] -> (H, W, C)"""
    count, height, width, channels = tiles.shape
    rows = -(-count // columns)
    sheet = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, channels))
    for k, tile in enumerate(tiles):
        top, left = k // columns * (height + gap), k % columns * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def filter_sheet(axes: Axes, filters: np.ndarray, columns: int) -> None:
    """Filters, each scaled by its own largest weight around grey. (units, h, w, C)"""
    scale = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    sheet = mosaic(0.5 + 0.5 * filters / np.where(scale > 0, scale, 1), columns)
    axes.imshow(sheet if sheet.shape[2] == 3 else sheet[..., 0], cmap="gray", vmin=0, vmax=1)
    axes.axis("off")


TableRows = Sequence[Mapping[str, Any]]


def by_layer(axes: Axes, layers: Sequence[str], rows: TableRows, measure: str, colour: str, shift: float) -> None:
    """One measure, a row for each layer, with its interval and chance, a grey box, if it has them."""
    place = np.arange(len(layers)) + shift
    value = np.array([row[measure] for row in rows])
    if f"{measure}_null_low" in rows[0]:
        low, high = (np.array([row[measure + end] for row in rows]) for end in ("_null_low", "_null_high"))
        axes.bar(place, high - low, 0.22, bottom=low, color=CHANCE, edgecolor="0.4", linewidth=0.5, zorder=1)
    axes.plot(place, value, "o-", color=colour, linewidth=0.5, zorder=3)
    if f"{measure}_low" in rows[0]:
        ends = np.array([[row[measure] - row[f"{measure}_low"], row[f"{measure}_high"] - row[measure]] for row in rows])
        axes.errorbar(place, value, ends.T, fmt="none", color=colour, capsize=3, zorder=3)
    long = max(map(len, layers)) > 6
    axes.set_xticks(range(len(layers)), layers, rotation=30 if long else 0, ha="right" if long else "center")


def pair_dots(axes: Axes, layers: Sequence[str], rows: TableRows, measure: str, colour: str, shift: float) -> None:
    """One faint dot for each row, a pair of nets in a layer."""
    place = [layers.index(row["layer"]) + shift for row in rows]
    axes.plot(place, [row[measure] for row in rows], ".", color=colour, alpha=0.35, markersize=3, zorder=2)


def weight_matrix(axes: Axes, size: np.ndarray, rows: str, columns: str, cmap: str = "Greys") -> AxesImage:
    """Sizes of weights in their order, zeros white, or distances of a map the other way round. (rows, columns)"""
    axes.spines[:].set_visible(True)
    axes.set(xlabel=columns, ylabel=rows, xticks=[], yticks=[])
    return axes.imshow(size, vmin=0, cmap=cmap, interpolation="none")


def mark_row(axes: Axes, row: int, label: str) -> None:
    """A frame around a row of a matrix, with its name at the right end."""
    columns = axes.images[0].get_array().shape[1]  # type: ignore[union-attr]
    axes.add_patch(Rectangle((-0.5, row - 0.5), columns, 1, fill=False, edgecolor=ASSIGNED, linewidth=1))
    axes.annotate(label, (columns, row), color=ASSIGNED, fontsize=8, va="center", annotation_clip=False)


def frame(axes: Axes, first: int, size: int, colour: str, width: float) -> None:
    """A square frame around rows and columns first to first + size of a matrix."""
    axes.add_patch(
        Rectangle((first - 0.5, first - 0.5), size, size, fill=False, edgecolor=colour, linewidth=width, zorder=3)
    )


def colour_diagonal(axes: Axes, net: np.ndarray) -> None:
    """The diagonal of a matrix of units in the colours of their nets, 0 the pair's first, 1 its second. (units,)"""
    diagonal = np.zeros((len(net), len(net), 4))
    diagonal[np.arange(len(net)), np.arange(len(net))] = np.array([to_rgba(colour) for colour in NET_COLOURS])[net]
    axes.imshow(diagonal, interpolation="none", zorder=2)


def net_handles(names: Sequence[str]) -> list[Patch]:
    """Entries of a legend for the two nets of a pair."""
    return [Patch(color=colour, label=f"units of {name}") for name, colour in zip(names, NET_COLOURS, strict=True)]


def beside_chance(axes: Axes, value: float, null: np.ndarray, label: str) -> None:
    """A number over 95 % of what chance gives, on an axis of its own. null: (rotations,)"""
    low, high = np.nanquantile(null, [0.025, 0.975]) if np.isfinite(null).any() else (np.nan, np.nan)
    axes.barh(0, high - low, 0.5, left=low, color=CHANCE, edgecolor="0.4", linewidth=0.5)
    axes.plot(value, 0, "o", color=GREEDY)
    axes.set(title=label, yticks=[], ylim=(-0.6, 0.6))
    axes.set_xlim(0, 1.15 * np.nanmax([value if np.isfinite(value) else np.nan, high, 1e-6]))
    axes.spines["left"].set_visible(False)


def eigenvalues(axes: Axes, values: np.ndarray, clusters: int) -> None:
    """The smallest eigenvalues of a graph's Laplacian and how many clusters were taken. (count,)"""
    axes.plot(np.arange(1, len(values) + 1), values, ".-", color="0.4", linewidth=0.8)
    axes.axvline(clusters + 0.5, color=ASSIGNED, linewidth=1)
    axes.set(title=f"eigenvalues of the graph's Laplacian; {clusters} clusters", xlim=(0.5, len(values) + 0.5))


PENALTIES = [0, 1e-3, 1e-2, 1e-1, 1, 10]  # ticks of units x decay


def by_penalty(axes: Axes, rows: TableRows) -> TableRows:
    """The rows in the order of their penalty, and an axis for it that has a place for 0."""
    axes.set_xscale("symlog", linthresh=PENALTIES[1], linscale=0.7)
    axes.set_xticks(PENALTIES, ["0", *(f"$10^{{{exponent}}}$" for exponent in (-3, -2, -1)), "1", "10"])
    axes.minorticks_off()
    axes.set_xlim(-0.1 * PENALTIES[1], 60)  # the paper's largest is 38
    return sorted(rows, key=lambda row: row["alpha"])


def loss_path(axes: Axes, rows: TableRows, paper: TableRows) -> None:
    """Loss of a layer's mapping against its penalty, exact and as published, beside the paper's (paper, table 1)."""
    path = by_penalty(axes, rows)
    alpha = [row["alpha"] for row in path]
    axes.plot(alpha, [row["val_loss"] for row in path], "o-", color=GREEDY, markersize=3, label="exact, validation")
    axes.plot(alpha, [row["train_loss"] for row in path], "-", color=GREEDY, linewidth=0.8, label="exact, training")
    replayed = [row for row in path if "published_val_loss" in row]
    if replayed:
        at = [row["alpha"] for row in replayed]
        shown = {"validation": ("x--", "published_val_loss"), "training": (":", "published_train_loss")}
        for images, (style, name) in shown.items():
            label = f"published optimiser, {images}"
            axes.plot(at, [row[name] for row in replayed], style, color=ASSIGNED, linewidth=0.8, label=label)
    axes.axhline(path[0]["zero_loss"], color="0.6", linewidth=0.8, zorder=0, label="zero map, validation")
    kinds = {"yes": ("s", "paper (ImageNet)"), "no": ("D", "paper, from an uncertain source")}
    for certain, (marker, label) in kinds.items():
        if not (points := [row for row in paper if row["certain"] == certain]):
            continue
        at, loss = [row["units"] * row["decay"] for row in points], [row["loss"] for row in points]
        axes.plot(at, loss, marker, color="0.4", markersize=4, fillstyle="none", label=label)


def weights_path(axes: Axes, rows: TableRows, paper: TableRows) -> None:
    """Weights above 0.01 a target unit, as a share of the source units, exact and as published, beside the paper's."""
    path = by_penalty(axes, rows)
    replayed = [row for row in path if "published_above" in row]
    lines = {"nonzero": (path, "-", GREEDY, "exact, not zero"), "above": (path, "o-", GREEDY, "exact, above 0.01")}
    lines["published_above"] = (replayed, "x--", ASSIGNED, "published optimiser, above 0.01")
    for name, (some, style, colour, label) in ((name, line) for name, line in lines.items() if line[0]):
        share = [row[name] / row["sources"] for row in some]
        axes.plot([row["alpha"] for row in some], share, style, color=colour, markersize=3, linewidth=0.8, label=label)
    axes.set_ylim(0, 1.05)
    if not (known := [row for row in paper if row["weights"] != ""]):
        return
    at, share = [row["units"] * row["decay"] for row in known], [row["weights"] / row["units"] for row in known]
    axes.plot(at, share, "s", color="0.4", markersize=4, fillstyle="none", label="paper (ImageNet), above 0.01")


def accuracy_path(axes: Axes, rows: TableRows) -> None:
    """Top-1 of a layer's stitched nets against the penalty of the mapping, with its controls; or why there is none."""
    path = by_penalty(axes, rows)
    if path[0]["target"] == "":
        reason = "no top-1: the second net's\nclasses are not the images'"
        axes.text(0.5, 0.5, reason, ha="center", va="center", fontsize=8, transform=axes.transAxes)
        axes.set_yticks([])
        return
    alpha = [row["alpha"] for row in path]
    lines = {"top1_relu": ("o-", GREEDY, "stitched, ReLU behind"), "top1": (".--", OVERLAP, "stitched as mapped")}
    lines["untrained_relu"] = ("o-", CHANCE, "from the untrained net")
    for name, (style, colour, label) in lines.items():
        axes.plot(alpha, [row[name] for row in path], style, color=colour, markersize=3, linewidth=0.8, label=label)
    axes.axhline(path[0]["target"], color="k", linewidth=0.8, label="second net itself")
    axes.axhline(path[0]["self"], color=ASSIGNED, linewidth=1.6, linestyle=(0, (1, 3)), label="mapped onto itself")
    axes.axhline(path[0]["zero"], color="0.6", linewidth=0.8, zorder=0, label="zero map")
