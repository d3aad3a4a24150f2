"""The numbers that a whole run ends with: how similar units are, and what that has to be compared with."""

from pathlib import Path
from typing import Any

from workflow.convergent import tables

PAPER = Path(__file__).parents[1] / "resources/paper_matching.csv"
LAYERS = 5  # in the table, at most


def published() -> dict[str, float]:
    """The paper's similarity by layer."""
    return {row["layer"]: row["greedy"] for row in tables.read_resource(PAPER, ["layer", "greedy"])}


def decimal(cell: float | str) -> str:
    """A number of a table, or "-" where its cell is empty."""
    return "-" if cell == "" else f"{cell:.3f}"


COLUMNS = {  # of the table at the end: nets and number of the summary
    "trained": ("trained", "greedy_crossfit"),
    "untrained": ("untrained", "greedy_crossfit"),
    "rotated axes": ("trained", "greedy_crossfit_rotated"),
    "same images": ("trained", "greedy"),
}


def numbers(summary: list[dict[str, Any]], paper: dict[str, float]) -> str:
    """A table of the first layers: similarity of units, what it has to be compared with, and the paper's similarity."""
    means = {
        (row["layer"], row["state"]): row
        for row in summary
        if row["pair"] == "mean" and row["similarity"] == "correlation"
    }
    layers = list(dict.fromkeys(layer for layer, _ in means))[:LAYERS]
    if not layers:
        return "No pair of nets could be compared."
    width = max(map(len, ["layer", *layers]))
    lines = [f"{'layer':{width}}  {'  '.join(f'{name:>12}' for name in COLUMNS)}  {'the paper':>12}"]
    for layer in layers:
        cells = [decimal(means.get((layer, nets), {}).get(name, "")) for nets, name in COLUMNS.values()]
        cells.append(decimal(paper.get(layer, "")))
        lines.append(f"{layer:{width}}  {'  '.join(f'{cell:>12}' for cell in cells)}")
    title = (
        "Mean correlation of a unit with its most similar unit in another net, chosen on other photographs than it is\n"
        "measured on; same images: chosen and measured on the same ones, as in the paper."
    )
    return "\n".join([title, *lines])
