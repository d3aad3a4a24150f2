"""Sparse few-to-one mappings between the units of two nets: the whole L1 path, exactly, from moments.

Every target unit of a layer is predicted from all source units of the same layer, both standardised with the training
images' statistics (paper, section "sparse prediction"). Mappings are fitted on the training images' moments and
evaluated on the validation images'. Mappings are (target, source).
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from .. import store
from ..commands import InputError, command, new_parser
from ..moments.covariance import Arrays, comoment, load_pair
from ..seeds import derive
from . import lasso, mappings, replay
from .mappings import Scale

ABOVE = 0.01  # the size from which the paper counts a weight
WIDE_BYTES = 2**30  # of the weights of a whole path, beyond which they are stored sparse


class Standardised(NamedTuple):
    """Moments of a pair in the units of a scale: of the images that the scale is of, offsets are 0 and variances 1."""

    gram: np.ndarray  # (S, S), zero where a unit is dead
    cross: np.ndarray  # (S, T), zero where a unit is dead
    variance: np.ndarray  # (T,), NaN where dead
    source_offset: np.ndarray  # (S,), zero where dead
    target_offset: np.ndarray  # (T,), NaN where dead


def scale_of(moments: Arrays, net: str) -> Scale:
    """Mean and deviation of a net's units. (units,) each"""
    deviation = np.sqrt(np.diagonal(comoment(moments, net, net)).clip(0) / moments["count"])
    return Scale(moments[f"mean/{net}"], np.where(deviation > 0, deviation, np.nan))


def standardised(moments: Arrays, source: str, target: str, scale: Mapping[str, Scale]) -> Standardised:
    """Moments of a pair of nets, in the units of a scale that may come from other images."""
    within, between = (comoment(moments, source, net) / moments["count"] for net in (source, target))
    variance = np.diagonal(comoment(moments, target, target)) / moments["count"]
    sources, targets = scale[source].deviation, scale[target].deviation
    return Standardised(
        gram=np.nan_to_num(within / sources[:, None] / sources),
        cross=np.nan_to_num(between / sources[:, None] / targets),
        variance=variance / targets**2,
        source_offset=np.nan_to_num((moments[f"mean/{source}"] - scale[source].mean) / sources),
        target_offset=(moments[f"mean/{target}"] - scale[target].mean) / targets,
    )


def evaluate(weights: np.ndarray, moments: Standardised) -> tuple[np.ndarray, np.ndarray]:
    """Loss (half the mean squared error) and R2 of each target on any images. (..., T, S) -> (..., T) each

    The mapping has no bias in the units it was fitted in, so that a shift of the means costs. NaN for dead targets, R2
    also for those that do not vary on these images.
    """
    explained = np.einsum("...ts,...ts->...t", weights, 2 * moments.cross.T - weights @ moments.gram)
    offset = moments.target_offset - weights @ moments.source_offset
    error = moments.variance - explained + offset**2
    variance = np.where(moments.variance > 0, moments.variance, np.nan)
    return error / 2, 1 - error / variance


def zero_loss(moments: Standardised) -> np.ndarray:
    """Loss of predicting zero, the training mean, for each target. (T,)"""
    return (moments.variance + moments.target_offset**2) / 2


def measured(weights: np.ndarray, train: Standardised, val: Standardised) -> dict[str, np.ndarray]:
    """What is stored of a mapping beside its weights. (..., T, S) -> name -> (..., T)"""
    val_loss, r2 = evaluate(weights, val)
    return {
        "train_loss": evaluate(weights, train)[0],
        "val_loss": val_loss,
        "r2": r2,
        "above": (np.abs(weights) > ABOVE).sum(axis=-1),
    }


def exact(train: Standardised, val: Standardised, alphas: np.ndarray, settings: argparse.Namespace) -> Arrays:
    """Weights, measures, non-zeros and certificates of the whole path, by their names in the store."""
    targets, sources = train.cross.shape[::-1]
    sparse = 8 * len(alphas) * targets * sources > WIDE_BYTES
    points: list[dict[str, np.ndarray]] = [{}] * len(alphas)
    found = {} if sparse else {"weights": np.empty((len(alphas), targets, sources))}
    path = lasso.path_points(train.gram, train.cross, alphas, settings.tolerance, threads=settings.threads)
    for p, weights, gap in path:
        if sparse:
            found |= {f"weights/{p}/{name}": array for name, array in mappings.compressed(weights).items()}
        else:
            found["weights"][p] = weights
        gap = np.where(np.isnan(train.variance), np.nan, gap)
        points[p] = {**measured(weights, train, val), "nonzero": (weights != 0).sum(axis=-1), "gap": gap}
    return found | {name: np.stack([point[name] for point in points]) for name in points[0]}


def as_published(train: Standardised, val: Standardised, decays: np.ndarray, seed: int, threads: int) -> Arrays:
    """The same from the published optimiser, below ``published/``, with its loss history."""
    weights, history, iteration = replay.replay(train.gram, train.cross, decays, seed, threads)
    found = {"weights": weights, **measured(weights, train, val), "history": history, "iteration": iteration}
    return {f"published/{name}": array for name, array in found.items()}


def fit(paths: Mapping[str, str], source: str, target: str, settings: argparse.Namespace, seed: int | None) -> Arrays:
    """All arrays of the store of one pair; those of the published optimiser where it has a seed."""
    moments = {split: load_pair(path, source, target, "total/") for split, path in paths.items()}
    scale = {net: scale_of(moments["train"], net) for net in (source, target)}
    train, val = (standardised(moments[split], source, target, scale) for split in ("train", "val"))
    decays, alphas = np.array(settings.decays), np.array(settings.alphas)
    units = train.cross.shape[1]
    alpha, decay = np.append(units * decays, alphas), np.append(decays, alphas / units)
    found = {"alpha": alpha, "decay": decay, "zero_loss": zero_loss(val), **exact(train, val, alpha, settings)}
    if seed is not None:
        found |= as_published(train, val, decays, seed, settings.threads)
    for net in (source, target):
        found |= {f"mean/{net}": scale[net].mean, f"deviation/{net}": np.nan_to_num(scale[net].deviation)}
    return found


def check(args: argparse.Namespace, about: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse with one line what is not allowed or does not fit together."""
    store.require_equal("layers", **{args.train: about["train"]["layer"], args.val: about["val"]["layer"]})
    nets, others = (about[split]["nets"] for split in ("train", "val"))
    for pair in args.pairs:
        if pair not in [f"{a}-{b}" for a in nets for b in nets]:
            raise InputError(f"--pairs: {pair}, allowed are <source>-<target> of {', '.join(nets)}")
        for net in pair.split("-"):
            store.require_equal(f"weights of {net}", **{args.train: nets[net], args.val: others.get(net)})
    if unasked := [pair for pair in args.published if pair not in args.pairs]:
        raise InputError(f"--published: {unasked[0]}, allowed are the pairs {', '.join(args.pairs)}")
    for name, values in (("decays", args.decays), ("alphas", args.alphas)):
        if wrong := [value for value in values if not 0 <= value < np.inf]:
            raise InputError(f"--{name}: {wrong[0]}, allowed are numbers from 0")
    if args.published and not args.decays:
        raise InputError("--published: it takes the decays, and --decays names none")
    if not args.decays + args.alphas:
        raise InputError("--decays and --alphas: none, at least one of either is needed")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("train", help="moments of one layer to fit on (zarr.json)")
    parser.add_argument("val", help="moments of the same layer to evaluate on (zarr.json)")
    parser.add_argument("folder", type=Path, help="folder for <source>-<target>.zarr of every pair")
    parser.add_argument("--pairs", nargs="+", required=True, help="<source>-<target> each")
    parser.add_argument("--published", nargs="*", default=[], help="pairs that the published optimiser is replayed for")
    parser.add_argument("--decays", nargs="*", type=float, default=[], help="penalties in units of the layer's width")
    parser.add_argument("--alphas", nargs="*", type=float, default=[], help="penalties: width times decay")
    parser.add_argument("--tolerance", type=float, default=1e-6, help="relative duality gap to reach")
    parser.add_argument("--seed", type=int, default=0, help="of the published optimiser's initial weights")
    parser.add_argument("--threads", type=int, default=2, help="results do not depend on it")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    paths = {"train": args.train, "val": args.val}
    about = {split: store.attributes(path) for split, path in paths.items()}
    check(args, about)
    layer = about["train"]["layer"]
    for pair in args.pairs:
        source, target = pair.split("-")
        seed = derive(args.seed, "published", layer, source, target) if pair in args.published else None
        with threadpool_limits(1):  # last bits of products depend on it, and threads of ours are busy already
            found = fit(paths, source, target, args, seed)
        deviation = {net: found[f"deviation/{net}"] for net in (source, target)}
        store.save(
            args.folder / f"{pair}.zarr" / "zarr.json",
            found,
            layer=layer,
            source=source,
            target=target,
            pair=pair,
            nets={net: about["train"]["nets"][net] for net in deviation},
            moments={split: about[split]["sha256"] for split in paths},
            images={split: about[split]["images"] for split in paths},
            units={net: len(x) for net, x in deviation.items()},
            dead={net: np.flatnonzero(x == 0).tolist() for net, x in deviation.items()},
            decays=args.decays,
            tolerance=args.tolerance,
            seed=args.seed,
        )
        gap = found["gap"][found["alpha"] > 0]
        worst = gap.max(where=~np.isnan(gap), initial=0.0)
        reached = "" if worst <= args.tolerance else f", ABOVE the tolerance of {args.tolerance:g}"
        print(f"{layer} {pair}: {len(found['alpha'])} points, largest duality gap {worst:.1e}{reached}", flush=True)


if __name__ == "__main__":
    main()
