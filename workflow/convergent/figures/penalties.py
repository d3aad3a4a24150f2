"""Panels of table 1: numbers of a sparse mapping against its penalty. Each draws rows of the table on given axes."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from ..stitching.summary import MEAN
from .plots import ASSIGNED, GREEDY, OVERLAP, TableRows

PENALTIES = [0, 1e-3, 1e-2, 1e-1, 1, 10]  # ticks of units x decay


def by_penalty(axes: Axes, rows: TableRows) -> TableRows:
    """The rows in order of their penalty; the horizontal axis becomes logarithmic with a place for 0."""
    axes.set_xscale("symlog", linthresh=PENALTIES[1], linscale=0.7)
    axes.set_xticks(PENALTIES, ["0", *(f"$10^{{{exponent}}}$" for exponent in (-3, -2, -1)), "1", "10"])
    axes.minorticks_off()
    axes.set_xlim(-0.1 * PENALTIES[1], 60)  # the paper's largest is 38
    return sorted(rows, key=lambda row: row["alpha"])


def loss_path(axes: Axes, rows: TableRows, paper: TableRows) -> None:
    """Draw the loss of a layer's mapping against its penalty (paper, table 1).

    At the exact optimum, as the published optimiser leaves it where it was replayed, of the zero map, and in the paper.
    """
    path = by_penalty(axes, rows)
    alpha = [row["alpha"] for row in path]
    axes.plot(alpha, [row["val_loss"] for row in path], "o-", color=GREEDY, markersize=3, label="exact, validation")
    training: dict[str, Any] = {
        "color": "C5",
        "linewidth": 0.8,
        "linestyle": "--",
        "zorder": 3,
    }  # seen where both losses agree
    axes.plot(alpha, [row["train_loss"] for row in path], label="exact, training", **training)
    replayed = [row for row in path if "published_val_loss" in row]
    if replayed:
        alpha = [row["alpha"] for row in replayed]
        columns = {"validation": ("x--", "published_val_loss"), "training": (":", "published_train_loss")}
        for images, (style, name) in columns.items():
            label = f"published optimiser, {images}"
            axes.plot(alpha, [row[name] for row in replayed], style, color=ASSIGNED, linewidth=0.8, label=label)
    axes.axhline(
        path[0]["zero_loss"], color="0.6", linewidth=0.8, linestyle=":", zorder=0, label="zero map, validation"
    )
    kinds = {"yes": ("s", "paper (ImageNet)"), "no": ("D", "paper, from an uncertain source")}
    for certain, (marker, label) in kinds.items():
        if not (points := [row for row in paper if row["certain"] == certain]):
            continue
        alpha, loss = [row["units"] * row["decay"] for row in points], [row["loss"] for row in points]
        axes.plot(alpha, loss, marker, color="0.4", markersize=4, fillstyle="none", label=label)


def weights_path(axes: Axes, rows: TableRows, paper: TableRows) -> None:
    """Draw the weights a target unit, as a share of the source units, against the penalty (paper, table 1).

    At the exact optimum all that are not zero, and those above 0.01; the latter also as the published optimiser leaves
    them, where it was replayed, and in the paper.
    """
    path = by_penalty(axes, rows)
    replayed = [row for row in path if "published_above" in row]
    lines = {"nonzero": (path, "--", "C5", "exact, not zero"), "above": (path, "o-", GREEDY, "exact, above 0.01")}
    lines["published_above"] = (replayed, "x--", ASSIGNED, "published optimiser, above 0.01")
    for name, (points, style, colour, label) in ((name, line) for name, line in lines.items() if line[0]):
        share, alpha = [row[name] / row["sources"] for row in points], [row["alpha"] for row in points]
        axes.plot(alpha, share, style, color=colour, markersize=3, linewidth=0.8, label=label)
    axes.set_ylim(0, 1.05)
    if not (printed := [row for row in paper if row["weights"] != ""]):
        return
    alpha, share = [row["units"] * row["decay"] for row in printed], [row["weights"] / row["units"] for row in printed]
    axes.plot(alpha, share, "s", color="0.4", markersize=4, fillstyle="none", label="paper (ImageNet), above 0.01")


def accuracy_path(axes: Axes, rows: TableRows, means: TableRows) -> None:
    """Draw the top-1 accuracy of a layer's stitched nets against the penalty of their mapping, with its controls.

    Bands and bars are 95 % intervals. rows: of one pair, at each penalty; means: over all ordered pairs. Where the
    second net's classes are not those of the images, draw this reason instead.
    """
    path = by_penalty(axes, rows)
    if "target" not in path[0]:
        reason = "no top-1: the second net's\nclasses are not the images'"
        axes.text(0.5, 0.5, reason, ha="center", va="center", fontsize=8, transform=axes.transAxes)
        axes.set_yticks([])
        return
    alpha = [row["alpha"] for row in path]
    axes.axhline(path[0]["target"], color="k", linewidth=0.8, label="second net itself")
    hollow: dict[str, Any] = {"markerfacecolor": "w", "markersize": 5, "linestyle": "", "zorder": 3}
    axes.plot(
        alpha, [path[0]["self"]] * len(alpha), "o", color=ASSIGNED, label="second net mapped onto itself", **hollow
    )
    lines = {"top1": ("s--", OVERLAP, 5, "stitched as mapped"), "top1_relu": ("o-", GREEDY, 3, "stitched, ReLU behind")}
    lines["untrained_relu"] = ("^-", "0.45", 3, "stitched behind the untrained net")
    for name, (style, colour, size, label) in ((name, line) for name, line in lines.items() if name in path[0]):
        look: dict[str, Any] = {
            "color": colour,
            "markersize": size,
            "linewidth": 0.8,
            "markerfacecolor": "w" if size > 4 else colour,
        }
        axes.plot(alpha, [row[name] for row in path], style, label=label, **look)
        if name != "top1":
            low, high = ([row[f"{name}_{end}"] for row in path] for end in ("low", "high"))
            axes.fill_between(alpha, low, high, color=colour, alpha=0.2, linewidth=0)
        mean_of_pairs(axes, [row for row in means if name in row], name, colour, label)
    axes.axhline(path[0]["zero"], color="0.6", linewidth=0.8, linestyle=":", zorder=0, label="zero map")


def unpenalised(rows: TableRows) -> str:
    """The top-1 accuracy without a penalty over all ordered pairs of nets, with its interval, as text."""
    means = (row for row in rows if row["pair"] == MEAN and row["alpha"] == 0 and "top1_relu" in row)
    form = "all pairs, no penalty:\n{top1_relu:.2f} [{top1_relu_low:.2f}, {top1_relu_high:.2f}]"
    return next((form.format(**row) for row in means), "")


def says(layers: Sequence[TableRows]) -> str:
    """These accuracies of all layers, in parts."""
    accuracies = ((rows[0]["layer"], unpenalised(rows)) for rows in layers)
    parts = [f"{layer} {text.splitlines()[1]}" for layer, text in accuracies if text]
    return "; ".join(
        ["top-1 accuracy of stitched nets without a penalty, mean over all pairs", *parts] if parts else []
    )


def mean_of_pairs(axes: Axes, means: TableRows, name: str, colour: str, label: str) -> None:
    """Draw the mean top-1 accuracy over all ordered pairs of nets at some penalties, with its intervals."""
    if means:
        alpha, mean = ([row[column] for row in means] for column in ("alpha", name))
        ends = [[row[name] - row[f"{name}_low"] for row in means], [row[f"{name}_high"] - row[name] for row in means]]
        of_all = f"{label}, all pairs"
        axes.errorbar(alpha, mean, ends, fmt="D", color=colour, mfc="w", markersize=4, capsize=2, label=of_all)
