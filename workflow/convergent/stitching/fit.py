"""Sparse mappings between the units of two nets, with the whole path of L1 penalties, computed from moments.

Each unit of a layer of the target net is predicted from all units of that layer of the source net (paper, section
"sparse prediction"). Units of both are standardised with the statistics of the training images. A mapping is fitted on
the moments of the training images and evaluated on those of the validation images. Its weights are (target, source).
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from .. import store
from ..commands import InputError, command, new_parser
from ..moments.covariance import Arrays, load_pair
from ..seeds import derive
from . import lasso, mappings, replay
from .standardised import Standardised, evaluate, mean_r2, scale_of, standardised, without_each_block, zero_loss

WIDE_BYTES = 2**30  # of the weights of a whole path; larger ones are stored sparse


@dataclass(frozen=True)
class FitSettings:
    """Settings of the mappings of a layer. At least one penalty is needed, as a decay or as an alpha."""

    decays: tuple[float, ...]  # penalties as the paper gives them: alpha / number of target units
    alphas: tuple[float, ...]  # penalties of the Lasso
    tolerance: float  # relative duality gap to reach
    seed: int  # of the published optimiser's initial weights
    threads: int

    def few(self) -> "FitSettings":
        """The same without penalties but none and the last alpha."""
        return replace(self, decays=(0.0,), alphas=self.alphas[-1:])


def measures(weights: np.ndarray, train: Standardised, val: Standardised) -> dict[str, np.ndarray]:
    """Losses, R2 and the number of weights that the paper counts, by name. (..., T, S) -> (..., T) each"""
    val_loss, r2 = evaluate(weights, val)
    return {
        "train_loss": evaluate(weights, train)[0],
        "val_loss": val_loss,
        "r2": r2,
        "above": (np.abs(weights) > mappings.ABOVE).sum(axis=-1),
    }


def exact(
    train: Standardised, val: Standardised, left: Sequence[Standardised], alphas: np.ndarray, settings: FitSettings
) -> Arrays:
    """Weights (P, T, S), measures, ``nonzero``, ``gap`` (P, T) and ``r2_without`` (P, B) by their names in the store.

    ``r2_without`` is the mean R2 over live targets on the validation images without each block; ``left`` are their
    moments. Where the weights of all points together would exceed WIDE_BYTES, each point has its sparse arrays instead.
    """
    targets, sources = train.cross.shape[::-1]
    sparse = 8 * len(alphas) * targets * sources > WIDE_BYTES
    points: list[dict[str, np.ndarray]] = [{}] * len(alphas)
    arrays = {} if sparse else {"weights": np.empty((len(alphas), targets, sources))}
    path = lasso.path_points(train.gram, train.cross, alphas, settings.tolerance, threads=settings.threads)
    for p, weights, gap in path:
        if sparse:
            arrays |= {f"weights/{p}/{name}": array for name, array in mappings.compressed(weights).items()}
        else:
            arrays["weights"][p] = weights
        gap = np.where(np.isnan(train.variance), np.nan, gap)
        without = np.array([mean_r2(weights, moments) for moments in left])
        counted = {"nonzero": (weights != 0).sum(axis=-1), "gap": gap, "r2_without": without}
        points[p] = measures(weights, train, val) | counted
    return arrays | {name: np.stack([point[name] for point in points]) for name in points[0]}


def as_published(train: Standardised, val: Standardised, settings: FitSettings, seed: int) -> Arrays:
    """Weights, measures and loss history of the published optimiser for all decays, named ``published/...``."""
    decays = np.array(settings.decays)
    weights, history, iteration = replay.replay(train.gram, train.cross, decays, seed, settings.threads)
    arrays = {"weights": weights, **measures(weights, train, val), "history": history, "iteration": iteration}
    return {f"published/{name}": array for name, array in arrays.items()}


def fit(paths: Mapping[str, str], source: str, target: str, settings: FitSettings, seed: int | None) -> Arrays:
    """All arrays of the store of one pair, from the moments in ``paths``, ``train`` and ``val``.

    The path has the decays first, then the alphas. ``seed`` is that of the published optimiser, which is
    replayed only where it has one.
    """
    moments = {split: load_pair(path, source, target, "total/") for split, path in paths.items()}
    scales = {net: scale_of(moments["train"], net) for net in (source, target)}
    train, val = (standardised(moments[split], source, target, scales) for split in ("train", "val"))
    left = without_each_block(load_pair(paths["val"], source, target), source, target, scales)
    decays, alphas = np.array(settings.decays), np.array(settings.alphas)
    units = train.cross.shape[1]
    alpha, decay = np.append(units * decays, alphas), np.append(decays, alphas / units)
    arrays = {"alpha": alpha, "decay": decay, "zero_loss": zero_loss(val)}
    arrays |= exact(train, val, left, alpha, settings)
    if seed is not None:
        arrays |= as_published(train, val, settings, seed)
    for net in (source, target):
        arrays |= {f"mean/{net}": scales[net].mean, f"deviation/{net}": np.nan_to_num(scales[net].deviation)}
    return arrays


def check_settings(settings: FitSettings, pairs: Sequence[str], **chosen: Sequence[str]) -> None:
    """Raise InputError for penalties that are not possible, and for chosen pairs (``published``, ``few``) that are not.

    The replay needs decays, and the pairs of few penalties an alpha.
    """
    for name, some in chosen.items():
        if unfitted := [pair for pair in some if pair not in pairs]:
            raise InputError(f"--{name}: {unfitted[0]}, allowed are the pairs {', '.join(pairs)}")
    for name, values in (("decays", settings.decays), ("alphas", settings.alphas)):
        if wrong := [value for value in values if not 0 <= value < np.inf]:
            raise InputError(f"--{name}: {wrong[0]}, allowed are numbers from 0")
    if chosen["published"] and not settings.decays:
        first = chosen["published"][0]
        raise InputError(f"--published: {first}, but --decays is empty; the published optimiser needs decays")
    if chosen["few"] and not settings.alphas:
        raise InputError(f"--few: {chosen['few'][0]}, but --alphas is empty; its last one is needed")
    if not settings.decays + settings.alphas:
        raise InputError("--decays and --alphas: both are empty, at least one penalty is needed")


def check_moments(paths: Mapping[str, str], attributes: Mapping[str, Any], pairs: Sequence[str]) -> None:
    """Raise InputError where the moments are of different layers, weights or other images, or lack a net of the pairs.

    ``paths`` and ``attributes`` are those of the stores of moments, for ``train`` and ``val``.
    """
    store.require_equal("layers", **{path: attributes[split]["layer"] for split, path in paths.items()})
    for split, path in paths.items():
        if attributes[split]["split"] != split:
            raise InputError(f"{path}: moments of the {attributes[split]['split']} images; must be of {split}")
    nets = attributes["train"]["nets"]
    for pair in pairs:
        if pair not in [f"{a}-{b}" for a in nets for b in nets]:
            raise InputError(f"--pairs: {pair}, allowed are <source>-<target> of {', '.join(nets)}")
        for net in pair.split("-"):
            digests = {path: attributes[split]["nets"].get(net) for split, path in paths.items()}
            store.require_equal(f"weights of {net}", **digests)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("train", help="store of training moments of one layer, to fit on (zarr.json)")
    parser.add_argument("val", help="store of validation moments of that layer, to evaluate on (zarr.json)")
    parser.add_argument("folder", type=Path, help="folder to write <source>-<target>.zarr of each pair to")
    parser.add_argument("--pairs", nargs="+", required=True, help="pairs to fit, <source>-<target> each")
    parser.add_argument(
        "--published", nargs="*", default=[], help="pairs for which the published optimiser is replayed, of --pairs"
    )
    parser.add_argument(
        "--few",
        nargs="*",
        default=[],
        help="pairs of --pairs that are fitted without a penalty and at the last alpha only",
    )
    parser.add_argument(
        "--decays", nargs="*", type=float, default=[], help="L1 penalties from 0, divided by the target's units"
    )
    parser.add_argument(
        "--alphas", nargs="*", type=float, default=[], help="further L1 penalties from 0, as the target's units x decay"
    )
    parser.add_argument("--tolerance", type=float, default=1e-6, help="relative duality gap to reach at each penalty")
    parser.add_argument("--seed", type=int, default=0, help="seed of the published optimiser's initial weights")
    parser.add_argument("--threads", type=int, default=2, help="threads of the fit; results do not depend on them")
    return parser.parse_args(argv)


def attributes_of(
    pair: str, arrays: Arrays, moments: Mapping[str, dict[str, Any]], settings: FitSettings
) -> dict[str, Any]:
    """Attributes of the store of one pair. ``moments``: attributes of the stores of moments, ``train`` and ``val``."""
    source, target = pair.split("-")
    deviation = {net: arrays[f"deviation/{net}"] for net in (source, target)}
    return {
        "kind": "mapping",
        "layer": moments["train"]["layer"],
        "source": source,
        "target": target,
        "pair": pair,
        "nets": {net: moments["train"]["nets"][net] for net in deviation},
        "controls": [net for net in deviation if net in moments["train"]["controls"]],
        "moments": {split: attributes["sha256"] for split, attributes in moments.items()},
        "images": {split: attributes["images"] for split, attributes in moments.items()},
        "blocks": {key: moments["val"][key] for key in ("fine_blocks", "blocks", "seed")},
        "units": {net: len(x) for net, x in deviation.items()},
        "dead": {net: np.flatnonzero(x == 0).tolist() for net, x in deviation.items()},
        "decays": settings.decays,
        "tolerance": settings.tolerance,
        "seed": settings.seed,
    }


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    settings = FitSettings(tuple(args.decays), tuple(args.alphas), args.tolerance, args.seed, args.threads)
    paths = {"train": args.train, "val": args.val}
    moments = {split: store.attributes(path, "moments") for split, path in paths.items()}
    check_moments(paths, moments, args.pairs)
    check_settings(settings, args.pairs, published=args.published, few=args.few)
    layer = moments["train"]["layer"]
    for pair in args.pairs:
        source, target = pair.split("-")
        seed = derive(args.seed, "published", layer, source, target) if pair in args.published else None
        with threadpool_limits(1):  # the last bits of products depend on BLAS's threads, and ours fill the cores
            its = settings.few() if pair in args.few else settings
            arrays = fit(paths, source, target, its, seed)
        path = args.folder / f"{pair}.zarr" / "zarr.json"
        store.save(path, arrays, **attributes_of(pair, arrays, moments, its))
        gap = arrays["gap"][arrays["alpha"] > 0]
        largest = gap.max(where=~np.isnan(gap), initial=0.0)
        missed = "" if largest <= args.tolerance else f", ABOVE the tolerance of {args.tolerance:g}"
        print(
            f"{layer} {pair}: {len(arrays['alpha'])} penalties, largest duality gap {largest:.1e}{missed}", flush=True
        )


if __name__ == "__main__":
    main()
