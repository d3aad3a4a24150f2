"""Pearson correlation of the units of every pair of nets, from moments (paper, section 2)."""

from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np

from .. import store
from ..commands import command, new_parser
from ..moments.covariance import Arrays, comoment, compared, load_pair


def correlation(products: np.ndarray, variance_a: np.ndarray, variance_b: np.ndarray) -> np.ndarray:
    """Signed correlation from centred sums; NaN where a unit is dead. (..., units_a, units_b)

    Divides by sqrt(v_a v_b), not sqrt(v_a) sqrt(v_b), so that a unit's correlation with itself is exactly 1.
    """
    scale = np.sqrt(variance_a[..., :, None] * variance_b[..., None, :])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(np.where(scale > 0, products / scale, np.nan), -1.0, 1.0)


def correlate(moments: Arrays, a: str, b: str) -> np.ndarray:
    """Correlation of a pair from one set of moments. (units_a, units_b)"""
    variance = {net: np.diagonal(comoment(moments, net, net)) for net in {a, b}}
    return correlation(comoment(moments, a, b), variance[a], variance[b])


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("moments", help="store of one layer (zarr.json)")
    parser.add_argument("folder", type=Path, help="folder for <a>-<b>.zarr of every pair of nets, each with itself too")
    args = parser.parse_args(argv)
    about = store.attributes(args.moments)
    for a, b in combinations_with_replacement(compared(about), 2):
        moments = load_pair(args.moments, a, b, "total/")
        nets = list(dict.fromkeys((a, b)))
        store.save(
            args.folder / f"{a}-{b}.zarr" / "zarr.json",
            {"correlation": correlate(moments, a, b)},
            layer=about["layer"],
            moments=about["sha256"],
            images=about["images"],
            nets={net: about["nets"][net] for net in nets},
            samples=int(moments["count"]),
            dead={net: np.flatnonzero(np.diagonal(comoment(moments, net, net)) == 0).tolist() for net in nets},
        )


if __name__ == "__main__":
    main()
