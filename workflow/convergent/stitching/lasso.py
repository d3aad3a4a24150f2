"""The Lasso for many targets at once from Gram matrices: coordinate descent with active sets, certified by its gap.

For each target: minimise 1/2 E(y - w x)^2 + alpha |w|_1 over w, where E y^2 = 1. Of the data it needs only
``gram`` E x x' and ``cross`` E x y'. Coordinate descent finds out which weights are not zero, but crawls to their
values where units are alike: every few sweeps those are solved for directly, for the signs that they have.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numba import njit

RANK_CUTOFF = 1e-7  # eigenvalues up to this share of the largest count as zero: float32 moments are no more exact
SWEEPS = 20_000  # over the active weights of one target at one alpha, at most
SOLVE_EVERY = 10  # sweeps; then comes a direct solution
RIDGE = 1e-11  # added to the Gram's diagonal in a direct solution
SIGN_LEFT = 1e-12  # share of a weight below which a step that shrinks it makes it zero
INNER = 0.3  # share of the tolerance that the active weights alone are brought to

kernel = njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})  # sums in the order that vectors like


@kernel
def gradient_at(gram: np.ndarray, cross: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """cross - gram @ weights, skipping the zeros. (S, S), (S,), (S,) -> (S,)"""
    gradient = cross.copy()
    for j in range(len(weights)):
        if weights[j] != 0:
            for k in range(len(weights)):
                gradient[k] -= weights[j] * gram[j, k]
    return gradient


@kernel
def relative_gap(cross: np.ndarray, gradient: np.ndarray, weights: np.ndarray, alpha: float) -> float:
    """(primal - dual) / primal of one target from its moments; gradient is cross - gram @ weights. (S,) each

    The dual point is the residual, scaled to the best feasible length.
    """
    fit = slope = norm = bound = 0.0
    for j in range(len(weights)):
        fit += cross[j] * weights[j]
        slope += gradient[j] * weights[j]
        norm += abs(weights[j])
        bound = max(bound, abs(gradient[j]))
    residual = max(1 - fit - slope, 0.0)  # E (y - w x)^2
    primal = residual / 2 + alpha * norm
    scale = alpha / bound if bound > 0 else np.inf
    if residual > 0 and 1 - fit < scale * residual:
        scale = max((1 - fit) / residual, -scale)
    dual = scale * (1 - fit) - scale * scale * residual / 2
    return (primal - dual) / primal


@kernel
def cholesky(square: np.ndarray) -> bool:
    """Lower factor in place of a symmetric matrix; False where it is not positive definite. (k, k)"""
    for i in range(len(square)):
        for j in range(i + 1):
            rest = square[i, j]
            for k in range(j):
                rest -= square[i, k] * square[j, k]
            if i > j:
                square[i, j] = rest / square[j, j]
            elif rest > 0:
                square[i, i] = np.sqrt(rest)
            else:
                return False
    return True


@kernel
def solve_factored(factor: np.ndarray, right: np.ndarray) -> None:
    """Solution in place from the lower Cholesky factor. (k, k), (k,)"""
    for i in range(len(right)):
        for j in range(i):
            right[i] -= factor[i, j] * right[j]
        right[i] /= factor[i, i]
    for i in range(len(right) - 1, -1, -1):
        right[i] /= factor[i, i]
        for j in range(i):
            right[j] -= factor[i, j] * right[i]


@kernel
def sweep(gram: np.ndarray, gradient: np.ndarray, weights: np.ndarray, alpha: float) -> None:
    """One pass of coordinate descent over all weights, in place. (k, k), (k,), (k,)"""
    for j in range(len(weights)):
        aim = gradient[j] + gram[j, j] * weights[j]
        new = np.sign(aim) * max(abs(aim) - alpha, 0.0) / gram[j, j]
        step = new - weights[j]
        if step != 0:
            weights[j] = new
            for k in range(len(weights)):
                gradient[k] -= step * gram[j, k]


@kernel
def objective(cross: np.ndarray, gradient: np.ndarray, weights: np.ndarray, alpha: float) -> float:
    """What is minimised, less the constant 1/2. (k,) each"""
    total = 0.0
    for j in range(len(weights)):
        total += alpha * abs(weights[j]) - (cross[j] + gradient[j]) * weights[j] / 2
    return total


@kernel
def newton_step(gram: np.ndarray, gradient: np.ndarray, weights: np.ndarray, alpha: float) -> np.ndarray:
    """From the weights that are not zero to their optimum for the signs they have. (k, k), (k,), (k,) -> (k,)

    RIDGE keeps it finite, and downhill, where the units are linearly dependent.
    """
    chosen = np.nonzero(weights)[0]
    factor, some = np.empty((len(chosen), len(chosen))), np.empty(len(chosen))
    for i in range(len(chosen)):
        some[i] = gradient[chosen[i]] - alpha * np.sign(weights[chosen[i]])
        for j in range(i + 1):
            factor[i, j] = gram[chosen[i], chosen[j]]
        factor[i, i] += RIDGE
    step = np.zeros(len(weights))
    if cholesky(factor):
        solve_factored(factor, some)
        step[chosen] = some
    return step


@kernel
def solve_signs(gram: np.ndarray, cross: np.ndarray, gradient: np.ndarray, weights: np.ndarray, alpha: float) -> None:
    """As far along the Newton step as is better, in place; what would change its sign becomes 0. (k, k), 3 x (k,)"""
    step = newton_step(gram, gradient, weights, alpha)
    before = objective(cross, gradient, weights, alpha)
    first = 1.0  # how far no sign changes: there it is better for sure
    for j in range(len(weights)):
        if (weights[j] + step[j]) * weights[j] < 0:
            first = min(first, -weights[j] / step[j])
    length = 1.0
    while True:
        moved, slope = weights.copy(), gradient.copy()
        for j in range(len(weights)):
            if step[j] != 0:
                moved[j] += length * step[j]
                if moved[j] / weights[j] < SIGN_LEFT:
                    moved[j] = 0.0
                for k in range(len(weights)):
                    slope[k] -= (moved[j] - weights[j]) * gram[j, k]
        if objective(cross, slope, moved, alpha) < before:
            weights[:], gradient[:] = moved, slope
            return
        if length <= first:
            return
        length = max(length / 4, first)


@kernel
def descend(
    gram: np.ndarray, cross: np.ndarray, weights: np.ndarray, alpha: float, tolerance: float, sweeps: int
) -> int:
    """Sweeps over the weights in place until the gap is within tolerance; how many it took. (k, k), (k,), (k,)"""
    gradient = gradient_at(gram, cross, weights)
    for done in range(1, sweeps + 1):
        sweep(gram, gradient, weights, alpha)
        if relative_gap(cross, gradient, weights, alpha) <= tolerance:
            return done
        if done % SOLVE_EVERY == 0:
            solve_signs(gram, cross, gradient, weights, alpha)
    return sweeps


@kernel
def solve_target(
    gram: np.ndarray, cross: np.ndarray, weights: np.ndarray, alpha: float, tolerance: float, sweeps: int
) -> float:
    """Optimum of one target in place, from the weights given; its relative gap. (S, S), (S,), (S,)"""
    while True:
        gradient = gradient_at(gram, cross, weights)
        gap = relative_gap(cross, gradient, weights, alpha)
        if gap <= tolerance or sweeps <= 0:
            return gap
        active = np.nonzero((weights != 0) | (np.abs(gradient) > alpha))[0]
        within = np.empty((len(active), len(active)))
        for i in range(len(active)):
            for j in range(len(active)):
                within[i, j] = gram[active[i], active[j]]
        some = weights[active]
        sweeps -= descend(within, cross[active], some, alpha, INNER * tolerance, sweeps)
        weights[active] = some


def least_squares(gram: np.ndarray, cross: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solution of least norm without a penalty, and max |cross - gram w| of each target. (S, S), (T, S) -> (T, S), (T,)

    Directions whose eigenvalue is at most RANK_CUTOFF of the largest are left out.
    """
    value, vector = np.linalg.eigh(gram)
    kept = value > RANK_CUTOFF * value.max(initial=0)
    weights = (cross @ vector[:, kept] / value[kept]) @ vector[:, kept].T
    return weights, np.abs(cross - weights @ gram).max(axis=1, initial=0)


def path_points(
    gram: np.ndarray,
    cross: np.ndarray,
    alphas: np.ndarray,
    tolerance: float = 1e-6,
    sweeps: int = SWEEPS,
    threads: int = 1,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Index in alphas, weights (T, S) and certificate (T,) of each point, from the largest alpha to the smallest.

    gram: (S, S), cross: (S, T), where a unit that is zero or NaN is dead and gets weights of zero. The certificate is
    the relative duality gap, computed afresh from the weights; at alpha 0 it is max |cross - gram w|. A gap beyond the
    tolerance says that ``sweeps`` ended first. Threads take targets each; results do not depend on their number.
    """
    live = np.diagonal(gram) > 0
    gram = np.ascontiguousarray(gram[np.ix_(live, live)])
    cross = np.ascontiguousarray(np.nan_to_num(cross[live].T))  # (T, live)
    weights = np.zeros_like(cross)
    with ThreadPoolExecutor(threads) as pool:
        for index in np.argsort(-np.asarray(alphas), kind="stable"):
            if (alpha := float(alphas[index])) > 0:
                solve = partial(solve_target, gram, alpha=alpha, tolerance=tolerance, sweeps=sweeps)
                certificate = np.array(list(pool.map(solve, cross, weights)))
            else:
                weights, certificate = least_squares(gram, cross)
            whole = np.zeros((len(cross), len(live)))
            whole[:, live] = weights
            yield int(index), whole, certificate


def lasso_path(
    gram: np.ndarray, cross: np.ndarray, alphas: np.ndarray, tolerance: float = 1e-6, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (P, T, S) and certificates (P, T) for alphas in the order given; see ``path_points``."""
    weights = np.empty((len(alphas), cross.shape[1], len(gram)))
    certificate = np.empty(weights.shape[:2])
    for index, found, gap in path_points(gram, cross, alphas, tolerance, threads=threads):
        weights[index], certificate[index] = found, gap
    return weights, certificate
