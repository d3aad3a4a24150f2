"""Directives of the report, which read results; Snakemake fills in names of files alone.

.. says:: <file>          what a figure says of its numbers, or how many rows a table has, and its columns
.. headline:: <summary>   the numbers that a whole run ends with
"""

from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from PIL import Image

from workflow.convergent import tables
from workflow.runner.numbers import numbers, published


def says(file: Path) -> list[str]:
    """Parts of what a figure says of its numbers, its description; of a table its size and columns."""
    if file.suffix == ".csv":
        rows = tables.read(file, allow_no_rows=True)
        return [f"{file.name}: {len(rows):,} rows, columns {', '.join(rows[0])}" if rows else f"{file.name}: no rows"]
    with Image.open(file) as picture:
        description = picture.info.get("Description", "")
    return description.split("; ") if description else []


class OfFile(Directive):
    """A directive whose argument is a file."""

    required_arguments = 1
    final_argument_whitespace = True

    @property
    def file(self) -> Path:
        return Path(self.arguments[0])


class Says(OfFile):
    def run(self) -> list[nodes.Node]:
        parts = [nodes.list_item("", nodes.paragraph("", part)) for part in says(self.file)]
        return [nodes.paragraph("", "This run:"), nodes.bullet_list("", *parts)] if parts else []


class Headline(OfFile):
    def run(self) -> list[nodes.Node]:
        if not self.file.exists():
            return []
        text = numbers(tables.read(self.file), published())
        return [nodes.literal_block(text, text)]


def register() -> None:
    """Let docutils, by which Snakemake reads captions, know the directives."""
    directives.register_directive("says", Says)
    directives.register_directive("headline", Headline)
