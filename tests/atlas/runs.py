"""A small run of three nets, as its stages would leave it, and its atlas."""

from collections.abc import Sequence
from itertools import combinations, permutations
from pathlib import Path

import numpy as np

from tests.evidence import planted
from tests.evidence.stores import SIZES, moments
from tests.figures import stores
from workflow.convergent import store
from workflow.convergent.alignment import correlation, matching
from workflow.convergent.atlas import layer, page
from workflow.convergent.clustering import hierarchy, spectral
from workflow.convergent.evidence import compare, scorecard
from workflow.convergent.stitching import fit

UNITS = {"net0": 7, "net1": 5, "My.net_1": 6}  # unit 1 of net0 and unit 0 of net1 are dead
NETS, LAYERS, ALPHA, PAIR = list(UNITS), ("conv1", "fc6"), 0.1, "net0-net1"
STAGES = ("nets", "matching", "information", "stitching", "clustering", "evidence", "patches")
DEAD = {"net0": 1, "net1": 0}
CLASSES = [f"kind & {number}" for number in range(UNITS["net0"])]  # of fc6's units, in net0 alone as many
PICTURE = 6  # edge of a patch


def activations(seed: int) -> dict[str, np.ndarray]:
    """Nets that share features. net -> (images, positions, units)"""
    return dict(zip(NETS, planted.correlated(sum(SIZES), 5, list(UNITS.values()), seed).values(), strict=True))


def patches(run: Path) -> None:
    """Pictures of every net: of positions in conv1, of whole crops in fc6. Each has a colour of its own."""
    rng = np.random.default_rng(0)
    for net, units in UNITS.items():
        arrays: dict[str, np.ndarray] = {}
        for name, kinds in (("conv1", ("patch", "deconv")), ("fc6", ("thumbnail",))):
            arrays[f"{name}/image"] = np.zeros((units, 9), int)
            if net in DEAD:
                arrays[f"{name}/image"][DEAD[net]] = -1
            for kind in kinds:
                shape = (units, 9, PICTURE, PICTURE, 3)
                arrays[f"{name}/{kind}"] = np.broadcast_to(
                    rng.integers(0, 256, (units, 9, 1, 1, 3), dtype=np.uint8), shape
                )
        about = {"kind": "patches", "images": "v", "nets": stores.digests(net), "layers": list(LAYERS)}
        store.save(run / f"patches/{net}.zarr/zarr.json", arrays, **about)


def images(run: Path) -> None:
    """A store of one image, which says what the classes are."""
    one = {"images": np.zeros((1, 4, 4, 3), np.uint8), "labels": np.zeros(1, np.int32), "group": np.zeros(1, np.int32)}
    store.save(run / "images/val.zarr/zarr.json", one, kind="images", split="val", classes=CLASSES)


def information(run: Path) -> None:
    """Mutual information of conv1: the absolute correlation."""
    for a, b in combinations(NETS, 2):
        path = f"{a}-{b}.zarr/zarr.json"
        stored = np.abs(store.load(run / "correlation/conv1" / path)["correlation"])
        about = {"kind": "mutual_information", "layer": "conv1", "images": "v", "nets": stores.digests(a, b)}
        store.save(run / "mutual_information/conv1" / path, {"mutual_information": stored, "plug_in": stored}, **about)
    similarities = sorted((run / "mutual_information/conv1").glob("*/zarr.json"))
    matching.main([str(run / "matching/mutual_information/conv1"), *map(str, similarities)])


def similarities(run: Path) -> None:
    """Moments, correlations, partners and evidence of both layers."""
    for seed, name in enumerate(LAYERS):
        of_layer = moments(run / f"moments/val/{name}.zarr/zarr.json", activations(seed), layer=name, split="val")
        twins = {f"{net}_untrained": x for net, x in activations(seed + 5).items()}
        untrained = moments(run / f"moments/untrained/{name}.zarr/zarr.json", twins, layer=name)
        correlation.main([str(of_layer), str(run / "correlation")])
        between = [str(run / f"correlation/{name}/{a}-{b}.zarr/zarr.json") for a, b in combinations(NETS, 2)]
        matching.main([str(run / f"matching/correlation/{name}"), *between])
        options = ["--rotations", "2", "--derangements", "3", "--untrained", str(untrained)]
        compare.main([str(of_layer), str(run / f"evidence/{name}.zarr/zarr.json"), *options])


def mappings(run: Path) -> None:
    """Sparse mappings of conv1 and what is clustered by them and by correlation."""
    val, stitching = run / "moments/val/conv1.zarr/zarr.json", run / "stitching/conv1"
    train = moments(run / "moments/train/conv1.zarr/zarr.json", activations(0), images="t", split="train")
    pairs = [f"{a}-{b}" for a, b in permutations(NETS, 2)]
    fit.main([str(train), str(val), str(stitching), "--pairs", *pairs, "--alphas", "0", str(ALPHA)])
    tree, clusters = (run / f"clustering/{kind}/conv1/{PAIR}" for kind in ("hierarchy", "spectral"))
    outputs = [f"{tree}.zarr/zarr.json", f"{tree}.csv", "--alpha", str(ALPHA)]
    hierarchy.main([str(stitching / f"{PAIR}.zarr/zarr.json"), *outputs])
    few = ["--range", "2", "4", "--resamples", "2", "--rotations", "2"]
    spectral.main([str(val), f"{clusters}.zarr/zarr.json", f"{clusters}.csv", "--pair", PAIR, *few])


def make(run: Path) -> Path:
    """Write the stores and tables of a run."""
    similarities(run)
    information(run)
    mappings(run)
    patches(run)
    images(run)
    evidence = [str(run / f"evidence/{name}.zarr/zarr.json") for name in LAYERS]
    paper = "workflow/resources/paper_matching.csv"
    scorecard.main([str(run / "tables/scorecard.csv"), "--evidence", *evidence, "--paper", paper])
    return run


def arguments(run: Path, name: str, stages: Sequence[str] = STAGES) -> list[str]:
    """Command line of a layer of the atlas with the inputs of some stages."""
    given = [str(run / f"atlas/layers/{name}/_layer.js"), "--layer", name, "--nets", *NETS]
    if tuple(stages) != ("information",):
        given += ["--moments", str(run / f"moments/val/{name}.zarr/zarr.json")]
    if "evidence" in stages:
        given += ["--evidence", str(run / f"evidence/{name}.zarr/zarr.json")]
    if "matching" in stages:
        given += ["--correlation", str(run / f"correlation/{name}")]
        given += ["--matches", str(run / f"matching/correlation/{name}")]
    if "information" in stages and name == "conv1":
        given += ["--information", str(run / "mutual_information/conv1")]
        given += ["--information-matches", str(run / "matching/mutual_information/conv1")]
    if "stitching" in stages and name == "conv1":
        given += ["--mappings", str(run / "stitching/conv1"), "--alpha", str(ALPHA)]
    if "clustering" in stages and name == "conv1":
        given += ["--pairs", PAIR, "--clusters", str(run / "clustering/spectral/conv1")]
        given += ["--trees", str(run / "clustering/hierarchy/conv1")] if "stitching" in stages else []
    if name == "fc6":
        given += ["--images", str(run / "images/val.zarr/zarr.json")]
    if "patches" in stages:
        given += ["--patches", *(str(run / f"patches/{net}.zarr/zarr.json") for net in NETS)]
    return given


def atlas(run: Path, stages: Sequence[str] = STAGES, layers: Sequence[str] = LAYERS) -> Path:
    """Write the atlas of a run with some stages. -> its page"""
    for name in layers:
        layer.main(arguments(run, name, stages))
    given = [
        str(run / "atlas/index.html"),
        "--run",
        run.name,
        "--layers",
        *layers,
        "--nets",
        *NETS,
        "--stages",
        *stages,
    ]
    if "evidence" in stages:
        given += ["--evidence", *(str(run / f"evidence/{name}.zarr/zarr.json") for name in layers)]
        given += ["--scorecard", str(run / "tables/scorecard.csv")]
    page.main([*given, "--figures", *map(str, sorted((run / "figures").glob("*.png")))])
    return run / "atlas/index.html"
