"""Mutual information, matching and CKA of a layer of two nets, from stored activations."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import networkx
import numpy as np
import torch
from cka import cka_from_features
from scipy.optimize import linprog
from scipy.sparse import eye_array, kron, vstack
from scipy.special import xlogy
from sklearn.metrics import mutual_info_score

from tests.evidence.sums import between, correlations
from workflow.convergent.alignment import histograms, information, matching, sampling
from workflow.convergent.alignment.counters import BitPlanes
from workflow.convergent.evidence import measures
from workflow.convergent.nets.activations import Recorder

from ..common import section
from ..stitching import WIDTHS, photographs, trained_nets
from .contest import Contest, Run, Way

STEPS, BATCH, IMAGES = 30, 32, 512  # of the training, and images whose activations are compared
LAYERS = ("conv1", "conv2", "conv3")
BINS, FOLDS, SCORED = 10, sampling.FOLDS, 40  # of mutual information; SCORED pairs of units are scikit-learn's
ROWS, BLOCKS = 3000, 50  # samples of CKA, whose peer holds a matrix of all pairs of them

Pair = tuple[np.ndarray, np.ndarray]  # activations of two nets, (samples, units) each


class Files(NamedTuple):
    """Where activations of two nets are, one array a layer."""

    folder: Path

    def layer(self, layer: str) -> Pair:
        """float32"""
        return tuple(np.load(self.folder / f"{layer}-{net}.npy") for net in ("net0", "net1"))


def prepare(folder: Path) -> tuple[Files, Files]:
    """Write activations of nets of the embedded experiment's widths, and of nets of the paper's widths."""
    split = photographs()
    embedded = [conv["units"] for conv in section("config.yaml", "architecture")["conv"]]
    made = []
    for name, widths in (("embedded", embedded), ("paper", WIDTHS)):
        recorder = Recorder(trained_nets(split, widths, STEPS, BATCH), LAYERS)
        parts = list(recorder.stream(split.images, np.arange(IMAGES), BATCH))
        made.append(Files(folder / name))
        made[-1].folder.mkdir()
        for layer in LAYERS:
            for net in recorder.nets:
                rows = np.concatenate([part[layer][net].flatten(0, 1).numpy() for part in parts])
                np.save(made[-1].folder / f"{layer}-{net}.npy", rows)
    return made[0], made[1]


def information_of(pair: Pair) -> np.ndarray:
    """Mutual information of all pairs of units as counted, from binning to logarithms. (units, units) in nats

    It is computed without each fold of samples too, as the stage does it.
    """
    values = dict(zip(("net0", "net1"), pair, strict=True))
    edges = {net: sampling.bin_edges(x, BINS) for net, x in values.items()}
    parts = [dict(zip(values, of, strict=True)) for of in zip(*(np.array_split(x, FOLDS) for x in pair), strict=True)]
    chunks = [
        histograms.Chunk(
            fold, len(part["net0"]), {n: BitPlanes.planes(torch.from_numpy(x), edges[n]) for n, x in part.items()}
        )
        for fold, part in enumerate(parts)
    ]
    pairs = [("net0", "net1")]
    found = information.pairwise_information(lambda: chunks, edges, pairs, BitPlanes(), FOLDS)
    return found.plug_in[pairs[0]]


def codes(pair: Pair) -> Pair:
    """Bin of each value. (samples, units) each"""
    return tuple(
        np.stack(
            [np.searchsorted(edges, column) for edges, column in zip(sampling.bin_edges(x, BINS), x.T, strict=True)], 1
        )
        for x in pair
    )


def scored(units: int) -> np.ndarray:
    """Pairs of units that are scored. (SCORED, 2)"""
    return np.random.default_rng(0).integers(units, size=(SCORED, 2))


def scores(binned: Pair, score: Callable[[np.ndarray, np.ndarray], float]) -> np.ndarray:
    """Scores of some pairs of units; NaN of all others. (units, units)"""
    a, b = binned
    found = np.full((a.shape[1], b.shape[1]), np.nan)
    for i, j in scored(a.shape[1]):
        found[i, j] = score(a[:, i], b[:, j])
    return found


def counted(a: np.ndarray, b: np.ndarray) -> float:
    """Mutual information in nats from the joint histogram of two codes. (samples,) each"""
    joint = np.bincount(a * BINS + b, minlength=BINS**2).reshape(BINS, BINS) / len(a)
    return float(sum(sign * xlogy(p, p).sum() for sign, p in ((1, joint), (-1, joint.sum(0)), (-1, joint.sum(1)))))


def assigned(similarity: np.ndarray) -> np.ndarray:
    """Partners by networkx in the complete bipartite graph; so many as there are units. (units, units) -> (units,)"""
    units = len(similarity)
    graph = networkx.Graph()
    graph.add_weighted_edges_from((i, units + j, similarity[i, j]) for i in range(units) for j in range(units))
    partner = np.empty(units, int)
    for edge in networkx.max_weight_matching(graph, maxcardinality=True):
        partner[min(edge)] = max(edge) - units
    return partner


def cka_of_blocks(pair: Pair, blocks: int) -> float:
    """CKA between blocks from their moments, with that without each block."""
    x, y = (z.astype(np.float64) for z in pair)
    parts = np.array_split(np.arange(len(x)), blocks)
    return measures.cka(between(x, y, parts), between(x, x, parts).products, between(y, y, parts).products).value


def cka_of_samples(pair: Pair) -> float:
    """In float64 as ours: in float32 sums that nearly cancel are off by up to 2e-4."""
    return cka_from_features(*(torch.from_numpy(x).double() for x in pair)).item()


def unbiased_cka(pair: Pair) -> float:
    """CKA from the unbiased HSIC of Song et al. (2012), equation 5, in float64."""
    n = len(pair[0])
    grams = [z @ z.T for z in (z.astype(np.float64) for z in pair)]
    for gram in grams:
        np.fill_diagonal(gram, 0)

    def hsic(k: np.ndarray, other: np.ndarray) -> float:
        rows, columns = k.sum(0), other.sum(0)
        return (k * other).sum() + rows.sum() * columns.sum() / (n - 1) / (n - 2) - 2 * rows @ columns / (n - 2)

    a, b = grams
    return hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b))


def standardised(pair: Pair) -> Pair:
    """ROWS samples drawn at random, standardised; units that are dead in them are left out."""
    index = np.random.default_rng(0).choice(len(pair[0]), ROWS, replace=False)
    live = (z[index][:, z[index].std(0) > 0] for z in pair)
    return tuple((z - z.mean(0)) / z.std(0) for z in live)


def as_is(pair: Pair) -> Pair:
    return pair


def begin(way: Callable[..., Any], layer: str, convert: Callable[[Pair], Any], files: Files) -> Run:
    """The way on what is made of a layer's activations, after a run on a few samples."""
    pair = files.layer(layer)
    if way is information_of:
        way((pair[0][:100], pair[1][:100]))  # compiles
    return partial(way, convert(pair))


def similarity_of(pair: Pair) -> np.ndarray:
    return correlations(*(z.astype(np.float64) for z in pair))


def difference(found: Any, reference: Any) -> float:
    """Largest difference where both have a number."""
    return float(np.nanmax(np.abs(np.asarray(found) - reference)))


def total_of(match: Callable[[np.ndarray], np.ndarray], similarity: np.ndarray) -> float:
    """Total similarity of a one-to-one matching."""
    partner = match(similarity)
    assert len(set(partner.tolist())) == len(partner)
    return float(similarity[np.arange(len(partner)), partner].sum())


def most(similarity: np.ndarray) -> float:
    """Largest total similarity, the optimum of the linear programme. (units, units)"""
    units = len(similarity)
    one, all_of = eye_array(units), np.ones((1, units))
    margins = vstack([kron(one, all_of), kron(all_of, one)], format="csr")
    return -linprog(-similarity.ravel(), A_eq=margins, b_eq=np.ones(2 * units), method="highs-ds").fun


def information_contest(layer: str, files: Files) -> Contest:
    samples, units = files.layer(layer)[0].shape
    return Contest(
        f"mutual information: 2 x {units} units, {samples:,} samples",
        [
            Way("this project", partial(begin, information_of, layer, as_is), 1e-9),
            Way(
                f"scikit-learn's mutual_info_score, {SCORED} pairs, scaled to all",
                partial(begin, partial(scores, score=mutual_info_score), layer, codes),
                1e-9,
                SCORED / units**2,
            ),
        ],
        files,
        partial(begin, partial(scores, score=counted), layer, codes),
        difference,
    )


def matching_contest(layer: str, files: Files, repeats: int) -> Contest:
    ways = {"this project": matching.assignment, "networkx's max_weight_matching": assigned}
    return Contest(
        f"matching: 2 x {files.layer(layer)[0].shape[1]} units",
        [
            Way(name, partial(begin, partial(total_of, match), layer, similarity_of), 1e-9)
            for name, match in ways.items()
        ],
        files,
        partial(begin, most, layer, similarity_of),
        difference,
        repeats,
    )


def cka_contest(layer: str, files: Files) -> Contest:
    """With each sample as a block ours tends to the peer's estimator as 1 / samples; blocks leave out more pairs."""
    units = files.layer(layer)[0].shape[1]
    blocks = {f"this project, {BLOCKS} blocks, and without each": (BLOCKS, 2e-2)}
    if units * ROWS < 3e5:  # so that the products of each sample fit into memory
        blocks["this project, each sample a block, and without each"] = ROWS, 0.1 / ROWS
    ways = [
        Way(name, partial(begin, partial(cka_of_blocks, blocks=count), layer, standardised), tolerance)
        for name, (count, tolerance) in blocks.items()
    ]
    peer = Way("pytorch-cka's cka_from_features", partial(begin, cka_of_samples, layer, standardised), 1e-4)
    reference = partial(begin, unbiased_cka, layer, standardised)
    return Contest(f"CKA: 2 x {units} units, {ROWS:,} samples", [*ways, peer], files, reference, difference)


def contests(small: Files, wide: Files) -> list[Contest]:
    return [
        information_contest("conv1", small),
        information_contest("conv1", wide),
        matching_contest("conv3", small, repeats=3),
        matching_contest("conv2", wide, repeats=1),
        cka_contest("conv1", small),
        cka_contest("conv3", wide),
    ]
