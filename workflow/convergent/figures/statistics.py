"""Figures of numbers: correlations, matches, mean activations, learning curves."""

from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .. import store, tables
from ..alignment import matching
from ..commands import command
from ..moments.covariance import net_means
from . import draw, labels, plots
from .inputs import (
    BetweenStore,
    MatchesTable,
    MomentsStore,
    WithinStores,
    read_correlations,
    read_matches,
)

SPLITS = {"train": "training", "val": "validation"}  # as they are called in titles
LEGEND, BESIDE = 14, 2.4  # nets in a column of a legend beside the axes, and its width in inches
# columns that are drawn of the training of a net
HISTORY = ("step", "loss", "top1", "val_loss", "val_top1")


def between_panels(between: np.ndarray, partner: np.ndarray) -> dict[str, np.ndarray]:
    """Panels of figure 1 by title: the matrix between two nets in several orders. Loops need nets of equal width.

    between: (units_a, units_b); partner: (units_a,), the assigned unit of the second net
    """
    panels = {"between,\nnative order": between}
    if between.shape[0] == between.shape[1]:
        loops = matching.loop_order(partner)
        panels["between, both in the\nassignment's loops"] = between[np.ix_(loops, loops)]
    panels["between, matches\non the diagonal"] = between[np.ix_(*matching.diagonal_order(partner, between.shape[1]))]
    return panels


def fig1_correlation(within: WithinStores, between: BetweenStore) -> Figure:
    """Correlation of the units within each of two nets and between them (paper, figure 1)."""
    pair = read_correlations(within, between)
    one, two = map(plots.title, pair.pair)
    panels = [
        (labels.before("within", one), pair.first, one, one),
        (labels.before("within", two), pair.second, two, two),
    ]
    orders = between_panels(pair.between, matching.assignment(pair.between))
    panels += [(name, matrix, one, two) for name, matrix in orders.items()]
    widths = [float(np.clip(matrix.shape[1] / matrix.shape[0], 0.65, 1)) for _, matrix, _, _ in panels]
    figure, axes = plt.subplots(1, len(panels), figsize=(2.3 * sum(widths), 2.8), width_ratios=widths)
    for ax, (name, matrix, rows, columns) in zip(axes, panels, strict=True):
        image = plots.similarity_matrix(ax, matrix, *(labels.before("units of", net) for net in (rows, columns)))
        ax.set_title(name)
    figure.colorbar(image, ax=axes, label="correlation", shrink=0.75, pad=0.01)
    return figure


def fig3_assignment(matches: MatchesTable) -> Figure:
    """Correlation of each unit with its greedy and its assigned partner (paper, figure 3)."""
    layer, (a, b), _, _, columns = read_matches(matches, "correlation")
    figure, axes = plt.subplots(figsize=(6.2, 3.2))
    overlap = matching.overlap(columns["greedy"], columns["assigned"])
    plots.sorted_similarities(axes, columns["greedy_similarity"], columns["assigned_similarity"], overlap)
    title = f"{layer}: units of {plots.title(a)} and their partners in {plots.title(b)}"
    axes.set_title(labels.wrapped(title, figure.get_figwidth()))
    figure.legend(loc="outside lower center", ncols=3, columnspacing=1)
    return figure


def figS10_means(moments: MomentsStore) -> Figure:  # noqa: N802
    """Sorted mean activations of the units of each net (paper, figure S10)."""
    attributes, means = store.attributes(moments, "moments"), net_means(moments)
    columns = -(-len(means) // LEGEND) if len(means) > plots.CYCLE else 0  # of a legend beside the axes
    figure, axes = plt.subplots(figsize=(4.5 + BESIDE * columns, 3))
    plots.sorted_means(axes, means)
    if columns:
        figure.legend(loc="outside right upper", ncols=columns)
    else:
        axes.legend()
    axes.set_title(f"{attributes['layer']}: mean activation on the {SPLITS[attributes['split']]} images")
    return figure


def nets_training(histories: Annotated[list[Path], "tables of the training of each net, <net>.csv"]) -> Figure:
    """Loss and top-1 accuracy of each net while it was trained."""
    about = {path: tables.about(path, "training") for path in histories}
    store.require_distinct("--histories", (of["net"] for of in about.values()))
    store.require_equal("images", **{str(path): of["images"] for path, of in about.items()})
    columns = {of["net"]: tables.columns(path, HISTORY) for path, of in about.items()}
    columns_of_legend = -(-len(columns) // LEGEND)
    figure, axes = plt.subplots(1, 2, figsize=(10 + BESIDE * (columns_of_legend - 1), 3.2))
    plots.learning_curves(axes[0], columns, "loss", "cross-entropy")
    plots.learning_curves(axes[1], columns, "top1", "top-1 accuracy")
    axes[1].set_ylim(0, 1)
    axes[1].yaxis.set_major_formatter(PercentFormatter(1))
    entries, heading = axes[1].get_legend_handles_labels(), "validation images (solid)"
    figure.legend(*entries, loc="outside right center", title=heading, ncols=columns_of_legend)
    return figure


@command
def main(argv: list[str] | None = None) -> None:
    draw.run(__name__, argv)


if __name__ == "__main__":
    main()
