"""The methods that ``make peers`` measures this project against compute what it computes."""

import re
from collections.abc import Callable
from functools import partial
from operator import add

import numpy as np
import pytest
import torch

from tests import ROOT
from tests.bench.peers import contest, correlation, deconvolution, layers, mappings, table
from tests.conftest import TINY, random_images
from tests.presets import preset
from workflow.convergent.alignment import matching
from workflow.convergent.nets import activations
from workflow.convergent.stitching import lasso

LAYERS = ["conv1", "conv3", "fc6"]


@pytest.fixture(scope="module")
def stream() -> correlation.Stream:
    """Three layers of two tiny nets on 40 images, of which the last batch has 8."""
    nets = {f"net{seed}": preset(TINY, 3, 4, 20, seed) for seed in range(2)}
    images = random_images(40, seed=0)["images"]
    for net in nets.values():
        net.standardise_with(images)
    return correlation.Stream(activations.Recorder(nets, LAYERS), images, 40, 16)


@pytest.fixture(scope="module")
def pair() -> layers.Pair:
    """Activations of two nets, 20 and 18 units that share features and have zeros."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 6)) @ rng.normal(size=(6, 40)) + 0.7 * rng.normal(size=(2000, 40))
    x = np.maximum(x, 0).astype(np.float32)
    return x[:, :20], x[:, 20:]


@pytest.mark.slow
@pytest.mark.parametrize("make", [correlation.embedded, correlation.paper])
def test_streams_of_the_benchmark_can_be_read(make: Callable[[], correlation.Stream]) -> None:
    stream = make()._replace(count=2)
    first = next(stream.batches())
    assert {layer: [len(x) for x in nets.values()] for layer, nets in first.items()} == {
        layer: [stream.samples(layer)] * 4 for layer in stream.recorder.common_grids
    }


@pytest.mark.parametrize("way", [correlation.stored, correlation.sums_of_pairs, correlation.together])
def test_other_ways_find_the_correlations_of_the_moments(way, stream: correlation.Stream) -> None:
    exact = correlation.exact(stream)
    assert [key[0] for key in exact] == LAYERS
    assert np.mean([np.isfinite(of).mean() for of in exact.values()]) > 0.5
    assert correlation.largest_error(way(stream), exact) < 1e-4


@pytest.mark.parametrize("blocks", [1, 3])
def test_the_exact_correlations_are_those_of_the_moments_pass(blocks: int, stream: correlation.Stream) -> None:
    exact, found = correlation.exact(stream), correlation.ours(stream, blocks)
    assert correlation.largest_error(found, exact) < 1e-5
    for key, of in exact.items():
        np.testing.assert_array_equal(np.isnan(found[key]), np.isnan(of))


def test_a_wrong_correlation_is_an_error(stream: correlation.Stream) -> None:
    exact = correlation.exact(stream)
    key = ("conv1", "net0", "net1")
    assert correlation.largest_error(exact | {key: exact[key].T}, exact) > 1e-2
    assert np.isnan(correlation.largest_error(exact | {key: np.full_like(exact[key], np.nan)}, exact))


def test_scored_pairs_have_the_information_of_all_pairs(pair: layers.Pair) -> None:
    binned = layers.codes(pair)
    found = layers.information_of(pair)
    for score in (layers.mutual_info_score, layers.counted):
        some = layers.scores(binned, score)
        assert 0 < np.isfinite(some).sum() <= layers.SCORED
        assert layers.difference(some, found) < 1e-9


def test_networkx_finds_the_assignment(pair: layers.Pair) -> None:
    similarity = layers.similarity_of(pair)
    np.testing.assert_array_equal(layers.assigned(similarity), matching.assignment(similarity))
    totals = [layers.total_of(match, similarity) for match in (layers.assigned, matching.assignment)]
    assert totals == pytest.approx([layers.most(similarity)] * 2, abs=1e-9)


@pytest.mark.slow
def test_cka_of_other_estimators_is_near(pair: layers.Pair) -> None:
    x, y = ((z - z.mean(0)) / z.std(0) for z in pair)
    exact = layers.unbiased_cka((x, y))
    assert exact > 0.3
    assert layers.cka_of_samples((x, y)) == pytest.approx(exact, abs=1e-5)
    assert layers.cka_of_blocks((x, y), blocks=len(x)) == pytest.approx(exact, abs=0.1 / len(x))
    assert layers.cka_of_blocks((x, y), blocks=20) == pytest.approx(exact, abs=2e-2)


def saved(folder, pair: layers.Pair) -> layers.Files:
    for net, x in zip(("net0", "net1"), pair, strict=True):
        np.save(folder / f"conv1-{net}.npy", x)
    return layers.Files(folder)


@pytest.mark.slow
def test_gaps_are_those_of_our_certificate_and_what_the_peer_is_asked_for(tmp_path, pair: layers.Pair) -> None:
    files = saved(tmp_path, pair)
    of = mappings.given(files, "conv1")[0]
    weights, certificate = lasso.lasso_path(*of)
    np.testing.assert_allclose(mappings.gaps(weights, of), certificate, atol=1e-9)
    found = mappings.begin(mappings.scikit_learn, "conv1", files)()
    assert mappings.gaps(found, of).max() <= mappings.GAP
    np.testing.assert_allclose(found, weights, atol=5e-3)
    assert np.abs(found).max() > 0.1


@pytest.mark.slow
def test_units_are_projected_back_as_by_a_gradient_in_float64() -> None:
    of = deconvolution.given(deconvolution.Case("config.yaml", 36, 2))
    found, exact = deconvolution.ours(of), deconvolution.ours(of, deconvolution.by_gradient)
    assert list(found) == deconvolution.CONVOLUTIONS
    assert {of.dtype for of in exact.values()} == {torch.float64}
    assert deconvolution.relative_error(found, exact) < 1e-5


def no_more_than(largest: float) -> contest.Contest:
    """Two ways, of which the second finds 3 in place of 2, and one whose package is missing."""
    same = partial(partial, float)
    absent = contest.Way("absent", same, package="no_such_package")
    ways = [contest.Way("ours", same, 0), contest.Way("theirs", partial(partial, add, 1), largest, share=0.5), absent]
    return contest.Contest("numbers", ways, 2.0, same, lambda found, reference: abs(found - reference))


@pytest.mark.slow
def test_a_missing_peer_is_one_line_and_the_others_are_rows(capsys: pytest.CaptureFixture) -> None:
    table.print_table([no_more_than(1)])
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "peers: left out, because not installed: no_such_package; make peers installs what is needed"
    assert lines[:2] == contest.HEAD
    assert re.fullmatch(r"\| numbers \| ours \| [\d.e-]+ \| 1 \| \d+ \| 0e\+00 \|", lines[2])
    assert re.fullmatch(r"\|  \| theirs \| [\d.e-]+ \| [\d.,]+ \| \d+ \| 1e\+00 \|", lines[3])
    assert lines[4].startswith("versions: numpy ")


def test_a_result_that_differs_by_more_than_is_allowed_is_an_error() -> None:
    numbers = no_more_than(0.5)
    turns = [[contest.Measured(1.0, 0.0, 2.0)], [contest.Measured(1.0, 0.0, 3.0)]]
    with pytest.raises(AssertionError, match=r"numbers, theirs: error 1e\+00, at most 5e-01 is allowed"):
        contest.rows(numbers, numbers.ways[:2], turns, 2.0)


def test_peers_are_pinned_with_hashes_and_apart_from_the_product() -> None:
    asked = set(re.findall(r"^\w+", (ROOT / "requirements-bench.in").read_text(), flags=re.M))
    text = (ROOT / "requirements-bench.txt").read_text()
    assert set(re.findall(r"^(\w+)==", text, flags=re.M)) == asked == {"captum", "skglm"}
    assert all("--hash=sha256:" in block for block in re.split(r"^(?=\S)", text, flags=re.M)[1:])
    assert not asked & set(re.findall(r"^(\w+)==", (ROOT / "requirements.txt").read_text(), flags=re.M))
