"""Results of a run in Python, as pandas DataFrames; see docs/python.md.

>>> run = Run("results/scenes")
>>> run.correlation("conv1", "net0", "net1").loc["net0:5"].nlargest(3)
"""

from collections import Counter
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from . import store, tables
from .alignment import matching
from .alignment.correlation import correlation
from .commands import InputError
from .moments.covariance import live_squares


def unit_labels(net: str, units: int) -> list[str]:
    """Labels of a net's units.

    >>> unit_labels("net0", 2)
    ['net0:0', 'net0:1']
    """
    return [f"{net}:{unit}" for unit in range(units)]


def match_similarity(similarity: np.ndarray) -> pd.DataFrame:
    """Greedy and assigned partner of each unit, one row a unit; partners are <NA> where a unit is dead or left over.

    similarity: (units_a, units_b), NaN for dead units
    """
    columns: dict[str, object] = {"unit": np.arange(len(similarity))}
    for name, match in (("greedy", matching.greedy), ("assigned", matching.assignment)):
        partner = match(similarity)
        columns[name] = pd.array(partner, "Int64")
        columns[name][partner == matching.UNMATCHED] = pd.NA  # type: ignore[index]
        columns[f"{name}_similarity"] = matching.partner_similarity(similarity, partner)
    return pd.DataFrame(columns)


def match(a: np.ndarray, b: np.ndarray) -> pd.DataFrame:
    """Greedy and assigned partner in b of each unit of a by signed correlation (paper, section 3.1).

    a, b: activations of two nets for the same inputs, (samples, units_a) and (samples, units_b); the widths may differ.
    Units whose activation is constant but for rounding are dead and have no partner. Raises InputError where the arrays
    do not fit or hold numbers that are not finite.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    for name, array in (("a", a), ("b", b)):
        if array.ndim != 2 or len(array) < 2:
            raise InputError(
                f"{name}: an array of shape {array.shape}; allowed is (samples, units), at least 2 samples"
            )
        if not np.isfinite(array).all():
            raise InputError(f"{name}: {np.argwhere(~np.isfinite(array))[0].tolist()} is not finite")
    if len(a) != len(b):
        raise InputError(f"a has {len(a)} samples, b has {len(b)}; both must be of the same inputs, in their order")
    # powers of two, which round nothing: products of very small or large numbers would leave float64's range
    scaled = [np.ldexp(array, -np.frexp(np.abs(array).max(axis=0))[1]) for array in (a, b)]
    centred = [array - array.mean(axis=0) for array in scaled]
    squares = [np.einsum("su,su->u", moved, moved) for moved in centred]
    variances = [live_squares(of_net, x.mean(axis=0), len(x)) for of_net, x in zip(squares, scaled, strict=True)]
    return match_similarity(correlation(centred[0].T @ centred[1], *variances))


class Run:
    """The results of one run: ``Run("results/scenes")``."""

    def __init__(self, folder: str | Path) -> None:
        """Raises InputError where the folder holds no run."""
        self.folder = Path(folder)
        if not (self.folder / "correlation").is_dir():
            runs = sorted(path.parent.name for path in self.folder.parent.glob("*/correlation"))
            raise InputError(f"{folder}: no results of a run; there are {', '.join(runs) or 'none'} beside it")

    @cached_property
    def summary(self) -> pd.DataFrame:
        """The table of ``summary_convergence``: a row for each layer, state and pair, and for the mean over pairs."""
        return self.table("summary")

    def table(self, name: str) -> pd.DataFrame:
        """A table of the run by its name: ``summary``, ``information``, ``table1_mapping``."""
        path = self.folder / "tables" / f"{name}.csv"
        if not path.exists():
            names = sorted(file.stem for file in path.parent.glob("*.csv"))
            raise InputError(f"{path}: no such table; there are {', '.join(names) or 'none'}")
        return pd.DataFrame(tables.columns(path))

    @cached_property
    def layers(self) -> list[str]:
        """Layers of the run in the order of its configuration, as the summary keeps it; by name where there is none."""
        if (self.folder / "tables/summary.csv").exists():
            return list(dict.fromkeys(self.summary["layer"]))
        return sorted(folder.name for folder in (self.folder / "correlation").iterdir() if folder.is_dir())

    @cached_property
    def nets(self) -> list[str]:
        """Nets of the run in their order: a net is the first one in its pairs with all that follow it."""
        stores = (self.folder / "correlation" / self.layers[0]).glob("*.zarr")
        first = Counter(path.stem.split("-")[0] for path in stores)
        return [net for net, _ in first.most_common()]

    def similarity(self, kind: str, layer: str, a: str, b: str) -> pd.DataFrame:
        """A stored similarity of the units of a (rows) and of b (columns), either net first; NaN for dead units."""
        if layer not in self.layers:
            raise InputError(f"layer: {layer!r}, {self.folder} has {', '.join(self.layers)}")
        for net in (a, b):
            if net not in self.nets:
                raise InputError(f"net: {net!r}, {self.folder} has {', '.join(self.nets)}")
        as_stored = self.nets.index(a) <= self.nets.index(b)
        first, second = (a, b) if as_stored else (b, a)
        path = self.folder / kind / layer / f"{first}-{second}.zarr" / "zarr.json"
        attributes = store.attributes(path, kind)
        asked = [layer, *dict.fromkeys((first, second))]
        store.require_equal("layers or nets", asked=asked, **{str(path): [attributes["layer"], *attributes["nets"]]})
        stored = store.load(path, kind)[kind]
        matrix = stored if as_stored else stored.T
        return pd.DataFrame(matrix, unit_labels(a, matrix.shape[0]), unit_labels(b, matrix.shape[1]))

    def correlation(self, layer: str, a: str, b: str) -> pd.DataFrame:
        """Signed Pearson correlation of the units of a (rows) and of b (columns); NaN for dead units."""
        return self.similarity("correlation", layer, a, b)

    def mutual_information(self, layer: str, a: str, b: str) -> pd.DataFrame:
        """Bias-corrected mutual information in nats of the units of two different nets; NaN for dead units."""
        return self.similarity("mutual_information", layer, a, b)

    def matching(self, layer: str, a: str, b: str) -> pd.DataFrame:
        """Greedy and assigned partner in b of each unit of a by correlation, as ``match`` gives them."""
        return match_similarity(self.correlation(layer, a, b).to_numpy())
