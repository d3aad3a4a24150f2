"""The published optimiser of the sparse mappings, replayed on moments (paper, section "sparse prediction").

SGD of (1/2C) sum of the C targets' mean squared errors + decay * sum |w|, from Gaussian weights, the penalty as a
subgradient. Its gradient depends on the data through the moments alone, so that they give the full gradient where the
original drew batches of 32. It ends long before the optimum; ``lasso`` gives that.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

LEARNING_RATE, HALVED_EVERY, MOMENTUM, ITERATIONS = 1e-3, 1500, 0.98, 4501
RECORDED_EVERY = 50  # iterations between entries of the loss history


def initial_weights(live_targets: np.ndarray, live_sources: np.ndarray, seed: int) -> np.ndarray:
    """Gaussian weights of deviation 1/sqrt(targets); those of dead units are zero. (T,), (S,) bool -> (T, S)"""
    weights = np.random.default_rng(seed).normal(size=(len(live_targets), len(live_sources)))
    return weights / np.sqrt(len(live_targets)) * np.outer(live_targets, live_sources)


def mean_loss(weights: np.ndarray, predicted: np.ndarray, cross: np.ndarray, live: np.ndarray) -> float:
    """Half the mean squared error, mean over live targets; predicted is weights @ gram. (T, S), (T, S), (T, S), (T,)"""
    explained = np.einsum("ts,ts->t", weights, 2 * cross - predicted)
    with np.errstate(invalid="ignore"):  # no unit lives
        return (1 - explained @ live / live.sum()) / 2


def correlated(cross: np.ndarray) -> np.ndarray:
    """Targets that have to do with any source: not the dead ones. (T, S) -> (T,) bool"""
    return np.abs(cross).max(axis=1, initial=0) > 0


def descend(gram: np.ndarray, cross: np.ndarray, start: np.ndarray, decay: float) -> tuple[np.ndarray, list[float]]:
    """Final weights and loss history of one decay. (S, S), (T, S), (T, S) -> (T, S), (K,)"""
    live = correlated(cross)
    weights, velocity, history = start.copy(), np.zeros_like(start), []
    for iteration in range(ITERATIONS):
        predicted = weights @ gram
        if iteration % RECORDED_EVERY == 0:
            history.append(mean_loss(weights, predicted, cross, live))
        velocity *= MOMENTUM
        velocity += (predicted - cross) / len(cross) + decay * np.sign(weights)
        weights -= LEARNING_RATE * 0.5 ** (iteration // HALVED_EVERY) * velocity
    return weights, history


def replay(
    gram: np.ndarray, cross: np.ndarray, decays: np.ndarray, seed: int, threads: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Final weights (P, T, S), loss on the training moments (P, K) and the iterations (K,) before which it was.

    gram: (S, S), cross: (S, T) of standardised units; a unit that is zero or NaN is dead. All decays start from the
    same weights. Threads take decays each; results do not depend on their number.
    """
    gram, cross = np.nan_to_num(gram), np.nan_to_num(cross.T)  # (S, S), (T, S)
    start = initial_weights(correlated(cross), np.diagonal(gram) > 0, seed)
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(partial(descend, gram, cross, start), decays))
    weights, history = (np.array(part) for part in zip(*found, strict=True))
    return weights, history, np.arange(0, ITERATIONS, RECORDED_EVERY)
