"""Tables of the evidence of all layers: what is known of each unit, and measures of whole layers."""

import argparse
from pathlib import Path

from .. import tables
from ..commands import command, new_parser
from . import summary


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("units", type=Path, help="table of units to write (.csv)")
    parser.add_argument("measures", type=Path, help="table of measures to write (.csv)")
    parser.add_argument(
        "--evidence", type=Path, nargs="+", required=True, help="stores of the evidence of each layer (zarr.json)"
    )
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    layers = summary.read_layers(args.evidence)
    for path, kind, rows_of in (
        (args.units, "units", summary.unit_rows),
        (args.measures, "measures", summary.measure_rows),
    ):
        rows = [row for layer, evidence in layers.items() for row in rows_of(layer, evidence)]
        tables.write(path, rows, digits=4, kind=kind)


if __name__ == "__main__":
    main()
