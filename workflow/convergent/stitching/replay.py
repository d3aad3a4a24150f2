"""The published optimiser of the sparse mappings, replayed on moments (paper, section "sparse prediction").

It is SGD with momentum from Gaussian weights. It minimises (1/2C) * sum of the mean squared errors of the C targets
+ decay * sum |w|, with a subgradient of the penalty. The original drew batches of 32. Its gradient depends on the data
through the moments alone, so that here they give the full gradient. It ends long before the optimum, which ``lasso``
reaches.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

LEARNING_RATE, HALVED_EVERY, MOMENTUM, ITERATIONS = 1e-3, 1500, 0.98, 4501
RECORDED_EVERY = 50  # iterations between entries of the loss history


def initial_weights(live_targets: np.ndarray, live_sources: np.ndarray, seed: int) -> np.ndarray:
    """Gaussian weights of deviation 1/sqrt(T), zero where a unit is dead. (T,), (S,) bool -> (T, S)"""
    weights = np.random.default_rng(seed).normal(size=(len(live_targets), len(live_sources)))
    return weights / np.sqrt(len(live_targets)) * np.outer(live_targets, live_sources)


def mean_loss(weights: np.ndarray, predicted: np.ndarray, cross: np.ndarray, live: np.ndarray) -> float:
    """Half the mean squared error, averaged over live targets. ``predicted``: weights @ gram. 3 x (T, S), (T,)"""
    explained = np.einsum("ts,ts->t", weights, 2 * cross - predicted)
    with np.errstate(invalid="ignore"):  # 0 / 0 where no target is live
        return (1 - explained @ live / live.sum()) / 2


def live_rows(cross: np.ndarray) -> np.ndarray:
    """Which targets are correlated with any source; dead targets are not. (T, S) -> (T,) bool"""
    return np.abs(cross).max(axis=1, initial=0) > 0


def descend(gram: np.ndarray, cross: np.ndarray, start: np.ndarray, decay: float) -> tuple[np.ndarray, list[float]]:
    """Final weights and loss history of one decay. (S, S), (T, S), (T, S) -> (T, S), (K,)"""
    live = live_rows(cross)
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
    """Final weights (P, T, S), history of the training loss (P, K) and the iterations before which it was taken (K,).

    ``gram`` (S, S) and ``cross`` (S, T) are moments of standardised units; zeros or NaN mark a dead unit. All decays
    start from equal weights. Each thread takes other decays; results do not depend on the number of threads.
    """
    gram, cross = np.nan_to_num(gram), np.nan_to_num(cross.T)  # (S, S), (T, S)
    start = initial_weights(live_rows(cross), np.diagonal(gram) > 0, seed)
    with ThreadPoolExecutor(threads) as pool:
        descents = list(pool.map(partial(descend, gram, cross, start), decays))
    weights, history = (np.array(part) for part in zip(*descents, strict=True))
    return weights, history, np.arange(0, ITERATIONS, RECORDED_EVERY)
