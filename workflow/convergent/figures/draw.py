"""Stored artifacts to figure files. Each figure is a function of the files it is drawn from."""

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ..commands import command
from . import clusters, mapping, statistics, units

STYLE = Path(__file__).with_name("figures.mplstyle")

FIGURES: dict[str, Callable[[argparse.Namespace], Figure]] = {
    function.__name__: function
    for function in (
        statistics.fig1_correlation,
        units.fig2_matches,
        statistics.fig3_assignment,
        mapping.fig4_mapping,
        mapping.table1_mapping,
        clusters.fig5_hierarchy,
        clusters.fig6_clusters,
        clusters.figS_spectral,
        units.figS4_information,
        statistics.figS10_means,
        units.figS11_active,
        statistics.nets_training,
        units.nets_filters,
        statistics.summary_convergence,
    )
}


@command
def main(argv: list[str] | None = None) -> None:
    listed = "; ".join(f"{name}: {function.__doc__}" for name, function in FIGURES.items())
    parser = argparse.ArgumentParser(description=__doc__, epilog=listed)
    parser.add_argument("figure", choices=FIGURES)
    parser.add_argument("inputs", nargs="+", help="what the figure is drawn from, see below")
    parser.add_argument("--outputs", nargs="+", required=True, help="files to write, the ending says the format")
    parser.add_argument("--layer", help="which layer the inputs are of, or to take of them")
    parser.add_argument(
        "--units", type=lambda text: [int(unit) for unit in text.split(",")], help="5,17 (fig2_matches)"
    )
    parser.add_argument("--alpha", type=float, help="which penalty of the mapping, units x decay (fig4_mapping)")
    parser.add_argument("--unit", default="median", help="a target unit, or that of the median R2 (fig4_mapping)")
    parser.add_argument("--table", help="table to write (summary_convergence, table1_mapping)")
    args = parser.parse_args(argv)
    with plt.style.context(STYLE):
        figure = FIGURES[args.figure](args)
        for path in args.outputs:
            figure.savefig(path)


if __name__ == "__main__":
    main()
