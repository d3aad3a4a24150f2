"""Sheets of first-layer filters: of each net alone, and in columns of partners."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..alignment.matching import UNMATCHED
from . import labels, plots
from .matched import Columns

FILTERS, ACROSS = 2.4, 5  # width of the filters of a net in inches, and nets beside each other
BAND, CELL, WIDTH = 32, 0.34, 12  # matched filters beside each other; width of one, and of the figure, in inches
NUMBER, NAME, TITLE = 7, 8, 11  # sizes of numbers above columns, of names of nets and of the title, points


def filters_of_nets(arrays: Mapping[str, np.ndarray]) -> Figure:
    """Filters of each net as a sheet of its own, in the order of its units. net -> (units, h, w, C)"""
    columns, rows = max(1, min(len(arrays), ACROSS)), max(1, -(-len(arrays) // ACROSS))
    figure, axes = plt.subplots(rows, columns, figsize=(FILTERS * columns, 2 * rows), squeeze=False)
    for ax in axes.flat[len(arrays) :]:
        ax.axis("off")
    if not arrays:
        figure.suptitle("no net has a convolution of pixels")
    for ax, (name, array) in zip(axes.flat, arrays.items(), strict=False):
        count, height, width, _ = array.shape
        plots.filter_sheet(ax, array, 8 if count <= 48 else 12)
        title = f"{plots.title(name)}, first convolution\n{count} filters of {height} x {width}"
        ax.set_title(labels.wrapped(title, FILTERS, 8), fontsize=8)
    return figure


def draw_filters(axes: Axes, filters: Mapping[str, np.ndarray], columns: Columns) -> None:
    """Draw first-layer filters of several nets, a net a row, with the similarity of each column above it.

    filters: net -> (units, h, w, C)
    """
    count = len(columns.similarity)
    for row, ((net, own), units) in enumerate(zip(filters.items(), columns.units, strict=True)):
        tiles = plots.filter_tiles(own[units])
        tiles[units == UNMATCHED] = 1
        sheet = plots.mosaic(tiles, count)
        gap_h, gap_w = (1 / (side + 1) for side in own.shape[1:3])  # of a cell, between filters
        axes.imshow(
            sheet if sheet.shape[2] == 3 else sheet[..., 0],
            extent=(0, count - gap_w, row + 1 - gap_h, row),
            cmap="gray",
            vmin=0,
            vmax=1,
        )
        axes.text(-0.15, row + 0.45, labels.short(plots.title(net)), ha="right", va="center", fontsize=NAME)
    for column, similarity in enumerate(columns.similarity):
        axes.text(column + 0.45, -0.1, plots.shown(similarity), ha="center", va="bottom", fontsize=NUMBER)
    axes.set(xlim=(0, count), ylim=(len(filters), 0), aspect="equal")
    axes.axis("off")


def median_and_ends(values: np.ndarray) -> str:
    """Median, highest and lowest of some values in words; empty of none."""
    if not len(values):
        return ""
    return f"median {np.median(values):.2f}, highest {values.max():.2f}, lowest {values.min():.2f}"


def matched_filters(arrays: Mapping[str, np.ndarray], columns: Columns) -> Figure:
    """Filters of all nets in columns of partners, in bands of BAND columns. net -> (units, h, w, C)"""
    count = len(columns.similarity)
    bands, first = -(-count // BAND), plots.title(next(iter(arrays)))
    figure, axes = plt.subplots(bands, 1, figsize=(WIDTH, 0.5 + bands * (CELL * len(arrays) + 0.3)), squeeze=False)
    for band, ax in enumerate(axes.flat):
        draw_filters(ax, arrays, columns.chosen(slice(band * BAND, (band + 1) * BAND)))
        ax.set(xlim=(-1.8, BAND), anchor="W")
    title = (
        f"First-layer filters: units of {first} above their one-to-one partners in the other nets, most alike first\n"
        "number: mean correlation of the unit with its partners"
    )
    known = columns.similarity[np.isfinite(columns.similarity)]
    figure.set_label(f"mean correlation with the partners: of {len(known)} units {median_and_ends(known)}")
    figure.suptitle(labels.wrapped(title, WIDTH, TITLE), fontsize=TITLE)
    return figure
