"""Stored artifacts to figure files. Each figure is a function of the files it is drawn from."""

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from . import figures_clusters, figures_mapping, figures_statistics, figures_units

STYLE = Path(__file__).with_name("figures.mplstyle")

FIGURES: dict[str, Callable[[argparse.Namespace], Figure]] = {
    function.__name__: function
    for function in (
        figures_statistics.fig1_correlation,
        figures_units.fig2_matches,
        figures_statistics.fig3_assignment,
        figures_mapping.fig4_mapping,
        figures_mapping.table1_mapping,
        figures_clusters.fig5_hierarchy,
        figures_clusters.fig6_clusters,
        figures_clusters.figS_spectral,
        figures_units.figS4_information,
        figures_statistics.figS10_means,
        figures_units.figS11_active,
        figures_statistics.nets_training,
        figures_units.nets_filters,
        figures_statistics.summary_convergence,
    )
}


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
