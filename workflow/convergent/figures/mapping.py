"""Figures of sparse mappings: which units predict a unit of another net, and at what cost (paper, section 3.2)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure, SubFigure

from .. import store, tables
from ..alignment import matching
from ..commands import InputError, command
from ..stitching import mappings, summary
from ..stitching.summary import MEAN
from . import draw, labels, penalties, plots
from .inputs import MappingStore, PatchStores, TableToWrite
from .pictures import Pictures, draw_unit, name_rows, read_pictures, remarks

WIDTH = 10.5  # of figure 4, inches
SOURCES = 6  # at most so many source units of the chosen unit are shown
# columns that table 1 takes from the paper's table
PAPER = ("layer", "units", "decay", "loss", "weights", "certain")
Row = dict[str, Any]


def median_unit(r2: np.ndarray) -> int:
    """The live unit of median R2; the lower one where two are in the middle, and 0 where no unit lives. r2: (units,)"""
    live = np.flatnonzero(np.isfinite(r2))
    if not len(live):
        return 0
    return int(live[np.argsort(r2[live], kind="stable")[(len(live) - 1) // 2]])


def chosen_unit(unit: str, r2: np.ndarray) -> int:
    """The unit of median R2 for ``median``, else the unit of this number. Raises InputError where there is none.

    r2: (units,), NaN for dead units
    """
    if unit == "median":
        return median_unit(r2)
    if not unit.isdecimal() or int(unit) >= len(r2):
        raise InputError(f"figures.unit: {unit} is not possible; median, or a unit from 0 to {len(r2) - 1}")
    return int(unit)


def draw_weights(part: SubFigure, weights: np.ndarray, unit: int, layer: str, names: Sequence[str]) -> None:
    """Draw the sizes of the weights in native order, and with the largest ones on the diagonal; mark a target unit.

    weights: (targets, sources); names: of source and target net
    """
    source, target = names
    size = np.abs(weights)
    orders = {
        "in native order": (np.arange(len(size)), np.arange(size.shape[1])),
        "columns permuted by the\nmaximum assignment of |W|": matching.diagonal_order(
            matching.assignment(size), size.shape[1]
        ),
    }
    axes = part.subplots(1, 2)
    for ax, (name, order) in zip(axes, orders.items(), strict=True):
        image = plots.weight_matrix(
            ax, size[np.ix_(*order)], f"{labels.before('units of', target)} (targets)", f"units of {source}"
        )
        plots.mark_row(ax, int(np.flatnonzero(order[0] == unit)[0]), f"{labels.short(target)} {unit}")
        ax.set_title(f"{layer}, |W| {name}")
    part.colorbar(image, ax=axes, label="|weight|", shrink=0.8, pad=0.01)


def draw_sources(part: SubFigure, nets: Sequence[Pictures], weights: np.ndarray, unit: int, title: str) -> None:
    """Draw pictures of a target unit and of the source units of largest weight.

    nets: source and target; weights: (sources,), of the unit
    """
    source, target = nets
    order = np.argsort(-np.abs(weights), kind="stable")
    shown = [(target, unit, "target")]
    shown += [(source, int(s), f"{weights[s]:+.3f}") for s in order[weights[order] != 0][:SOURCES]]
    kinds = max(len(pictures.kinds) for pictures in nets)
    grid = part.subplots(kinds, 1 + len(shown), squeeze=False, width_ratios=[0.4] + [1] * len(shown))
    part.suptitle(labels.wrapped(title + remarks(nets), WIDTH), fontsize=9)
    name_rows(list(grid[:, 0]), max(nets, key=lambda pictures: len(pictures.kinds)), "weight\nunit")
    for column, (pictures, number, label) in enumerate(shown, 1):
        grid[0, column].set_title(f"{label}\n{labels.short(pictures.name)} {number}", fontsize=8)
        draw_unit(list(grid[:, column]), pictures, number)


def fig4_mapping(
    mapping: MappingStore,
    patches: PatchStores,
    *,
    alpha: Annotated[float, "penalty of the mapping to show, units x decay; one of the store's path"],
    unit: Annotated[str, "target unit to show: its number, or median for the unit of median R2"] = "median",
) -> Figure:
    """Weights of a sparse mapping, and pictures of the source units that predict one target unit (paper, figure 4)."""
    attributes, point = store.attributes(mapping, "mapping"), mappings.path_point(mapping, alpha)
    weights, r2 = mappings.read_weights(mapping, point), store.load(mapping, "r2")["r2"][point]
    number, layer = chosen_unit(unit, r2), attributes["layer"]
    store.pair_of(mapping, attributes)
    digests = {attributes[side]: attributes["nets"][attributes[side]] for side in ("source", "target")}
    nets = read_pictures(patches, layer, digests, attributes["images"]["val"])
    source, target = names = [plots.title(net) for net in digests]
    figure = plt.figure(figsize=(WIDTH, 7.4))
    matrices, pictures = figure.subfigures(2, 1, height_ratios=[1.25, 1], squeeze=False).flat
    draw_weights(matrices, weights, number, layer, names)
    rule = "the unit of the median R²" if unit == "median" else "the unit chosen"
    used = f"from {(weights[number] != 0).sum()} units of {source}, largest weights first"
    title = f"{rule}: {target} {number}, R² {plots.shown(r2[number])} {used}; units x decay = {alpha:g}"
    draw_sources(pictures, nets, weights[number], number, title)
    figure.set_label(title)
    return figure


def live_means(arrays: Mapping[str, np.ndarray], measure: str) -> list[float]:
    """Mean of a measure over live target units at each point of a path.

    arrays: the measure, (P, T) or (T,), and r2, (P, T), NaN for dead units
    """
    live, values = np.isfinite(arrays["r2"]), arrays[measure]
    values = np.where(live, values[: len(live)] if values.ndim == 2 else values, np.nan)
    return [matching.live_mean(row) for row in values]


def mapping_rows(mapping: Path, accuracies: Sequence[Row]) -> list[Row]:
    """Rows of table 1 for one layer, from the store of its mapping and the rows of its stitched nets.

    Raises InputError where the rows are not at the penalties of the mapping.
    """
    attributes = store.attributes(mapping)
    measures = ("train_loss", "val_loss", "r2", "nonzero", "above")
    exact = store.load(mapping, "alpha", "decay", "zero_loss", *measures)
    alphas = {str(mapping): exact["alpha"].tolist(), "stitched nets": [row["alpha"] for row in accuracies]}
    store.require_equal(f"penalties of {attributes['layer']}", **alphas)
    stored = store.load(mapping, *(f"published/{name}" for name in measures if name != "nonzero"))
    published = {name.removeprefix("published/"): array for name, array in stored.items()}
    columns = {"decay": exact["decay"].tolist()} | {name: live_means(exact, name) for name in (*measures, "zero_loss")}
    columns |= {f"published_{name}": live_means(published, name) for name in published}
    units = {"units": exact["r2"].shape[1], "live": int(np.isfinite(exact["r2"][0]).sum())}
    units["sources"] = attributes["units"][attributes["source"]]
    rows = []
    for point, accuracy in enumerate(accuracies):
        row = {"layer": attributes["layer"], "pair": attributes["pair"], **units, "alpha": accuracy["alpha"]}
        row |= {name: column[point] for name, column in columns.items() if point < len(column)}
        rows.append(row | accuracy)
    return rows


def rows_of_layers(paths: Sequence[Path], stitched: Sequence[Path]) -> list[list[Row]]:
    """Rows of table 1 of each mapping: its penalties, then the stitched nets of other pairs and their mean.

    Raises InputError where there are no stitched nets of its layer and pair, or where there are others.
    """
    attributes = {path: store.attributes(path, "mapping") for path in paths}
    about = {path: store.attributes(path, "stitched nets") for path in stitched}
    layers_of = {path: of["layer"] for path, of in (attributes | about).items()}
    store.require_equal("pairs", **{str(path): own["pair"] for path, own in attributes.items()})
    store.same_nets({str(path): own["nets"] for path, own in (attributes | about).items()})
    store.require_distinct("--mappings", (layers_of[path] for path in paths))
    store.require_distinct("--stitched", (layers_of[path] for path in stitched))
    beside_layer = {layers_of[path]: path for path in stitched}
    given = {(layers_of[path], pair) for path in stitched for pair in about[path]["whole"]}
    wanted = [(layers_of[path], attributes[path]["pair"]) for path in paths]
    if not set(wanted) <= given or len(paths) != len(stitched):
        these, those = (", ".join(map(" ".join, sorted(keys))) for keys in (given, wanted))
        raise InputError(f"--stitched: stores of {these}; must be of {those}, as --mappings")
    layers = []
    for path in paths:
        pair, beside = attributes[path]["pair"], beside_layer[layers_of[path]]
        used = about[beside]["mappings"][pair]
        store.require_equal("mappings", **{str(path): attributes[path]["sha256"], str(beside): used})
        rows = summary.rows(summary.read(beside), pair)
        others = [row for row in rows if row["pair"] != pair]
        layers.append([*mapping_rows(path, [row for row in rows if row["pair"] == pair]), *others])
    return layers


def beside_paper(rows: Sequence[Row], paper: Sequence[Row]) -> list[Row]:
    """The rows with the paper's numbers at the paper's layers and decays, empty cells elsewhere."""

    def published(row: Row) -> Row:
        layer = (printed for printed in paper if printed["layer"] == row["layer"])
        decay = row.get("decay", np.nan)  # rows without one are of other pairs
        return next((printed for printed in layer if np.isclose(printed["decay"], decay, rtol=1e-3, atol=0)), {})

    names = ("loss", "weights", "certain")
    return [row | {f"paper_{name}": published(row).get(name, "") for name in names} for row in rows]


def table1_mapping(
    mappings: Annotated[list[Path], "stores of the sparse mappings of one pair, one a layer (zarr.json)"],
    stitched: Annotated[list[Path], "stores of the stitched nets of these layers (zarr.json), in any order"],
    paper: Annotated[Path, "table of the paper's numbers (.csv)"],
    *,
    table: TableToWrite,
) -> Figure:
    """Loss, weights and top-1 accuracy of sparse mappings against their penalty (paper, table 1). Writes the table."""
    layers, published = rows_of_layers(mappings, stitched), tables.read_resource(paper, PAPER)
    shown = [row for rows in layers for row in beside_paper(rows, published)]
    tables.write(table, shown, digits=5, kind="table 1")
    size = (2.4 * len(layers) + 2.6, 8.4)
    figure, axes = plt.subplots(3, len(layers), figsize=size, sharex=True, sharey="row", squeeze=False)
    for column, of_layer in zip(axes.T, layers, strict=True):
        layer, pair = of_layer[0]["layer"], of_layer[0]["pair"]
        rows = [row for row in of_layer if row["pair"] == pair]
        penalties.loss_path(column[0], rows, [row for row in published if row["layer"] == layer])
        penalties.weights_path(column[1], rows, [row for row in published if row["layer"] == layer])
        means = [row for row in of_layer if row["pair"] == MEAN]
        penalties.accuracy_path(column[2], rows, means)
        accuracy, images = penalties.unpenalised(means), summary.evaluated_on(rows[0]["images"], rows[0]["of_images"])
        column[2].set_title("\n".join(filter(None, [images, accuracy])), fontsize=8)
        column[0].set_title(f"{layer}, {rows[0]['live']} of {rows[0]['units']} units live")
        column[2].set_xlabel("penalty, units x decay")
    source, target = map(plots.title, pair.split("-"))
    figure.suptitle(f"mappings from {source} to {target}")
    for row in (0, 2):  # once all columns that share the axis are drawn
        axes[row, 0].set_ylim(0, None)
    labels = (
        "loss, half the mean squared error",
        "weights a target unit,\nshare of source units",
        "top-1 of the stitched net",
    )
    for row, label in zip(axes, labels, strict=True):
        row[0].set_ylabel(label)
        named = {name: line for ax in row for line, name in zip(*ax.get_legend_handles_labels(), strict=True)}
        if named:
            row[-1].legend(named.values(), named, loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.set_label(penalties.says(layers))
    return figure


@command
def main(argv: list[str] | None = None) -> None:
    draw.run(__name__, argv)


if __name__ == "__main__":
    main()
