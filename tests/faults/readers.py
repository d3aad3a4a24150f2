"""Readers of results that are no jobs: ``python -m tests.faults.readers results/scenes`` reads all with ``api.Run``."""

import sys
from pathlib import Path

from workflow.convergent.api import Run
from workflow.convergent.commands import InputError


def main(argv: list[str] | None = None) -> None:
    """Print all tables and similarities of a run. A refusal becomes one line: in Python it is an exception's text."""
    (folder,) = argv or sys.argv[1:]
    try:
        run = Run(folder)
        # names of tables that are gone are those of their digests
        for name in sorted({file.name.split(".")[0] for file in (Path(folder) / "tables").iterdir()}):
            print(run.table(name).to_csv())
        for layer in run.layers:
            print(run.correlation(layer, *run.nets[:2]).to_csv())
            print(run.mutual_information(layer, *run.nets[:2]).to_csv())
    except InputError as refusal:
        raise SystemExit(str(refusal)) from None


if __name__ == "__main__":
    main()
