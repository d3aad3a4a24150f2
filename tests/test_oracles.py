"""Agreement of the evidence with independent packages, on raw samples, where ours sees moments of blocks alone.

scikit-learn, scipy, POT, cca-zoo, pytorch-cka and calibrated-similarity do not know of blocks: what they are compared
on is equal by definition, or tends to it.
"""

from collections.abc import Iterator

import numpy as np
import ot
import pytest
import torch
from calibrated_similarity import calibrate
from cca_zoo.linear import CCA
from cka import cka_from_features
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes
from sklearn import cross_decomposition
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.evidence.planted import photographs
from tests.evidence.sums import between, correlations, edges
from workflow.convergent.clustering import subspaces
from workflow.convergent.evidence import floors, measures, regression
from workflow.convergent.evidence.pairs import greedy_crossfit

Parts = list[np.ndarray]


def nets(widths: tuple[int, int], samples: int = 400, seed: int = 0, shared: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Rectified units of two nets that share features and have some of their own, at scales from 0.01 to 100."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(samples, shared))
    x, y = (features @ rng.normal(size=(shared, n)) + 1.5 * rng.normal(size=(samples, n)) for n in widths)
    return tuple(np.maximum(z, 0) * 10.0 ** np.linspace(-2, 2, z.shape[1]) for z in (x, y))


def folds(parts: Parts) -> np.ndarray:
    """Fold of each sample as the blocks are dealt. (samples,)"""
    return np.concatenate([np.full(len(part), k % regression.FOLDS) for k, part in enumerate(parts)])


@pytest.mark.parametrize("blocks", [4, 11])
def test_unpenalised_r2_is_that_of_scikit_learn(blocks: int) -> None:
    """Held-out predictions of a pipeline, against those of the means of the training folds."""
    x, y = nets((9, 6))
    parts = edges(len(x), blocks)
    found = regression.linear_r2(between(y, x, parts), between(x, x, parts).products)
    cv = PredefinedSplit(folds(parts))
    errors = [
        ((y - cross_val_predict(model, x, y, cv=cv)) ** 2).sum(0)
        for model in (make_pipeline(StandardScaler(), LinearRegression()), DummyRegressor())
    ]
    np.testing.assert_allclose(found, 1 - errors[0] / errors[1], rtol=1e-9)
    assert (found > 0.2).all()


@pytest.mark.slow
def test_ridge_r2_is_that_of_scikit_learn_with_the_penalty_of_the_other_folds() -> None:
    x, y = nets((30, 5), samples=160)
    parts = edges(len(x), 8)
    split = list(PredefinedSplit(folds(parts)).split())
    errors, squares = np.empty((8, len(regression.PENALTIES), 5)), np.empty((8, 5))
    for k, (train, test) in enumerate(split):
        squares[k] = ((y[test] - y[train].mean(0)) ** 2).sum(0)
        for number, penalty in enumerate(regression.PENALTIES):
            model = make_pipeline(StandardScaler(), Ridge(penalty * len(train))).fit(x[train], y[train])
            errors[k, number] = ((y[test] - model.predict(x[test])) ** 2).sum(0)
    held = 0
    for k in range(8):
        others = np.delete(np.arange(8), k)
        r2 = 1 - errors[others].sum(0) / squares[others].sum(0)
        held = held + errors[k, r2.mean(1).argmax()]
    found = regression.ridge_r2(between(y, x, parts), between(x, x, parts).products)
    np.testing.assert_allclose(found, 1 - held / squares.sum(0), rtol=1e-9)


@pytest.mark.parametrize("widths", [(6, 6), (9, 6), (5, 8)])
def test_procrustes_is_that_of_scipy(widths: tuple[int, int]) -> None:
    """The scale of the best rotation, and the disparity that it leaves."""
    x, y = nets(widths)
    found = measures.procrustes(between(x, y, edges(len(x), 5))).value
    most = max(widths)
    a, b = (np.pad(z - z.mean(0), ((0, 0), (0, most - z.shape[1]))) for z in (x, y))
    _, scale = orthogonal_procrustes(a / np.linalg.norm(a), b / np.linalg.norm(b))
    assert found == pytest.approx(scale, abs=1e-12)
    assert 1 - found**2 == pytest.approx(procrustes(a, b)[2], abs=1e-12)


@pytest.mark.parametrize("widths", [(6, 6), (9, 6), (7, 12), (20, 33)])
def test_soft_matching_is_the_transport_of_pot(widths: tuple[int, int]) -> None:
    x, y = nets(widths)
    found = measures.soft_matching(between(x, y, edges(len(x), 5))).value
    uniform = [np.full(n, 1 / n) for n in widths]
    similarity = correlations(x, y)
    assert found == pytest.approx(-ot.emd2(*uniform, -similarity), abs=1e-9)
    plan = measures.transport(similarity)
    np.testing.assert_allclose((plan * similarity).sum(), (ot.emd(*uniform, -similarity) * similarity).sum(), atol=1e-9)
    for axis, mass in zip((1, 0), uniform, strict=True):
        np.testing.assert_allclose(plan.sum(axis), mass, atol=1e-9)


@pytest.mark.parametrize("widths", [(6, 6), (9, 4)])
def test_canonical_correlations_are_those_of_cca_zoo_and_scikit_learn(widths: tuple[int, int]) -> None:
    x, y = nets(widths)
    joint = np.corrcoef(np.hstack([x, y]).T)
    first, second = np.split(np.arange(sum(widths)), [widths[0]])
    found = subspaces.canonical_correlations(joint, first, second)
    assert found[0] > found[-1] + 0.3
    exact = CCA(n_components=min(widths)).fit([x, y]).transform([x, y])
    iterated = cross_decomposition.CCA(n_components=2, max_iter=20_000, tol=1e-12).fit(x, y).transform(x, y)
    for a, b in (exact, iterated):
        cosines = [np.corrcoef(one, two)[0, 1] for one, two in zip(a.T, b.T, strict=True)]
        np.testing.assert_allclose(cosines, found[: len(cosines)], atol=1e-6)


def test_cka_tends_to_that_of_pytorch_cka_where_each_sample_is_a_block() -> None:
    """Theirs corrects the inner products for centring, ours their sums. The biased CKA differs by far more."""
    for samples in (50, 100, 200, 400):
        x, y = nets((8, 6), samples)
        x, y = x / x.std(0), y / y.std(0)
        parts = np.split(np.arange(samples), samples)
        found = measures.cka(
            *(between(a, b, parts) for a, b in [(x, y)]), *(between(z, z, parts).products for z in (x, y))
        )
        theirs = cka_from_features(torch.from_numpy(x), torch.from_numpy(y)).item()
        assert abs(found.value - theirs) < 0.1 / samples
        a, b = x - x.mean(0), y - y.mean(0)
        biased = np.linalg.norm(a.T @ b) ** 2 / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)
        assert biased - theirs > 2 / samples


@pytest.mark.slow
def test_shuffled_photographs_are_block_permutations_of_calibrated_similarity() -> None:
    """Their threshold at level .1, and p, from raw samples of whole blocks; those meet at random within the blocks.

    Most of the variance is between photographs, so that permutations of single samples spread far less.
    """
    blocks, draws, rng = 14, 60, np.random.default_rng(2)
    x, y = (photographs(blocks, 6, 5, rng)[:, 0] for _ in range(2))
    parts, orders = np.split(np.arange(len(x)), blocks), floors.derangements(blocks, draws, rng)

    def similarity(a: torch.Tensor, b: torch.Tensor) -> float:
        return greedy_crossfit(between(a.numpy(), b.numpy(), parts))

    def by_blocks(taken: Iterator[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([rng.permutation(parts[block]) for block in next(taken)]))

    given, taken = (torch.from_numpy(x), torch.from_numpy(y)), iter(orders)
    settings = {"K": draws, "alpha": 0.1, "smax": None}
    _, p, threshold = calibrate(*given, similarity, **settings, perm_fn=lambda *_: by_blocks(taken))
    _, _, by_sample = calibrate(*given, similarity, **settings, generator=torch.Generator().manual_seed(0))
    maps = [np.array([z[part].mean(0, keepdims=True) for part in parts]) for z in (x, y)]
    each = np.array([greedy_crossfit(floors.shuffled(between(x, y, parts), *maps, order)) for order in orders])
    observed = similarity(*given)
    assert np.sort([*each, observed])[int(np.ceil(0.9 * (draws + 1))) - 1] == pytest.approx(threshold.item(), abs=0.02)
    assert (1 + (each >= observed).sum()) / (draws + 1) == pytest.approx(p.item(), abs=0.05)
    assert by_sample < 0.8 * threshold
