"""Moments by two passes in float64, and how near others have to be to them."""

import numpy as np

Arrays = dict[str, np.ndarray]


def two_passes(x: Arrays) -> Arrays:
    """Moments by their definition, in float64."""
    wide = {net: rows.astype(float) for net, rows in x.items()}
    moments: Arrays = {"count": np.int64(len(wide["net0"]))}
    moments |= {f"mean/{net}": rows.mean(0) for net, rows in wide.items()}
    centred = {net: rows - rows.mean(0) for net, rows in wide.items()}
    pairs = [(a, b) for a in wide for b in wide if a <= b]
    return moments | {f"comoment/{a}-{b}": centred[a].T @ centred[b] for a, b in pairs}


def assert_moments(moments: Arrays, expected: Arrays, tolerance: float) -> None:
    """Moments differ by at most ``tolerance``, in deviations of the units (co-moments: of the product of both)."""
    count = expected["count"]
    sums = {
        name[5:]: np.sqrt(np.diagonal(expected[f"comoment/{name[5:]}-{name[5:]}"]))
        for name in expected
        if "mean" in name
    }
    assert set(moments) == set(expected)
    assert moments["count"] == count
    for net, deviation in sums.items():
        assert (np.abs(moments[f"mean/{net}"] - expected[f"mean/{net}"]) <= tolerance * deviation / count**0.5).all()
    for name in expected:
        if name.startswith("comoment/"):
            a, b = name.removeprefix("comoment/").split("-")
            assert (np.abs(moments[name] - expected[name]) <= tolerance * np.outer(sums[a], sums[b])).all()
