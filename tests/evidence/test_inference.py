"""Intervals cover over photographs and nets; they fail to without either term; shares stay shares."""

from itertools import combinations

import numpy as np
import pytest

from workflow.convergent.alignment import matching
from workflow.convergent.evidence import inference
from workflow.convergent.evidence.crossfit import Between, without_each_block
from workflow.convergent.evidence.inference import Interval, interval, share_interval
from workflow.convergent.evidence.pairs import Replicated, mean_crossfit

TRIALS = 3000


def pairs_of(nets: int) -> list[tuple[int, int]]:
    return list(combinations(range(nets), 2))


def planted(
    blocks: int, nets: int, of_nets: float, of_photographs: float, of_pairs: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Values of pairs whose true mean is 0: effects of nets, of pairs, of photographs, of photographs in pairs.

    -> (TRIALS, pairs), (TRIALS, pairs, B), pairs
    """
    pairs = pairs_of(nets)
    first, second = np.array(pairs).T
    net = of_nets * rng.normal(size=(TRIALS, nets))
    block = of_photographs * blocks**0.5 * rng.normal(size=(TRIALS, 1, blocks))
    own = of_pairs * (rng.normal(size=(TRIALS, len(pairs), 1)) * (nets > 2))
    mixed = of_pairs * blocks**0.5 * rng.normal(size=(TRIALS, len(pairs), blocks))
    x = (net[:, first] + net[:, second])[..., None] + block + own + mixed
    return x.mean(-1), (x.sum(-1, keepdims=True) - x) / (blocks - 1), pairs


def coverage(found: Interval) -> float:
    return float(((found.low <= 0) & (found.high >= 0)).mean())


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [2, 4, 12, 52])
@pytest.mark.parametrize("nets", [2, 3, 4, 5, 6])
def test_intervals_cover_photographs_and_nets(blocks: int, nets: int) -> None:
    rng = np.random.default_rng(blocks + 100 * nets)
    for of_nets, of_photographs, of_pairs in [(1, 1, 0), (1, 0.2, 0), (0.3, 1, 0), (0, 1, 0), (0.5, 0.5, 0.5)]:
        effect = of_nets if nets > 2 else 0  # two nets cannot tell how nets differ
        assert coverage(interval(*planted(blocks, nets, effect, of_photographs, of_pairs, rng))) >= 0.93


@pytest.mark.parametrize("blocks", [4, 52])
def test_intervals_without_either_term_do_not_cover(blocks: int) -> None:
    rng = np.random.default_rng(blocks)
    value, without, pairs = planted(blocks, 4, 1, 0.5, 0, rng)
    error = inference.photographs_error(without.mean(1))
    assert (np.abs(value.mean(-1)) <= inference.t_quantile(np.array(blocks - 1.0)) * error).mean() < 0.8
    value, _, _ = planted(blocks, 4, 0.3, 1, 0, rng)
    error = inference.nets_error(value, pairs)
    assert (np.abs(value.mean(-1)) <= inference.t_quantile(np.array(3.0)) * error).mean() < 0.8


def test_a_standard_error_over_pairs_does_not_cover() -> None:
    value, _, pairs = planted(52, 4, 1, 0, 0, np.random.default_rng(0))
    error = value.std(-1, ddof=1) / len(pairs) ** 0.5
    assert (np.abs(value.mean(-1)) <= inference.t_quantile(np.array(5.0)) * error).mean() < 0.8


def test_degrees_of_freedom_alone_are_too_many_where_two_blocks_matter_most() -> None:
    """Why no interval is narrower than that of one source alone."""
    value, without, pairs = planted(2, 6, 0.3, 1, 0, np.random.default_rng(1))
    found = interval(value, without, pairs)
    half = inference.t_quantile(found.df) * np.hypot(found.error_photographs, found.error_nets)
    assert (np.abs(found.estimate) <= half).mean() < 0.91
    assert coverage(found) >= 0.93


def block_moments(acts: list[np.ndarray]) -> Between:
    """Moments of two nets in blocks of equal size. (B, samples, units) each"""
    means = [x.mean((0, 1)) for x in acts]
    x, y = (a - mean for a, mean in zip(acts, means, strict=True))
    shifts = (a.mean(1) - mean for a, mean in zip(acts, means, strict=True))
    count = np.full(len(x), x.shape[1])
    return Between(count, x.swapaxes(1, 2) @ y, (x**2).sum(1), (y**2).sum(1), *shifts)


def greedy_crossfit(pair: Between) -> Replicated:
    ways = [(matching.greedy(x), matching.greedy(x.T)) for x in without_each_block(pair)]
    of_a, of_b = (np.array(side) for side in zip(*ways, strict=True))
    return mean_crossfit(pair, (of_a, of_b))


def experiment(blocks: int, crops: int, nets: int, rng: np.random.Generator) -> Interval:
    """Interval of the cross-fitted similarity of new ReLU nets on new photographs, some of them much louder.

    Units are a common feature and one of their own, whose share differs from net to net.
    """
    common = rng.normal(size=(20, 10))
    own = rng.uniform(0.3, 0.5, size=nets)
    loud = rng.gamma(3, 1 / 3, size=(blocks, 1, 1)) ** 0.5
    x = loud * (rng.normal(size=(blocks, 1, 20)) + rng.normal(size=(blocks, crops, 20)))
    acts = [np.maximum(x @ ((1 - s) ** 0.5 * common + s**0.5 * rng.normal(size=common.shape)), 0) for s in own]
    found = [greedy_crossfit(block_moments([acts[i], acts[j]])) for i, j in pairs_of(nets)]
    values, without = (np.array(column) for column in zip(*found, strict=True))
    return interval(values, without, pairs_of(nets))


@pytest.mark.slow
@pytest.mark.parametrize(("blocks", "crops", "nets"), [(2, 100, 4), (4, 50, 3), (12, 12, 4), (52, 4, 3)])
def test_intervals_of_cross_fitted_similarity_cover(blocks: int, crops: int, nets: int) -> None:
    rng = np.random.default_rng(blocks)
    found = Interval(*np.array([experiment(blocks, crops, nets, rng) for _ in range(300)]).T)
    truth = found.estimate.mean()
    assert ((found.low <= truth) & (truth <= found.high)).mean() >= 0.93
    half = inference.t_quantile(np.array(blocks - 1.0)) * found.error_photographs
    photographs_alone = (np.abs(found.estimate - truth) <= half).mean()
    assert photographs_alone < (0.8 if blocks > 2 else 0.92)  # of two blocks the quantile is 12.7


def test_the_jackknives_are_their_formulas() -> None:
    rng = np.random.default_rng(2)
    value, without, pairs = rng.normal(size=10), rng.normal(size=(10, 7)), pairs_of(5)
    found = interval(value, without, pairs)
    replicates = without.mean(0)
    left = np.array([np.mean([v for v, p in zip(value, pairs, strict=True) if net not in p]) for net in range(5)])
    assert found.estimate == pytest.approx(value.mean())
    assert found.error_photographs == pytest.approx(np.sqrt(6 / 7 * ((replicates - replicates.mean()) ** 2).sum()))
    assert found.error_nets == pytest.approx(np.sqrt(4 / 5 * ((left - left.mean()) ** 2).sum()))
    squares = np.array([found.error_photographs, found.error_nets]) ** 2
    assert found.df == pytest.approx(squares.sum() ** 2 / (squares**2 / [6, 4]).sum())


def test_the_quantile_is_that_of_student() -> None:
    np.testing.assert_allclose(inference.t_quantile(np.array([1, 3, 1e9])), [12.7062, 3.18245, 1.95996], rtol=1e-5)


def test_one_pair_has_an_interval_over_photographs_alone() -> None:
    without = np.array([[0.1, 0.2, 0.3, 0.2]])
    found = interval(np.array([0.2]), without, [(0, 1)])
    assert np.isnan(found.error_nets)
    assert found.df == 3
    assert found.high - found.estimate == pytest.approx(3.18245 * np.sqrt(3 * without.var()), rel=1e-5)


def test_pairs_without_a_value_are_left_out() -> None:
    rng = np.random.default_rng(3)
    value, without, pairs = rng.normal(size=6), rng.normal(size=(6, 5)), pairs_of(4)
    dead = np.array([3 in pair for pair in pairs])
    holes = np.where(dead, np.nan, value), np.where(dead[:, None], np.nan, without)
    expected = interval(value[~dead], without[~dead], [p for p in pairs if 3 not in p])
    np.testing.assert_allclose(interval(*holes, pairs), expected)
    assert np.isnan(interval(np.full(6, np.nan), np.full((6, 5), np.nan), pairs).low)


def test_many_numbers_at_once_are_each_alone() -> None:
    rng = np.random.default_rng(4)
    value, without = rng.uniform(size=(3, 6)), rng.uniform(size=(3, 6, 5))
    together, shares = interval(value, without, pairs_of(4)), share_interval(value, without, pairs_of(4), 9)
    for k in range(3):
        np.testing.assert_allclose([x[k] for x in together], interval(value[k], without[k], pairs_of(4)))
        np.testing.assert_allclose([x[k] for x in shares], share_interval(value[k], without[k], pairs_of(4), 9))


def test_shares_stay_shares() -> None:
    rng = np.random.default_rng(5)
    centre = np.array([0.002, 0.03, 0.5, 0.97])[:, None, None]
    without = np.clip(centre + 0.05 * rng.normal(size=(4, 6, 4)), 0, 1)
    value = np.broadcast_to(centre[..., 0], (4, 6))
    plain, found = interval(value, without, pairs_of(4)), share_interval(value, without, pairs_of(4), 64)
    assert plain.low[0] < 0
    assert plain.high[3] > 1
    assert (found.low > 0).all()
    assert (found.high < 1).all()
    assert ((found.low < found.estimate) & (found.estimate < found.high)).all()
    small = share_interval(value[2], 0.5 + 1e-4 * rng.normal(size=(6, 4)), pairs_of(4), 64)
    straight = small.error_photographs * 3.18245
    np.testing.assert_allclose([0.5 - small.low, small.high - 0.5], straight, rtol=1e-3)


def test_shares_of_none_and_all_have_the_interval_of_wilson() -> None:
    for share, other in ((0.0, lambda found: found.high), (1.0, lambda found: 1 - found.low)):
        found = share_interval(np.full(6, share), np.full((6, 52), share), pairs_of(4), 96)
        squared = inference.t_quantile(found.df) ** 2
        assert found.low == share or found.high == share
        assert other(found) == pytest.approx(squared / (96 + squared))
        # Wilson's limit solves |p - share| = t sqrt(p (1 - p) / units)
        limit = other(found)
        assert limit == pytest.approx(np.sqrt(squared * limit * (1 - limit) / 96))


@pytest.mark.parametrize("units", [3, 7, 50])
def test_rounding_puts_no_end_of_a_share_beyond_it(units: int) -> None:
    """Where nothing varies both ends are the share itself, which the logit and back may miss by a bit."""
    for hits in range(1, units):
        value = np.array([hits / units])
        found = inference.share_interval(value, np.tile(value[:, None], 4), [(0, 1)], units)
        assert found.low <= found.estimate <= found.high
