"""Shares of greedy partners are those of raw activations."""

import numpy as np
import pytest

from tests.evidence.planted import SIZES, correlated, maps, moments, split
from tests.evidence.sums import between, correlations, edges
from workflow.convergent.alignment.matching import UNMATCHED, greedy
from workflow.convergent.evidence import crossfit, floors, partners


def halves(blocks: int, left_out: int | None = None) -> list[list[int]]:
    """Even blocks and odd blocks, of all but one."""
    return [[k for k in range(first, blocks, 2) if k != left_out] for first in (0, 1)]


def same_in_halves(x: np.ndarray, y: np.ndarray, parts: list[np.ndarray], left_out: int | None = None) -> float:
    """By definition, from activations."""
    shares = []
    for one, other in ((x, y), (y, x)):
        chosen = []
        for half in halves(len(parts), left_out):
            samples = np.concatenate([parts[k] for k in half])
            chosen.append(greedy(correlations(one[samples], other[samples])))
        live = chosen[0] != UNMATCHED
        shares.append((chosen[0] == chosen[1])[live].mean())
    return float(np.mean(shares))


@pytest.mark.parametrize("blocks", [4, 7])
def test_stability_is_the_share_of_partners_that_both_halves_choose(blocks: int) -> None:
    rng = np.random.default_rng(blocks)
    x = rng.normal(size=(140, 9)) + np.linspace(0, 3, 140)[:, None]  # means drift
    y = x @ rng.normal(size=(9, 11)) + 3 * rng.normal(size=(140, 11)) + 20
    x[:, 2], y[:, 4] = 3.0, -1.0
    parts = edges(140, blocks)
    found = partners.stability(between(x, y, parts))
    assert found.value == pytest.approx(same_in_halves(x, y, parts), abs=1e-12)
    assert 0.1 < found.value < 0.9
    expected = [same_in_halves(x, y, parts, k) for k in range(blocks)]
    np.testing.assert_allclose(found.without, expected, atol=1e-12)
    assert len(np.unique(expected)) > 1


def test_two_blocks_are_halves_that_nothing_can_be_left_out_of() -> None:
    x = np.random.default_rng(0).normal(size=(60, 5))
    found = partners.stability(between(x, x[:, ::-1], edges(60, 2)))
    assert found.value == 1
    assert np.isnan(found.without).all()


def test_some_blocks_are_as_if_there_were_no_others() -> None:
    nets = correlated(sum(SIZES), 3, (7, 6), seed=5)
    kept = np.array([True, False, True, True])
    rest = {net: np.concatenate([part for part, keep in zip(split(x, SIZES), kept, strict=True) if keep])
            for net, x in nets.items()}  # fmt: skip
    sizes = [size for size, keep in zip(SIZES, kept, strict=True) if keep]
    found = crossfit.some_blocks(crossfit.between(moments(nets, SIZES), "net0", "net1"), kept)
    for one, other in zip(vars(found).values(), vars(crossfit.between(moments(rest, sizes), "net0", "net1")).values(),
                          strict=True):  # fmt: skip
        np.testing.assert_allclose(np.squeeze(one), other, atol=1e-9)


def test_halves_of_what_is_centred_by_position_are_centred_by_position() -> None:
    nets = correlated(sum(SIZES), 3, (7, 6), seed=5)
    of_maps = [maps(x, SIZES) for x in nets.values()]
    pair = floors.content(crossfit.between(moments(nets, SIZES), "net0", "net1"), *of_maps)
    kept = np.array([True, False, True, False])
    parts = [np.concatenate([p for p, k in zip(split(x, SIZES), kept, strict=True) if k]) for x in nets.values()]
    centred = [(part - part.mean(0)).reshape(-1, part.shape[-1]) for part in parts]
    np.testing.assert_allclose(
        crossfit.all_blocks(crossfit.some_blocks(pair, kept)), correlations(*centred), atol=2e-5, equal_nan=True
    )


def test_logits_of_the_same_class_are_counted() -> None:
    rng, parts = np.random.default_rng(1), edges(300, 5)
    x = rng.normal(size=(300, 10))
    y = x + 0.3 * rng.normal(size=x.shape)
    y[:, [0, 1]] = y[:, [1, 0]]
    found = partners.same_class(between(x, y, parts))
    assert found.value == 0.8
    np.testing.assert_array_equal(found.without, 0.8)
    y[:, 5] = 1.0  # dead: x5 has another partner, y5 none
    assert partners.same_class(between(x, y, parts)).value == pytest.approx((7 / 10 + 7 / 9) / 2)
