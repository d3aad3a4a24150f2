"""Spectral clustering of a weighted graph of units (Ng, Jordan and Weiss 2002)."""

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.cluster import KMeans

UNCLUSTERED = -1  # label of a unit that correlates positively with no other unit; every dead unit has it
DENSE = 1024  # vertices up to which a dense solver is as fast as Lanczos iterations, and sure of equal eigenvalues
STARTS = 10  # of k-means


def affinity(joint: np.ndarray) -> np.ndarray:
    """Weights of the graph: the positive correlations. (units, units) -> (units, units)

    A unit has no edge to itself, and a dead unit, whose correlations are NaN, has no edge at all.
    """
    graph = np.where(joint > 0, joint, 0.0)
    np.fill_diagonal(graph, 0)
    return graph


def laplacian(graph: np.ndarray) -> np.ndarray:
    """The normalised Laplacian I - D^-1/2 A D^-1/2 of a graph. (vertices, vertices) -> (vertices, vertices)

    It has as many eigenvalues 0 as the graph has components, because the row of a vertex without edges is 0.
    """
    degree = graph.sum(axis=0)
    scale = np.divide(1, np.sqrt(degree), where=degree > 0, out=np.zeros(len(degree)))
    return np.diag((degree > 0).astype(float)) - scale[:, None] * graph * scale


def spectrum(graph: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Smallest eigenvalues of the Laplacian, ascending, and their eigenvectors. -> (count,), (vertices, count)

    Every vertex must have an edge. A graph of more than DENSE vertices is only multiplied with, never copied.
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
    """Number of clusters from low to high that is followed by the largest gap of the eigenvalues.

    If there are too few eigenvalues for ``low`` clusters, it is their number less one, at least 1.
    eigenvalues: ascending (high + 1,), or fewer
    """
    high = min(high, len(eigenvalues) - 1)
    return low + int(np.diff(eigenvalues)[low - 1 : high].argmax()) if low < high else max(1, high)


def k_means(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Cluster of each vertex, one of k, by k-means of the rows of k eigenvectors. (vertices, k) -> (vertices,)

    The rows are scaled to length 1. The best of STARTS seeded starts is kept.
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = vectors / np.maximum(length, np.finfo(float).tiny)
    return KMeans(vectors.shape[1], n_init=STARTS, random_state=seed % 2**32).fit_predict(rows)


def partition(graph: np.ndarray, low: int, high: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cluster of each unit and the smallest eigenvalues. (units, units) -> (units,), (high + 1,) or fewer

    There are ``low`` to ``high`` clusters, numbered from the densest on. Units without edges are UNCLUSTERED.
    """
    label, connected = np.full(len(graph), UNCLUSTERED), graph.any(axis=0)
    if not connected.any():
        return label, np.zeros(0)
    inner = graph if connected.all() else graph[np.ix_(connected, connected)]
    eigenvalues, vectors = spectrum(inner, min(high + 1, len(inner)))
    label[connected] = k_means(vectors[:, : eigengap(eigenvalues, low, high)], seed)
    inside, _ = densities(graph, label)
    rank = np.argsort(np.argsort(-np.nan_to_num(inside, nan=-1), stable=True))  # a single unit has no density: last
    return np.where(connected, rank[label], UNCLUSTERED), eigenvalues


def densities(graph: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean weight of pairs of units inside each cluster, and of pairs with one unit inside. (clusters,) each

    The other unit of the latter belongs to another cluster. NaN where there is no such pair.
    graph: (units, units); label: (units,)
    """
    member = (label[:, None] == np.arange(label.max(initial=UNCLUSTERED) + 1)).astype(float)  # (units, clusters)
    size, weight = member.sum(axis=0), member.T @ (graph @ member)  # weight: (clusters, clusters)
    inside, everything = np.diagonal(weight), weight.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return inside / (size * (size - 1)), (everything - inside) / (size * (size.sum() - size))
