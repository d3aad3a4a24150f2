"""Figures of clusters of two nets' units: the tree of a mapping, and spectral clusters (paper, section 3.3)."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure, SubFigure

from .. import store, tables
from ..clustering import hierarchy
from ..stitching import mappings
from . import plots
from .units import unit_layer, whole_crops

CLUSTERS, SMALLEST = 4, 3  # that are shown with pictures, at most; units of the smallest of them
MEMBERS = 10  # of a cluster that are shown
PICTURE = 1.1  # width of a unit's pictures, inches
Member = tuple[int, int]  # net, 0 or 1, and unit
Pictures = Sequence[Mapping[str, Any]]  # of the units of either net


def in_pair(net: np.ndarray) -> np.ndarray:
    """Place in the pair, 0 or 1, from a tree's array ``net``: the source is the first net. (leaves,)"""
    return np.where(net == hierarchy.SOURCE, 0, 1)


def fig5_hierarchy(args: argparse.Namespace) -> Figure:
    """inputs: a mapping, the store and the table of its tree"""
    mapping, tree, scores = args.inputs
    about = store.attributes(tree)
    store.require_equal("mapping", **{mapping: store.attributes(mapping)["sha256"], tree: about["stitching"]})
    found, scored = store.load(tree, "order", "net"), hierarchy.read(scores)
    matrix = hierarchy.joined(mappings.read_weights(mapping, about["point"]))
    names = [plots.title(about[side]) for side in ("source", "target")]
    rows = f"units of {names[1]} (targets), then of {names[0]}"
    figure = plt.figure(figsize=(10.5, 6.9))
    left, right = figure.subfigures(1, 2, width_ratios=[1, 2.1], squeeze=False).flat
    native = left.subplots(2, 1)
    panels = {
        "M = [I |W|; |W|' I]": (matrix, "Greys"),
        "distance, max(M) - M (white: none)": (hierarchy.distance(matrix), "Blues"),
    }
    for ax, (name, (panel, cmap)) in zip(native, panels.items(), strict=True):
        plots.weight_matrix(ax, panel, rows, "", cmap)
        ax.set_title(f"{name}, native order")
    ax = right.subplots()
    order = found["order"]
    plots.weight_matrix(ax, np.sqrt(matrix[np.ix_(order, order)]), "", "units of both nets, in the order of the tree")
    plots.colour_diagonal(ax, in_pair(found["net"][order]))
    best = hierarchy.best_mixed(scored, CLUSTERS, SMALLEST)
    for subtree in scored:
        plots.frame(ax, subtree.first, subtree.size, "0.6", 0.5)
    for rank, subtree in enumerate(best, 1):
        plots.frame(ax, subtree.first, subtree.size, "C2", 1.5)
        ax.annotate(f"{rank}", (subtree.first - 1, subtree.first), color="C2", ha="right", fontsize=9)
    ax.set_title(
        f"{about['layer']}, square root of M in leaf order; a box for each of {len(scored)} subtrees,\n"
        f"green for the best of {SMALLEST} units or more of both nets; units x decay = {about['alpha']:g}"
    )
    figure.legend(handles=plots.net_handles(names), loc="outside lower center", ncols=2)
    return figure


def draw_members(
    part: SubFigure, units: Sequence[Member], columns: int, pictures: Pictures, names: Sequence[str], title: str
) -> None:
    """Pictures of the members of a cluster, their names in the colour of their net, in so many columns."""
    grid = part.subplots(max(len(plots.kinds(found)) for found in pictures), columns, squeeze=False)
    for ax in grid.flat:
        ax.axis("off")
    for column, (net, unit) in enumerate(units[:columns]):
        for ax in grid[:, column]:
            ax.axis("on")
        plots.unit_pictures(list(grid[:, column]), pictures[net], unit)
        grid[0, column].set_title(f"{names[net]} {unit}", fontsize=8, color=plots.NET_COLOURS[net])
    more = f"; {columns} of {len(units)} units shown" if len(units) > columns else ""
    part.suptitle(title + more, fontsize=9)


def height(pictures: Pictures) -> float:
    """Of a row of members, in inches."""
    return PICTURE * (0.25 + 1.05 * max(len(plots.kinds(found)) for found in pictures))


def taken_in_turn(units: Sequence[Member]) -> list[Member]:
    """Members in an order in which the first few are of both nets."""
    place = [sum(net == other for other, _ in units[:k]) for k, (net, _) in enumerate(units)]
    return [unit for _, unit in sorted(zip(place, units, strict=True), key=lambda pair: (pair[0], pair[1]))]


def fig6_clusters(args: argparse.Namespace) -> Figure:
    """inputs: the store and the table of a tree, patches of the mapping's source and target net"""
    about, found = store.attributes(args.inputs[0]), store.load(args.inputs[0], "order", "net", "unit")
    best = hierarchy.best_mixed(hierarchy.read(args.inputs[1]), CLUSTERS, SMALLEST)
    names = [plots.title(about[side]) for side in ("source", "target")]
    pictures = [unit_layer(path, about["layer"]) for path in args.inputs[2:4]]
    columns = min(MEMBERS, max([5, *(subtree.size for subtree in best)]))
    figure = plt.figure(figsize=(PICTURE * columns, height(pictures) * max(len(best), 1) + 0.6))
    parts = figure.subfigures(max(len(best), 1), 1, squeeze=False).flat
    for rank, (part, subtree) in enumerate(zip(parts, best, strict=False), 1):
        leaves = found["order"][subtree.first : subtree.first + subtree.size]
        units = list(zip(in_pair(found["net"][leaves]).tolist(), found["unit"][leaves].tolist(), strict=True))
        title = (
            f"cluster {rank}: {subtree.source} of {names[0]}, {subtree.target} of {names[1]}; "
            f"mean of M within {subtree.within:.3f}, gap to the parent {subtree.gap:.3f}"
        )
        draw_members(part, taken_in_turn(units), columns, pictures, names, title)
    some = "best clusters of both nets' units" if best else f"no cluster of {SMALLEST} units or more is of both nets"
    whole = whole_crops(pictures, names)
    figure.suptitle(f"{about['layer']}: {some},\nby the tree of the mapping{whole}")
    return figure


def joint_correlation(paths: Sequence[str]) -> np.ndarray:
    """Correlation of both nets' units, from the stores of a-a, b-b and a-b. (units_a + units_b, the same)"""
    first, second, between = (store.load(path, "correlation")["correlation"] for path in paths)
    return np.block([[first, between], [between.T, second]])


def draw_chance(part: SubFigure, found: dict[str, np.ndarray]) -> None:
    """The summaries of the clustering beside 95 % of those of random rotations."""
    shown = {
        "density_inside": "mean positive correlation inside",
        "contrast": "inside / outside",
        "span": "common span, mean squared\ncanonical correlation",
    }
    *summaries, last = part.subplots(len(shown) + 1, 1)
    for ax, (name, label) in zip(summaries, shown.items(), strict=True):
        plots.beside_chance(ax, float(found[name]), found[f"null/{name}"], label)
    plots.eigenvalues(last, found["eigenvalue"], int(found["label"].max(initial=-1)) + 1)
    stability = found["stability"][np.isfinite(found["stability"])]
    spread = f"{stability.mean():.2f} ± {stability.std():.2f}" if len(stability) else "none"
    part.supxlabel(
        f"dot: these nets; grey: 95 % of {len(found['null/span'])} random rotations of the second net,\n"
        "cut into as many clusters; stability under resampled photographs\n"
        f"(adjusted Rand index): {spread}",
        fontsize=8,
    )


def figS_spectral(args: argparse.Namespace) -> Figure:  # noqa: N802
    """inputs: the store and the table of spectral clusters, correlation stores of a-a, b-b and a-b, patches of both"""
    about, found = store.attributes(args.inputs[0]), store.load(args.inputs[0])
    rows = tables.read(args.inputs[1], allow_no_rows=True)  # none where the layer is dead
    names = [plots.title(net) for net in about["pair"].split("-")]
    pictures = [unit_layer(path, about["layer"]) for path in args.inputs[5:7]]
    mixed = [row for row in rows if row["units_a"] and row["units_b"] and row["size"] >= SMALLEST][:CLUSTERS]
    heights = [5.4, *(height(pictures) for _ in mixed)]
    figure = plt.figure(figsize=(PICTURE * MEMBERS, sum(heights)))
    top, *parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).flat
    left, right = top.subfigures(1, 2, width_ratios=[1.35, 1], squeeze=False).flat
    order = found["order"][found["label"][found["order"]] >= 0]
    ax = left.subplots()
    image = plots.similarity_matrix(ax, joint_correlation(args.inputs[2:5])[np.ix_(order, order)], "", "")
    plots.colour_diagonal(ax, found["net"][order])
    for first, size in runs(found["label"][order]):
        plots.frame(ax, first, size, "k", 0.8)
    ax.set_title(f"{about['layer']}: {len(rows)} spectral clusters of both nets' units, densest first")
    left.colorbar(image, ax=ax, label="correlation", shrink=0.75, pad=0.01)
    left.legend(handles=plots.net_handles(names), loc="outside lower center", ncols=2)
    draw_chance(right, found)
    for part, row in zip(parts, mixed, strict=True):
        members = [name.split(":") for name in row["members"].split()]
        units = [(about["pair"].split("-").index(net), int(unit)) for net, unit in members]
        inside, outside, span = (plots.shown(row[name]) for name in ("density_inside", "density_outside", "span"))
        title = (
            f"cluster {row['cluster'] + 1}: {row['units_a']} units of {names[0]}, {row['units_b']} of {names[1]}; "
            f"mean positive correlation inside {inside}, outside {outside}, span {span}"
        )
        draw_members(part, taken_in_turn(units), MEMBERS, pictures, names, title)
    if mixed:
        figure.supxlabel(whole_crops(pictures, names).strip(), fontsize=8)
    return figure


def runs(label: np.ndarray) -> list[tuple[int, int]]:
    """Where each run of equal labels begins, and how long it is."""
    first = np.flatnonzero(np.r_[True, label[1:] != label[:-1]]) if len(label) else np.zeros(0, int)
    return list(zip(first.tolist(), np.diff(np.r_[first, len(label)]).tolist(), strict=True))
