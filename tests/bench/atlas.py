"""Size of an atlas of the paper's size, and how fast it is made, opens and scrolls: four nets of 10,568 units.

Its stores hold planted numbers; pictures are crops of photographs at the receptive fields of the paper's layers.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from itertools import combinations, combinations_with_replacement, permutations
from pathlib import Path
from typing import Any

import numpy as np

from tests.atlas import browser
from workflow.convergent import store, tables
from workflow.convergent.alignment import matching
from workflow.convergent.atlas import page
from workflow.convergent.evidence.measures import MEASURES
from workflow.convergent.evidence.units import Units

from .common import LAYERS, Photographs, in_fresh_process

NETS = [f"net{k}" for k in range(4)]
DIGESTS = {net: net for net in NETS}
UNITS = dict(zip(LAYERS, (96, 256, 384, 384, 256, 4096, 4096, 1000), strict=True))
FIELDS = dict(zip(LAYERS, (11, 51, 99, 131, 163), strict=False))  # pixels that a unit sees
THUMBNAIL, BLOCKS, ALPHA = 64, 8, 0.24
NUMBERS = ["greedy_crossfit", "greedy_crossfit_rotated", "greedy_crossfit_excess", "mutual", "overlap", *MEASURES]
PAIRS = ["-".join(pair) for pair in combinations(NETS, 2)]


def similarities(folder: Path, layer: str, rng: np.random.Generator) -> None:
    """Correlations, tables of matches, mean activations and evidence of a layer."""
    units, about = UNITS[layer], {"layer": layer, "images": "v"}
    means = {f"total/mean/{net}": rng.exponential(size=units) for net in NETS}
    store.save(folder / "moments.zarr/zarr.json", means, kind="moments", nets=DIGESTS, controls=[], **about)
    for a, b in combinations_with_replacement(NETS, 2):
        matrix = rng.normal(0, 0.1, (units, units)).clip(-1, 1)
        of = {"nets": {net: net for net in (a, b)}, **about}
        store.save(folder / f"correlation/{a}-{b}.zarr/zarr.json", {"correlation": matrix}, kind="correlation", **of)
        if a != b:
            greedy, assigned = matching.greedy(matrix), rng.permutation(units)
            found = [range(units), greedy, matrix.max(1), assigned, matrix[np.arange(units), assigned]]
            rows = [dict(zip(matching.HEADER, row, strict=True)) for row in zip(*found, strict=True)]
            tables.write(folder / f"matches/{a}-{b}.csv", rows, kind="matches", similarity="correlation", **of)
    arrays: dict[str, np.ndarray] = {
        "trained/value": rng.uniform(size=(len(NUMBERS), len(PAIRS))),
        "trained/without": rng.uniform(size=(len(NUMBERS), len(PAIRS), BLOCKS)),
    }
    for a, b in permutations(NETS, 2):
        arrays[f"trained/units/{a}-{b}"] = rng.uniform(0, 0.9, (len(Units._fields), units))
    described = {"numbers": NUMBERS, "floors": [], "units": {"trained": {net: [units, units] for net in NETS}}}
    store.save(folder / "evidence.zarr/zarr.json", arrays, kind="evidence", nets=DIGESTS, **described, **about)


def mappings(folder: Path, layer: str, rng: np.random.Generator) -> None:
    """Sparse mappings of a layer, of a penalty each."""
    units = UNITS[layer]
    for a, b in permutations(NETS, 2):
        weights = rng.normal(0, 0.2, (1, units, units)) * (rng.uniform(size=(1, units, units)) < 10 / units)
        arrays = {"weights": weights, "alpha": np.array([ALPHA]), "r2": rng.uniform(size=(1, units))}
        of = {"nets": {net: net for net in (a, b)}, "layer": layer, "source": a, "target": b}
        store.save(folder / f"mappings/{a}-{b}.zarr/zarr.json", arrays, kind="mapping", **of)


def patches(folder: Path, layer: str, photographs: Photographs, rng: np.random.Generator) -> None:
    """Pictures of the units of each net: crops of photographs, and what is left of these around grey."""
    units, edge, kinds = UNITS[layer], FIELDS.get(layer, THUMBNAIL), ("patch", "deconv")
    fade = np.exp(-(np.linspace(-2, 2, edge) ** 2))
    for net in NETS:
        crops = np.empty((units, 9, edge, edge, 3), np.uint8)
        for unit in range(units):
            for k, image in enumerate(rng.integers(0, len(photographs.pool), 9)):
                y, x = rng.integers(0, 256 - edge, 2)
                crops[unit, k] = photographs.pool[image, y : y + edge, x : x + edge]
        arrays = {f"{layer}/image": np.zeros((units, 9), int)}
        if layer in FIELDS:
            grey = 128 + (crops - 128.0) * (fade[:, None] * fade)[:, :, None]
            arrays |= {
                f"{layer}/{kind}": each for kind, each in zip(kinds, (crops, grey.astype(np.uint8)), strict=True)
            }
        else:
            arrays[f"{layer}/thumbnail"] = crops
        about = {"kind": "patches", "images": "v", "nets": {net: net}, "layers": [layer]}
        store.save(folder / f"patches/{net}.zarr/zarr.json", arrays, **about)


def build_layer(folder: Path, layer: str, photographs: Photographs) -> None:
    """Make a layer of the atlas from planted stores, say how long that took, and remove the stores."""
    rng, stores = np.random.default_rng(0), folder / "stores"
    similarities(stores, layer, rng)
    patches(stores, layer, photographs, rng)
    given = [folder / f"atlas/layers/{layer}/_layer.js", "--layer", layer, "--nets", *NETS]
    for name in ("moments.zarr/zarr.json", "evidence.zarr/zarr.json", "correlation", "matches"):
        given += [f"--{name.split('.')[0]}", stores / name]
    if layer in FIELDS:
        mappings(stores, layer, rng)
        given += ["--mappings", stores / "mappings", "--alpha", ALPHA]
    given += ["--patches", *(stores / f"patches/{net}.zarr/zarr.json" for net in NETS)]
    code = f"from workflow.convergent.atlas.layer import main; main({list(map(str, given))})"
    before = sum(os.times()[2:4])
    _, memory = in_fresh_process(code)
    seconds = sum(os.times()[2:4]) - before  # of children, so that other work on the machine does not count
    size = sum(file.stat().st_size for file in (folder / "atlas/layers" / layer).iterdir())
    print(f"{layer}: {seconds:.0f} s of CPU, {memory:.1f} GiB, {size / 1e6:.1f} MB", flush=True)
    shutil.rmtree(stores)


def timed(what: str, action: Callable[[], Any]) -> Any:
    begun = time.perf_counter()
    found = action()
    print(f"{what}: {time.perf_counter() - begun:.2f} s", flush=True)
    return found


FRAMES = """async () => {
    const times = [];
    for (let k = 0; k < 120; k += 1) {
        window.scrollBy(0, 400);
        await new Promise((resolve) => requestAnimationFrame((time) => { times.push(time); resolve(); }));
    }
    return times.slice(1).map((time, k) => time - times[k]);
}"""


def bench_atlas() -> None:
    photographs = Photographs(256)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for layer in LAYERS:
            build_layer(folder, layer, photographs)
        index = folder / "atlas/index.html"
        page.main(
            [str(index), "--run", "paper", "--layers", *LAYERS, "--nets", *NETS, "--stages", "matching", "evidence"]
        )
        sizes = [file.stat().st_size for file in index.parent.rglob("*") if file.is_file()]
        print(f"atlas: {sum(sizes) / 1e6:.1f} MB in {len(sizes)} files, the largest of {max(sizes) / 1e6:.1f} MB")
        with browser.chromium() as chromium:
            for address in ("", "conv3/net0", "fc6/net0", "fc6/net0/5", "conv4/net0/5", "fc8/net0/matrix"):
                tab = timed(f"opening #{address}", lambda address=address: browser.open_page(chromium, index, address))
                if address.endswith("net0"):
                    frames = np.sort(tab.evaluate(FRAMES))
                    print(f"  scrolling: {np.median(frames):.0f} ms a frame, 95 % below {frames[-6]:.0f} ms")
                tab.context.close()
