"""Figures of numbers: correlations, matches, mean activations, learning curves."""

from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .. import store, tables
from ..alignment import matching
from ..commands import command
from ..moments.covariance import net_means
from . import comparisons, draw, labels, plots
from .comparisons import EvidenceStore, PaperTable
from .inputs import (
    BetweenStore,
    Matches,
    MatchesTable,
    MomentsStore,
    WithinStores,
    read_correlations,
    read_matches,
)

SPLITS = {"train": "training", "val": "validation"}  # as they are called in titles
LEGEND, BESIDE = 14, 2.4  # nets in a column of a legend beside the axes, and its width in inches
ACROSS, SMALL = 4, (3.9, 2.9)  # panels beside each other on a page of small ones, and their size in inches
FORMS = (".2f", ".2f", ".0%")  # of the paper's means: greedy, assigned, same partner
# columns that are drawn of the training of a net
HISTORY = ("step", "loss", "top1", "val_loss", "val_top1")


def matched_first(between: np.ndarray) -> tuple[np.ndarray, float]:
    """The matrix between two nets with assigned partners on its diagonal, the best first, and their mean similarity.

    between: (units_a, units_b), NaN for dead units -> (units_a, units_b), of which units without partner come last
    """
    partner = matching.assignment(between)
    rows, columns = matching.diagonal_order(partner, between.shape[1])
    matrix, matched = between[np.ix_(rows, columns)], int((partner != matching.UNMATCHED).sum())
    similarity = np.diagonal(matrix)[:matched]
    order = np.argsort(-similarity, kind="stable")
    rest = (np.arange(matched, count) for count in matrix.shape)
    return matrix[np.ix_(*(np.r_[order, others] for others in rest))], matching.live_mean(similarity)


def fig1_correlation(within: WithinStores, between: BetweenStore) -> Figure:
    """Correlation of the units within each of two nets and between them (paper, figure 1)."""
    pair = read_correlations(within, between)
    one, two = map(plots.title, pair.pair)
    matched, mean = matched_first(pair.between)
    says = f"mean correlation of assigned partners {plots.shown(mean)}"
    panels = [
        (f"within\n{one}", pair.first, one, one),
        (f"within\n{two}", pair.second, two, two),
        ("between,\nin native order", pair.between, one, two),
        (f"between, partners on the diagonal,\nmean {plots.shown(mean)}", matched, one, two),
    ]
    figure, axes = plt.subplots(1, 4, figsize=(12.8, 3.5), layout="compressed", label=says)
    for ax, (name, matrix, rows, columns) in zip(axes, panels, strict=True):
        image = plots.similarity_matrix(ax, matrix, *(labels.before("units of", net) for net in (rows, columns)))
        ax.set(title=name, aspect="auto", box_aspect=1)  # also of nets of unequal widths
    figure.colorbar(image, ax=axes, label=f"correlation in {pair.layer}", pad=0.01)
    return figure


def draw_assignment(axes: Axes, matches: Matches, evidence: Path | None, paper: Path) -> list[str]:
    """Draw the similarity of each unit with its two partners; two lines that say their means, and the paper's."""
    greedy, assigned = (matches.columns[f"{name}_similarity"] for name in ("greedy", "assigned"))
    rotated, printed = comparisons.rotated(evidence, matches), comparisons.printed(paper, matches.layer)
    live, left = np.isfinite(greedy).sum(), np.isfinite(greedy).sum() - np.isfinite(assigned).sum()
    shared = matching.overlap(matches.columns["greedy"], matches.columns["assigned"])
    plots.sorted_similarities(axes, greedy, assigned, rotated)
    plots.means_of_similarities(axes, (matching.live_mean(greedy), matching.live_mean(assigned)), printed)
    paper_says = [f" (paper {value:{form}})" for value, form in zip(printed or (), FORMS, strict=False)] or [""] * 3
    lines = [f"greedy {plots.shown(matching.live_mean(greedy))}{paper_says[0]}, "]
    lines[0] += f"assigned {plots.shown(matching.live_mean(assigned))}{paper_says[1]}"
    lines[0] += f", {left} left over" if left else ""
    lines += [f"on rotated axes {matching.live_mean(rotated):.2f}, "] if np.isfinite(rotated).any() else [""]
    lines[1] += f"same partner {plots.shown(shared, '.0%')}{paper_says[2]} of {live} units"
    return lines


def fig3_assignment(matches: MatchesTable, paper: PaperTable, evidence: EvidenceStore | None = None) -> Figure:
    """Correlation of each unit with its greedy and its assigned partner (paper, figure 3)."""
    table = read_matches(matches, "correlation")
    figure, axes = plt.subplots(figsize=(7, 3.7))
    says = draw_assignment(axes, table, evidence, paper)
    a, b = map(plots.title, table.pair)
    title = "\n".join([f"{table.layer}: units of {a} and their partners in {b}", *says])
    axes.set_title(labels.wrapped(title, figure.get_figwidth()))
    figure.set_label(f"mean correlation: {', '.join(says)}")
    figure.legend(*plots.key_of_similarities([axes]), loc="outside lower center", ncols=3, columnspacing=1)
    return figure


def fig3_layers(
    matches: Annotated[list[Path], "tables of matches of two nets, one a layer (.csv)"],
    paper: PaperTable,
    evidence: Annotated[list[Path], "stores of the evidence of these layers (zarr.json), in any order"] | None = None,
) -> Figure:
    """Correlation of each unit with its greedy and its assigned partner, in all layers (paper, figure 3)."""
    tables_of = {path: read_matches(path, "correlation") for path in matches}
    store.require_distinct("--matches", (table.layer for table in tables_of.values()))
    store.require_equal("pairs", **{str(path): "-".join(table.pair) for path, table in tables_of.items()})
    beside = {store.attributes(path)["layer"]: path for path in evidence or []}
    a, b = map(plots.title, next(iter(tables_of.values())).pair)
    figure, axes = page_of(len(tables_of), f"units of {a} and their partners in {b}, layer by layer")
    lowest, said = [], []
    for ax, table in zip(axes, tables_of.values(), strict=True):
        first, second = draw_assignment(ax, table, beside.get(table.layer), paper)
        said.append(f"{table.layer}: {first}, {second}")
        lowest.append(ax.get_ylim()[0])
        ax.set_title(f"{table.layer}: {first}\n{second}", fontsize=8)
    for number, ax in enumerate(axes):
        ax.set(ylim=(min(lowest), 1.02), ylabel="" if number % ACROSS else "correlation")
    figure.set_label("; ".join(["mean correlation of units with their partners", *said]))
    figure.legend(*plots.key_of_similarities(axes), loc="outside lower center", ncols=5)
    return figure


def page_of(count: int, title: str) -> tuple[Figure, list[Axes]]:
    """A page of small multiples, in rows of four at most, and its panels."""
    across = min(ACROSS, count)
    down = -(-count // across)
    size = (SMALL[0] * across, SMALL[1] * down + 0.7)
    figure, axes = plt.subplots(down, across, figsize=size, squeeze=False)
    for ax in axes.flat[count:]:
        ax.axis("off")
    figure.suptitle(title)
    return figure, list(axes.flat[:count])


def read_means(moments: Path) -> tuple[str, str, dict[str, np.ndarray]]:
    """Layer, split and mean activations of the units of each net, from a store of moments."""
    attributes = store.attributes(moments, "moments")
    return attributes["layer"], SPLITS[attributes["split"]], net_means(moments)


def figS10_means(moments: MomentsStore) -> Figure:  # noqa: N802
    """Sorted mean activations of the units of each net (paper, figure S10)."""
    layer, split, means = read_means(moments)
    columns = -(-len(means) // LEGEND) if len(means) > len(plots.NETS) else 0  # of a legend beside the axes
    figure, axes = plt.subplots(figsize=(5.5 + BESIDE * columns, 3.4), label=f"highest mean: {plots.highest(means)}")
    plots.sorted_means(axes, means)
    title = f"{layer}: mean activation on the {split} images"
    if columns:
        figure.legend(loc="outside right upper", ncols=columns)
    else:
        axes.legend(handlelength=4)
        title += f"\nhighest: {plots.highest(means)}"
    axes.set_title(labels.wrapped(title, 5.5))
    return figure


def figS10_layers(  # noqa: N802
    moments: Annotated[list[Path], "stores of the moments of each layer on the validation images (zarr.json)"],
) -> Figure:
    """Sorted mean activations of the units of each net, in all layers (paper, figure S10)."""
    layers = [read_means(path) for path in moments]
    store.require_distinct("--moments", (layer for layer, _, _ in layers))
    store.require_equal("nets", **{layer: list(means) for layer, _, means in layers})
    figure, axes = page_of(len(layers), f"mean activation on the {layers[0][1]} images, layer by layer")
    for ax, (layer, _, means) in zip(axes, layers, strict=True):
        plots.sorted_means(ax, means)
        ax.set_title(layer)
    figure.set_label("; ".join(f"{layer}, highest mean: {plots.highest(means)}" for layer, _, means in layers))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=8, handlelength=4)
    return figure


def nets_training(histories: Annotated[list[Path], "tables of the training of each net, <net>.csv"]) -> Figure:
    """Loss and top-1 accuracy of each net while it was trained."""
    about = {path: tables.about(path, "training") for path in histories}
    store.require_distinct("--histories", (of["net"] for of in about.values()))
    store.require_equal("images", **{str(path): of["images"] for path, of in about.items()})
    columns = {of["net"]: tables.columns(path, HISTORY) for path, of in about.items()}
    columns_of_legend = -(-len(columns) // LEGEND)
    reached = ", ".join(f"{plots.title(net)} {history['val_top1'][-1]:.1%}" for net, history in columns.items())
    size = (10 + BESIDE * (columns_of_legend - 1), 3.2)
    figure, axes = plt.subplots(1, 2, figsize=size, label=f"top-1 accuracy in the end: {reached}")
    plots.learning_curves(axes[0], columns, "loss", "cross-entropy")
    plots.learning_curves(axes[1], columns, "top1", "top-1 accuracy")
    axes[1].set_ylim(0, 1)
    axes[1].yaxis.set_major_formatter(PercentFormatter(1))
    entries, heading = axes[1].get_legend_handles_labels(), "validation images (thick)"
    figure.legend(*entries, loc="outside right center", title=heading, ncols=columns_of_legend, handlelength=4)
    return figure


@command
def main(argv: list[str] | None = None) -> None:
    draw.run(__name__, argv)


if __name__ == "__main__":
    main()
