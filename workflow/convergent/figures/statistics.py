"""Figures of numbers: correlations, matches, means, learning curves, convergence."""

import argparse
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from .. import store, tables
from ..alignment import matching
from ..moments.covariance import net_means
from . import plots


def between_panels(between: np.ndarray, partner: np.ndarray) -> dict[str, np.ndarray]:
    """The between-net matrix in the orders of figure 1; loops need two nets of equal width."""
    panels = {"between,\nnative order": between}
    if between.shape[0] == between.shape[1]:
        loops = matching.loop_order(partner)
        panels["between, both in the\nassignment's loops"] = between[np.ix_(loops, loops)]
    panels["between, matches\non the diagonal"] = between[np.ix_(*matching.diagonal_order(partner, between.shape[1]))]
    return panels


def fig1_correlation(args: argparse.Namespace) -> Figure:
    """inputs: correlation stores of a-a, b-b and a-b"""
    first, second, between = (store.load(path, "correlation")["correlation"] for path in args.inputs)
    one, two = (plots.title(net) for net in Path(args.inputs[2]).parent.stem.split("-"))
    panels = [(f"within {one}", first, one, one), (f"within {two}", second, two, two)]
    panels += [(name, x, one, two) for name, x in between_panels(between, matching.assignment(between)).items()]
    widths = [float(np.clip(matrix.shape[1] / matrix.shape[0], 0.65, 1)) for _, matrix, _, _ in panels]
    figure, axes = plt.subplots(1, len(panels), figsize=(2.3 * sum(widths), 2.8), width_ratios=widths)
    for ax, (name, matrix, rows, columns) in zip(axes, panels, strict=True):
        image = plots.similarity_matrix(ax, matrix, f"units of {rows}", f"units of {columns}")
        ax.set_title(name)
    figure.colorbar(image, ax=axes, label="correlation", shrink=0.75, pad=0.01)
    return figure


def fig3_assignment(args: argparse.Namespace) -> Figure:
    """inputs: a matching table"""
    table = matching.read(args.inputs[0])
    one, two = (plots.title(net) for net in Path(args.inputs[0]).stem.split("-"))
    figure, axes = plt.subplots(figsize=(6.2, 3.2))
    agreement = matching.overlap(table["greedy"], table["assigned"])
    plots.sorted_similarities(axes, table["greedy_similarity"], table["assigned_similarity"], agreement)
    axes.set_title(f"{args.layer}: units of {one} and their partners in {two}")
    figure.legend(loc="outside lower center", ncols=3, columnspacing=1)
    return figure


def figS10_means(args: argparse.Namespace) -> Figure:  # noqa: N802
    """inputs: a layer's moments"""
    figure, axes = plt.subplots(figsize=(4.5, 3))
    plots.sorted_means(axes, net_means(args.inputs[0]))
    axes.set_title(f"{args.layer}: mean activation on the validation images")
    return figure


def nets_training(args: argparse.Namespace) -> Figure:
    """inputs: history of each net"""
    histories: dict[str, Any] = {
        Path(path).stem: np.genfromtxt(path, delimiter=",", names=True, ndmin=1) for path in args.inputs
    }
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.2))
    plots.learning_curves(axes[0], histories, "loss", "cross-entropy")
    plots.learning_curves(axes[1], histories, "top1", "top-1 accuracy")
    axes[1].set_ylim(0, 1)
    axes[1].yaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside right center", title="validation images (solid)")
    return figure


def chosen(rows: list[dict[str, Any]], similarity: str, kind: str) -> list[dict[str, Any]]:
    """Rows by a similarity, of pairs ("net") or of the mean over pairs ("mean"); an empty cell is NaN."""
    found = [row for row in rows if row["similarity"] == similarity and row["pair"].startswith(kind)]
    return [{name: np.nan if cell == "" else cell for name, cell in row.items()} for row in found]


PARTNERS = {"greedy": plots.GREEDY, "assigned": plots.ASSIGNED}
HELD_OUT = {"greedy_held_out": plots.GREEDY, "assigned_held_out": plots.ASSIGNED}
SUMMARY_PANELS: list[tuple[str, str, str, dict[str, str]]] = [  # title, axis, similarity, measures and their colours
    ("partners chosen and measured\non the same images", "mean correlation", "correlation", PARTNERS),
    (
        "partners chosen on one half of the images,\nmeasured on the other",
        "mean correlation",
        "correlation",
        HELD_OUT,
    ),
    (
        "units whose greedy and\nassigned partners are the same",
        "share of units",
        "correlation",
        {"overlap": plots.OVERLAP},
    ),
    ("partners by\nmutual information", "mean information, nats", "mutual_information", PARTNERS),
]


def summary_convergence(args: argparse.Namespace) -> Figure:
    """inputs: convergence of each layer and, if wanted, the table of information; also writes the summary table"""
    rows = [row for path in args.inputs for row in tables.read(path)]
    tables.write(args.table, rows, digits=4)
    panels = [panel for panel in SUMMARY_PANELS if any(row["similarity"] == panel[2] for row in rows)]
    every = {panel[2]: dict.fromkeys(row["layer"] for row in rows if row["similarity"] == panel[2]) for panel in panels}
    widths = [max(7, 1 + len(every[similarity])) for _, _, similarity, _ in panels]
    figure, axes = plt.subplots(1, len(panels), figsize=(0.45 * sum(widths), 3.8), width_ratios=widths)
    for ax, (name, label, similarity, measures) in zip(axes, panels, strict=True):
        layers = list(every[similarity])
        for k, (measure, colour) in enumerate(measures.items()):
            shift = (k - (len(measures) - 1) / 2) * 0.3
            plots.by_layer(ax, layers, chosen(rows, similarity, "mean"), measure, colour, shift)
            plots.pair_dots(ax, layers, chosen(rows, similarity, "net"), measure, colour, shift)
        ax.set(title=name, ylabel=label, xlim=(-0.6, len(layers) - 0.4))
        ax.set_ylim(min(0, ax.get_ylim()[0]), 1.02 if similarity == "correlation" else 1.05 * ax.get_ylim()[1])
    shown = {**PARTNERS, "overlap": plots.OVERLAP, "chance": plots.CHANCE}
    labels = ["greedy partner", "assigned partner", "overlap", "chance: random rotations of one net"]
    figure.legend([Patch(color=c) for c in shown.values()], labels, loc="outside lower center", ncols=4)
    return figure
