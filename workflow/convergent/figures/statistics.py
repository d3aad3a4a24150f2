"""Figures of numbers: correlations, matches, mean activations, learning curves, convergence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from .. import store, tables
from ..alignment import matching
from ..commands import command
from ..moments.covariance import net_means
from . import draw, plots
from .inputs import (
    BetweenStore,
    InformationTable,
    MatchesTable,
    MomentsStore,
    TableToWrite,
    WithinStores,
    read_correlations,
    read_matches,
)

SPLITS = {"train": "training", "val": "validation"}  # as they are called in titles
# columns that are drawn of the training of a net, and of convergence or agreement
HISTORY = ("step", "loss", "top1", "val_loss", "val_top1")
SUMMARY = ("layer", "pair", "similarity", "greedy", "assigned", "overlap")


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
    panels = [(f"within {one}", pair.first, one, one), (f"within {two}", pair.second, two, two)]
    orders = between_panels(pair.between, matching.assignment(pair.between))
    panels += [(name, matrix, one, two) for name, matrix in orders.items()]
    widths = [float(np.clip(matrix.shape[1] / matrix.shape[0], 0.65, 1)) for _, matrix, _, _ in panels]
    figure, axes = plt.subplots(1, len(panels), figsize=(2.3 * sum(widths), 2.8), width_ratios=widths)
    for ax, (name, matrix, rows, columns) in zip(axes, panels, strict=True):
        image = plots.similarity_matrix(ax, matrix, f"units of {rows}", f"units of {columns}")
        ax.set_title(name)
    figure.colorbar(image, ax=axes, label="correlation", shrink=0.75, pad=0.01)
    return figure


def fig3_assignment(matches: MatchesTable) -> Figure:
    """Correlation of each unit with its greedy and its assigned partner (paper, figure 3)."""
    layer, (a, b), _, _, columns = read_matches(matches, "correlation")
    figure, axes = plt.subplots(figsize=(6.2, 3.2))
    overlap = matching.overlap(columns["greedy"], columns["assigned"])
    plots.sorted_similarities(axes, columns["greedy_similarity"], columns["assigned_similarity"], overlap)
    axes.set_title(f"{layer}: units of {plots.title(a)} and their partners in {plots.title(b)}")
    figure.legend(loc="outside lower center", ncols=3, columnspacing=1)
    return figure


def figS10_means(moments: MomentsStore) -> Figure:  # noqa: N802
    """Sorted mean activations of the units of each net (paper, figure S10)."""
    attributes, means = store.attributes(moments, "moments"), net_means(moments)
    figure, axes = plt.subplots(figsize=(4.5, 3))
    plots.sorted_means(axes, means)
    axes.set_title(f"{attributes['layer']}: mean activation on the {SPLITS[attributes['split']]} images")
    return figure


def nets_training(histories: Annotated[list[Path], "tables of the training of each net, <net>.csv"]) -> Figure:
    """Loss and top-1 accuracy of each net while it was trained."""
    about = {path: tables.about(path, "training") for path in histories}
    store.require_distinct("--histories", (of["net"] for of in about.values()))
    store.require_equal("images", **{str(path): of["images"] for path, of in about.items()})
    columns = {of["net"]: tables.columns(path, HISTORY) for path, of in about.items()}
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.2))
    plots.learning_curves(axes[0], columns, "loss", "cross-entropy")
    plots.learning_curves(axes[1], columns, "top1", "top-1 accuracy")
    axes[1].set_ylim(0, 1)
    axes[1].yaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside right center", title="validation images (solid)")
    return figure


class Panel(NamedTuple):
    """A panel of the summary."""

    title: str
    label: str  # of its axis
    similarity: str
    colours: dict[str, str]  # of the measures that it shows


PARTNERS = {"greedy": plots.GREEDY, "assigned": plots.ASSIGNED}
HELD_OUT = {"greedy_held_out": plots.GREEDY, "assigned_held_out": plots.ASSIGNED}
OVERLAP = {"overlap": plots.OVERLAP}
PANELS = [
    Panel("partners chosen and measured\non the same images", "mean correlation", "correlation", PARTNERS),
    Panel(
        "partners chosen on one half of the images,\nmeasured on the other", "mean correlation", "correlation", HELD_OUT
    ),
    Panel("units whose greedy and\nassigned partners are the same", "share of units", "correlation", OVERLAP),
    Panel("partners by\nmutual information", "mean information, nats", "mutual_information", PARTNERS),
]


def without_empty_cells(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with NaN for empty cells."""
    return [{name: np.nan if cell == "" else cell for name, cell in row.items()} for row in rows]


def summary_rows(convergence: Sequence[Path], information: Path | None) -> list[dict[str, Any]]:
    """Rows of all tables. Raises InputError where tables are of different pairs of nets, weights or images."""
    about = {str(path): tables.about(path, "convergence") for path in convergence}
    store.require_distinct("--convergence", (of["layer"] for of in about.values()))
    if information:
        about[str(information)] = tables.about(information, "agreement")
    store.same_nets({path: of["nets"] for path, of in about.items()})
    store.require_equal("images", **{path: of["images"] for path, of in about.items()})
    rows = {path: tables.read(path, SUMMARY) for path in about}
    pairs = {path: sorted({row["pair"] for row in own}) for path, own in rows.items()}
    store.require_equal("pairs", **{path: ", ".join(names) for path, names in pairs.items()})
    return [row for own in rows.values() for row in own]


def draw_panel(axes: Axes, panel: Panel, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the measures of a panel by layer: the mean over pairs with its interval and chance, and single pairs.

    rows: of the panel's similarity
    """
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    pairs = without_empty_cells([row for row in rows if row["pair"] != "mean"])
    means = without_empty_cells([row for row in rows if row["pair"] == "mean"])
    for k, (measure, colour) in enumerate(panel.colours.items()):
        shift = (k - (len(panel.colours) - 1) / 2) * 0.3
        plots.by_layer(axes, layers, means, measure, colour, shift)
        plots.pair_dots(axes, layers, pairs, measure, colour, shift)
    axes.set(title=panel.title, ylabel=panel.label, xlim=(-0.6, len(layers) - 0.4))
    axes.set_ylim(min(0, axes.get_ylim()[0]), 1.02 if panel.similarity == "correlation" else 1.05 * axes.get_ylim()[1])


def summary_convergence(
    convergence: Annotated[list[Path], "tables of the convergence of each layer (.csv), in the order to show"],
    information: InformationTable | None = None,
    *,
    table: TableToWrite,
) -> Figure:
    """How far nets converged in each layer, with intervals and chance. Writes all rows to one table."""
    rows = summary_rows(convergence, information)
    tables.write(table, rows, digits=4, kind="summary")
    panels = [(panel, [row for row in rows if row["similarity"] == panel.similarity]) for panel in PANELS]
    panels = [(panel, shown) for panel, shown in panels if shown]
    widths = [max(7, 1 + len({row["layer"] for row in shown})) for _, shown in panels]
    figure, axes = plt.subplots(1, len(panels), figsize=(0.45 * sum(widths), 3.8), width_ratios=widths)
    for ax, (panel, shown) in zip(axes, panels, strict=True):
        draw_panel(ax, panel, shown)
    colours = [plots.GREEDY, plots.ASSIGNED, plots.OVERLAP, plots.CHANCE]
    labels = ["greedy partner", "assigned partner", "overlap", "chance: random rotations of one net"]
    figure.legend([Patch(color=c) for c in colours], labels, loc="outside lower center", ncols=4)
    return figure


@command
def main(argv: list[str] | None = None) -> None:
    draw.run(__name__, argv)


if __name__ == "__main__":
    main()
