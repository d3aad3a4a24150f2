"""Sparse mappings: the Lasso of many targets on one Gram matrix, at the paper's decays but 0, on one core.

scikit-learn's and skglm's solvers need samples: those that they get have the moments that are given. What they are
asked for is the duality gap that this project's mappings have; it is computed anew from the weights.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path
from threadpoolctl import threadpool_limits

from workflow.convergent.stitching import lasso

from ..stitching import DECAYS, samples_with
from ..stitching import of_moments as standardised_moments
from .contest import Contest, Run, Way
from .layers import Files

TARGETS = 48
GAP = 1e-6  # largest relative duality gap of a target
SWEEPS = 100_000

Problem = tuple[np.ndarray, np.ndarray, np.ndarray]  # gram (S, S), cross (S, T), alphas from the largest down (P,)


def problem(files: Files, layer: str) -> tuple[Any, np.ndarray]:
    """Standardised moments of all units, and the penalties from the largest down."""
    nets = dict(zip(("net0", "net1"), files.layer(layer), strict=True))
    x = {net: rows.astype(np.float64) - rows.mean(0, dtype=np.float64) for net, rows in nets.items()}
    moments = {"count": np.int64(len(x["net0"])), **{f"mean/{net}": rows.mean(0) for net, rows in nets.items()}}
    moments |= {f"comoment/{a}-{b}": x[a].T @ x[b] for a, b in (("net0", "net0"), ("net0", "net1"), ("net1", "net1"))}
    pair = standardised_moments(moments)
    return pair, np.sort(DECAYS[1:] * len(pair.cross.T))[::-1]


def gaps(weights: np.ndarray, of: Problem) -> np.ndarray:
    """Relative duality gaps by the definition. (P, T, S) -> (P, T)

    The dual point is the residual, shrunk until it is feasible.
    """
    gram, cross, alphas = of
    gradient = cross.T - weights @ gram
    fit, slope = ((part * weights).sum(-1) for part in (cross.T, gradient))
    residual = 1 - fit - slope  # mean square
    primal = residual / 2 + alphas[:, None] * np.abs(weights).sum(-1)
    scale = np.minimum(1, alphas[:, None] / np.abs(gradient).max(-1))
    return (primal - scale * (1 - fit) + scale**2 * residual / 2) / primal


def ours(of: Problem) -> np.ndarray:
    return lasso.lasso_path(*of, tolerance=GAP)[0]


def scikit_learn(of: Problem, samples: tuple[np.ndarray, np.ndarray], tolerance: float) -> np.ndarray:
    """scikit-learn's path on the Gram matrix for one target after another. Its tolerance is a share of y y."""
    gram, cross, alphas = of
    x, y = samples
    n = len(x)
    paths = [
        lasso_path(x, y[:, t], alphas=alphas, precompute=gram * n, Xy=cross[:, t] * n, tol=tolerance, max_iter=SWEEPS)[
            1
        ].T
        for t in range(cross.shape[1])
    ]
    return np.stack(paths, axis=1)


def skglm(of: Problem, samples: tuple[np.ndarray, np.ndarray], tolerance: float) -> np.ndarray:
    """skglm's greedy coordinate descent on the Gram matrix, each penalty from the weights of the one before."""
    from skglm.penalties import L1
    from skglm.solvers import GramCD

    gram, cross, alphas = of
    x, y = samples
    solver = GramCD(max_iter=SWEEPS, tol=tolerance, fit_intercept=False)
    weights = np.zeros((len(alphas), cross.shape[1], len(gram)))
    for t in range(cross.shape[1]):
        last = np.zeros(len(gram))
        for k, alpha in enumerate(alphas):
            last = weights[k, t] = solver.solve(x, y[:, t], None, L1(alpha), w_init=last.copy())[0]
    return weights


def on_one_core(run: Callable[..., np.ndarray], *args: Any) -> np.ndarray:
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return run(*args)


def given(files: Files, layer: str) -> tuple[Problem, tuple[np.ndarray, np.ndarray]]:
    """The first TARGETS targets, and samples of their moments."""
    pair, alphas = problem(files, layer)
    x, y = samples_with(pair)
    cross = np.ascontiguousarray(pair.cross[:, :TARGETS])
    return (pair.gram, cross, alphas), (np.asfortranarray(x), np.asfortranarray(y[:, :TARGETS]))


def begin(solver: Callable[..., np.ndarray] | None, layer: str, files: Files) -> Run:
    """This project's path, or a peer's with the largest power of ten as tolerance that reaches the gap."""
    of, (x, y) = given(files, layer)
    one = of[0], of[1][:, :1], of[2]
    if solver is None:
        ours(one)  # compiles
        return partial(on_one_core, ours, of)
    tolerance = 1e-4
    while gaps(on_one_core(solver, of, (x, y), tolerance), of).max() > GAP:
        tolerance /= 10
    return partial(on_one_core, solver, of, (x, y), tolerance)


def reference(layer: str, files: Files) -> Run:
    return partial(given, files, layer)


def largest_gap(weights: np.ndarray, reference: tuple[Problem, Any]) -> float:
    return float(gaps(weights, reference[0]).max())


def contest(layer: str, files: Files) -> Contest:
    units = files.layer(layer)[0].shape[1]
    return Contest(
        f"sparse mappings: {units} sources, {min(TARGETS, units)} targets, 6 penalties, one core",
        [
            Way("this project", partial(begin, None, layer), GAP),
            Way("scikit-learn's Lasso on the Gram matrix", partial(begin, scikit_learn, layer), GAP),
            Way("skglm's GramCD", partial(begin, skglm, layer), GAP, package="skglm"),
        ],
        files,
        partial(reference, layer),
        largest_gap,
    )


def contests(small: Files, wide: Files) -> list[Contest]:
    return [contest("conv3", small), contest("conv3", wide)]
