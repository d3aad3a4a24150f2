"""Measures of whole layers: brute force, invariance, unrelated and identical nets, replicates."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import linear_sum_assignment

from tests.evidence.sums import between, correlations, edges
from workflow.convergent.evidence import measures, regression
from workflow.convergent.evidence.crossfit import Replicated

Parts = list[np.ndarray]


def cka(x: np.ndarray, y: np.ndarray, parts: Parts) -> Replicated:
    return measures.cka(between(x, y, parts), between(x, x, parts).products, between(y, y, parts).products)


def procrustes(x: np.ndarray, y: np.ndarray, parts: Parts) -> Replicated:
    return measures.procrustes(between(x, y, parts))


def soft_matching(x: np.ndarray, y: np.ndarray, parts: Parts) -> Replicated:
    return measures.soft_matching(between(x, y, parts))


ALL = (cka, procrustes, soft_matching)


def nets(blocks: int, seed: int = 0, samples: int = 600) -> tuple[np.ndarray, np.ndarray, Parts]:
    """Two nets of unequal widths that share five features and the level of each photograph, and their blocks."""
    rng = np.random.default_rng(seed)
    parts = edges(samples, blocks)
    level = np.repeat(rng.normal(size=(blocks, 5)), [len(part) for part in parts], axis=0)
    shared = level + rng.normal(size=(samples, 5))
    x, y = (shared @ rng.normal(size=(5, n)) + 1.5 * rng.normal(size=(samples, n)) + 4 for n in (9, 6))
    return x, y, parts


def test_cka_is_the_correlation_over_pairs_of_samples_of_different_blocks() -> None:
    x, y, parts = nets(4, samples=60)
    block = np.concatenate([np.full(len(part), k) for k, part in enumerate(parts)])
    a, b = ((z - z.mean(0)) @ (z - z.mean(0)).T for z in (x, y))
    for value, kept in zip(np.append(*cka(x, y, parts)), [block >= 0, *(block != k for k in range(4))], strict=True):
        pairs = (block[:, None] != block) & kept & kept[:, None]
        assert value == pytest.approx(np.corrcoef(a[pairs], b[pairs])[0, 1], abs=1e-12)


def test_procrustes_is_the_best_rotation_of_one_net_to_the_other() -> None:
    x, y, parts = nets(4)
    a, b = x - x.mean(0), y - y.mean(0)
    best = np.linalg.svd(a.T @ b, compute_uv=False).sum() / np.sqrt((a**2).sum() * (b**2).sum())
    found = procrustes(x, y, parts)
    assert found.value == pytest.approx(best, abs=1e-12)
    rng, padded = np.random.default_rng(1), np.pad(b, ((0, 0), (0, 3)))
    for _ in range(50):
        assert (
            np.vdot(a @ stats.ortho_group.rvs(9, random_state=rng), padded) / np.sqrt((a**2).sum() * (b**2).sum())
            < best
        )


@pytest.mark.parametrize("width", [9, 6, 4])
def test_soft_matching_is_the_assignment_of_copies(width: int) -> None:
    """Each unit of one net repeated as often as the other has units: then a plan is an assignment."""
    x, _, parts = nets(4)
    y = nets(4, seed=1)[0][:, :width] + x[:, :width]
    similarity = correlations(x, y)
    copies = np.repeat(np.repeat(similarity, width, axis=0), 9, axis=1)
    rows, columns = linear_sum_assignment(copies, maximize=True)
    assert soft_matching(x, y, parts).value == pytest.approx(copies[rows, columns].mean(), abs=1e-9)


@pytest.mark.parametrize("measure", [cka, procrustes])
@pytest.mark.parametrize("blocks", [4, 11])
def test_rotations_and_scales_change_neither_cka_nor_procrustes(measure, blocks: int) -> None:
    x, y, parts = nets(blocks)
    turned = 0.03 * x @ stats.ortho_group.rvs(9, random_state=1) - 8
    for one, other in ((x, y), (y, x)):
        np.testing.assert_allclose(np.append(*measure(one, other, parts)), np.append(*measure(x, y, parts)), atol=1e-12)
    np.testing.assert_allclose(np.append(*measure(turned, y, parts)), np.append(*measure(x, y, parts)), atol=1e-12)
    assert 0.05 < measure(x, y, parts).value < 0.95


@pytest.mark.parametrize("width", [6, 9])
def test_permutations_and_scales_of_units_do_not_change_soft_matching(width: int) -> None:
    x, y, parts = nets(4)
    x = x[:, :width]
    order, scale = np.random.default_rng(1).permutation(width), np.linspace(0.1, 30, width)
    expected = np.append(*soft_matching(x, y, parts))
    for one, other in (((x * scale)[:, order] + 5, y), (y, x)):
        np.testing.assert_allclose(np.append(*soft_matching(one, other, parts)), expected, atol=1e-9)


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize("blocks", [4, 11])
def test_identical_nets_are_exactly_alike_with_and_without_any_block(measure, blocks: int) -> None:
    x, _, parts = nets(blocks)
    x[:, 3] = 2.0  # dead
    order = np.random.default_rng(1).permutation(9)
    np.testing.assert_allclose(np.append(*measure(x, x[:, order], parts)), 1, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [4, 12, 52])
def test_unrelated_nets_have_no_cka_but_a_biased_one(blocks: int) -> None:
    """Samples of a block share its level, so that leaving each sample's own pair out leaves most of the bias."""
    found, by_sample = [], []
    for seed in range(40):
        x, y = (nets(blocks, shift + seed, 200)[0] for shift in (0, 1000))
        parts = edges(len(x), blocks)
        found.append(cka(x, y, parts).value)
        a, b = ((z - z.mean(0)) @ (z - z.mean(0)).T for z in (x, y))
        others = ~np.eye(len(x), dtype=bool)
        by_sample.append((a * b)[others].sum() / np.sqrt((a * a)[others].sum() * (b * b)[others].sum()))
    assert np.mean(found) == pytest.approx(0, abs=3.5 * np.std(found) / np.sqrt(40))
    assert np.mean(by_sample) > np.mean(found) + 0.4 / blocks


@pytest.mark.slow
@pytest.mark.parametrize("measure", ALL)
def test_replicates_spread_as_those_of_new_fits(measure) -> None:
    x, y, parts = nets(30)
    found = measure(x, y, parts)
    refitted = []
    for k, left_out in enumerate(parts):
        kept = np.delete(np.arange(len(x)), left_out)
        rest = [np.searchsorted(kept, part) for i, part in enumerate(parts) if i != k]
        refitted.append(measure(x[kept], y[kept], rest).value)
    spread = np.std(found.without)
    assert spread == pytest.approx(np.std(refitted), rel=0.1)
    assert np.corrcoef(found.without, refitted)[0, 1] > 0.98


def test_dead_units_are_left_out_and_dead_nets_have_no_number() -> None:
    x, y, parts = nets(4)
    dead = np.full((len(x), 1), 0.1)
    for measure in ALL:
        np.testing.assert_allclose(
            np.append(*measure(np.hstack([x, dead]), np.hstack([dead, y]), parts)),
            np.append(*measure(x, y, parts)),
            atol=1e-12,
        )
        assert np.isnan(np.append(*measure(x, np.zeros((len(x), 2)), parts))).all()


def test_wide_nets_of_unequal_widths_have_no_soft_matching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "WIDEST", 5)
    x, y, parts = nets(4)
    assert np.isnan(soft_matching(x, y, parts).value)
    assert np.isfinite(soft_matching(x[:, :6], y, parts).value)


def test_all_measures_of_a_pair_are_those_of_both_directions() -> None:
    x, y, parts = nets(6)
    pair, own = between(x, y, parts), [between(z, z, parts).products for z in (x, y)]
    found, turned = measures.measures(pair, *own), measures.measures(pair.reversed(), *own[::-1])
    assert list(found) == ["cka", "procrustes", "ridge_r2", "soft_matching"]
    for name, number in found.items():
        np.testing.assert_allclose(np.append(*turned[name]), np.append(*number), atol=1e-9)
    both = [regression.ridge_r2(pair, own[1]), regression.ridge_r2(pair.reversed(), own[0])]
    assert found["ridge_r2"].value == pytest.approx(np.mean([both[0].mean(), both[1].mean()]))
    assert np.isnan(found["ridge_r2"].without).all()


def test_means_apart_is_the_difference_of_sorted_means() -> None:
    x, y, parts = nets(4)
    y = np.hstack([y, y[:, :3] + 1])
    means = [np.array([z[part].mean(0) for part in parts]) for z in (x, y)]
    count = np.array([len(part) for part in parts])
    found = measures.means_apart(count, *means)
    for value, left_out in zip(np.append(*found), [[], *parts], strict=True):
        a, b = (np.sort(np.delete(z, left_out, 0).mean(0)) for z in (x, y))
        assert value == pytest.approx(np.abs(a - b).sum() / (np.abs(a).sum() + np.abs(b).sum()) * 2, abs=1e-12)
    order = np.random.default_rng(0).permutation(9)
    np.testing.assert_allclose(np.append(*measures.means_apart(count, means[0], means[0][:, order])), 0, atol=1e-12)


def test_means_of_nets_of_unequal_widths_are_compared_at_equal_ranks() -> None:
    count, twice = np.ones(3), np.repeat(np.arange(1.0, 5), 2)
    wide, narrow = np.tile(twice, (3, 1)), np.tile(np.arange(1.0, 5), (3, 1))
    assert 0 < measures.means_apart(count, wide, narrow).value < 0.1
    assert measures.means_apart(count, wide, 3 * narrow).value == pytest.approx(1, abs=0.05)
    assert np.isnan(measures.means_apart(count, 0 * wide, 0 * narrow).value)
