"""Spectral clustering of a weighted graph of units (Ng, Jordan and Weiss 2002)."""

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.cluster import KMeans

UNCLUSTERED = -1  # label of a unit that correlates positively with no other, so of every dead one
DENSE = 1024  # vertices up to which a dense solver is as fast as Lanczos iterations, and sure of equal eigenvalues
STARTS = 10  # of k-means


def affinity(joint: np.ndarray) -> np.ndarray:
    """Weights of the graph: positive correlations, none of a unit with itself nor of a dead one. (units, units)"""
    graph = np.where(joint > 0, joint, 0.0)
    np.fill_diagonal(graph, 0)
    return graph


def laplacian(graph: np.ndarray) -> np.ndarray:
    """I - D^-1/2 A D^-1/2, with a row of zeros for a vertex without edges: as many eigenvalues 0 as components."""
    degree = graph.sum(axis=0)
    scale = np.divide(1, np.sqrt(degree), where=degree > 0, out=np.zeros(len(degree)))
    return np.diag((degree > 0).astype(float)) - scale[:, None] * graph * scale


def spectrum(graph: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The smallest eigenvalues of the Laplacian, ascending, and their vectors. -> (count,), (vertices, count)

    Every vertex has an edge. A large graph is only multiplied with, never copied.
    """
    if len(graph) <= DENSE:
        return eigh(laplacian(graph), subset_by_index=[0, count - 1])
    scale = 1 / np.sqrt(graph.sum(axis=0))
    normalised = LinearOperator(graph.shape, lambda x: scale * (graph @ (scale * x.ravel())), dtype=float)
    start = np.random.default_rng(0).normal(size=len(graph))
    values, vectors = eigsh(normalised, count, which="LA", v0=start)
    order = np.argsort(-values)
    return 1 - values[order], vectors[:, order]


def eigengap(eigenvalues: np.ndarray, low: int, high: int) -> int:
    """Number of clusters, low to high, after which the next eigenvalue is farthest; all there are where they are fewer.

    eigenvalues: ascending. (high + 1,)
    """
    high = min(high, len(eigenvalues) - 1)
    return low + int(np.diff(eigenvalues)[low - 1 : high].argmax()) if low < high else max(1, high)


def assigned(vectors: np.ndarray, seed: int) -> np.ndarray:
    """K-means into as many clusters as there are eigenvectors, of their rows scaled to length 1. (vertices, k)"""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = vectors / np.maximum(length, np.finfo(float).tiny)
    return KMeans(vectors.shape[1], n_init=STARTS, random_state=seed % 2**32).fit_predict(rows)


def partition(graph: np.ndarray, low: int, high: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cluster of each unit, the densest is 0, and the eigenvalues computed. -> (units,), (high + 1,)"""
    label, connected = np.full(len(graph), UNCLUSTERED), graph.any(axis=0)
    if not connected.any():
        return label, np.zeros(0)
    inner = graph if connected.all() else graph[np.ix_(connected, connected)]
    eigenvalues, vectors = spectrum(inner, min(high + 1, len(inner)))
    label[connected] = assigned(vectors[:, : eigengap(eigenvalues, low, high)], seed)
    inside, _ = densities(graph, label)
    rank = np.argsort(np.argsort(-np.nan_to_num(inside, nan=-1), stable=True))  # a single unit has no density: last
    return np.where(connected, rank[label], UNCLUSTERED), eigenvalues


def densities(graph: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean weight of the pairs inside each cluster, and of its members with units of others. (clusters,) twice

    NaN where there is no such pair.
    """
    member = (label[:, None] == np.arange(label.max(initial=UNCLUSTERED) + 1)).astype(float)  # (units, clusters)
    size, weight = member.sum(axis=0), member.T @ (graph @ member)  # weight: (clusters, clusters)
    inside, everything = np.diagonal(weight), weight.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return inside / (size * (size - 1)), (everything - inside) / (size * (size.sum() - size))
