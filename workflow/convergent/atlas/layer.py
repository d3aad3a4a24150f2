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
from ..commands import command
from ..moments.covariance import net_means
from . import clusters, described, mapped, matrices, partners, scripts, sheets
from .digits import share, shares, sizes
from .inputs import parse, patch_stores, require_fit, store_of, unit_counts
from .partners import Member, Pair, Partners

Data = dict[str, Any]


def known_units(partner: np.ndarray) -> list[int | None]:
    """Partners, None where a unit has none. (units,)"""
    return [None if unit == UNMATCHED else unit for unit in partner.tolist()]


def partner_columns(found: Partners) -> Data:
    """Partners by correlation as columns."""
    return {
        "greedy": known_units(found.greedy),
        "greedy_similarity": shares(found.greedy_similarity),
        "assigned": known_units(found.assigned),
        "assigned_similarity": shares(found.assigned_similarity),
    }


def information_columns(found: Partners) -> Data:
    """Greedy partners by mutual information as columns, in nats."""
    return {"information": shares(found.greedy_similarity), "information_partner": known_units(found.greedy)}


def unit_columns(args: argparse.Namespace, found: Mapping[Pair, Partners], of_units: Mapping[Pair, Data]) -> Data:
    """Columns of the units of each net against each other one: net -> other net -> name -> (units,)"""
    columns: Data = {net: {} for net in args.nets}
    informed: Mapping[Pair, Partners] = {}
    if args.information:
        informed = partners.read(args.nets, args.information, args.information_matches, "mutual_information")
    for parts in (
        {pair: partner_columns(its) for pair, its in found.items()},
        {pair: information_columns(its) for pair, its in informed.items()},
        of_units,
    ):
        for (net, other), its in parts.items():
            columns[net].setdefault(other, {}).update(its)
    return columns


def clustered(args: argparse.Namespace) -> Data:
    """Clusters and trees of the pairs that have them."""
    kinds = {"clusters": (args.clusters, clusters.spectral), "trees": (args.trees, clusters.tree)}
    return {name: {pair: read(folder, pair) for pair in args.pairs} for name, (folder, read) in kinds.items() if folder}


def with_numbers(group: list[Member], nets: list[str]) -> list[tuple[int, int]]:
    """A group with the numbers of its nets, which take less room than their names."""
    return [(nets.index(net), unit) for net, unit in group]


def net_chunks(args: argparse.Namespace, columns: Data, groups: Mapping[Member, list[Member]]) -> dict[str, Data]:
    """Data of each net of the layer: columns against each other net, groups, sources and targets."""
    of_mappings = mapped.read(args.mappings, args.nets, args.alpha) if args.mappings else {}
    means = net_means(args.moments) if args.moments else {}
    chunks = {}
    for net, units in unit_counts(args).items():
        chunks[net] = {"units": units, "others": columns[net], **of_mappings.get(net, {})}
        if means:
            chunks[net]["mean"] = sizes(means[net])
        if groups:
            chunks[net]["group"] = [with_numbers(groups.get((net, unit), []), args.nets) for unit in range(units)]
    return chunks


def write_matrices(args: argparse.Namespace, folder: Path, found: Mapping[Pair, Partners]) -> list[str]:
    """Write the correlations of all pairs of nets but those that are too large. -> pairs that were written"""
    written = []
    for pair in combinations_with_replacement(args.nets, 2) if args.correlation else ():
        name, correlations = "-".join(pair), matrices.read(store_of(args.correlation, *pair))
        if correlations is not None:
            data = matrices.as_data(correlations, found[pair].assigned if pair in found else None)
            scripts.write(folder / f"{name}.js", f"{args.layer}/{name}", data)
            written.append(name)
    return written


def build(args: argparse.Namespace, folder: Path) -> Data:
    """Write all files of a layer but the one that is named, and return what that one says."""
    found = partners.read(args.nets, args.correlation, args.matches, "correlation") if args.correlation else {}
    of_units, numbers = described.read(args.evidence) if args.evidence else ({}, {})
    groups = partners.groups(found)
    chunks = net_chunks(args, unit_columns(args, found, of_units), groups)
    for net, chunk in chunks.items():
        scripts.write(folder / f"{net}.js", f"{args.layer}/{net}", chunk)
    best = partners.best_group(found, groups)
    return {
        "units": {net: chunk["units"] for net, chunk in chunks.items()},
        "numbers": numbers,
        "pictures": {net: sheets.write(folder, path, args.layer, net) for net, path in patch_stores(args).items()},
        "matrices": write_matrices(args, folder, found),
        "best": best._asdict() | {"group": with_numbers(best.group, args.nets), "similarity": share(best.similarity)},
        "alpha": args.alpha if args.mappings else None,
        "classes": store.attributes(args.images, "images")["classes"] if args.images else None,
        **clustered(args),
    }


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(__doc__, argv)
    require_fit(args)
    folder = args.output.parent
    shutil.rmtree(folder, ignore_errors=True)  # of other nets, or of an interrupted job
    folder.mkdir(parents=True)
    scripts.write(args.output, args.layer, build(args, folder))


if __name__ == "__main__":
    main()
