"""Figures of units: the pictures that excite a unit most beside those of its match, and first-layer filters."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from .. import store, tables
from ..alignment import matching
from ..commands import InputError, command
from ..moments.covariance import net_means
from . import comparisons, draw, labels, matched, plots, sheets
from .comparisons import EvidenceStore, PaperBest, PaperTable
from .inputs import InformationTable, Matches, MatchesTable, MomentsStore, PatchStores, read_between, read_matches
from .pictures import Pictures, draw_unit, name_rows, read_pictures, remarks

COLUMNS = 8  # units of figures 2 and S4 side by side
Numbers = dict[str, list[str]]  # lines above units: what they are -> the text of each unit
# columns that are shown of a table of agreement
AGREEMENT = ("layer", "pair", "best", "best_shared", "same_greedy", "rank_agreement", "rank_agreement_absolute")
WIDTH, TITLE = 10.6, 11  # width of a figure of groups, inches; size of a figure's title, points
ACTIVE = 6  # most active units of figure S11, and least active ones


def best_and_worst(similarity: np.ndarray, count: int) -> np.ndarray:
    """The units of highest similarity, then those of lowest, in falling order; dead units are left out.

    similarity: (units,), NaN for dead units -> (2 count,), all live units where there are fewer
    """
    order = np.argsort(-similarity, kind="stable")
    order = order[~np.isnan(similarity[order])]
    return np.concatenate([order[:count], order[-count:]]) if len(order) > 2 * count else order


def chosen_units(matches: Matches, units: Sequence[int] | None) -> np.ndarray:
    """The units asked for, or else the best and the worst matches. Raises InputError where there is no such unit."""
    if not units:
        return best_and_worst(matches.columns["greedy_similarity"], COLUMNS)
    count = len(matches.columns["unit"])
    for unit in units:
        if not 0 <= unit < count:
            raise InputError(f"--units: {unit} is not possible; {matches.layer} has units 0 to {count - 1}")
    return np.array(units)


def draw_match(axes: list[Axes], nets: list[Pictures], match: dict[str, Any], heading: Sequence[str]) -> None:
    """Draw a unit over its greedy partner, downwards; a dead unit has none.

    match: a row of a table of matches; heading: lines above the unit's number
    """
    first, second = nets
    kinds = len(first.kinds)
    axes[0].set_title("\n".join([*heading, f"{match['unit']}"]), fontsize=8)
    draw_unit(axes[:kinds], first, match["unit"])
    if match["greedy"] == matching.UNMATCHED:
        for ax in axes[kinds:]:
            ax.axis("off")
        return
    axes[kinds].set_title(f"{match['greedy']}", fontsize=8)
    draw_unit(axes[kinds:], second, match["greedy"])


def draw_matches(
    figure: Figure, nets: list[Pictures], matches: Matches, units: np.ndarray, above: Numbers, subtitle: str
) -> None:
    """Draw units of the first net over their greedy partners in the second, and make the figure as large as they need.

    units: (n,); above: numbers of these units
    """
    rows = [slice(first, first + COLUMNS) for first in range(0, len(units), COLUMNS)]
    width, kinds = max((len(units[row]) for row in rows), default=1), sum(len(pictures.kinds) for pictures in nets)
    figure.set_size_inches(1.25 * max(width, 4) + 1.3, (1.15 * kinds + 0.6 + 0.15 * len(above)) * max(len(rows), 1))
    ratios, under = [0.9] + [1] * width, len(nets[0].kinds)
    for part, row in zip(figure.subfigures(max(len(rows), 1), 1, squeeze=False).flat, rows, strict=False):
        grid = part.subplots(kinds, 1 + width, squeeze=False, width_ratios=ratios)
        lines, shown = {name: texts[row] for name, texts in above.items() if any(texts[row])}, units[row]
        name_rows(list(grid[:under, 0]), nets[0], "\n".join([*lines, f"unit of {labels.short(nets[0].name)}"]))
        name_rows(list(grid[under:, 0]), nets[1], f"unit of {labels.short(nets[1].name)}")
        for k, unit in enumerate(shown):
            match = {name: column[unit] for name, column in matches.columns.items()}
            draw_match(list(grid[:, 1 + k]), nets, match, [texts[k] for texts in lines.values()])
        for ax in grid[:, 1 + len(shown) :].flat:
            ax.axis("off")
    between = "\n" if width < 6 else " "
    title = f"{matches.layer}: units of {nets[0].name}{between}and most similar ones of {nets[1].name}{subtitle}"
    figure.suptitle(labels.wrapped(title + remarks(nets), figure.get_figwidth(), TITLE))


def similarities(matches: Matches, units: np.ndarray) -> list[str]:
    """Similarity of units with their greedy partners, as text; dead units have none."""
    values = matches.columns["greedy_similarity"][units]
    return ["dead" if value != value else f"{value:.2f}" for value in values]


def fig2_matches(
    patches: PatchStores,
    matches: MatchesTable,
    evidence: EvidenceStore | None = None,
    paper: PaperTable | None = None,
    best: PaperBest | None = None,
    *,
    units: Annotated[list[int], "units of the first net to show, as 5 17; without it the best and the worst"]
    | None = None,
) -> Figure:
    """Best and worst matches by correlation: patches of each unit over those of its partner (paper, figure 2)."""
    table = read_matches(matches, "correlation")
    nets = read_pictures(patches, table.layer, table.nets, table.images)
    shown, rotated = chosen_units(table, units), comparisons.rotated(evidence, table)
    level = [plots.shown(value) if value == value else "" for value in rotated[shown]]
    ranked = comparisons.of_paper(best, table, COLUMNS, len(shown)) if best and not units else []
    above = {"correlation": similarities(table, shown), "on rotated axes": level, "paper, equal rank": ranked}
    printed = comparisons.printed(paper, table.layer)
    means = [f"mean correlation of all units {matching.live_mean(table.columns['greedy_similarity']):.2f}"]
    means += [f"on rotated axes {matching.live_mean(rotated):.2f}"] if np.isfinite(rotated).any() else []
    means += [f"in the paper {printed.greedy:.2f}"] if printed else []
    figure = plt.figure(label=", ".join(means))
    subtitle = "" if units else ", best matches above, worst below"
    draw_matches(figure, nets, table, shown, above, f"{subtitle}\n{', '.join(means)}")
    return figure


def agreement_of(information: Path, matches: Matches) -> dict[str, Any]:
    """The row of a layer and pair in the table of agreement.

    Raises InputError where there is none, or where the table is of other weights or images.
    """
    about, pair = tables.about(information, "agreement"), "-".join(matches.pair)
    store.require_equal("images", matches=matches.images, **{str(information): about["images"]})
    store.same_nets({"matches": matches.nets, str(information): about["nets"]})
    rows = tables.read(information, AGREEMENT)
    for row in rows:
        if (row["layer"], row["pair"]) == (matches.layer, pair):
            return row
    present = ", ".join(f"{row['layer']} {row['pair']}" for row in rows)
    raise InputError(f"{information}: no row of {matches.layer} {pair}; it has {present}")


def figS4_information(  # noqa: N802
    patches: PatchStores, matches: MatchesTable, information: InformationTable, best: PaperBest | None = None
) -> Figure:
    """Best and worst matches by mutual information, and its agreement with correlation (paper, figure S4)."""
    table = read_matches(matches, "mutual_information")
    row = agreement_of(information, table)
    same, signed, absolute = (
        plots.shown(row[name], form)
        for name, form in (("same_greedy", ".0%"), ("rank_agreement", ".2f"), ("rank_agreement_absolute", ".2f"))
    )
    says = [
        f"{row['best_shared']} of the {row['best']} best pairs of both nets are the same by correlation, "
        f"{same} of both nets' units have the same partner",
        f"rank agreement over all pairs of units {signed} with correlation, {absolute} with its absolute value",
    ]
    subtitle = "\n".join([", best by mutual information above, worst below", *says])
    nets = read_pictures(patches, table.layer, table.nets, table.images)
    figure, shown = plt.figure(label="; ".join(says)), chosen_units(table, None)
    ranked = comparisons.of_paper(best, table, COLUMNS, len(shown)) if best else []
    above = {"information, nats": similarities(table, shown), "paper, equal rank": ranked}
    draw_matches(figure, nets, table, shown, above, subtitle)
    return figure


def draw_active(part: SubFigure, pictures: Pictures, mean: np.ndarray) -> None:
    """Draw the most active units of a net and, behind a gap, the least active ones. mean: (units,)"""
    order, form = np.argsort(-mean, kind="stable"), plots.decimals(mean)
    sides = order[:ACTIVE], order[max(ACTIVE, len(order) - ACTIVE) :]
    grid = part.subplots(
        len(pictures.kinds), 2 + 2 * ACTIVE, squeeze=False, width_ratios=[1.2, *[1] * ACTIVE, 0.25, *[1] * ACTIVE]
    )
    name_rows(list(grid[:, 0]), pictures, f"mean activation\nunit of {labels.short(pictures.name)}")
    for first, units in zip((1, 2 + ACTIVE), sides, strict=True):
        for column, unit in enumerate(units, first):
            grid[0, column].set_title(f"{mean[unit]:{form}}\n{unit}", fontsize=8)
            draw_unit(list(grid[:, column]), pictures, unit)
        for ax in grid[:, first + len(units) : first + ACTIVE].flat:
            ax.axis("off")
    for ax in grid[:, 1 + ACTIVE]:
        ax.axis("off")


def figS11_active(moments: MomentsStore, patches: PatchStores) -> Figure:  # noqa: N802
    """Most and least active units of each net, by mean activation (paper, figure S11)."""
    attributes, means = store.attributes(moments, "moments"), net_means(moments)
    layer, digests = attributes["layer"], {net: attributes["nets"][net] for net in means}
    nets = read_pictures(patches, layer, digests, attributes["images"])
    heights = [0.45 + 1.05 * len(pictures.kinds) for pictures in nets]
    figure = plt.figure(figsize=(13, sum(heights) + 0.3))
    title = f"{layer}: most active units (left) and least active ones (right) of each net"
    figure.suptitle(title + remarks(nets))
    parts = figure.subfigures(len(means), 1, squeeze=False, height_ratios=heights).flat
    for part, pictures, mean in zip(parts, nets, means.values(), strict=True):
        draw_active(part, pictures, mean)
    figure.set_label(f"highest mean activation: {plots.highest(means)}")
    return figure


def title_of_groups(layer: str, nets: Sequence[Pictures]) -> str:
    """What is seen of groups of units."""
    if len(nets) == 2:
        names = " and ".join(pictures.name for pictures in nets)
        title = f"{layer}: units of {names} that are each other's most similar ones, with their correlation"
    else:
        title = (
            f"{layer}: units of {len(nets)} nets that are each other's most similar ones in all or most pairs of nets\n"
            f"above: mean correlation, and in how many of the {math.comb(len(nets), 2)} pairs each is the other's most "
            "similar unit"
        )
    return title + remarks(nets)


def units_matched(
    between: Annotated[list[Path], "stores of the correlation of every two nets (zarr.json)"], patches: PatchStores
) -> Figure:
    """Groups of units that are each other's most similar ones in all nets: patches of each, a net a row."""
    about, correlation = read_between(between)
    nets = read_pictures(patches, about["layer"], about["nets"], about["images"])
    columns, agreed = matched.groups(correlation, list(about["nets"]), COLUMNS)
    heights = [0.25 + 1.15 * len(pictures.kinds) for pictures in nets]
    heights[0] += 0.15  # for a second line above the pictures
    figure = plt.figure(figsize=(WIDTH, sum(heights) + 0.6))
    figure.suptitle(labels.wrapped(title_of_groups(about["layer"], nets), WIDTH, TITLE))
    parts = figure.subfigures(len(nets), 1, squeeze=False, height_ratios=heights).flat
    above = [f"{mean:.2f}" for mean in columns.similarity]
    above = [f"{mean}, {count} pairs" for mean, count in zip(above, agreed, strict=True)] if len(nets) > 2 else above
    figure.set_label(f"mean correlation of the units of a group over all pairs of nets: {'; '.join(above)}")
    for part, pictures, units in zip(parts, nets, columns.units, strict=True):
        grid = part.subplots(len(pictures.kinds), COLUMNS, squeeze=False)
        part.supylabel(labels.short(pictures.name), fontsize=TITLE)
        for k, unit in enumerate(units):
            grid[0, k].set_title(f"{above[k]}\nunit {unit}" if pictures is nets[0] else f"unit {unit}", fontsize=8)
            draw_unit(list(grid[:, k]), pictures, unit)
        for ax in grid[:, len(units) :].flat:
            ax.axis("off")
    return figure


def nets_filters(
    filters: Annotated[Path, "store of the first filters of all nets (zarr.json)"],
    matches: Annotated[list[Path], "tables of matches of the first net with each other net, in their order (.csv)"]
    | None = None,
) -> Figure:
    """Filters of each net's first convolution, beside their partners in the other nets where these are known."""
    attributes = store.attributes(filters, "filters")
    arrays = {name.rsplit("/", 1)[1]: array for name, array in store.load(filters, "filters/*").items()}
    if not (matches and attributes["units_of"]):
        return sheets.filters_of_nets(arrays)
    known = {str(path): read_matches(path, "correlation") for path in matches}
    layers = {path: of.layer for path, of in known.items()}
    store.require_equal("layers", **{str(filters): attributes["units_of"]}, **layers)
    store.require_equal("first nets", **{path: of.pair[0] for path, of in known.items()})
    store.same_nets({str(filters): attributes["nets"], **{path: of.nets for path, of in known.items()}})
    ordered = {net: arrays[net] for of in known.values() for net in of.pair}
    return sheets.matched_filters(ordered, matched.assigned(list(known.values())))


@command
def main(argv: list[str] | None = None) -> None:
    draw.run(__name__, argv)


if __name__ == "__main__":
    main()
