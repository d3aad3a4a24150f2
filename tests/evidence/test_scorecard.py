"""Claims are judged by the interval of their contrast, and can fail."""

from pathlib import Path

import numpy as np
import pytest

from tests import ROOT
from tests.evidence import stores
from tests.figures.stores import resave
from tests.stitching.test_summary import NETS, planted, saved_mapping
from tests.stitching.test_summary import PAIRS as PAIRS_OF_NETS
from workflow.convergent import store, tables
from workflow.convergent.evidence import inference, scorecard, summary
from workflow.convergent.evidence.inference import OfPairs
from workflow.convergent.evidence.scorecard import Claim

PAPER = ROOT / "workflow/resources/paper_matching.csv"
PAIRS = [(0, 1), (0, 2), (1, 2)]


def contrast(mean: float, spread: float = 0.01, blocks: int = 8, seed: int = 0) -> OfPairs:
    """A number of three pairs of nets with errors of about ``spread``."""
    rng = np.random.default_rng(seed)
    without = mean + spread / np.sqrt(blocks) * rng.normal(size=(3, blocks))
    return OfPairs(np.full(3, mean) + spread * rng.normal(size=3), without, PAIRS)


@pytest.mark.parametrize(("mean", "verdict"), [(0.2, "holds"), (-0.2, "fails"), (0.0, "cannot tell")])
def test_a_claim_holds_fails_or_cannot_be_told(mean: float, verdict: str) -> None:
    row = scorecard.row(Claim("similarity falls", "conv2", "the layer before", contrast(mean)))
    assert row["verdict"] == verdict
    assert row["low"] <= row["ours"] <= row["high"]


def test_true_null_claims_are_seldom_judged() -> None:
    judged = [scorecard.row(Claim("c", "l", "a", contrast(0, seed=seed)))["verdict"] for seed in range(400)]
    assert judged.count("cannot tell") >= 0.93 * 400


def test_differences_are_taken_pair_by_pair_and_block_by_block() -> None:
    first, second = contrast(0.5, seed=1), contrast(0.3, seed=2)
    found = inference.difference(first, second._replace(value=second.value[1:], without=second.without[1:],
                                                        pairs=PAIRS[1:]))  # fmt: skip
    assert found.pairs == PAIRS[1:]
    np.testing.assert_allclose(found.value, first.value[1:] - second.value[1:])
    np.testing.assert_allclose(found.without, first.without[1:] - second.without[1:])
    shared = contrast(0, spread=1, seed=3)  # what both have in common does not blur the difference
    together = [of._replace(value=of.value + shared.value, without=of.without + shared.without)
                for of in (first, second)]  # fmt: skip
    np.testing.assert_allclose(inference.difference(*together).value, inference.difference(first, second).value)


def test_nets_that_were_not_trained_here_are_in_no_difference_to_twins() -> None:
    """net0 is given: pairs of trained nets are matched with those of their own twins."""
    nets = {f"net{k}": [6, 6] for k in range(4)}
    value = {(i, j): 10.0 * i + j for i in range(4) for j in range(i + 1, 4)}
    trained, twins = (
        summary.Evidence(list(of), of, {"x": np.array(of_pairs)}, {"x": np.ones((len(of_pairs), 3))}, {}, {})
        for of, of_pairs in (
            (nets, list(value.values())),
            ({net: nets[net] for net in list(nets)[1:]}, [v for (i, _), v in value.items() if i]),
        )
    )
    found = inference.difference(scorecard.number(trained, "x"), scorecard.number(twins, "x"))
    assert found.pairs == [("net1", "net2"), ("net1", "net3"), ("net2", "net3")]
    assert (found.value == 0).all()


def test_layers_of_other_blocks_cannot_be_told_apart_by_photographs() -> None:
    found = inference.difference(contrast(0.5), contrast(0.1, blocks=4))
    assert np.isnan(found.without).all()
    assert np.isfinite(inference.interval(*found).low)  # over nets alone
    alone = OfPairs(found.value[:1], found.without[:1], PAIRS[:1])
    assert scorecard.row(Claim("c", "l", "a", alone))["verdict"] == "cannot tell"


@pytest.mark.parametrize(("share", "verdict"), [(0.52, "holds"), (0.48, "fails")])
def test_most_partners_are_of_the_same_class_where_more_than_half_are(share: float, verdict: str) -> None:
    names = ("overlap", "overlap_rotated", summary.EXCESS, "same_class")
    of = {name: contrast(share, spread=0.001) for name in names}
    values, without = ({name: x[place] for name, x in of.items()} for place in (0, 1))
    logits = summary.Evidence(["a", "b", "c"], {}, values, without, {}, {})
    rows = {claim.claim: scorecard.row(claim) for claim in scorecard.of_layer("fc8", {"trained": logits})}
    assert rows["most partners are of the same class"]["verdict"] == verdict


@pytest.mark.slow
def test_claims_on_planted_nets(tmp_path: Path) -> None:
    """Nets that share units, and did less so before training, in two layers that are the same."""
    paths = [stores.evidence(tmp_path, layer) for layer in ("conv1", "conv2")]
    output = tmp_path / "scorecard.csv"
    scorecard.main([str(output), "--evidence", *map(str, paths), "--paper", str(PAPER)])
    rows = {(row["claim"], row["layer"]): row for row in tables.read(output)}
    assert rows["similarity falls", "conv2"]["verdict"] == "cannot tell"
    assert rows["similarity falls", "conv2"]["ours"] == 0
    assert rows["similarity falls", "conv2"]["paper"] == pytest.approx(0.70299 - 0.55595, abs=1e-4)
    assert ("similarity rises", "conv5") not in rows
    for claim in ("axes are alike", "training made axes alike"):
        assert rows[claim, "conv1"]["verdict"] == "holds"
    assert rows["axes are alike", "conv1"]["paper"] == ""


@pytest.mark.slow
def test_an_early_step_is_judged_by_its_share_of_the_final_excess(tmp_path: Path) -> None:
    """The planted nets grow alike slowly, so that the claim fails; of nets that were alike at once it holds."""
    through = stores.through(tmp_path)
    states, steps = summary.read(through), list(store.attributes(through)["steps"].values())
    row = scorecard.row(scorecard.early("conv1", states, steps))
    assert (row["claim"], row["verdict"]) == ("axes are alike after 3 of 100 steps", "fails")
    excess = [states[state].value[summary.EXCESS].mean() for state in ("snapshot1", "trained")]
    assert row["ours"] == pytest.approx(excess[0] - 0.8 * excess[1])
    at_once = states | {"snapshot1": states["trained"]}
    assert scorecard.row(scorecard.early("conv1", at_once, steps))["verdict"] == "holds"
    output = tmp_path / "scorecard.csv"
    paths = ["--evidence", str(stores.evidence(tmp_path)), "--training", str(through), "--paper", str(PAPER)]
    scorecard.main([str(output), *paths])
    assert row["claim"] in {each["claim"] for each in tables.read(output)}


@pytest.mark.slow
def test_stores_of_other_weights_are_judged_by_no_one(tmp_path: Path) -> None:
    through = stores.through(tmp_path)
    resave(through, nets={"net1": "of another run"})
    paths = ["--evidence", str(stores.evidence(tmp_path)), "--training", str(through), "--paper", str(PAPER)]
    with pytest.raises(SystemExit, match="weights of net1 differ"):
        scorecard.main([str(tmp_path / "scorecard.csv"), *paths])
    assert not (tmp_path / "scorecard.csv").exists()


@pytest.mark.slow
def test_stitched_nets_and_mappings_are_judged_by_layer(tmp_path: Path) -> None:
    stitched = tmp_path / "stitched.zarr/zarr.json"
    planted(stitched, twins=NETS)
    (claim,) = scorecard.of_stitched([stitched])
    assert (claim.layer, scorecard.row(claim)["verdict"]) == ("conv1", "holds")
    assert claim.against == "the source before training"
    resave(stitched, of_images=50_000)
    (claim,) = scorecard.of_stitched([stitched])
    assert claim.against == "the source before training, on 300 of 50,000 images"
    planted(stitched, twins=[])
    assert not list(scorecard.of_stitched([stitched]))
    rng, paths = np.random.default_rng(0), []
    for layer, few in (("conv1", 0.78), ("conv2", 0.4)):
        for pair in PAIRS_OF_NETS:
            r2 = np.outer([0.8, 0.79, few, 0.1], [1, 1]) * (1 + 0.01 * rng.normal())
            path = tmp_path / f"{layer}-{pair}.zarr/zarr.json"
            paths.append(saved_mapping(path, pair, r2, np.repeat(r2[:, :1], 5, axis=1), layer=layer))
    assert [scorecard.row(of)["verdict"] for of in scorecard.of_mappings(paths)] == ["holds", "fails"]


@pytest.mark.slow
def test_without_twins_nothing_is_said_of_training(tmp_path: Path) -> None:
    layers = summary.read_layers([stores.evidence(tmp_path, untrained=False, nets=2)])
    claims = {row["claim"] for row in scorecard.scorecard(layers, {}, [])}
    assert "axes are alike" in claims
    assert "training made axes alike" not in claims
