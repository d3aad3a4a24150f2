"""Figures of the evidence: how alike the units of nets are, beside what that has to be compared with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .. import store, tables
from ..commands import command
from ..evidence import summary
from ..evidence.compare import TRAINED, UNTRAINED
from ..evidence.inference import Interval
from . import draw, plots
from .inputs import InformationTable, TableToWrite

EvidenceStores = Annotated[list[Path], "stores of the evidence of each layer (zarr.json), in the order to show"]
PaperTable = Annotated[Path, "table of the paper's numbers (.csv)"]
INFORMED = {"greedy": plots.GREEDY, "assigned": plots.ASSIGNED}  # numbers of information and their colours
ENDS = ("", "_low", "_high")  # of the names of a number and its interval
INFORMATION = ("layer", "pair", *(name + end for name in INFORMED for end in ENDS))  # columns
PAPER = ("layer", "greedy", "assigned", "overlap")

Layers = dict[str, dict[str, summary.Evidence]]  # layer -> trained or untrained -> its numbers
Paper = Mapping[str, Mapping[str, float]]  # layer -> number -> its value in the paper


class Panel(NamedTuple):
    """A panel of the summary: numbers by layer, each with its colour."""

    title: str
    label: str  # of its axis
    colours: dict[str, str]


PANELS = [
    Panel(
        "partners chosen on other photographs\nthan those they are measured on",
        "mean correlation",
        {"greedy_crossfit": plots.GREEDY, "assigned_crossfit": plots.ASSIGNED},
    ),
    Panel(
        "partners chosen and measured\non the same images, as in the paper",
        "mean correlation",
        {"greedy": plots.GREEDY, "assigned": plots.ASSIGNED},
    ),
    Panel("units whose greedy and\nassigned partners are the same", "share of units", {"overlap": plots.OVERLAP}),
]


def read_layers(paths: Sequence[Path], *others: Path) -> Layers:
    """The evidence of each layer. Raises InputError where stores, or other tables, are of other nets or images."""
    about = {str(path): store.attributes(path, "evidence") for path in paths}
    store.require_distinct("--evidence", (of["layer"] for of in about.values()))
    about |= {str(path): tables.about(path, "agreement") for path in others}
    store.same_nets({path: of["nets"] for path, of in about.items()})
    store.require_equal("images", **{path: of["images"] for path, of in about.items()})
    return {about[str(path)]["layer"]: summary.read(path) for path in paths}


def read_paper(path: Path) -> dict[str, dict[str, float]]:
    """The paper's numbers by layer."""
    return {row["layer"]: row for row in tables.read_resource(path, PAPER)}


def draw_rotated(axes: Axes, where: Sequence[float], rotated: Sequence[Interval]) -> None:
    """Draw numbers on rotated axes: a grey bar over the interval of each."""
    low, high = (np.array([getattr(of, end) for of in rotated]) for end in ("low", "high"))
    axes.bar(where, high - low, 0.2, bottom=low, color=plots.ROTATED, linewidth=0, zorder=1)
    axes.plot(where, [of.estimate for of in rotated], "_", color="0.4", markersize=9, zorder=2)


def draw_number(axes: Axes, layers: Layers, name: str, colour: str, shift: float = 0.0) -> None:
    """Draw a number by layer: filled of trained nets, hollow of untrained, grey on rotated axes; dots are pairs."""
    for way, offset in ((UNTRAINED, 0.1), (TRAINED, 0.0)):
        known = {layer: of[way] for layer, of in layers.items() if way in of}
        where = [list(layers).index(layer) + shift + offset for layer in known]
        if way == TRAINED and all(f"{name}_rotated" in of.value for of in known.values()):
            draw_rotated(axes, where, [of.interval(f"{name}_rotated") for of in known.values()])
        if way == TRAINED:
            pairs = [
                (place, value) for place, of in zip(where, known.values(), strict=True) for value in of.value[name]
            ]
            axes.plot(*zip(*pairs, strict=True), ".", color=colour, alpha=0.35, markersize=3, zorder=2)
        plots.estimates(axes, where, [of.interval(name) for of in known.values()], colour, filled=way == TRAINED)


def draw_paper(axes: Axes, layers: Layers, paper: Paper, name: str, colour: str, shift: float = 0.0) -> None:
    """Draw the paper's number of each layer that it has, as a small square."""
    known = [layer for layer in layers if layer in paper]
    where = [list(layers).index(layer) + shift - 0.1 for layer in known]
    axes.plot(where, [paper[layer][name] for layer in known], "s", color=colour, alpha=0.6, markersize=3, zorder=2)


def label_layers(axes: Axes, layers: Sequence[str]) -> None:
    """Name the layers on the axis."""
    long = max(map(len, layers)) > 6
    axes.set_xticks(range(len(layers)), layers, rotation=30 if long else 0, ha="right" if long else "center")
    axes.set_xlim(-0.6, len(layers) - 0.4)


def key(*shown: str) -> tuple[list[Any], list[str]]:
    """Handles and labels of a legend that says what the marks of these kinds mean."""
    marks = {
        "greedy partner": Patch(color=plots.GREEDY),
        "assigned partner": Patch(color=plots.ASSIGNED),
        "same partner": Patch(color=plots.OVERLAP),
        "trained nets, 95 % interval": Line2D([], [], marker="o", color="0.2", linestyle=""),
        "the same nets before training": Line2D([], [], marker="o", color="0.2", markerfacecolor="w", linestyle=""),
        "rotated axes": Patch(color=plots.ROTATED),
        "shuffled photographs": Line2D([], [], marker="_", color="0.2", linestyle="", markersize=8),
        "the paper": Line2D([], [], marker="s", color="0.2", linestyle="", markersize=3, alpha=0.6),
    }
    return [marks[name] for name in shown], list(shown)


def draw_information(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """Draw mean information with partners by information, by layer, with its interval; dots are pairs."""
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    for (name, colour), shift in zip(INFORMED.items(), (-0.15, 0.15), strict=True):
        known = [(layers.index(row["layer"]) + shift, row) for row in rows if row[name] != ""]
        pairs = [(place, row[name]) for place, row in known if row["pair"] != "mean"]
        axes.plot(*np.reshape(pairs, (-1, 2)).T, ".", color=colour, alpha=0.35, markersize=3)
        means = {
            place: Interval._make([*(row[name + end] for end in ENDS), *[np.nan] * 3])
            for place, row in known
            if row["pair"] == "mean"
        }
        if means:
            plots.estimates(axes, list(means), list(means.values()), colour)
    label_layers(axes, layers)
    axes.set(
        title="partners by mutual information\non the same images", ylabel="mean information, nats", ylim=(0, None)
    )


def draw_panel(axes: Axes, panel: Panel, layers: Layers, paper: Paper) -> None:
    """Draw the numbers of a panel, side by side in each layer."""
    for k, (name, colour) in enumerate(panel.colours.items()):
        shift = (k - (len(panel.colours) - 1) / 2) * 0.36
        draw_number(axes, layers, name, colour, shift)
        if name in PAPER:
            draw_paper(axes, layers, paper, name, colour, shift)
    label_layers(axes, list(layers))
    axes.set(title=panel.title, ylabel=panel.label, ylim=(min(0, axes.get_ylim()[0]), 1.02))


def summary_convergence(
    evidence: EvidenceStores,
    paper: PaperTable,
    information: InformationTable | None = None,
    *,
    table: TableToWrite,
) -> Figure:
    """How similar matched units are in each layer, beside controls and the paper. Writes all rows to one table."""
    layers = read_layers(evidence, *([information] if information else []))
    rows = [row for layer, of in layers.items() for row in summary.rows(layer, of)]
    informed = tables.read(information, INFORMATION) if information else []
    tables.write(table, [*rows, *({"state": TRAINED, **row} for row in informed)], digits=4, kind="summary")
    widths = [max(7, 1 + len(layers))] * len(PANELS)
    widths += [max(5, 2 * len({row["layer"] for row in informed}))] if informed else []
    figure, axes = plt.subplots(1, len(widths), figsize=(0.48 * sum(widths), 4), width_ratios=widths)
    for ax, panel in zip(axes, PANELS, strict=False):
        draw_panel(ax, panel, layers, read_paper(paper))
    if informed:
        draw_information(axes[-1], informed)
    partners = ("greedy partner", "assigned partner", "same partner", "rotated axes")
    nets = ("trained nets, 95 % interval", "the same nets before training", "the paper")
    figure.legend(*key(*partners, *nets), loc="outside lower center", ncols=4)
    return figure


def evidence(evidence: EvidenceStores, paper: PaperTable) -> Figure:
    """Cross-fitted similarity of units and its excess over rotated axes, of nets trained and before training."""
    layers = read_layers(evidence)
    figure, axes = plt.subplots(1, 2, figsize=(1.1 * len(layers) + 3, 4))
    draw_number(axes[0], layers, "greedy_crossfit", plots.GREEDY)
    draw_paper(axes[0], layers, read_paper(paper), "greedy", plots.GREEDY)
    for place, of in enumerate(layers.values()):
        axes[0].plot(place, of[TRAINED].floors["shuffled"].mean(), "_", color="0.2", markersize=10)
    axes[0].set(title="similarity to the partner,\nchosen on other photographs", ylabel="mean correlation")
    draw_number(axes[1], layers, "greedy_crossfit_excess", plots.GREEDY)
    axes[1].axhline(0, color="0.7", linewidth=0.5, zorder=0)
    axes[1].set(title="excess over rotated axes:\n0 like rotated, 1 equal axes", ylabel="(r - rotated) / (1 - rotated)")
    for ax in axes:
        label_layers(ax, list(layers))
        ax.set_ylim(min(0, ax.get_ylim()[0]), 1.02)
    shown = ("trained nets, 95 % interval", "the same nets before training", "rotated axes", "shuffled photographs")
    figure.legend(*key(*shown, "the paper"), loc="outside lower center", ncols=3)
    return figure


@command
def main(argv: list[str] | None = None) -> None:
    draw.run(__name__, argv)


if __name__ == "__main__":
    main()
