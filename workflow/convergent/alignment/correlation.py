"""Pearson correlation between the units of every pair of nets, from moments (paper, section 2)."""

from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np

from .. import store
from ..commands import command, new_parser
from ..moments.covariance import Arrays, comoment, compared, load_pair, own_variance, pooled, variance


def correlation(products: np.ndarray, variance_a: np.ndarray, variance_b: np.ndarray) -> np.ndarray:
    """Signed correlation from centred sums of products; NaN where a unit is dead.

    (..., units_a, units_b), (..., units_a), (..., units_b) -> (..., units_a, units_b)

    Divides by sqrt(v_a v_b), not sqrt(v_a) sqrt(v_b), so that a unit's correlation with itself is exactly 1.
    """
    scale = np.sqrt(variance_a[..., :, None] * variance_b[..., None, :])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(np.where(scale > 0, products / scale, np.nan), -1.0, 1.0)


def correlate(moments: Arrays, a: str, b: str) -> np.ndarray:
    """Correlation of two nets from one set of moments, those of all images or of one block. (units_a, units_b)"""
    variances = {net: own_variance(moments, net) for net in {a, b}}
    return correlation(comoment(moments, a, b), variances[a], variances[b])


def joint_correlation(blocks: Arrays, a: str, b: str, weights: np.ndarray) -> np.ndarray:
    """Correlation of all units of both nets, a's units first; NaN for dead units.

    Block i counts ``weights[i]`` times. (blocks,) -> (units_a + units_b, units_a + units_b)
    """
    variances = {net: variance(blocks, net, weights) for net in (a, b)}
    split = len(variances[a])
    joint = np.empty((split + len(variances[b]),) * 2)
    joint[:split, :split] = correlation(pooled(blocks, a, a, weights), variances[a], variances[a])
    joint[split:, split:] = correlation(pooled(blocks, b, b, weights), variances[b], variances[b])
    joint[:split, split:] = correlation(pooled(blocks, a, b, weights), variances[a], variances[b])
    joint[split:, :split] = joint[:split, split:].T
    return joint


def dead_units(moments: Arrays, net: str) -> list[int]:
    """Numbers of a net's dead units."""
    return np.flatnonzero(own_variance(moments, net) == 0).tolist()


def save_pairs(path: Path, folder: Path) -> None:
    """Write the correlation of every pair of nets, and of each with itself, from a layer's moments."""
    attributes = store.attributes(path, "moments")
    for a, b in combinations_with_replacement(compared(attributes), 2):
        moments = load_pair(path, a, b, "total/")
        nets = list(dict.fromkeys((a, b)))
        store.save(
            folder / attributes["layer"] / f"{a}-{b}.zarr" / "zarr.json",
            {"correlation": correlate(moments, a, b)},
            kind="correlation",
            layer=attributes["layer"],
            moments=attributes["sha256"],
            images=attributes["images"],
            nets={net: attributes["nets"][net] for net in nets},
            samples=int(moments["count"]),
            dead={net: dead_units(moments, net) for net in nets},
        )


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("moments", nargs="+", type=Path, help="stores of the moments of a layer each (zarr.json)")
    parser.add_argument(
        "folder", type=Path, help="folder to write <layer>/<a>-<b>.zarr to, for every pair and each net with itself"
    )
    args = parser.parse_args(argv)
    store.require_distinct("moments", (store.attributes(path, "moments")["layer"] for path in args.moments))
    for path in args.moments:
        save_pairs(path, args.folder)


if __name__ == "__main__":
    main()
