"""The page that shows a run at a glance: question, matched filters, similarity, a good and a bad match, claims."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch

from .. import store, tables
from ..commands import command
from ..evidence import summary
from ..evidence.compare import TRAINED, UNTRAINED
from ..evidence.inference import Interval
from ..stitching import summary as stitching
from . import draw, labels, matched, plots, sheets, words
from .evidence import SCORECARD, TWINS, Paper, draw_claim, draw_number, draw_paper, key, label_layers, twins
from .inputs import Matches, MatchesTable, PatchStores, read_matches
from .pictures import Pictures, draw_unit, read_pictures, remarks
from .units import best_and_worst

QUESTION = "Do different neural networks learn the same features?"
WIDTH = 12.0  # inches; letters of 6 points are then 11 pixels high where the page is 1,600 pixels wide
LEFT = 0.006  # where texts begin, as a share of the width
LARGE, HEADING, TEXT = 17, 11, 9  # sizes of letters, points
# The claims that are shown, the first three of these that a run has, in words.
CLAIMS = {
    "axes are alike": "Single units are more alike\nthan rotated axes",
    "training made axes alike": "Training made them\nmore alike",
    "stitched nets are more accurate": "Stitched nets are more accurate\nthan from an untrained source",
    "more units are mutually best": "More units are mutually best\nthan before training",
    "greedy and assigned partners are the same": "Greedy and assigned partners\nare the same",
}
LINES = 3
NO_BREAK = "\u00a0"  # a space at which no line ends
NOTHING = "Numbers with intervals need the stage evidence."

Part = tuple[float, Callable[[SubFigure], None]]  # height in inches, and what draws it


def heading(part: SubFigure, text: str) -> None:
    """Write what a part of the page shows, at its upper left."""
    part.suptitle(text, x=LEFT, ha="left", fontsize=HEADING, fontweight="bold")


def answer(layers: summary.Layers) -> str:
    """The first layer's similarity, and that of the layer in which it is lowest, beside those before training."""
    found = {layer: of[TRAINED].interval(summary.SIMILARITY) for layer, of in layers.items()}
    lowest = min(found, key=lambda layer: float(found[layer].estimate))
    says = []
    for layer in dict.fromkeys([next(iter(found)), lowest]):
        of = found[layer]
        before = layers[layer].get(UNTRAINED)
        beside = f" ({before.interval(summary.SIMILARITY).estimate:.2f} before training)" if before else ""
        says.append(f"at {of.estimate:.2f} [{of.low:.2f},{NO_BREAK}{of.high:.2f}] in {layer}{beside}")
    return (
        "A unit correlates with its most similar unit of another net, chosen on other photographs, "
        f"{' and '.join(says)}. Brackets and bars: 95 % intervals over photographs and nets."
    )


def head(said: str) -> Part:
    """The question, and what a run says to it."""

    def drawn(part: SubFigure) -> None:
        part.text(LEFT, 0.92, QUESTION, fontsize=LARGE, fontweight="bold", va="top")
        part.text(LEFT, 0.44, labels.wrapped(said, WIDTH - 0.6, TEXT), fontsize=TEXT, va="top")

    return 0.9, drawn


def filters_part(filters: Path, matches: Sequence[Matches]) -> Part | None:
    """The most similar first-layer filters of all nets in columns; None where no layer has the filters as units."""
    about = store.attributes(filters, "filters")
    if about["units_of"] != matches[0].layer:
        return None
    arrays = {name.removeprefix("filters/"): array for name, array in store.load(filters, "filters/*").items()}
    ordered = {net: arrays[net] for of in matches for net in of.pair}
    columns = matched.assigned(matches).chosen(slice(sheets.BAND))

    def drawn(part: SubFigure) -> None:
        first = plots.title(next(iter(ordered)))
        heading(part, f"{about['units_of']}: filters of {first} above their one-to-one partners, with mean correlation")
        axes = part.subplots()
        sheets.draw_filters(axes, ordered, columns)
        axes.set(xlim=(-1.8, sheets.BAND), anchor="W")

    return 0.75 + sheets.CELL * len(ordered), drawn


def draw_stitched(axes: Axes, stitched: Sequence[stitching.StitchedNets]) -> None:
    """Draw top-1 accuracy of stitched nets by layer, from trained and from untrained sources, and of the nets alone."""
    kinds = {"top1_relu": (plots.OVERLAP, True), "untrained_relu": (plots.OVERLAP, False)}
    rows = [stitching.cells(nets, list(nets.penalties), 0.0) for nets in stitched]
    for place, row in enumerate(rows):
        for name, (colour, filled) in kinds.items():
            if name in row:
                known = Interval._make([*(row[name + end] for end in ("", "_low", "_high")), *[np.nan] * 3])
                plots.estimates(axes, [place], [known], colour, filled)
    hits = {name: each for nets in stitched for name, each in nets.hits.items() if name.startswith("whole/")}
    alone = [float(each.sum() / stitched[0].images.sum()) for each in hits.values()]
    if alone:
        axes.axhline(float(np.mean(alone)), color="0.3", linewidth=0.8, label="nets that are not stitched")
    axes.errorbar([], [], fmt="o", color=plots.OVERLAP, label="stitched by all weights, all ordered pairs")
    if any("untrained_relu" in row for row in rows):
        source = "the source as before training"
        axes.errorbar([], [], fmt="o", color=plots.OVERLAP, markerfacecolor="white", label=source)
    label_layers(axes, [nets.layer for nets in stitched])
    evaluated = stitching.evaluated_on(int(stitched[0].images.sum()), stitched[0].of_images)
    title = "\n".join(["accuracy of nets stitched together in a layer", *([evaluated] if evaluated else [])])
    axes.set(ylabel="top-1 accuracy", ylim=(0, 1), title=title)


def draw_similarity(axes: Axes, layers: summary.Layers, paper: Paper) -> None:
    """Draw cross-fitted similarity by layer: trained, before training, on rotated axes, and the paper's."""
    draw_number(axes, layers, summary.SIMILARITY, plots.GREEDY)
    draw_paper(axes, layers, paper, "greedy", plots.GREEDY)
    label_layers(axes, list(layers))
    axes.set(ylabel="mean correlation", title="similarity of a unit to its partner, chosen on other photographs")
    axes.set_ylim(min(0, axes.get_ylim()[0]), 1.02)


def numbers_part(layers: summary.Layers, paper: Paper, stitched: Sequence[stitching.StitchedNets]) -> Part:
    """Similarity and stitched accuracy by layer, those that a run has."""

    def drawn(part: SubFigure) -> None:
        heading(part, "How alike nets are, layer by layer")
        shown = [bool(layers), bool(stitched)]
        panels = list(part.subplots(1, sum(shown), squeeze=False, width_ratios=[3, 2][: sum(shown)]).flat)
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.1), "fontsize": 8}
        if layers:
            ax = panels.pop(0)
            draw_similarity(ax, layers, paper)
            known = any(layer in paper for layer in layers)
            marks = ("trained nets, 95 % interval", twins(layers), "rotated axes", *(["the paper"] if known else []))
            ax.legend(*key(*marks), ncols=4 if twins(layers) == TWINS else 2, **below)
        if stitched:
            draw_stitched(panels[0], stitched)
            panels[0].legend(ncols=2, **below)

    return 3.6, drawn


def pairs_part(table: Matches, nets: Sequence[Pictures]) -> Part:
    """The best and the worst match of a layer: patches and deconvolutions of both units side by side."""
    chosen = best_and_worst(table.columns["greedy_similarity"], 1)

    def drawn(part: SubFigure) -> None:
        heading(part, f"{table.layer}: what the best and the worst pair of units see{remarks(nets)}")
        halves = part.subfigures(1, 2, squeeze=False).flat
        for half, word, unit in zip(halves, ("best", "worst"), chosen, strict=False):
            row = {name: column[unit] for name, column in table.columns.items()}
            half.suptitle(
                f"{word} of {len(table.columns['unit'])}, correlation {row['greedy_similarity']:.2f}", fontsize=TEXT
            )
            kinds = [len(pictures.kinds) for pictures in nets]
            grid = half.subplots(1, sum(kinds), squeeze=False)[0]
            for pictures, first, number in zip(nets, (0, kinds[0]), (unit, row["greedy"]), strict=True):
                axes = list(grid[first : first + len(pictures.kinds)])
                axes[0].set_title(f"{labels.short(pictures.name)}, unit {number}", fontsize=8, loc="left")
                draw_unit(axes, pictures, number)

    return 2.35, drawn


def claims_part(rows: Sequence[Mapping[str, Any]]) -> Part | None:
    """Three lines of the scorecard, a claim each; None where a run has none of these claims."""
    claims = [claim for claim in CLAIMS if any(row["claim"] == claim for row in rows)][:LINES]
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    words = {"holds": "hold", "fails": "fail", "cannot tell": "cannot be told"}
    counts = [f"{sum(row['verdict'] == each for row in rows)} {word}" for each, word in words.items()]

    def drawn(part: SubFigure) -> None:
        heading(part, f"What holds: contrasts with their intervals (of all {len(rows)} claims {', '.join(counts)})")
        axes = part.subplots()
        for row in rows:
            if row["claim"] in claims:
                draw_claim(axes, (layers.index(row["layer"]), claims.index(row["claim"])), {**row, "paper": ""})
        axes.set_yticks(range(len(claims)), [CLAIMS[claim] for claim in claims], fontsize=8)
        axes.set_xticks(range(len(layers)), layers)
        axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
        axes.spines[:].set_visible(False)
        axes.set(xlim=(-0.5, len(layers) - 0.5), ylim=(len(claims) - 0.5, -0.5))
        handles = [Patch(color=colour, label=verdict) for verdict, colour in plots.JUDGED.items()]
        axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=len(handles))

    return (1.1 + 0.5 * len(claims), drawn) if claims else None


def overview(
    filters: Annotated[Path, "store of the first filters of all nets (zarr.json)"] | None = None,
    matches: Annotated[list[Path], "tables of matches of the first net with each other net, in their order (.csv)"]
    | None = None,
    evidence: Annotated[list[Path], "stores of the evidence of each layer, in the order to show (zarr.json)"]
    | None = None,
    paper: Annotated[Path, "table of the paper's numbers (.csv)"] | None = None,
    stitched: Annotated[list[Path], "stores of the stitched nets of each layer, in the order to show (zarr.json)"]
    | None = None,
    pair: MatchesTable | None = None,
    patches: PatchStores | None = None,
    scorecard: Annotated[Path, "table of claims and verdicts (.csv)"] | None = None,
) -> Figure:
    """A run at a glance, on one page. What a run does not have is left out."""
    layers = summary.read_layers(evidence) if evidence else {}
    known = [read_matches(path, "correlation") for path in matches or []]
    nets = [stitching.read(path) for path in stitched or []]
    nets = [of for of in nets if stitching.cells(of, list(of.penalties), 0.0)]
    parts: list[Part | None] = [head(answer(layers) if layers else NOTHING)]
    if filters and known:
        parts.append(filters_part(filters, known))
    if layers or nets:
        parts.append(numbers_part(layers, summary.read_paper(paper) if paper else {}, nets))
    if pair and patches:
        table = read_matches(pair, "correlation")
        parts.append(pairs_part(table, read_pictures(patches, table.layer, table.nets, table.images)))
    if scorecard:
        parts.append(claims_part(tables.read(scorecard, SCORECARD)))
    nets_of = {str(path): of.nets for path, of in zip(matches or [], known, strict=True)}
    stores = [*(evidence or []), *(stitched or []), *([filters] if filters else [])]
    store.same_nets(nets_of | {str(path): store.attributes(path)["nets"] for path in stores})
    shown = [part for part in parts if part]
    figure = plt.figure(figsize=(WIDTH, sum(height for height, _ in shown)))
    figure.set_label(words.similarities(layers) if layers else "")
    places = figure.subfigures(len(shown), 1, squeeze=False, height_ratios=[height for height, _ in shown]).flat
    for place, (_, drawn) in zip(places, shown, strict=True):
        drawn(place)
    return figure


@command
def main(argv: list[str] | None = None) -> None:
    draw.run(__name__, argv)


if __name__ == "__main__":
    main()
