"""The page of the atlas, index.html, with its script and style sheet: opened from a folder, it needs no server.

Its first page says how alike the nets are in each layer and which claims hold, and links every figure. All else lies in
the files of the layers, beside it.
"""

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from .. import store, tables
from ..commands import command, new_parser
from ..evidence.units import VERDICTS
from ..files import write_atomically
from ..nets.names import title
from . import described, scripts
from .digits import share

RESOURCES = Path(__file__).parents[2] / "resources" / "atlas"
TEMPLATE, COPIED = "index.html.j2", ("atlas.js", "atlas.css")
CLAIMS = ("claim", "layer", "ours", "low", "high", "against", "verdict")  # columns of the scorecard


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("output", type=Path, help="page to write (index.html)")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--layers", nargs="+", required=True, help="names of the layers in their order")
    parser.add_argument("--nets", nargs="+", required=True, help="names of the nets in their order")
    parser.add_argument("--stages", nargs="+", required=True, help="stages of the run; the page says what is left out")
    parser.add_argument("--evidence", type=Path, nargs="*", default=[], help="stores of the evidence of each layer")
    parser.add_argument("--scorecard", type=Path, nargs="*", default=[], help="table of claims and verdicts (.csv)")
    parser.add_argument("--figures", type=Path, nargs="*", default=[], help="pictures of all figures (.png)")
    return parser.parse_args(argv)


def claims(path: Path) -> list[dict[str, Any]]:
    """Claims of the scorecard in its order, each with its verdict and interval by layer."""
    found: dict[str, dict[str, Any]] = {}
    for row in tables.read(path, CLAIMS, allow_no_rows=True):
        claim = found.setdefault(row["claim"], {"claim": row["claim"], "against": row["against"], "layers": {}})
        numbers = [share(row[name]) if row[name] != "" else None for name in ("ours", "low", "high")]
        claim["layers"][row["layer"]] = [row["verdict"], *numbers]
    return list(found.values())


def mean_numbers(path: Path) -> tuple[str, dict[str, Any]]:
    """A layer, and its numbers by state: means over pairs of nets."""
    layer = store.attributes(path, "evidence")["layer"]
    _, numbers = described.read(path)
    return layer, {state: pairs["mean"] for state, pairs in numbers.items()}


def relative(figures: Sequence[Path], page: Path) -> list[dict[str, str]]:
    """Figures by name, as links from the page."""
    return [{"name": file.stem, "file": Path(os.path.relpath(file, page.parent)).as_posix()} for file in figures]


def content(args: argparse.Namespace) -> dict[str, Any]:
    """All that the first page shows, and what the other pages need to know of the run."""
    return {
        "run": args.run,
        "layers": args.layers,
        "nets": [{"name": net, "title": title(net)} for net in args.nets],
        "stages": args.stages,
        "verdicts": VERDICTS,
        "numbers": dict(map(mean_numbers, args.evidence)),
        "claims": [claim for path in args.scorecard for claim in claims(path)],
        "figures": relative(args.figures, args.output),
    }


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        (RESOURCES / TEMPLATE).read_text(encoding="utf-8")
    )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(RESOURCES / name, args.output.parent / name)
    found = content(args)
    with write_atomically(args.output) as temporary:
        temporary.write_text(template.render(found, data=scripts.encoded(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
