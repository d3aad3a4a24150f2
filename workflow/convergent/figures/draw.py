"""Figures as commands.

A figure is a function that returns a ``Figure``. Its parameters are the files it is drawn from and, after ``*``, its
settings. Each is annotated with its type and its meaning. The options of its command are made from them:

>>> def figS10_means(moments: Annotated[Path, "store of moments of one layer (zarr.json)"]) -> Figure: ...

The figure's label says its numbers, parted by semicolons: files carry it as their description, which the report shows.

A family is a module of figures. Its ``main`` calls ``run``:

    python -m workflow.convergent.figures.statistics figS10_means --moments conv1.zarr/zarr.json --outputs means.pdf
"""

import argparse
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ..commands import Help, new_parser

STYLE = Path(__file__).with_name("figures.mplstyle")
SUBJECT = {".pdf": "Subject"}  # what the description of a file is called, if not Description


def figures_of(family: str) -> dict[str, Callable[..., Figure]]:
    """Figures of a module by name, in the order in which it defines them."""
    functions = {name: value for name, value in vars(sys.modules[family]).items() if inspect.isfunction(value)}
    return {
        name: function
        for name, function in functions.items()
        if function.__module__ == family and inspect.signature(function).return_annotation is Figure
    }


def argument(annotation: Any) -> dict[str, Any]:
    """Arguments of ``add_argument`` from ``Annotated[Path, meaning]``, of a list too; ``| None`` may follow it."""
    if NoneType in get_args(annotation):
        annotation = get_args(annotation)[0]
    kind, meaning = get_args(annotation)
    if get_origin(kind) is list:
        return {"type": get_args(kind)[0], "nargs": "+", "help": meaning}
    return {"type": kind, "help": meaning}


def options(figure: Callable[..., Figure]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Options of a figure with their arguments of ``add_argument``; one without a default is required."""
    for name, parameter in inspect.signature(figure).parameters.items():
        default = parameter.default
        given = {"required": True} if default is inspect.Parameter.empty else {"default": default}
        yield f"--{name.replace('_', '-')}", argument(parameter.annotation) | given


def family_parser(family: str) -> argparse.ArgumentParser:
    """A parser with a sub-command for each figure of a module."""
    parser = new_parser(sys.modules[family].__doc__)
    commands = parser.add_subparsers(
        dest="figure", required=True, metavar="figure", help="which to draw; `<figure> --help` lists its inputs"
    )
    for name, figure in figures_of(family).items():
        says = inspect.getdoc(figure) or ""
        command = commands.add_parser(name, help=says.split("\n")[0], description=says, formatter_class=Help)
        for option, arguments in options(figure):
            command.add_argument(option, **arguments)
        command.add_argument(
            "--outputs", type=Path, nargs="+", required=True, help="files to write; endings give the formats, as .pdf"
        )
    return parser


def run(family: str, argv: list[str] | None = None) -> None:
    """Draw the figure of a module that a command line names. family: the module's ``__name__``"""
    given = vars(family_parser(family).parse_args(argv))
    name, outputs = given.pop("figure"), given.pop("outputs")
    with plt.style.context(["default", STYLE]):  # whatever the user's own matplotlibrc says
        figure = figures_of(family)[name](**given)
        for path in outputs:
            figure.savefig(path, metadata={SUBJECT.get(path.suffix, "Description"): figure.get_label()})
            figure.set_layout_engine("none")  # that of the first file serves all
