"""The numbers and pictures that figures of clusters show."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.figures import stores
from workflow.convergent import store, tables
from workflow.convergent.clustering import hierarchy
from workflow.convergent.commands import InputError
from workflow.convergent.figures import clusters, plots

NETS = {"net0": 7, "net1": 6}  # units
Inputs = dict[str, Any]  # of a figure


@pytest.fixture
def patches(tmp_path: Path) -> list[Path]:
    """Patches of the nets, the second first."""
    return [stores.patches(tmp_path, net, units) for net, units in reversed(NETS.items())]


def grown(folder: Path, weights: np.ndarray) -> Inputs:
    """A mapping of net0 to net1, its tree and the scores. weights: (targets, sources)"""
    mapping, tree, scores = folder / "mapping.zarr/zarr.json", folder / "tree.zarr/zarr.json", folder / "tree.csv"
    attributes = {
        "kind": "mapping",
        "layer": "conv1",
        "source": "net0",
        "target": "net1",
        "nets": stores.digests(*NETS),
    }
    attributes |= {"images": {"train": "t", "val": "v"}}
    arrays = {"alpha": np.array([0.24]), "decay": np.array([0.04]), "weights": weights[None]}
    store.save(mapping, arrays, **attributes)
    hierarchy.main([str(mapping), str(tree), str(scores)])
    return {"mapping": mapping, "tree": tree, "scores": scores}


@pytest.fixture
def planted(tmp_path: Path) -> Inputs:
    """A mapping with two planted clusters."""
    weights = np.zeros(list(reversed(NETS.values())))
    weights[0, [1, 2]] = weights[3, 1] = 0.5
    weights[5, [4, 6]] = 0.3
    return grown(tmp_path, weights)


def of_tree(inputs: Inputs) -> Inputs:
    return {name: inputs[name] for name in ("tree", "scores")}


def test_figure_5_frames_every_subtree_and_colours_the_diagonal_by_net(planted: Inputs) -> None:
    figure = clusters.fig5_hierarchy(**planted)
    native, ordered = figure.axes
    matrix = hierarchy.joined(store.load(planted["mapping"], "weights")["weights"][0])
    np.testing.assert_array_equal(native.images[0].get_array(), matrix)
    order = store.load(planted["tree"], "order")["order"]
    np.testing.assert_allclose(ordered.images[0].get_array() ** 2, matrix[np.ix_(order, order)])
    scored = hierarchy.read(planted["scores"])
    best = hierarchy.best_mixed(scored, clusters.CLUSTERS, clusters.SMALLEST)
    boxes = [(box.get_x() + 0.5, box.get_width()) for box in ordered.patches]
    assert boxes == [(subtree.first, subtree.size) for subtree in [*scored, *best]]
    diagonal = ordered.images[1].get_array()
    targets = [tuple(diagonal[k, k]) for k in np.flatnonzero(order < NETS["net1"])]  # targets come first in M
    assert set(targets) == {tuple(plots.to_rgba(plots.NET_COLOURS[1]))}  # and the target is the pair's second net
    plt.close("all")


def test_a_tree_of_another_mapping_is_refused(planted: Inputs) -> None:
    stores.resave(planted["mapping"], {"weights": store.load(planted["mapping"], "weights")["weights"] / 2})
    with pytest.raises(InputError, match="mappings differ"):
        clusters.fig5_hierarchy(**planted)


def test_scores_of_another_tree_are_refused(planted: Inputs, patches: list[Path], tmp_path: Path) -> None:
    weights = store.load(planted["mapping"], "weights")["weights"][0]
    other = grown(tmp_path / "other", 0.9 * weights)["scores"]
    with pytest.raises(InputError, match=r"trees differ: .*tree\.zarr/zarr\.json: .*other/tree\.csv: "):
        clusters.fig5_hierarchy(**planted | {"scores": other})
    with pytest.raises(InputError, match="trees differ"):
        clusters.fig6_clusters(planted["tree"], other, patches)


@pytest.mark.slow
def test_figure_6_shows_the_members_of_the_best_clusters(planted: Inputs, patches: list[Path]) -> None:
    figure = clusters.fig6_clusters(**of_tree(planted), patches=patches)
    shown = [{ax.get_title() for ax in part.axes} - {""} for part in figure.subfigs]
    assert shown == [{"Net2 0", "Net1 1", "Net1 2", "Net2 3"}, {"Net2 5", "Net1 4", "Net1 6"}]
    plt.close("all")


def test_figure_6_has_one_row_where_no_net_has_positions(planted: Inputs, tmp_path: Path) -> None:
    patches = [stores.patches(tmp_path, net, units, positions=False) for net, units in NETS.items()]
    figure = clusters.fig6_clusters(**of_tree(planted), patches=patches)
    assert [len(part.axes) for part in figure.subfigs] == [1 + 4, 1 + 4]
    assert "no positions in Net1 and Net2" in figure._suptitle.get_text()
    plt.close("all")


def test_figure_6_says_so_where_no_cluster_is_mixed(tmp_path: Path, patches: list[Path]) -> None:
    inputs = grown(tmp_path, np.zeros(list(reversed(NETS.values()))))
    figure = clusters.fig6_clusters(**of_tree(inputs), patches=patches)
    assert "no cluster of 3 units or more is of both nets" in figure._suptitle.get_text()
    plt.close("all")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nets": {"net1": "of another run"}}, "weights of net1 differ"),
        ({"layers": ["conv2"]}, "no patches of conv1; it has conv2"),
    ],
)
def test_patches_of_another_layer_or_of_other_weights_are_refused(
    planted: Inputs, patches: list[Path], change: dict[str, object], said: str
) -> None:
    stores.resave(patches[0], **change)
    with pytest.raises(InputError, match=said):
        clusters.fig6_clusters(**of_tree(planted), patches=patches)


def test_members_of_both_nets_are_taken_in_turn() -> None:
    arrays = {"net": np.array([0, 1, 0, 1, 0]), "unit": np.array([1, 4, 2, 0, 5])}
    members = clusters.members_of(arrays, np.array([0, 2, 4, 3, 1]))
    assert members == [(0, 1), (1, 0), (0, 2), (1, 4), (0, 5)]


def test_runs_are_where_labels_change() -> None:
    assert clusters.runs(np.array([0, 0, 1, 2, 2, 2])) == [(0, 2), (2, 1), (3, 3)]
    assert clusters.runs(np.array([], int)) == []


def scores_of(label: np.ndarray, net: np.ndarray) -> list[dict[str, object]]:
    """Rows of a table of spectral clusters with these labels."""
    rows = []
    for cluster in range(label.max() + 1):
        counts = [int((label[net == which] == cluster).sum()) for which in (0, 1)]
        cells = {"density_inside": 0.5, "density_outside": "", "span": 0.25 if all(counts) else ""}
        rows.append({"cluster": cluster, "size": sum(counts), "units_a": counts[0], "units_b": counts[1], **cells})
    return rows


@pytest.fixture
def spectral(tmp_path: Path, patches: list[Path]) -> Callable[[np.ndarray], Inputs]:
    """Inputs of a clustering of both nets' units with given labels, and of correlations that fit them."""

    def inputs(label: np.ndarray) -> Inputs:
        joint = np.where(label[:, None] == label, 0.5, -0.1)
        net = np.repeat([0, 1], list(NETS.values()))
        summaries = ("density_inside", "contrast", "span")
        arrays = {
            "label": label,
            "net": net,
            "unit": np.concatenate([np.arange(units) for units in NETS.values()]),
            "order": np.argsort(np.where(label < 0, 99, label), stable=True),
            "stability": np.array([0.8, 0.9, np.nan]),
            "eigenvalue": np.linspace(0, 1, 5),
            **dict.fromkeys(summaries, np.float64(0.5)),
            **{f"rotated/{name}": np.linspace(0.1, 0.2, 20) for name in summaries},
            "rotated/stability": np.linspace(0.2, 0.3, 5)[:, None] + [-0.1, 0.1, np.nan],
        }
        known = {"layer": "conv1", "pair": "net0-net1", "moments": "m", "images": "v", "nets": stores.digests(*NETS)}
        path = tmp_path / "spectral.zarr/zarr.json"
        store.save(path, arrays, kind="clusters", **known)
        about = {
            "kind": "clusters",
            "layer": "conv1",
            "pair": "net0-net1",
            "clusters": store.attributes(path)["sha256"],
        }
        tables.write(tmp_path / "spectral.csv", scores_of(label, net), header=clusters.SPECTRAL, **about)
        blocks = {
            pair: stores.correlation(
                tmp_path / "correlation" / f"{'-'.join(pair)}.zarr/zarr.json",
                joint[np.ix_(net == int(pair[0][3:]), net == int(pair[-1][3:]))],
                *pair,
            )
            for pair in (("net0",), ("net1",), ("net0", "net1"))
        }
        within, between = [blocks["net1",], blocks["net0",]], blocks["net0", "net1"]
        tables_and_stores = {"clusters": tmp_path / "spectral.zarr/zarr.json", "scores": tmp_path / "spectral.csv"}
        return tables_and_stores | {"within": within, "between": between, "patches": patches}

    return inputs


LABEL = np.array([1, 0, 1, 0, 2, 0, -1, 0, 0, 1, 1, 1, 0])


@pytest.mark.slow
def test_the_spectral_figure_orders_the_clustered_units_and_shows_those_of_both_nets(
    spectral: Callable[[np.ndarray], Inputs],
) -> None:
    figure = clusters.figS_spectral(**spectral(LABEL))
    top, *parts = figure.subfigs
    matrix = top.subfigs[0].axes[0]
    ordered = np.sort(LABEL[LABEL >= 0])
    np.testing.assert_allclose(matrix.images[0].get_array(), np.where(ordered[:, None] == ordered, 0.5, -0.1))
    assert [(box.get_x() + 0.5, box.get_width()) for box in matrix.patches] == [(0, 6), (6, 5), (11, 1)]
    assert len(parts) == 2  # the third cluster is one unit
    assert "outside none" in parts[0]._suptitle.get_text()
    titles = {ax.get_title() for ax in parts[1].axes} - {""}
    assert titles == {"Net1 0", "Net1 2", "Net2 2", "Net2 3", "Net2 4"}
    beside = top.subfigs[1].subfigs[0]
    assert "20 random rotations" in beside._supxlabel.get_text()
    assert "of the stability: all of 5" in beside._supxlabel.get_text()
    assert [ax.get_lines()[0].get_ydata().item() for ax in beside.axes] == pytest.approx([0.5, 0.5, 0.5, 0.85])
    bars = [[ax.patches[0].get_y(), ax.patches[0].get_height()] for ax in beside.axes]
    np.testing.assert_allclose(bars, [[0.1025, 0.095]] * 3 + [[0.2, 0.1]])  # 95 % of 0.1 to 0.2, all of 0.2 to 0.3
    plt.close("all")


def test_the_most_typical_members_of_a_cluster_come_first() -> None:
    """Those that correlate most with the other members; correlations below 0 count nothing."""
    joint = np.array([[1, 0.9, -0.9, 0.1], [0.9, 1, 0.4, 0.1], [-0.9, 0.4, 1, 0.1], [0.1, 0.1, 0.1, np.nan]])
    assert clusters.typical_first(joint, np.array([0, 2, 1])).tolist() == [1, 0, 2]
    assert clusters.typical_first(joint, np.array([3, 2, 1])).tolist() == [2, 1, 3]


@pytest.mark.slow
def test_a_dead_layer_has_no_spectral_clusters(spectral: Callable[[np.ndarray], Inputs]) -> None:
    inputs = spectral(LABEL)
    stores.resave(inputs["clusters"], {"label": np.full(len(LABEL), -1)})
    stores.rewrite(inputs["scores"], [], clusters=store.attributes(inputs["clusters"])["sha256"])
    assert clusters.read_clusters(inputs["scores"], inputs["clusters"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"layer": "conv2"}, {"pair": "net0-net2"}, {"moments": "of another run"}])
def test_spectral_clusters_of_another_layer_pair_or_run_are_refused(
    spectral: Callable[[np.ndarray], Inputs], change: dict[str, str]
) -> None:
    inputs = spectral(LABEL)
    stores.resave(inputs["clusters"], **change)
    stores.rewrite(inputs["scores"], **change)
    with pytest.raises(InputError, match="layer, pair and moments differ"):
        clusters.figS_spectral(**inputs)


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"layer": "conv2"}, {"pair": "net0-net2"}, {"clusters": "others"}])
def test_a_table_of_other_spectral_clusters_is_refused(
    spectral: Callable[[np.ndarray], Inputs], change: dict[str, str]
) -> None:
    inputs = spectral(LABEL)
    stores.rewrite(inputs["scores"], **change)
    with pytest.raises(InputError, match=f"{next(iter(change))} differ"):
        clusters.figS_spectral(**inputs)
