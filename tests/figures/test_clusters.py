"""The numbers behind the figures of clusters."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from workflow.convergent import store, tables
from workflow.convergent.clustering import hierarchy
from workflow.convergent.commands import InputError
from workflow.convergent.figures import clusters, plots

NETS = {"net0": 7, "net1": 6}  # units


def pictures(folder: Path) -> list[str]:
    rng = np.random.default_rng(0)
    paths = [str(folder / f"{net}.zarr/zarr.json") for net in NETS]
    for path, units in zip(paths, NETS.values(), strict=True):
        shown = rng.integers(0, 256, (2, units, 9, 5, 5, 3), dtype=np.uint8)
        named = {"conv1/image": np.zeros((units, 9), int), "conv1/patch": shown[0], "conv1/deconv": shown[1]}
        store.save(path, named)
    return paths


@pytest.fixture
def tree(tmp_path: Path) -> list[str]:
    """A mapping of net0 to net1 with two planted clusters, its tree and the scores."""
    weights = np.zeros((1, *reversed(NETS.values())))
    weights[0, 0, [1, 2]] = weights[0, 3, 1] = 0.5
    weights[0, 5, [4, 6]] = 0.3
    mapping = tmp_path / "mapping.zarr/zarr.json"
    about = {"layer": "conv1", "source": "net0", "target": "net1", "nets": {"net0": "", "net1": ""}}
    store.save(mapping, {"alpha": np.array([0.24]), "decay": np.array([0.04]), "weights": weights}, **about)
    paths = [str(mapping), str(tmp_path / "tree.zarr/zarr.json"), str(tmp_path / "tree.csv")]
    hierarchy.main(paths)
    return paths


def test_figure_5_frames_every_subtree_and_colours_the_diagonal_by_net(tree: list[str]) -> None:
    figure = clusters.fig5_hierarchy(argparse.Namespace(inputs=tree))
    native, ordered = figure.subfigs[0].axes[0], figure.subfigs[1].axes[0]
    matrix = hierarchy.joined(store.load(tree[0], "weights")["weights"][0])
    np.testing.assert_array_equal(native.images[0].get_array(), matrix)
    order = store.load(tree[1], "order")["order"]
    np.testing.assert_allclose(ordered.images[0].get_array() ** 2, matrix[np.ix_(order, order)])
    scored = hierarchy.read(tree[2])
    best = hierarchy.best_mixed(scored, clusters.CLUSTERS, clusters.SMALLEST)
    boxes = [(box.get_x() + 0.5, box.get_width()) for box in ordered.patches]
    assert boxes == [(subtree.first, subtree.size) for subtree in [*scored, *best]]
    diagonal = ordered.images[1].get_array()
    first = [tuple(diagonal[k, k]) for k in np.flatnonzero(order < NETS["net1"])]  # targets come first in M
    assert set(first) == {tuple(plots.to_rgba(plots.NET_COLOURS[1]))}  # and the target is the pair's second net
    plt.close("all")


def test_a_tree_of_another_mapping_is_refused(tree: list[str]) -> None:
    weights = store.load(tree[0], "weights")["weights"] / 2
    about = {"layer": "conv1", "source": "net0", "target": "net1", "nets": {"net0": "", "net1": ""}}
    store.save(tree[0], {"alpha": np.array([0.24]), "decay": np.array([0.04]), "weights": weights}, **about)
    with pytest.raises(InputError, match="mapping differ"):
        clusters.fig5_hierarchy(argparse.Namespace(inputs=tree))


def test_figure_6_shows_the_members_of_the_best_clusters(tree: list[str], tmp_path: Path) -> None:
    paths = [*tree[1:], *pictures(tmp_path)]
    figure = clusters.fig6_clusters(argparse.Namespace(inputs=paths))
    shown = [{ax.get_title() for ax in part.axes} - {""} for part in figure.subfigs]
    assert shown == [{"Net2 0", "Net1 1", "Net1 2", "Net2 3"}, {"Net2 5", "Net1 4", "Net1 6"}]
    plt.close("all")


def test_figure_6_has_one_row_where_no_net_has_positions(tree: list[str], tmp_path: Path) -> None:
    paths = pictures(tmp_path)
    for path, units in zip(paths, NETS.values(), strict=True):
        thumbnail = np.zeros((units, 9, 5, 5, 3), np.uint8)
        store.save(path, {"conv1/image": np.zeros((units, 9), int), "conv1/thumbnail": thumbnail})
    figure = clusters.fig6_clusters(argparse.Namespace(inputs=[*tree[1:], *paths]))
    assert [len(part.axes) for part in figure.subfigs] == [5, 5]
    assert "no positions in Net1 and Net2" in figure._suptitle.get_text()
    plt.close("all")


def test_figure_6_says_so_where_no_cluster_is_mixed(tree: list[str], tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text(Path(tree[2]).read_text().splitlines()[0] + "\n")
    paths = [tree[1], str(tmp_path / "none.csv"), *pictures(tmp_path)]
    figure = clusters.fig6_clusters(argparse.Namespace(inputs=paths))
    assert "no cluster of 3 units or more is of both nets" in figure._suptitle.get_text()
    plt.close("all")


def test_members_of_both_nets_are_taken_in_turn() -> None:
    units = [(0, 1), (0, 2), (0, 5), (1, 0), (1, 4)]
    assert clusters.taken_in_turn(units) == [(0, 1), (1, 0), (0, 2), (1, 4), (0, 5)]


def test_runs_are_where_labels_change() -> None:
    assert clusters.runs(np.array([0, 0, 1, 2, 2, 2])) == [(0, 2), (2, 1), (3, 3)]
    assert clusters.runs(np.array([], int)) == []


def spectral_inputs(folder: Path, label: np.ndarray) -> list[str]:
    """Stores of a clustering of both nets' units with these labels, and of correlations that fit them."""
    about = {"layer": "conv1", "pair": "net0-net1"}
    joint = np.where(label[:, None] == label, 0.5, -0.1)
    net = np.repeat([0, 1], list(NETS.values()))
    unit = np.concatenate([np.arange(units) for units in NETS.values()])
    chance = {f"null/{name}": np.linspace(0.1, 0.2, 20) for name in ("density_inside", "contrast", "span", "mixed")}
    values = dict.fromkeys((name.removeprefix("null/") for name in chance), np.float64(0.5))
    order = np.argsort(np.where(label < 0, 99, label), stable=True)
    arrays = {"label": label, "net": net, "unit": unit, "order": order, "stability": np.array([0.8, 0.9])}
    arrays["eigenvalue"] = np.linspace(0, 1, 5)
    paths = [str(folder / f"{name}.zarr/zarr.json") for name in ("spectral", "aa", "bb", "ab")]
    store.save(paths[0], {**arrays, **values, **chance}, **about)
    sides = {"aa": (0, 0), "bb": (1, 1), "ab": (0, 1)}
    for path, (one, two) in zip(paths[1:], sides.values(), strict=True):
        store.save(path, {"correlation": joint[np.ix_(net == one, net == two)]})
    rows = []
    for cluster in range(label.max() + 1):
        members = [f"net{net[k]}:{unit[k]}" for k in np.flatnonzero(label == cluster)]
        counts = [sum(name.startswith(which) for name in members) for which in NETS]
        cells = {"density_inside": 0.5, "density_outside": "", "span": 0.25 if all(counts) else ""}
        names = {"units_a": counts[0], "units_b": counts[1], "members": " ".join(members)}
        rows.append({"cluster": cluster, "size": len(members), **cells, **names})
    tables.write(folder / "spectral.csv", rows)
    return [paths[0], str(folder / "spectral.csv"), *paths[1:], *pictures(folder)]


def test_the_spectral_figure_orders_the_clustered_units_and_shows_the_mixed_clusters(tmp_path: Path) -> None:
    label = np.array([1, 0, 1, 0, 2, 0, -1, 0, 0, 1, 1, 1, 0])
    figure = clusters.figS_spectral(argparse.Namespace(inputs=spectral_inputs(tmp_path, label)))
    top, *parts = figure.subfigs
    matrix = top.subfigs[0].axes[0]
    ordered = np.sort(label[label >= 0])
    np.testing.assert_allclose(matrix.images[0].get_array(), np.where(ordered[:, None] == ordered, 0.5, -0.1))
    assert [(box.get_x() + 0.5, box.get_width()) for box in matrix.patches] == [(0, 6), (6, 5), (11, 1)]
    assert len(parts) == 2  # the third cluster is one unit
    assert "outside none" in parts[0]._suptitle.get_text()
    assert "0.85 ± 0.05" in top.subfigs[1]._supxlabel.get_text()
    bar = top.subfigs[1].axes[0].patches[0]
    np.testing.assert_allclose([bar.get_x(), bar.get_width()], [0.1025, 0.095])  # 95 % of 0.1 to 0.2
    plt.close("all")
