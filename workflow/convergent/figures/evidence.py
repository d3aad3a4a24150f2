"""Figures of the evidence: how alike the units of nets are, beside what that has to be compared with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from .. import tables
from ..commands import command
from ..evidence import summary
from ..evidence.compare import TRAINED, UNTRAINED
from ..evidence.inference import Interval
from ..evidence.units import VERDICTS
from . import draw, plots, words
from .comparisons import PaperTable
from .inputs import InformationTable, TableToWrite

EvidenceStores = Annotated[list[Path], "stores of the evidence of each layer (zarr.json), in the order to show"]
ScorecardTable = Annotated[Path, "table of claims and verdicts (.csv)"]
SCORECARD = ("claim", "layer", "against", "paper", "ours", "low", "high", "verdict")
TWINS, NO_TWINS = "the same nets before training", "none before training: weights are given, or layers wide"
INFORMED = {"greedy": plots.GREEDY, "assigned": plots.ASSIGNED}  # numbers of information and their colours
ENDS = ("", "_low", "_high")  # of the names of a number and its interval
INFORMATION = ("layer", "pair", *(name + end for name in INFORMED for end in ENDS))  # columns

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


def draw_rotated(axes: Axes, where: Sequence[float], rotated: Sequence[Interval]) -> None:
    """Draw numbers on rotated axes: a grey bar over the interval of each."""
    low, high = (np.array([getattr(of, end) for of in rotated]) for end in ("low", "high"))
    axes.bar(where, high - low, 0.2, bottom=low, color=plots.ROTATED, linewidth=0, zorder=1)
    axes.plot(where, [of.estimate for of in rotated], "_", color="0.4", markersize=9, zorder=2)


def draw_number(axes: Axes, layers: summary.Layers, name: str, colour: str, shift: float = 0.0) -> None:
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


def draw_paper(axes: Axes, layers: summary.Layers, paper: Paper, name: str, colour: str, shift: float = 0.0) -> None:
    """Draw the paper's number of each layer that it has, as a hollow square."""
    known = [layer for layer in layers if layer in paper]
    where = [list(layers).index(layer) + shift - 0.13 for layer in known]
    axes.plot(where, [paper[layer][name] for layer in known], "s", color=colour, markerfacecolor="w", zorder=2)


def label_layers(axes: Axes, layers: Sequence[str]) -> None:
    """Name the layers on the axis."""
    long = max(map(len, layers)) > 6
    axes.set_xticks(range(len(layers)), layers, rotation=30 if long else 0, ha="right" if long else "center")
    axes.set_xlim(-0.6, len(layers) - 0.4)


def key(*shown: str) -> tuple[list[Any], list[str]]:
    """Handles and labels of a legend that says what the marks of these kinds mean."""
    marks = {
        "greedy partner": Line2D([], [], color=plots.GREEDY, linewidth=3),
        "assigned partner": Line2D([], [], color=plots.ASSIGNED, linewidth=3),
        "same partner": Line2D([], [], color=plots.OVERLAP, linewidth=3),
        "trained nets, 95 % interval": Line2D([], [], marker="o", color="0.2", linestyle=""),
        TWINS: Line2D([], [], marker="o", color="0.2", markerfacecolor="w", linestyle=""),
        NO_TWINS: Line2D([], [], linestyle=""),
        "rotated axes": Patch(color=plots.ROTATED),
        "shuffled photographs": Line2D([], [], marker="_", color="0.2", linestyle="", markersize=8),
        "the paper": Line2D([], [], marker="s", color="0.2", markerfacecolor="w", linestyle=""),
    }
    return [marks[name] for name in shown], list(shown)


def twins(layers: summary.Layers) -> str:
    """What the legend says of nets before training."""
    return TWINS if any(UNTRAINED in of for of in layers.values()) else NO_TWINS


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


def draw_panel(axes: Axes, panel: Panel, layers: summary.Layers, paper: Paper) -> None:
    """Draw the numbers of a panel, side by side in each layer."""
    for k, (name, colour) in enumerate(panel.colours.items()):
        shift = (k - (len(panel.colours) - 1) / 2) * 0.36
        draw_number(axes, layers, name, colour, shift)
        if name in summary.PAPER:
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
    layers = summary.read_layers(evidence, *([information] if information else []))
    rows = [row for layer, of in layers.items() for row in summary.rows(layer, of)]
    informed = tables.read(information, INFORMATION) if information else []
    tables.write(table, [*rows, *({"state": TRAINED, **row} for row in informed)], digits=4, kind="summary")
    widths = [max(7, 1 + len(layers))] * len(PANELS)
    widths += [max(5, 2 * len({row["layer"] for row in informed}))] if informed else []
    figure, axes = plt.subplots(1, len(widths), figsize=(0.48 * sum(widths), 4), width_ratios=widths)
    for ax, panel in zip(axes, PANELS, strict=False):
        draw_panel(ax, panel, layers, summary.read_paper(paper))
    if informed:
        draw_information(axes[-1], informed)
    figure.set_label(words.similarities(layers))
    partners = ("greedy partner", "assigned partner", "same partner", "rotated axes")
    nets = ("trained nets, 95 % interval", twins(layers), "the paper")
    figure.legend(*key(*partners, *nets), loc="outside lower center", ncols=4)
    return figure


def draw_verdicts(axes: Axes, layers: summary.Layers) -> None:
    """Draw the share of units of each verdict, stacked by layer: trained nets, and hatched beside them untrained."""
    for way, shift in ((TRAINED, -0.2), (UNTRAINED, 0.2)):
        known = {layer: of[way].verdict_shares() for layer, of in layers.items() if way in of}
        where = [list(layers).index(layer) + shift for layer in known]
        bottom = np.zeros(len(known))
        for verdict, colour in plots.VERDICTS.items():
            share = np.array([shares[VERDICTS.index(verdict)] for shares in known.values()])
            bars = axes.bar(where, share, 0.36, bottom=bottom, color=colour, edgecolor="w", linewidth=0.3)
            if way == UNTRAINED:
                plt.setp(bars, alpha=0.5, hatch="////")
            bottom += share
    label_layers(axes, list(layers))
    axes.set(title="what can be said of a unit,\ntrained and (hatched) untrained", ylabel="share of units", ylim=(0, 1))


def evidence(evidence: EvidenceStores, paper: PaperTable) -> Figure:
    """Cross-fitted similarity, its excess over rotated axes and verdicts on units, trained and before training."""
    layers = summary.read_layers(evidence)
    size = (1.5 * len(layers) + 4, 4.2)
    figure, axes = plt.subplots(1, 3, figsize=size, label=words.similarities(layers, summary.EXCESS))
    draw_number(axes[0], layers, "greedy_crossfit", plots.GREEDY)
    draw_paper(axes[0], layers, summary.read_paper(paper), "greedy", plots.GREEDY)
    for place, of in enumerate(layers.values()):
        axes[0].plot(place, of[TRAINED].floors["shuffled"].mean(), "_", color="0.2", markersize=10)
    axes[0].set(title="similarity to the partner,\nchosen on other photographs", ylabel="mean correlation")
    draw_number(axes[1], layers, "greedy_crossfit_excess", plots.GREEDY)
    axes[1].axhline(0, color="0.7", linewidth=0.5, zorder=0)
    axes[1].set(title="excess over rotated axes:\n0 like rotated, 1 equal axes", ylabel="(r - rotated) / (1 - rotated)")
    for ax in axes[:2]:
        label_layers(ax, list(layers))
        ax.set_ylim(min(0, ax.get_ylim()[0]), 1.02)
    draw_verdicts(axes[2], layers)
    shown = ("trained nets, 95 % interval", twins(layers), "rotated axes", "shuffled photographs")
    handles, labels = key(*shown, "the paper")
    handles += [Patch(color=colour) for colour in plots.VERDICTS.values()]
    figure.legend(handles, [*labels, *plots.VERDICTS], loc="outside lower center", ncols=5)
    return figure


def draw_claim(axes: Axes, place: tuple[int, int], row: dict[str, Any]) -> None:
    """Draw a claim's contrast, interval and verdict as a cell. place: column and row"""
    column, line = place
    axes.add_patch(Rectangle((column - 0.47, line - 0.45), 0.94, 0.9, color=plots.JUDGED[row["verdict"]], linewidth=0))
    shown = {name: "" if row[name] == "" else f"{row[name]:.2f}" for name in ("ours", "low", "high", "paper")}
    interval = f"{shown['low']} to {shown['high']}" if shown["low"] else "no interval"
    axes.text(column, line - 0.22, shown["ours"], ha="center", va="center", fontsize=9, fontweight="bold")
    axes.text(column, line + 0.08, interval, ha="center", va="center", fontsize=6)
    if shown["paper"]:
        axes.text(column, line + 0.31, f"paper {shown['paper']}", ha="center", va="center", fontsize=6)


def scorecard(scorecard: ScorecardTable) -> Figure:
    """Claims by layer: what each says is above 0, with its 95 % interval, and whether it holds."""
    rows = tables.read(scorecard, SCORECARD)
    claims = list(dict.fromkeys((row["claim"], row["against"]) for row in rows))
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    size = (0.85 * len(layers) + 3.6, 0.5 * len(claims) + 1.2)
    figure, axes = plt.subplots(figsize=size, label=words.judged(rows))
    for row in rows:
        draw_claim(axes, (layers.index(row["layer"]), claims.index((row["claim"], row["against"]))), row)
    axes.set_yticks(range(len(claims)), [f"{claim}\nagainst {against}" for claim, against in claims], fontsize=7)
    axes.set_xticks(range(len(layers)), layers)
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set(xlim=(-0.5, len(layers) - 0.5), ylim=(len(claims) - 0.5, -0.5))
    handles = [Patch(color=colour) for colour in plots.JUDGED.values()]
    figure.legend(handles, [*plots.JUDGED], loc="outside lower center", ncols=len(handles))
    return figure


@command
def main(argv: list[str] | None = None) -> None:
    draw.run(__name__, argv)


if __name__ == "__main__":
    main()
