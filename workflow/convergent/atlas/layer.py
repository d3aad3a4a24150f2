"""One layer of the atlas: pictures, numbers, partners, sources, clusters and correlations of all units of all nets.

Reads what the run has of the layer; what it has not is left out, and the page says so. Writes sprite sheets and script
files beside the file that is named, and that file last.
"""

import argparse
import shutil
from collections.abc import Mapping
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np

from .. import store
from ..alignment.matching import UNMATCHED
from ..commands import InputError, command, new_parser
from ..moments.covariance import net_means
from . import clusters, described, mapped, matrices, partners, scripts, sheets
from .digits import share, shares, sizes

Data = dict[str, Any]


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument(
        "output", type=Path, help="script file to write; its folder gets all others of the layer (_layer.js)"
    )
    parser.add_argument("--layer", required=True, help="name of the layer")
    parser.add_argument("--nets", nargs="+", required=True, help="names of the nets")
    parser.add_argument("--pairs", nargs="*", default=[], help="pairs of nets that have clusters and trees")
    parser.add_argument("--alpha", type=float, default=0, help="penalty of the mappings that are shown")
    for name, what in {
        "moments": "store of the moments of the layer on the validation images (zarr.json)",
        "evidence": "store of the evidence of the layer (zarr.json)",
        "correlation": "folder of the stores of correlations of the layer",
        "matches": "folder of the tables of matches by correlation",
        "information": "folder of the stores of mutual information of the layer",
        "information-matches": "folder of the tables of matches by mutual information",
        "mappings": "folder of the stores of the sparse mappings of the layer",
        "trees": "folder of the trees of mappings and of their scores",
        "clusters": "folder of the spectral clusters and of their tables",
    }.items():
        parser.add_argument(f"--{name}", type=Path, help=what)
    parser.add_argument("--patches", type=Path, nargs="*", default=[], help="stores of the patches of each net")
    return parser.parse_args(argv)


def partner_columns(found: partners.Partners) -> Data:
    """Partners by correlation as columns; null without one."""
    columns: Data = {}
    for name in ("greedy", "assigned"):
        columns[name] = [None if unit == UNMATCHED else unit for unit in getattr(found, name).tolist()]
        columns[f"{name}_similarity"] = shares(getattr(found, f"{name}_similarity"))
    return columns


def information_columns(found: partners.Partners) -> Data:
    """Greedy partners by mutual information as columns, in nats."""
    partner = [None if unit == UNMATCHED else unit for unit in found.greedy.tolist()]
    return {"information": shares(found.greedy_similarity), "information_partner": partner}


def read_partners(args: argparse.Namespace) -> tuple[dict[partners.Pair, partners.Partners], Data]:
    """Partners by correlation of every ordered pair of nets, and the columns of those and of information."""
    found: dict[partners.Pair, partners.Partners] = {}
    columns: dict[partners.Pair, Data] = {}
    if args.correlation:
        found = partners.read(args.nets, args.correlation, args.matches, "correlation")
        columns = {pair: partner_columns(its) for pair, its in found.items()}
    if args.information:
        informed = partners.read(args.nets, args.information, args.information_matches, "mutual_information")
        for pair, its in informed.items():
            columns[pair] = columns.get(pair, {}) | information_columns(its)
    return found, columns


def patch_stores(args: argparse.Namespace) -> dict[str, Path]:
    """Stores of patches by net."""
    return {next(iter(store.attributes(path, "patches")["nets"])): path for path in args.patches}


def unit_counts(args: argparse.Namespace, means: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Number of units of each net, from the first input that says it."""
    if means:
        return {net: len(means[net]) for net in args.nets}
    if args.information:
        first, *others = args.nets
        shapes = {
            net: store.StoredArray(args.information / f"{first}-{net}.zarr/zarr.json", "mutual_information").shape
            for net in others
        }
        return {first: shapes[others[0]][0], **{net: shape[1] for net, shape in shapes.items()}}
    counted = {net: store.StoredArray(path, f"{args.layer}/image").shape[0] for net, path in patch_stores(args).items()}
    if not counted:
        raise InputError(f"--layer {args.layer}: no input says how many units it has; give --moments or --patches")
    return counted


def clustered(args: argparse.Namespace) -> Data:
    """Clusters and trees of the pairs that have them."""
    return {
        name: {pair: read(folder, pair) for pair in args.pairs}
        for name, folder, read in (("clusters", args.clusters, clusters.spectral), ("trees", args.trees, clusters.tree))
        if folder
    }


def write_matrices(args: argparse.Namespace, folder: Path, found: Mapping[partners.Pair, partners.Partners]) -> bool:
    """Write the correlations of all pairs of nets; -> whether they are small enough."""
    pairs = combinations_with_replacement(args.nets, 2)
    return all([matrices.write(folder, args.correlation, args.layer, pair, found) for pair in pairs])


def with_numbers(group: list[partners.Member], nets: list[str]) -> list[list[int]]:
    """A group with the numbers of its nets, which take less room than their names."""
    return [[nets.index(net), unit] for net, unit in group]


def net_chunks(args: argparse.Namespace, found: Mapping[partners.Pair, partners.Partners], columns: Data) -> Data:
    """Data of each net of the layer: columns against each other net, groups, sources and targets."""
    groups = partners.groups(found) if found else {}
    of_mappings = mapped.read(args.mappings, args.nets, args.alpha) if args.mappings else {}
    counts = unit_counts(args, means := net_means(args.moments) if args.moments else {})
    chunks: Data = {}
    for net in args.nets:
        chunks[net] = {"units": counts[net], "others": {b: its for (a, b), its in columns.items() if a == net}}
        if net in means:
            chunks[net]["mean"] = sizes(means[net])
        if found:
            chunks[net]["group"] = [with_numbers(groups.get((net, u), []), args.nets) for u in range(counts[net])]
        chunks[net] |= of_mappings.get(net, {})
    return chunks


def build(args: argparse.Namespace, folder: Path) -> Data:
    """Write all files of a layer but the one that is named, and return what that one says."""
    found, columns = read_partners(args)
    numbers: Data = {}
    if args.evidence:
        of_units, numbers = described.read(args.evidence)
        columns = {pair: columns.get(pair, {}) | its for pair, its in of_units.items()}
    chunks = net_chunks(args, found, columns)
    for net, chunk in chunks.items():
        scripts.write(folder / f"{net}.js", f"{args.layer}/{net}", chunk)
    best, similarity = partners.best_group(found, partners.groups(found)) if found else ([], np.nan)
    return {
        "units": {net: chunk["units"] for net, chunk in chunks.items()},
        "numbers": numbers,
        "pictures": {net: sheets.write(folder, path, args.layer, net) for net, path in patch_stores(args).items()},
        "matrices": bool(found) and write_matrices(args, folder, found),
        "best": {"group": with_numbers(best, args.nets), "similarity": share(similarity)},
        "alpha": args.alpha if args.mappings else None,
        **clustered(args),
    }


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    folder = args.output.parent
    shutil.rmtree(folder, ignore_errors=True)  # of other nets, or of an interrupted job
    folder.mkdir(parents=True)
    scripts.write(args.output, args.layer, build(args, folder))


if __name__ == "__main__":
    main()
