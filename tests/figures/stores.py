"""Small stores that figures are drawn from, complete with what they say of themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflow.convergent import store, tables
from workflow.convergent.alignment import matching


def digests(*nets: str) -> dict[str, str]:
    """Attribute ``nets`` of a store: digests of the weights."""
    return {net: f"weights of {net}" for net in nets}


def patches(
    folder: Path, net: str, units: int, layer: str = "conv1", positions: bool = True, dead: Sequence[int] = ()
) -> Path:
    """A store of the patches of a layer of a net."""
    path = folder / f"{net}.zarr/zarr.json"
    rng = np.random.default_rng(int(net[3:]))
    image = np.zeros((units, 9), int)
    image[list(dead)] = -1
    kinds = ("patch", "deconv") if positions else ("thumbnail",)
    arrays = {f"{layer}/{kind}": rng.integers(0, 256, (units, 9, 5, 5, 3), dtype=np.uint8) for kind in kinds}
    about = {"kind": "patches", "images": "v", "nets": digests(net), "layers": [layer]}
    store.save(path, {f"{layer}/image": image, **arrays}, **about)
    return path


def correlation(path: Path, matrix: np.ndarray, *nets: str, **attributes: Any) -> Path:
    """A store of the correlation between two nets, or of a net with itself."""
    known = {"kind": "correlation", "layer": "conv1", "moments": "m", "nets": digests(*nets)} | attributes
    store.save(path, {"correlation": matrix}, **known)
    return path


def moments(path: Path, means: Mapping[str, np.ndarray], layer: str = "conv1") -> Path:
    """A store of moments that holds the means alone."""
    arrays = {f"total/mean/{net}": mean for net, mean in means.items()}
    about = {"kind": "moments", "layer": layer, "images": "v", "split": "val", "controls": []}
    store.save(path, arrays, nets=digests(*means), **about)
    return path


def resave(path: Path, arrays: Mapping[str, np.ndarray] | None = None, **attributes: Any) -> None:
    """Write a store again with some of its arrays and attributes changed."""
    own = {name: value for name, value in store.attributes(path).items() if name not in ("arrays", "chunks", "sha256")}
    store.save(path, store.load(path) | (arrays or {}), **own | attributes)


def matches(path: Path, *rows: Sequence[Any], **about: Any) -> Path:
    """A table of matches with these rows, of conv1 of net0 and net1 by correlation unless it is said otherwise."""
    known = {
        "kind": "matches",
        "similarity": "correlation",
        "layer": "conv1",
        "pair": "net0-net1",
        "images": "v",
    } | about
    cells = [dict(zip(matching.HEADER, row, strict=True)) for row in rows]
    tables.write(path, cells, **{"nets": digests(*known["pair"].split("-"))} | known)
    return path


def rewrite(path: Path, rows: Sequence[Mapping[str, Any]] | None = None, **about: Any) -> None:
    """Write a table again with other rows, or with some of what it says of itself changed."""
    own = {name: value for name, value in tables.about(path).items() if name != "sha256"}
    before = tables.read(path)
    tables.write(path, before if rows is None else rows, header=list(before[0]), **own | about)
