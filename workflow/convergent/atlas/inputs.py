"""What a layer of the atlas is made from: files and folders of a run, each only where the run has it."""

import argparse
from collections.abc import Iterator
from itertools import combinations, combinations_with_replacement, permutations
from pathlib import Path

from .. import store
from ..commands import new_parser

OF_LAYER = {
    "moments": "store of the moments of the layer on the validation images (zarr.json)",
    "evidence": "store of the evidence of the layer (zarr.json)",
    "correlation": "folder of the stores of correlations of the layer",
    "matches": "folder of the tables of matches by correlation",
    "information": "folder of the stores of mutual information of the layer",
    "information-matches": "folder of the tables of matches by mutual information",
    "mappings": "folder of the stores of the sparse mappings of the layer",
    "trees": "folder of the trees of mappings and of their scores",
    "clusters": "folder of the spectral clusters and of their tables",
    "images": "store of the images, where the layer's units are their classes (zarr.json)",
}


def parse(description: str | None, argv: list[str] | None) -> argparse.Namespace:
    """Arguments of the stage; what the run has not is None, or an empty list."""
    parser = new_parser(description)
    parser.add_argument(
        "output", type=Path, help="script file to write (_layer.js); all others of the layer lie beside it"
    )
    parser.add_argument("--layer", required=True, help="name of the layer")
    parser.add_argument("--nets", nargs="+", required=True, help="names of the nets in their order")
    parser.add_argument("--pairs", nargs="*", default=[], help="pairs of nets that have clusters and trees")
    parser.add_argument("--alpha", type=float, default=0, help="penalty of the mappings that are shown")
    for name, what in OF_LAYER.items():
        parser.add_argument(f"--{name}", type=Path, help=what)
    parser.add_argument("--patches", type=Path, nargs="*", default=[], help="stores of the patches of each net")
    return parser.parse_args(argv)


def store_of(folder: Path, *nets: str) -> Path:
    """The store of a pair of nets in the folder of a layer."""
    return folder / f"{'-'.join(nets)}.zarr" / "zarr.json"


def stores(args: argparse.Namespace) -> Iterator[Path]:
    """All stores that are read."""
    yield from (path for path in (args.moments, args.evidence) if path)
    yield from args.patches
    within, between = combinations_with_replacement(args.nets, 2), list(combinations(args.nets, 2))
    shown = [tuple(pair.split("-")) for pair in args.pairs]
    for folder, pairs in (
        (args.correlation, within),
        (args.information, between),
        (args.mappings, permutations(args.nets, 2)),
        (args.trees, shown),
        (args.clusters, shown),
    ):
        yield from (store_of(folder, *pair) for pair in pairs if folder)


def require_fit(args: argparse.Namespace) -> None:
    """Raise InputError where stores are of different weights of a net, or of another layer."""
    known = {str(path): store.attributes(path) for path in stores(args)}
    store.same_nets({path: of["nets"] for path, of in known.items()})
    layers = {path: of["layer"] for path, of in known.items() if "layer" in of}
    store.require_equal("layers", **{"--layer": args.layer}, **layers)


def patch_stores(args: argparse.Namespace) -> dict[str, Path]:
    """Stores of patches by net."""
    return {next(iter(store.attributes(path, "patches")["nets"])): path for path in args.patches}


def unit_counts(args: argparse.Namespace) -> dict[str, int]:
    """Number of units of each net, from the first input that says it."""
    if args.moments:
        shapes = {net: store.StoredArray(args.moments, f"total/mean/{net}").shape[0] for net in args.nets}
    elif args.patches:
        by_net = patch_stores(args)
        shapes = {net: store.StoredArray(by_net[net], f"{args.layer}/image").shape[0] for net in args.nets}
    else:
        first, *others = args.nets
        sides = {net: store.StoredArray(store_of(args.information, first, net), "plug_in").shape for net in others}
        shapes = {first: sides[others[0]][0], **{net: shape[1] for net, shape in sides.items()}}
    return shapes
