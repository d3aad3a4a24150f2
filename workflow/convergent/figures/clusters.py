"""Figures of clusters of two nets' units: the tree of a mapping, and spectral clusters (paper, section 3.3)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure, SubFigure

from .. import store, tables
from ..alignment.matching import live_mean
from ..clustering import hierarchy
from ..commands import command
from ..stitching import mappings
from . import draw, labels, plots
from .inputs import (
    BetweenStore,
    Correlations,
    MappingStore,
    PatchStores,
    TreeScores,
    TreeStore,
    WithinStores,
    read_correlations,
)
from .pictures import Pictures, draw_unit, name_rows, read_pictures, remarks

CLUSTERS = 4  # at most so many are shown with pictures
SMALLEST = 3  # units of a cluster that is shown with pictures
MEMBERS = 10  # at most so many units of a cluster are shown
PICTURE = 1.1  # width of a unit's pictures, inches
# columns that are shown of a table of spectral clusters
SPECTRAL = ("cluster", "size", "units_a", "units_b", "density_inside", "density_outside", "span")
STABLE = ("stability", "rotated/stability")  # arrays of draws, whose means are shown
Member = tuple[int, int]  # net, 0 for the pair's first or 1 for its second, and unit
Arrays = Mapping[str, np.ndarray]


def digests_of(tree: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the weights of source and target net, in this order, from the attributes of a tree."""
    return {tree[side]: tree["nets"][tree[side]] for side in ("source", "target")}


def read_scores(scores: Path, tree: Path) -> list[hierarchy.Subtree]:
    """Scored subtrees of a tree, the best first. Raises InputError where the table is of another tree."""
    attributes, about = store.attributes(tree), tables.about(scores, "subtrees")
    for key, own in (("layer", "layer"), ("tree", "sha256")):
        store.require_equal(f"{key}s", **{str(tree): attributes[own], str(scores): about[key]})
    return hierarchy.read(scores)


def fig5_hierarchy(mapping: MappingStore, tree: TreeStore, scores: TreeScores) -> Figure:
    """Hierarchical clusters of both nets' units, from the tree of a sparse mapping (paper, figure 5)."""
    attributes, arrays = store.attributes(tree, "tree"), store.load(tree, "order", "net")
    mapped = store.attributes(mapping, "mapping")
    store.require_equal("mappings", **{str(mapping): mapped["sha256"], str(tree): attributes["stitching"]})
    store.require_equal("layers", **{str(mapping): mapped["layer"], str(tree): attributes["layer"]})
    store.pair_of(tree, attributes)
    subtrees, matrix = read_scores(scores, tree), hierarchy.joined(mappings.read_weights(mapping, attributes["point"]))
    source, target = names = [plots.title(net) for net in digests_of(attributes)]
    figure, (left, ax) = plt.subplots(1, 2, figsize=(12.4, 7.6), width_ratios=[1, 1.5])
    plots.weight_matrix(left, matrix, f"units of {target} (targets), then of {source}", "in native order")
    left.set_title("M = [I |W|; |W|' I]")
    order = arrays["order"]
    plots.weight_matrix(ax, np.sqrt(matrix[np.ix_(order, order)]), "", "units of both nets, in the order of the tree")
    plots.colour_diagonal(ax, arrays["net"][order])
    for subtree in subtrees:
        plots.frame(ax, subtree.first, subtree.size, "0.6", 0.5)
    for rank, subtree in enumerate(hierarchy.best_mixed(subtrees, CLUSTERS, SMALLEST), 1):
        plots.frame(ax, subtree.first, subtree.size, "C2", 1.5)
        end = subtree.first + subtree.size - 0.5
        ax.annotate(
            f" {rank}", (end, subtree.first - 0.5), color="C2", va="top", fontsize=11, fontweight="bold", zorder=4
        )
    ax.set_title(
        f"{attributes['layer']}, square root of M in leaf order; a box for each of {len(subtrees)} subtrees,\n"
        f"numbered: the best of {SMALLEST} units or more of both nets; units x decay = {attributes['alpha']:g}"
    )
    mixed = len(hierarchy.best_mixed(subtrees, len(subtrees), SMALLEST))
    figure.set_label(f"{len(subtrees)} subtrees; {mixed} of them hold {SMALLEST} units or more, of both nets")
    figure.legend(handles=plots.net_handles(names), loc="outside lower center", ncols=2)
    return figure


def draw_members(
    part: SubFigure, members: Sequence[Member], columns: int, nets: Sequence[Pictures], title: str
) -> None:
    """Draw pictures of the first members of a cluster, one a column, with names in the colour of their net."""
    kinds = max(len(pictures.kinds) for pictures in nets)
    grid = part.subplots(kinds, 1 + columns, squeeze=False, width_ratios=[0.8] + [1] * columns)
    for ax in grid.flat:
        ax.axis("off")
    name_rows(list(grid[:, 0]), max(nets, key=lambda pictures: len(pictures.kinds)), "")
    for column, (net, unit) in enumerate(members[:columns], 1):
        for ax in grid[:, column]:
            ax.axis("on")
        draw_unit(list(grid[:, column]), nets[net], unit)
        grid[0, column].set_title(f"{labels.short(nets[net].name)} {unit}", fontsize=8, color=plots.NET_COLOURS[net])
    more = f"; {columns} of {len(members)} units shown" if len(members) > columns else ""
    part.suptitle(labels.wrapped(title + more, PICTURE * (columns + 1)), fontsize=9)


def members_height(nets: Sequence[Pictures]) -> float:
    """Height of the pictures of a cluster's members, inches."""
    return PICTURE * (0.25 + 1.05 * max(len(pictures.kinds) for pictures in nets))


def members_of(arrays: Arrays, places: np.ndarray) -> list[Member]:
    """Members of a cluster by turns of the first and the second net, so that the first few are of both.

    arrays: ``net`` and ``unit``, (units,) each; places: (members,), where in these the members are
    """
    members: list[Member] = list(zip(arrays["net"][places].tolist(), arrays["unit"][places].tolist(), strict=True))
    turn = [sum(net == other for other, _ in members[:k]) for k, (net, _) in enumerate(members)]
    return [member for _, member in sorted(zip(turn, members, strict=True), key=lambda pair: (pair[0], pair[1]))]


def fig6_clusters(tree: TreeStore, scores: TreeScores, patches: PatchStores) -> Figure:
    """Pictures of the units of the best clusters of both nets, by the tree of a sparse mapping (paper, figure 6)."""
    attributes, arrays = store.attributes(tree, "tree"), store.load(tree, "order", "net", "unit")
    store.pair_of(tree, attributes)
    nets = read_pictures(patches, attributes["layer"], digests_of(attributes), attributes["images"]["val"])
    best = hierarchy.best_mixed(read_scores(scores, tree), CLUSTERS, SMALLEST)
    columns = min(MEMBERS, max([SMALLEST, *(subtree.size for subtree in best)]))
    down = max(1, -(-len(best) // ((MEMBERS + 2) // (columns + 1))))
    across = max(1, -(-len(best) // down))  # clusters side by side
    size = (PICTURE * max(5, across * (columns + 1)), members_height(nets) * down + 0.6)
    figure = plt.figure(figsize=size)
    parts = figure.subfigures(down, across, squeeze=False).flat
    for rank, (part, subtree) in enumerate(zip(parts, best, strict=False), 1):
        leaves = arrays["order"][subtree.first : subtree.first + subtree.size]
        title = (
            f"cluster {rank}: {subtree.source} of {nets[0].name}, {subtree.target} of {nets[1].name}\n"
            f"mean of M within {subtree.within:.3f}, gap to the parent {subtree.gap:.3f}"
        )
        draw_members(part, members_of(arrays, leaves), columns, nets, title)
    shown = "best clusters of both nets' units" if best else f"no cluster of {SMALLEST} units or more is of both nets"
    title = f"{attributes['layer']}: {shown}, by the tree of the mapping{remarks(nets)}"
    figure.suptitle(labels.wrapped(title, figure.get_figwidth(), 11))
    gaps = ", ".join(f"{subtree.gap:.3f}" for subtree in best)
    figure.set_label(f"{shown}; gaps to their parents {gaps}" if best else shown)
    return figure


def runs(label: np.ndarray) -> list[tuple[int, int]]:
    """First place and length of each run of equal labels. label: (units,)"""
    first = np.flatnonzero(np.r_[True, label[1:] != label[:-1]]) if len(label) else np.zeros(0, int)
    return list(zip(first.tolist(), np.diff(np.r_[first, len(label)]).tolist(), strict=True))


def joint_of(correlations: Correlations) -> np.ndarray:
    """Correlation of the units of both nets. (units_a + units_b, units_a + units_b)"""
    return np.block([[correlations.first, correlations.between], [correlations.between.T, correlations.second]])


def draw_spectral(part: SubFigure, arrays: Arrays, correlations: Correlations, title: str) -> None:
    """Draw the correlation of the clustered units of both nets in the order of the clusters."""
    order, joint = arrays["order"][arrays["label"][arrays["order"]] >= 0], joint_of(correlations)
    ax = part.subplots()
    image = plots.similarity_matrix(ax, joint[np.ix_(order, order)], "", "")
    plots.colour_diagonal(ax, arrays["net"][order])
    for first, size in runs(arrays["label"][order]):
        plots.frame(ax, first, size, "k", 0.8)
    ax.set_title(title)
    part.colorbar(image, ax=ax, label="correlation", shrink=0.75, pad=0.01)
    names = [plots.title(net) for net in correlations.pair]
    part.legend(handles=plots.net_handles(names), loc="outside lower center", ncols=2)


def draw_rotated(part: SubFigure, arrays: Arrays) -> None:
    """Draw the summaries of a spectral clustering beside those on rotated axes, and the eigenvalues."""
    names = {
        "density_inside": "mean positive\ncorrelation\ninside",
        "contrast": "inside /\noutside",
        "span": "common span,\nmean squared canonical\ncorrelation",
        "stability": "stability under\nresampled photographs,\nadjusted Rand index",
    }
    above, below = part.subfigures(2, 1, height_ratios=[1.9, 1], squeeze=False).flat
    means = {name: np.array([live_mean(draws) for draws in np.atleast_2d(arrays[name])]) for name in STABLE}
    for ax, (name, label) in zip(above.subplots(1, len(names)), names.items(), strict=True):
        value, rotated = ({**arrays, **means}[which] for which in (name, f"rotated/{name}"))
        plots.beside_rotated(ax, value.item(), rotated, label)
    above.supxlabel(
        f"dot: these nets; grey: 95 % of {len(arrays['rotated/span'])} random rotations of the second net's axes,\n"
        f"cut into as many clusters; of the stability: all of {len(arrays['rotated/stability'])} rotations",
        fontsize=8,
    )
    plots.eigenvalues(below.subplots(), arrays["eigenvalue"], int(arrays["label"].max(initial=-1)) + 1)


def typical_first(joint: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Places of a cluster's members, those first that correlate most with the others, by mean positive correlation.

    joint: correlation of the units of both nets; places: (members,) -> (members,)
    """
    among = np.clip(np.nan_to_num(joint[np.ix_(places, places)]), 0, None)
    return places[np.argsort(-among.sum(axis=1), kind="stable")]


def spectral_says(arrays: Arrays, rows: Sequence[Mapping[str, Any]]) -> str:
    """Number of clusters, their common span and their stability beside rotated axes, as text."""
    numbers = [f"{len(rows)} clusters"]
    for name, label in (("span", "common span"), ("stability", "stability")):
        ours, rotated = (live_mean(np.atleast_1d(arrays[f"{of}{name}"])) for of in ("", "rotated/"))
        numbers.append(f"{label} {plots.shown(ours)}, on rotated axes {plots.shown(rotated)}")
    return "; ".join(numbers)


def read_clusters(scores: Path, clusters: Path) -> list[dict[str, Any]]:
    """Rows of the table of spectral clusters. Raises InputError where it is of other clusters than the store."""
    attributes, about = store.attributes(clusters), tables.about(scores, "clusters")
    for key, own in (("layer", "layer"), ("pair", "pair"), ("clusters", "sha256")):
        store.require_equal(key, **{str(clusters): attributes[own], str(scores): about[key]})
    return tables.read(scores, SPECTRAL, allow_no_rows=True)  # no rows where the layer is dead


def figS_spectral(  # noqa: N802
    clusters: Annotated[Path, "store of the spectral clusters of two nets' units in one layer (zarr.json)"],
    scores: Annotated[Path, "table of these clusters (.csv)"],
    within: WithinStores,
    between: BetweenStore,
    patches: PatchStores,
) -> Figure:
    """Spectral clusters of both nets' units, beside rotated axes, and pictures of the densest of both nets."""
    attributes, arrays = store.attributes(clusters, "clusters"), store.load(clusters)
    rows, correlations = read_clusters(scores, clusters), read_correlations(within, between)
    places = {str(clusters): [attributes[key] for key in ("layer", "pair", "moments")]}
    places[str(between)] = [correlations.layer, "-".join(correlations.pair), correlations.moments]
    store.require_equal("layer, pair and moments", **places)
    digests = {net: attributes["nets"][net] for net in correlations.pair}
    nets = read_pictures(patches, attributes["layer"], digests, attributes["images"])
    shared = [row for row in rows if row["units_a"] and row["units_b"] and row["size"] >= SMALLEST][:CLUSTERS]
    heights = [5.4, *(members_height(nets) for _ in shared)]
    figure = plt.figure(figsize=(PICTURE * (MEMBERS + 1), sum(heights)))
    top, *parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).flat
    left, right = top.subfigures(1, 2, width_ratios=[1.35, 1], squeeze=False).flat
    title = f"{attributes['layer']}: {len(rows)} spectral clusters of both nets' units, densest first"
    draw_spectral(left, arrays, correlations, title)
    draw_rotated(right, arrays)
    for part, row in zip(parts, shared, strict=True):
        inside, outside, span = (plots.shown(row[name]) for name in ("density_inside", "density_outside", "span"))
        title = (
            f"cluster {row['cluster'] + 1}: {row['units_a']} units of {nets[0].name}, {row['units_b']} of "
            f"{nets[1].name}; mean positive correlation inside {inside}, outside {outside}, span {span}"
        )
        typical = typical_first(joint_of(correlations), np.flatnonzero(arrays["label"] == row["cluster"]))
        draw_members(part, members_of(arrays, typical), MEMBERS, nets, f"{title}; most typical first")
    figure.set_label(spectral_says(arrays, rows))
    if shared:
        figure.supxlabel(remarks(nets).strip(), fontsize=8)
    return figure


@command
def main(argv: list[str] | None = None) -> None:
    draw.run(__name__, argv)


if __name__ == "__main__":
    main()
