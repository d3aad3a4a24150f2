"""Cross-fitted similarity from moments is that of raw activations; the left-out block does not leak."""

from dataclasses import replace

import numpy as np
import pytest

from tests.evidence.planted import SIZES, Arrays, correlated, maps, moments, split
from workflow.convergent.alignment import matching
from workflow.convergent.alignment.matching import UNMATCHED
from workflow.convergent.alignment.rotation import random_rotation
from workflow.convergent.evidence import crossfit, floors

MATCHES = [matching.greedy, matching.assignment]
WIDTHS = [(7, 7), (9, 6), (5, 8)]


def flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1])


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By definition, NaN of dead units. (samples, Ua), (samples, Ub) -> (Ua, Ub)"""
    x, y = x - x.mean(0), y - y.mean(0)
    x[:, np.ptp(x, axis=0) < 1e-9] = np.nan
    y[:, np.ptp(y, axis=0) < 1e-9] = np.nan
    return x.T @ y / np.sqrt(np.outer((x**2).sum(0), (y**2).sum(0)))


def without(x: np.ndarray, k: int) -> np.ndarray:
    """All samples but those of a block, of blocks of SIZES images."""
    return np.concatenate([flat(block) for i, block in enumerate(split(x, SIZES)) if i != k])


def by_definition(nets: Arrays, partners: np.ndarray, kept: list[int]) -> np.ndarray:
    """Cross-fitted similarity of each unit over these blocks, in loops."""
    centred = [split(x - flat(x).mean(0), SIZES) for x in nets.values()]
    found = np.full(partners.shape[1], np.nan)
    for i in range(len(found)):
        if np.ptp(nets["net0"][..., i]) == 0 or (partners[kept, i] == UNMATCHED).all():
            continue
        used = [k for k in kept if partners[k, i] != UNMATCHED]
        x = np.concatenate([centred[0][k][..., i].ravel() for k in used])
        y = np.concatenate([centred[1][k][..., partners[k, i]].ravel() for k in used])
        found[i] = x @ y / np.sqrt((x @ x) * (y @ y))
    return found


@pytest.mark.parametrize("match", MATCHES)
@pytest.mark.parametrize("widths", WIDTHS)
def test_cross_fitted_similarity_is_that_of_activations(widths: tuple[int, int], match: crossfit.Match) -> None:
    nets = correlated(sum(SIZES), 3, widths, seed=5)
    pair = crossfit.between(moments(nets, SIZES), "net0", "net1")
    expected = np.array([match(correlation(without(nets["net0"], k), without(nets["net1"], k))) for k in range(4)])
    partners = crossfit.partners_without(pair, match)
    np.testing.assert_array_equal(partners, expected)
    assert (partners[:, 1] == UNMATCHED).all()
    assert len(np.unique(partners, axis=0)) > 1  # the block matters
    value, left = crossfit.crossfit(pair, partners)
    np.testing.assert_allclose(value, by_definition(nets, partners, [0, 1, 2, 3]), atol=1e-12)
    for k in range(4):
        others = [block for block in range(4) if block != k]
        np.testing.assert_allclose(left[k], by_definition(nets, partners, others), atol=1e-12)


@pytest.mark.parametrize("widths", WIDTHS)
def test_reversed_moments_are_those_of_the_other_order(widths: tuple[int, int]) -> None:
    blocks = moments(correlated(sum(SIZES), 2, widths, seed=2), SIZES)
    turned, other = crossfit.between(blocks, "net0", "net1").reversed(), crossfit.between(blocks, "net1", "net0")
    for name, expected in vars(other).items():
        np.testing.assert_allclose(getattr(turned, name), expected, atol=1e-12)
    assigned = crossfit.partners_without(other, matching.assignment)
    backwards = crossfit.inverse(crossfit.partners_without(other.reversed(), matching.assignment), widths[1])
    np.testing.assert_array_equal(assigned, backwards)


def test_the_left_out_block_does_not_leak_through_the_means() -> None:
    """With two blocks, means over both make either block the mirror of the other."""
    rng = np.random.default_rng(0)
    found, leaking = [], []
    for _ in range(40):
        nets = {net: rng.normal(size=(2, 1, 12)).repeat(3, 0) + rng.normal(size=(6, 1, 12)) for net in ("net0", "net1")}
        pair = crossfit.between(moments(nets, [3, 3]), "net0", "net1")
        for each, into in ((pair, found), (replace(pair, shift_a=0 * pair.shift_a), leaking)):
            into.append(crossfit.crossfit(pair, crossfit.partners_without(each, matching.greedy))[0].mean())
    assert abs(np.mean(found)) < 0.1
    assert np.mean(leaking) > 0.3


@pytest.mark.parametrize("seed", range(8))
def test_a_unit_that_only_one_block_excites_is_not_similar(seed: int) -> None:
    """Without the block, rounding is left of its squares, and may be as large as that of its products."""
    nets = correlated(sum(SIZES), 3, (6, 6), seed=3)
    excited = np.random.default_rng(seed).gamma(1, size=(SIZES[0], 3))
    for x in nets.values():
        x[..., 4] = 0.3
        x[: SIZES[0], :, 4] = excited
    pair = crossfit.between(moments(nets, SIZES), "net0", "net1")
    assert crossfit.all_blocks(pair)[4, 4] == 1
    assert (next(crossfit.without_each_block(pair))[4, 1:] == 0).all()
    value, _ = crossfit.crossfit(pair, crossfit.partners_without(pair, matching.greedy))
    assert abs(value[4]) < 0.9
    assert np.isfinite(value[[0, 2, 3, 4, 5]]).all()


@pytest.mark.parametrize("centre", [False, True])
def test_rotated_moments_are_those_of_rotated_activations(centre: bool) -> None:
    nets = correlated(sum(SIZES), 3, (5, 7), seed=4)
    live = np.arange(7) > 0
    turn = random_rotation(6, np.random.default_rng(0))
    turned = {"net0": nets["net0"], "net1": nets["net1"][..., live]}
    if centre:  # by position: the deviations by which units are standardised are others
        turned["net1"] = turned["net1"] - turned["net1"].mean(0)
        turned["net0"] = turned["net0"] - turned["net0"].mean(0)
    deviation = np.sqrt((flat(turned["net1"] - flat(turned["net1"]).mean(0)) ** 2).sum(0))
    turned["net1"] = turned["net1"] / deviation @ turn.T
    blocks, expected = moments(nets, SIZES), crossfit.between(moments(turned, SIZES), "net0", "net1")
    pair, own = crossfit.between(blocks, "net0", "net1"), crossfit.between(blocks, "net1", "net1")
    if centre:
        of_a, of_b = (maps(nets[net], SIZES).astype(float) for net in nets)
        pair, own = floors.content(pair, of_a, of_b), floors.content(own, of_b, of_b)
    found = crossfit.rotated(pair, own.products, turn)
    for name in ("products", "squares_a", "squares_b"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-4 if centre else 1e-9, atol=1e-4 if centre else 1e-9
        )
    np.testing.assert_allclose(crossfit.by_position(found.shift_b).mean(1), expected.shift_b, atol=1e-6)
