"""Claims about what nets have in common, each with a verdict: holds, fails, or cannot tell.

A claim is a contrast that it says is above 0: one layer less the next, trained nets less the same before training, a
number less what it would be on rotated axes. It holds where the 95 % interval of the contrast, over photographs and
nets, lies above 0, fails where it lies below, and else cannot be told. Claims of the paper about its layers are judged
where the run has layers of these names.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import store, tables
from ..commands import command, new_parser
from ..stitching import summary as stitching
from . import summary
from .compare import TRAINED, UNTRAINED
from .inference import OfPairs, difference
from .summary import EXCESS, SIMILARITY, THROUGH_TRAINING, Evidence, Layers

STEPS = {
    "conv2": ("similarity falls", "conv1", "conv2"),
    "conv3": ("similarity falls", "conv2", "conv3"),
    "conv4": ("similarity falls", "conv3", "conv4"),
    "conv5": ("similarity rises", "conv5", "conv4"),
}  # the paper's claims on how a layer differs from the one before: the first layer of the two is above the second
FEW, NEARLY = 0.1, 0.9  # share of the weights, and share of the unpenalised R2 that these give
MOST = 0.8  # share of the final excess that the first snapshot has
APART = 0.1  # difference of sorted mean activations, as a share of their size, within which they count as alike
HALF = 0.5  # share of logits with a partner of the same class that nets that learned must exceed
HOLDS, FAILS, UNKNOWN = VERDICTS = ("holds", "fails", "cannot tell")


class Claim(NamedTuple):
    """A claim on a layer, what the contrast is against, and the paper's value of it."""

    claim: str
    layer: str
    against: str
    contrast: OfPairs
    paper: float = np.nan


def percent(share: float) -> str:
    """A share in words: 10 %."""
    return f"{100 * share:.0f} %"


def number(of: Evidence, name: str) -> OfPairs:
    """A number as it is: the claim that it is above 0."""
    return OfPairs(of.value[name], of.without[name], [(of.nets[i], of.nets[j]) for i, j in of.pairs()])


def above(of: OfPairs, bound: float) -> OfPairs:
    """How far a number is above a bound."""
    return of._replace(value=of.value - bound, without=of.without - bound)


def below(of: OfPairs, bound: float) -> OfPairs:
    """How far a number is below a bound."""
    return of._replace(value=bound - of.value, without=bound - of.without)


def steps(layers: Layers, paper: Mapping[str, Mapping[str, float]]) -> Iterator[Claim]:
    """The paper's claims on how similarity changes from layer to layer."""
    for layer, (claim, high, low) in STEPS.items():
        if high in layers and low in layers:
            contrast = difference(*(number(layers[each][TRAINED], SIMILARITY) for each in (high, low)))
            yield Claim(claim, layer, "the layer before", contrast, paper[high]["greedy"] - paper[low]["greedy"])


def of_layer(layer: str, evidence: Mapping[str, Evidence]) -> Iterator[Claim]:
    """Claims on one layer."""
    trained = evidence[TRAINED]
    overlap, on_rotated = (number(trained, name) for name in ("overlap", "overlap_rotated"))
    yield Claim("greedy and assigned partners are the same", layer, "rotated axes", difference(overlap, on_rotated))
    excess = number(trained, EXCESS)
    yield Claim("axes are alike", layer, "rotated axes", excess)
    if UNTRAINED in evidence:
        for claim, name in (("training made axes alike", EXCESS), ("more units are mutually best", "mutual")):
            contrast = difference(*(number(of, name) for of in (trained, evidence[UNTRAINED])))
            yield Claim(claim, layer, "before training", contrast)
    if "same_class" in trained.value:
        same = above(number(trained, "same_class"), HALF)
        yield Claim("most partners are of the same class", layer, "half of the units", same)
    else:
        apart = below(number(trained, "means_apart"), APART)
        yield Claim("sorted mean activations are alike", layer, f"a difference of {percent(APART)}", apart)


def early(layer: str, states: Mapping[str, Evidence], steps: Sequence[int]) -> Claim:
    """The claim that the first snapshot has most of the excess of the trained nets. steps: of each state"""
    first, last = (number(of, EXCESS) for of in (list(states.values())[1], states[TRAINED]))
    most = last._replace(value=MOST * last.value, without=MOST * last.without)
    claim = f"axes are alike after {steps[1]:,} of {steps[-1]:,} steps"
    return Claim(claim, layer, f"{percent(MOST)} of the excess at the end", difference(first, most))


def of_mappings(paths: Sequence[Path]) -> Iterator[Claim]:
    """The claim, of each layer, that few weights predict nearly as well as all. paths: stores of mappings"""
    layers = [store.attributes(path, "mapping")["layer"] for path in paths]
    for layer in dict.fromkeys(layers):
        own = [path for path, of in zip(paths, layers, strict=True) if of == layer]
        share = stitching.sparse_share(own, FEW)
        yield Claim(
            f"{percent(FEW)} of the weights predict as well", layer, f"{percent(NEARLY)} of R2", above(share, NEARLY)
        )


def of_stitched(paths: Sequence[Path]) -> Iterator[Claim]:
    """The claim, of each layer, that a trained source carries more of what another net needs than an untrained one."""
    for path in paths:
        gain = stitching.stitched_less_untrained(path)
        if gain.pairs:
            of = store.attributes(path)
            words = ("the source before training", stitching.evaluated_on(of["evaluated"], of["of_images"]))
            yield Claim("stitched nets are more accurate", of["layer"], ", ".join(filter(None, words)), gain)


def verdict(low: float, high: float) -> str:
    """One of VERDICTS, from the ends of a contrast's interval; cannot tell without ends."""
    return HOLDS if low > 0 else FAILS if high < 0 else UNKNOWN


def row(claim: Claim) -> dict[str, object]:
    """A claim with its contrast, interval and verdict, as a row of the table."""
    found = claim.contrast.interval()
    low, high = float(found.low), float(found.high)
    ours = {"paper": claim.paper, "ours": float(found.estimate), "low": low, "high": high}
    head = {"claim": claim.claim, "layer": claim.layer}
    return {**head, **ours, "against": claim.against, "verdict": verdict(low, high)}


def scorecard(layers: Layers, paper: Mapping[str, Mapping[str, float]], others: Sequence[Claim]) -> list[dict]:
    """All claims, those of one kind together."""
    of_layers = [claim for layer, evidence in layers.items() for claim in of_layer(layer, evidence)]
    claims = [*of_layers, *steps(layers, paper), *others]
    kinds = list(dict.fromkeys(claim.claim for claim in claims))
    return [row(claim) for claim in sorted(claims, key=lambda claim: kinds.index(claim.claim))]


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("output", type=Path, help="table to write (.csv)")
    parser.add_argument(
        "--evidence", type=Path, nargs="+", required=True, help="stores of the evidence of each layer (zarr.json)"
    )
    parser.add_argument(
        "--training", type=Path, nargs="*", default=[], help="the same through training (default: none)"
    )
    parser.add_argument("--mappings", type=Path, nargs="*", default=[], help="stores of mappings (default: none)")
    parser.add_argument("--stitched", type=Path, nargs="*", default=[], help="of stitched nets (default: none)")
    parser.add_argument("--paper", type=Path, required=True, help="table of the paper's numbers (.csv)")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    stores = [*args.evidence, *args.training, *args.mappings, *args.stitched]
    store.same_nets({str(path): store.attributes(path)["nets"] for path in stores})
    through = summary.read_layers(args.training, kind=THROUGH_TRAINING) if args.training else {}
    steps = {str(path): list(store.attributes(path)["steps"].values()) for path in args.training}
    others = [early(layer, states, of) for (layer, states), of in zip(through.items(), steps.values(), strict=True)]
    others += [*of_mappings(args.mappings), *of_stitched(args.stitched)]
    rows = scorecard(summary.read_layers(args.evidence), summary.read_paper(args.paper), others)
    tables.write(args.output, rows, digits=4, kind="scorecard")
    print(", ".join(f"{sum(row['verdict'] == each for row in rows)} {each}" for each in VERDICTS))


if __name__ == "__main__":
    main()
