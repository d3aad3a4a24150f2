"""Stored artifacts to figure files. Each figure is a function of the files it is drawn from."""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from . import matching, plots, store

STYLE = Path(__file__).with_name("figures.mplstyle")


def between_panels(between: np.ndarray, partner: np.ndarray) -> dict[str, np.ndarray]:
    """The between-net matrix in the orders of figure 1; loops need two nets of equal width."""
    panels = {"between, native order": between}
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
    figure, axes = plt.subplots(1, len(panels), figsize=(2.3 * len(panels), 2.8))
    for ax, (name, matrix, rows, columns) in zip(axes, panels, strict=True):
        image = plots.similarity_matrix(ax, matrix, f"units of {rows}", f"units of {columns}")
        ax.set_title(name)
    figure.colorbar(image, ax=axes, label="correlation", shrink=0.75, pad=0.01)
    return figure


def fig3_assignment(args: argparse.Namespace) -> Figure:
    """inputs: a matching table"""
    table = matching.read(args.inputs[0])
    one, two = (plots.title(net) for net in Path(args.inputs[0]).stem.split("-"))
    figure, axes = plt.subplots(figsize=(5.4, 3.2))
    agreement = matching.overlap(table["greedy"], table["assigned"])
    plots.sorted_similarities(axes, table["greedy_similarity"], table["assigned_similarity"], agreement)
    axes.set_title(f"{args.layer}: units of {one} and their partners in {two}")
    figure.legend(loc="outside lower center", ncols=3, columnspacing=1)
    return figure


def figS10_means(args: argparse.Namespace) -> Figure:  # noqa: N802
    """inputs: a layer's moments"""
    found = store.load(args.inputs[0], "total/mean/*")
    figure, axes = plt.subplots(figsize=(4.5, 3))
    plots.sorted_means(axes, {name.rsplit("/", 1)[1]: mean for name, mean in found.items()})
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


def nets_filters(args: argparse.Namespace) -> Figure:
    """inputs: the store of filters"""
    found = store.load(args.inputs[0], "filters/*")
    columns = 8 if len(next(iter(found.values()))) <= 48 else 12
    figure, axes = plt.subplots(1, len(found), figsize=(2.4 * len(found), 1.8))
    for ax, (name, filters) in zip(axes, found.items(), strict=True):
        plots.filter_sheet(ax, filters, columns)
        ax.set_title(f"{plots.title(name.rsplit('/', 1)[1])}, conv1")
    return figure


def read_convergence(paths: list[str]) -> list[dict[str, str]]:
    """Rows of all layers' tables."""
    rows = []
    for path in paths:
        with open(path, newline="") as file:
            rows += list(csv.DictReader(file))
    return rows


def numbers(rows: list[dict[str, str]], kind: str) -> list[dict[str, float | str]]:
    """Rows of pairs ("net") or of the mean over pairs ("mean"), their cells as numbers where they are."""
    chosen = [row for row in rows if row["pair"].startswith(kind)]
    return [{k: v if k in ("layer", "pair") else float(v or "nan") for k, v in row.items()} for row in chosen]


def write_table(path: str, rows: list[dict[str, str]]) -> None:
    """Rows to a CSV with rounded numbers, as a reader wants them."""

    def shown(text: str) -> str:
        return f"{float(text):.4f}" if "." in text else text

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: shown(text) for name, text in row.items()} for row in rows)


SUMMARY_PANELS = {
    "partners chosen and measured\non the same images": {"greedy": plots.GREEDY, "assigned": plots.ASSIGNED},
    "partners chosen on one half of the images,\nmeasured on the other": {
        "greedy_held_out": plots.GREEDY,
        "assigned_held_out": plots.ASSIGNED,
    },
    "units whose greedy and\nassigned partners are the same": {"overlap": plots.OVERLAP},
}


def summary_convergence(args: argparse.Namespace) -> Figure:
    """inputs: convergence of each layer; also writes the summary table"""
    rows = read_convergence(args.inputs)
    write_table(args.table, rows)
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.8))
    for ax, (name, measures) in zip(axes, SUMMARY_PANELS.items(), strict=True):
        for k, (measure, colour) in enumerate(measures.items()):
            shift = (k - (len(measures) - 1) / 2) * 0.3
            plots.by_layer(ax, layers, numbers(rows, "mean"), measure, colour, shift)
            plots.pair_dots(ax, layers, numbers(rows, "net"), measure, colour, shift)
        ax.set(title=name, ylim=(min(0, ax.get_ylim()[0]), 1.02))
        ax.set_ylabel("share of units" if "overlap" in measures else "mean correlation")
    shown = {"greedy": plots.GREEDY, "assigned": plots.ASSIGNED, "overlap": plots.OVERLAP, "chance": plots.CHANCE}
    labels = ["greedy partner", "assigned partner", "overlap", "chance: random rotations of one net"]
    figure.legend([Patch(color=c) for c in shown.values()], labels, loc="outside lower center", ncols=4)
    return figure


def unit_layer(path: str, layer: str) -> dict[str, np.ndarray]:
    """Pictures of all units of a layer of one net: image (units, 9), patch, deconv (units, 9, h, w, C)."""
    names = [f"{layer}/{name}" for name in ("image", "patch", "deconv")]
    return {name.split("/")[1]: x for name, x in store.load(path, *names).items()}


def best_and_worst(similarity: np.ndarray, count: int) -> np.ndarray:
    """The most similar units first, the least similar last, those without a partner left out. (units,) -> (2 count,)"""
    order = np.argsort(-similarity, kind="stable")
    order = order[~np.isnan(similarity[order])]
    return np.concatenate([order[:count], order[-count:]]) if len(order) > 2 * count else order


def draw_match(axes: list[Axes], nets: list[dict[str, np.ndarray]], names: list[str], row: dict[str, Any]) -> None:
    """A unit over its greedy partner, four axes downwards; a dead unit has none. row: of a matching table"""
    dead = row["greedy"] == matching.UNMATCHED
    axes[0].set_title(
        f"{'dead' if dead else format(row['greedy_similarity'], '.2f')}\n{names[0]} {row['unit']}", fontsize=8
    )
    plots.unit_pictures(axes[:2], nets[0], row["unit"])
    if dead:
        for ax in axes[2:]:
            ax.axis("off")
        return
    axes[2].set_title(f"{names[1]} {row['greedy']}", fontsize=8)
    plots.unit_pictures(axes[2:], nets[1], row["greedy"])


def fig2_matches(args: argparse.Namespace) -> Figure:
    """inputs: patches of both nets, a matching table; --units 5,17 shows these instead of the best and worst"""
    nets = [unit_layer(path, args.layer) for path in args.inputs[:2]]
    names = [plots.title(Path(path).parent.stem) for path in args.inputs[:2]]
    table = matching.read(args.inputs[2])
    count = len(table["unit"])
    units = np.array(args.units) if args.units else best_and_worst(table["greedy_similarity"], 8)
    for unit in units[(units < 0) | (units >= count)]:
        raise SystemExit(f"--units: {unit} is not possible; {args.layer} has units 0 to {count - 1}")
    rows = [units[first : first + 8] for first in range(0, len(units), 8)]
    width = max(map(len, rows), default=1)
    figure = plt.figure(figsize=(1.25 * width + 0.4, 5.3 * max(len(rows), 1)))
    for part, some in zip(figure.subfigures(max(len(rows), 1), 1, squeeze=False).flat, rows, strict=False):
        grid = part.subplots(4, width, squeeze=False)
        for k, unit in enumerate(some):
            draw_match(list(grid[:, k]), nets, names, {name: column[unit] for name, column in table.items()})
        for ax in grid[:, len(some) :].flat:
            ax.axis("off")
    chosen = "" if args.units else ", best matches above, worst below"
    between = "\n" if width < 6 else " "
    figure.suptitle(f"{args.layer}: units of {names[0]}{between}and most similar ones of {names[1]}{chosen}")
    return figure


def figS11_active(args: argparse.Namespace) -> Figure:  # noqa: N802
    """inputs: a layer's moments, patches of each net"""
    means = {name.rsplit("/", 1)[1]: x for name, x in store.load(args.inputs[0], "total/mean/*").items()}
    figure = plt.figure(figsize=(12, 2.35 * len(means)))
    figure.suptitle(
        f"{args.layer}: most active units (left) and least active ones (right) of each net, with their means"
    )
    parts = figure.subfigures(len(means), 1, squeeze=False).flat
    for part, path, (net, mean) in zip(parts, args.inputs[1:], means.items(), strict=True):
        found, order = unit_layer(path, args.layer), np.argsort(-mean, kind="stable")
        grid = part.subplots(2, 12)
        part.supylabel(plots.title(net), fontsize=9)
        for k, unit in enumerate([*order[:6], *order[-6:]]):
            grid[0, k].set_title(f"{mean[unit]:.3g}", fontsize=8)
            plots.unit_pictures(grid[:, k], found, unit)
    return figure


FIGURES: dict[str, Callable[[argparse.Namespace], Figure]] = {
    "fig1_correlation": fig1_correlation,
    "fig2_matches": fig2_matches,
    "fig3_assignment": fig3_assignment,
    "figS10_means": figS10_means,
    "figS11_active": figS11_active,
    "nets_training": nets_training,
    "nets_filters": nets_filters,
    "summary_convergence": summary_convergence,
}


def main(argv: list[str] | None = None) -> None:
    listed = "; ".join(f"{name}: {function.__doc__}" for name, function in FIGURES.items())
    parser = argparse.ArgumentParser(description=__doc__, epilog=listed)
    parser.add_argument("figure", choices=FIGURES)
    parser.add_argument("inputs", nargs="+", help="what the figure is drawn from, see below")
    parser.add_argument("--outputs", nargs="+", required=True, help="files to write, the ending says the format")
    parser.add_argument("--layer", help="which layer the inputs are of, or to take of them")
    parser.add_argument(
        "--units", type=lambda text: [int(unit) for unit in text.split(",")], help="5,17 (fig2_matches)"
    )
    parser.add_argument("--table", help="table to write (summary_convergence)")
    args = parser.parse_args(argv)
    with plt.style.context(STYLE):
        figure = FIGURES[args.figure](args)
        for path in args.outputs:
            figure.savefig(path)


if __name__ == "__main__":
    main()
