"""The paper's figures from what remains of the authors' own runs (paper, sections 3.2 and 3.3)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import store, tables
from ..commands import InputError, command
from ..stitching import mappings
from . import clusters, draw, plots
from .inputs import MappingStore, TableToWrite, TreeScores, TreeStore
from .mapping import draw_weights

TIMES = 100  # the median of a mapping's weights: from there on the authors call a unit a source
ZERO = 0.5  # loss of the zero map on the images that units are standardised with
Row = dict[str, Any]


def single_sources(weights: np.ndarray) -> np.ndarray:
    """The one source unit with a weight above ``mappings.ABOVE``, and -1 for targets with none or several. (T, S)"""
    above = np.abs(weights) > mappings.ABOVE
    return np.where(above.sum(axis=1) == 1, above.argmax(axis=1), -1)


def shares_of_way(weights: np.ndarray, penalty: Sequence[float]) -> np.ndarray:
    """How far weights of targets with a single source moved between two penalties, as a share of the way to the best.

    The optimum of a target with one source lies at their correlation less alpha, so that it moves by the difference of
    the alphas. (2, T, S), (2,) -> (targets whose single source is the same at both,)
    """
    sources = [single_sources(each) for each in weights]
    target = np.flatnonzero((sources[0] == sources[1]) & (sources[0] >= 0))
    smaller, larger = (np.abs(each[target, sources[0][target]]) for each in weights)
    return (smaller - larger) / (penalty[1] - penalty[0])


def rows_of(path: Path) -> list[Row]:
    """A row for each mapping of a store, by rising decay: losses, weights above 0.01, and the share of the way."""
    attributes, arrays = store.attributes(path, "mapping"), store.load(path, "*")
    losses = [name for name in arrays if name.startswith("published/")]
    if not losses:
        raise InputError(f"{path}: mappings of this project's own; this figure shows the authors'")
    rows = []
    for point, (decay, alpha) in enumerate(zip(arrays["decay"].tolist(), arrays["alpha"].tolist(), strict=True)):
        row = {"layer": attributes["layer"], "pair": attributes["pair"], "decay": decay, "alpha": alpha}
        row |= {name.removeprefix("published/"): float(arrays[name][point]) for name in losses}
        row |= {"above": float(arrays["above"][point].mean()), "sources": attributes["units"][attributes["source"]]}
        shares: np.ndarray | list[float] = (
            shares_of_way(arrays["weights"][point - 1 : point + 1], arrays["alpha"][point - 1 : point + 1])
            if point
            else []
        )
        row |= {"single": len(shares), "share": float(np.median(shares)) if len(shares) else ""}
        rows.append(row)
    return rows


def published_fig4(
    mapping: MappingStore,
    *,
    decay: Annotated[float, "penalty of the mapping to show, as the paper gives it"],
    unit: Annotated[int, "target unit to show, the paper's is 43"] = 43,
) -> Figure:
    """Weights of the authors' sparse mapping, and the source units of the one target that they show (figure 4)."""
    attributes, point = store.attributes(mapping, "mapping"), mappings.path_point(mapping, decay, "decay")
    weights = mappings.read_weights(mapping, point)
    if not 0 <= unit < len(weights):
        raise InputError(f"--unit: {unit} is not possible; a unit from 0 to {len(weights) - 1}")
    names = [plots.title(attributes[side]) for side in ("source", "target")]
    figure = plt.figure(figsize=(10.5, 9))
    matrices, below = figure.subfigures(2, 1, height_ratios=[1.5, 1], squeeze=False).flat
    draw_weights(matrices, weights, unit, attributes["layer"], names)
    draw_unit_weights(below.subplots(), weights, unit, names)
    below.suptitle(f"the authors' own mapping, decay {decay:.2g}: {names[1]} {unit} and its sources", fontsize=9)
    return figure


def draw_unit_weights(ax: Axes, weights: np.ndarray, unit: int, names: Sequence[str]) -> None:
    """Draw the size of each weight of a target unit, and name its sources. (T, S)"""
    size = np.abs(weights[unit])
    least = TIMES * float(np.median(np.abs(weights)))
    ax.plot(size, ".", color="0.6", markersize=4)
    for source in np.flatnonzero(size > least):
        ax.plot(source, size[source], "o", color=plots.GREEDY, markersize=5)
        ax.annotate(
            f"{source}: {weights[unit, source]:+.4f}", (source, size[source]), (6, -3), textcoords="offset points"
        )
    ax.axhline(least, color="0.6", linewidth=0.8)
    ax.annotate(f"{TIMES} times the median", (0, least), (0, 3), textcoords="offset points", color="0.4", fontsize=8)
    ax.set(yscale="log", xlabel=f"unit of {names[0]}", ylabel="|weight|", ylim=(None, 3 * max(size.max(), least)))


def published_fig5(mapping: MappingStore, tree: TreeStore, scores: TreeScores) -> Figure:
    """Hierarchical clusters of both nets' units, from the tree of the authors' sparse mapping (figure 5)."""
    return clusters.fig5_hierarchy(mapping, tree, scores)


def draw_losses(ax: Axes, rows: Sequence[Row], decay: Sequence[float]) -> None:
    """Draw the losses of both kinds of images against the decay, and that of the zero map."""
    for split, name, colour, style in (
        ("val", "validation", plots.GREEDY, "o-"),
        ("train", "training", plots.ASSIGNED, "s--"),
    ):
        ax.plot(
            decay,
            [row[f"{split}_mean"] for row in rows],
            style,
            color=colour,
            markersize=3,
            label=f"{name}, mean of 100",
        )
        ax.plot(decay, [row[f"{split}_last"] for row in rows], "x", color=colour, markersize=5, label=f"{name}, last")
    ax.axhline(ZERO, color="0.6", linewidth=0.8, label="zero map")
    ax.set_ylim(0, None)


def draw_table(axes: np.ndarray, rows: Sequence[Row]) -> None:
    """Draw losses, weights and shares of one layer in a column of panels."""
    penalised = [row["decay"] for row in rows if row["decay"]]
    none = min(penalised, default=1.0) / 10  # where a logarithmic axis shows no penalty
    decay = [row["decay"] or none for row in rows]
    draw_losses(axes[0], rows, decay)
    axes[1].plot(decay, [row["above"] for row in rows], "o-", color=plots.GREEDY, markersize=3)
    axes[1].set_yscale("symlog", linthresh=0.1)
    moved = [(x, row["share"]) for x, row in zip(decay, rows, strict=True) if row["share"] != ""]
    axes[2].plot(*zip(*moved, strict=True) if moved else ([], []), "o-", color=plots.GREEDY, markersize=3)
    axes[2].axhline(1, color="0.6", linewidth=0.8)
    axes[2].set(ylim=(0, 1.1), xscale="log", xlabel="decay")
    powers = range(-5, 0)
    axes[2].set_xticks([none, *(10.0**power for power in powers)], ["none", *(f"$10^{{{power}}}$" for power in powers)])
    lowest = min(rows, key=lambda row: row["train_mean"])
    axes[0].set_title(
        f"{rows[0]['layer']}, {rows[0]['sources']} units\ntraining loss {rows[0]['train_mean']:.4f} at decay "
        f"{rows[0]['decay']:g}, {lowest['train_mean']:.4f} at {lowest['decay']:.2g}"
    )


def published_table1(
    mappings: Annotated[
        list[Path], "stores of the authors' mappings, of one pair of nets and one layer each (zarr.json)"
    ],
    *,
    table: TableToWrite,
) -> Figure:
    """Losses and weights of the authors' mappings against their decay, and how far they had converged (table 1)."""
    rows = [rows_of(path) for path in mappings]
    tables.write(table, [row for each in rows for row in each], digits=6, kind="published table 1")
    shown = list(by_layer(rows).values())
    figure, axes = plt.subplots(
        3, len(shown), figsize=(4.2 * len(shown) + 2, 8), sharex="col", sharey="row", squeeze=False
    )
    for column, of_layer in zip(axes.T, shown, strict=True):
        draw_table(column, of_layer)
    for row, label in zip(
        axes, ("loss", "weights above 0.01\na target unit", "share of the way\nto the optimum"), strict=True
    ):
        row[0].set_ylabel(label)
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    source, target = map(plots.title, shown[0][0]["pair"].split("-"))
    figure.suptitle(f"the authors' own mappings from {source} to {target}")
    return figure


def by_layer(rows: Sequence[Sequence[Row]]) -> Mapping[str, Sequence[Row]]:
    """Of each layer the pair with most mappings, in the order of the layers."""
    most: dict[str, Sequence[Row]] = {}
    for of_pair in rows:
        layer = of_pair[0]["layer"]
        if len(of_pair) > len(most.get(layer, [])):
            most[layer] = of_pair
    return dict(sorted(most.items()))


@command
def main(argv: list[str] | None = None) -> None:
    draw.run(__name__, argv)


if __name__ == "__main__":
    main()
