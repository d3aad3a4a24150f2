"""The figure of the training: how alike the units of nets are, from before the first step to after the last."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import store, tables
from ..commands import command
from ..evidence import summary, training
from . import draw, plots, words
from .evidence import TWINS, EvidenceStores, key
from .inputs import TableToWrite

COLUMNS = 8  # layers beside each other
ROWS = {  # numbers, one above the other, and labels of their axes
    "greedy_crossfit": "mean correlation",
    summary.EXCESS: "excess over\nrotated axes",
}

Courses = dict[str, dict[str, summary.Evidence]]  # layer -> state -> its numbers


def read_courses(paths: Sequence[Path]) -> tuple[list[int], Courses]:
    """Step of each state, and the evidence of each layer by state. Raises InputError where steps differ."""
    layers = summary.read_layers(paths, kind=summary.THROUGH_TRAINING)
    steps = {str(path): store.attributes(path)["steps"] for path in paths}
    store.require_equal("steps", **steps)
    return list(steps[str(paths[0])].values()), layers


def by_step(axes: Axes, steps: Sequence[int]) -> None:
    """Make the horizontal axis logarithmic from the first snapshot on, with a place for 0 before it."""
    axes.set_xscale("symlog", linthresh=steps[1], linscale=0.5)
    shown = [steps[0], steps[1], steps[-1]]
    axes.set_xticks(shown, [f"{step:,}" for step in shown])
    axes.minorticks_off()
    axes.set_xlim(-0.25 * steps[1], 1.35 * steps[-1])


def draw_course(axes: Axes, steps: Sequence[int], states: Sequence[summary.Evidence], name: str) -> None:
    """Draw a number against steps: hollow before training, grey on rotated axes."""
    found = [of.interval(name) for of in states]
    axes.plot(steps, [of.estimate for of in found], color=plots.GREEDY, linewidth=0.8, zorder=2)
    plots.estimates(axes, steps[:1], found[:1], plots.GREEDY, filled=False)
    plots.estimates(axes, steps[1:], found[1:], plots.GREEDY)
    if all(f"{name}_rotated" in of.value for of in states):
        rotated = [of.interval(f"{name}_rotated") for of in states]
        low, high = (np.array([getattr(of, end) for of in rotated]) for end in ("low", "high"))
        axes.fill_between(steps, low, high, color=plots.ROTATED, linewidth=0, zorder=1)
        axes.plot(steps, [of.estimate for of in rotated], color="0.4", linewidth=0.8, zorder=1)


def draw_layer(column: Iterable[Axes], steps: Sequence[int], states: Mapping[str, summary.Evidence]) -> None:
    """Draw the numbers of a layer, one above the other."""
    for axes, name in zip(column, ROWS, strict=True):
        draw_course(axes, steps, list(states.values()), name)
        axes.axhline(0, color="0.7", linewidth=0.5, zorder=0)


def summary_training(evidence: EvidenceStores, *, table: TableToWrite) -> Figure:
    """Cross-fitted similarity and its excess over rotated axes against steps of the training, layer by layer."""
    steps, layers = read_courses(evidence)
    rows = [row for layer, of in layers.items() for row in training.rows(layer, steps, of)]
    tables.write(table, rows, digits=4, kind="through training")
    columns = min(COLUMNS, len(layers))
    bands = -(-len(layers) // columns)
    size = (1.25 * columns + 1, 3.4 * bands + 0.6)
    figure, axes = plt.subplots(2 * bands, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for place, (layer, states) in enumerate(layers.items()):
        band, column = divmod(place, columns)
        draw_layer(axes[2 * band : 2 * band + 2, column], steps, states)
        axes[2 * band, column].set_title(layer)
    for ax in axes[-2:, len(layers) - columns * (bands - 1) :].flat:
        ax.set_visible(False)
    for row, label in zip(axes, list(ROWS.values()) * bands, strict=True):
        row[0].set_ylabel(label)
    for ax in axes[-1]:
        ax.set_xlabel("training step")
    by_step(axes[0, 0], steps)
    handles, labels = key("trained nets, 95 % interval", TWINS, "rotated axes")
    labels[0] = "nets in and after training, 95 % interval"
    figure.set_label(words.through_training(layers))
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


@command
def main(argv: list[str] | None = None) -> None:
    draw.run(__name__, argv)


if __name__ == "__main__":
    main()
