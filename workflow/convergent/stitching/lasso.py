"""The Lasso for many targets at once from Gram matrices, solved until its duality gap certifies the optimum.

For each target y it minimises 1/2 E(y - w x)^2 + alpha |w|_1 over w, where E y^2 = 1 (paper, section "sparse
prediction"). Of the data it needs only ``gram`` E x x' and ``cross`` E x y'.

The method is coordinate descent over the active weights, those that are not zero or would not stay zero. It soon finds
which weights are not zero, but approaches their values slowly where units are alike. Every few sweeps these values are
therefore solved for directly, with the signs that they have.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from ..kernels import compiled

RANK_CUTOFF = 1e-7  # share of the largest eigenvalue up to which one counts as zero; float32 moments are no more exact
SWEEPS = 20_000  # at most, over the active weights of one target at one alpha
SOLVE_EVERY = 10  # sweeps between direct solutions
RIDGE = 1e-11  # added to the diagonal of the Gram matrix in a direct solution
SIGN_LEFT = 1e-12  # a step that leaves less than this share of a weight makes it zero
INNER = 0.3  # tolerance for the active weights alone, as a share of the tolerance for all

kernel = compiled(nogil=True, fastmath={"contract", "reassoc"})  # lets sums be vectorised


@kernel
def gradient_at(gram: np.ndarray, cross: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """cross - gram @ weights, where weights of zero cost nothing. (S, S), (S,), (S,) -> (S,)"""
    gradient = cross.copy()
    for j in range(len(weights)):
        if weights[j] != 0:
            for k in range(len(weights)):
                gradient[k] -= weights[j] * gram[j, k]
    return gradient


@kernel
def relative_gap(cross: np.ndarray, gradient: np.ndarray, weights: np.ndarray, alpha: float) -> float:
    """Relative duality gap of one target, (primal - dual) / primal. ``gradient``: cross - gram @ weights. (S,) each

    The dual point is the residual, scaled to the best length that is feasible.
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
    """Whether a symmetric matrix is positive definite; then its lower Cholesky factor is in its place. (k, k)"""
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
    """Replace ``right`` by the solution of factor @ factor.T @ x = right, factor lower triangular. (k, k), (k,)"""
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
    """Update each weight once by coordinate descent, and the gradient with it, in place. (k, k), (k,), (k,)"""
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
    """The objective less its constant 1/2. (k,) each"""
    total = 0.0
    for j in range(len(weights)):
        total += alpha * abs(weights[j]) - (cross[j] + gradient[j]) * weights[j] / 2
    return total


@kernel
def newton_step(gram: np.ndarray, gradient: np.ndarray, weights: np.ndarray, alpha: float) -> np.ndarray:
    """Step from the nonzero weights to their optimum under their present signs. (k, k), (k,), (k,) -> (k,)

    RIDGE keeps the step finite and downhill where units are linearly dependent.
    """
    nonzero = np.nonzero(weights)[0]
    factor, solution = np.empty((len(nonzero), len(nonzero))), np.empty(len(nonzero))
    for i in range(len(nonzero)):
        solution[i] = gradient[nonzero[i]] - alpha * np.sign(weights[nonzero[i]])
        for j in range(i + 1):
            factor[i, j] = gram[nonzero[i], nonzero[j]]
        factor[i, i] += RIDGE
    step = np.zeros(len(weights))
    if cholesky(factor):
        solve_factored(factor, solution)
        step[nonzero] = solution
    return step


@kernel
def solve_signs(gram: np.ndarray, cross: np.ndarray, gradient: np.ndarray, weights: np.ndarray, alpha: float) -> None:
    """Move the weights along the Newton step while the objective falls, in place. (k, k), 3 x (k,)

    The whole step is tried first, then shorter ones. A weight that would change its sign becomes 0.
    """
    step = newton_step(gram, gradient, weights, alpha)
    before = objective(cross, gradient, weights, alpha)
    first = 1.0  # length up to which no sign changes; the objective is lower there
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
    """Number of sweeps that bring the gap within ``tolerance``, ``sweeps`` at most. (k, k), (k,), (k,)

    The weights are updated in place.
    """
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
    """Relative gap of one target, whose weights are brought to the optimum in place. (S, S), (S,), (S,)"""
    while True:
        gradient = gradient_at(gram, cross, weights)
        gap = relative_gap(cross, gradient, weights, alpha)
        if gap <= tolerance or sweeps <= 0:
            return gap
        active = np.nonzero((weights != 0) | (np.abs(gradient) > alpha))[0]
        active_gram = np.empty((len(active), len(active)))
        for i in range(len(active)):
            for j in range(len(active)):
                active_gram[i, j] = gram[active[i], active[j]]
        active_weights = weights[active]
        sweeps -= descend(active_gram, cross[active], active_weights, alpha, INNER * tolerance, sweeps)
        weights[active] = active_weights


def least_squares(gram: np.ndarray, cross: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unpenalised weights of least norm, and max |cross - gram w| of each target. (S, S), (T, S) -> (T, S), (T,)

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
    """Index in ``alphas``, weights (T, S) and certificate (T,) of each point, from the largest alpha to the smallest.

    ``gram`` (S, S) and ``cross`` (S, T): zeros or NaN mark a dead unit, whose weights are zero. The certificate is the
    relative duality gap, computed afresh from the weights; at alpha 0 it is max |cross - gram w|. Where it exceeds
    ``tolerance``, ``sweeps`` ran out. Each thread takes other targets; results do not depend on the number of threads.
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
    """Weights (P, T, S) and certificates (P, T) of ``path_points``, in the order of ``alphas``."""
    weights = np.empty((len(alphas), cross.shape[1], len(gram)))
    certificate = np.empty(weights.shape[:2])
    for index, *point in path_points(gram, cross, alphas, tolerance, threads=threads):
        weights[index], certificate[index] = point
    return weights, certificate
