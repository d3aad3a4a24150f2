"""Trees of two nets' units: average linkage by its definition, planted clusters, ties, and which net is which."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from workflow.convergent import store
from workflow.convergent.clustering import hierarchy
from workflow.convergent.clustering.hierarchy import Subtree

Grown = tuple[np.ndarray, np.ndarray, list[Subtree]]


def grown(weights: np.ndarray) -> Grown:
    """Linkage, leaf order and scores of a mapping. (target, source)"""
    matrix = hierarchy.joined(weights)
    tree, top = hierarchy.average_linkage(matrix), float(matrix.max())
    order = hierarchy.leaf_order(tree, top)
    return tree, order, hierarchy.subtrees(tree, order, len(weights), top)


def covered(grown: Grown) -> dict[frozenset[int], Subtree]:
    """Scored subtrees by the leaves that their place in the leaf order covers."""
    _, order, scored = grown
    return {frozenset(order[one.first : one.first + one.size].tolist()): one for one in scored}


def by_definition(matrix: np.ndarray) -> dict[frozenset[int], float]:
    """Height of every cluster: the mean distance between all pairs of the two that were nearest."""
    distance = hierarchy.distance(matrix)
    clusters, heights = [frozenset([i]) for i in range(len(matrix))], {}
    while len(clusters) > 1:
        between = {pair: distance[np.ix_(*map(list, pair))].mean() for pair in combinations(clusters, 2)}
        nearest = min(between, key=between.__getitem__)
        clusters = [one for one in clusters if one not in nearest] + [nearest[0] | nearest[1]]
        heights[clusters[-1]] = between[nearest]
    return heights


def planted(seed: int = 0, noise: float = 0.05) -> tuple[np.ndarray, list[frozenset[int]]]:
    """A mapping of 10 targets from 12 sources with three blocks, and the blocks. Two units take no part.

    noise: a weak weight between two blocks.
    """
    rng = np.random.default_rng(seed)
    weights, targets, sources = np.zeros((10, 12)), rng.permutation(10), rng.permutation(12)
    blocks = []
    for rows, columns in (((0, 3), (0, 4)), ((3, 5), (4, 6)), ((5, 9), (6, 11))):
        inside = np.ix_(targets[slice(*rows)], sources[slice(*columns)])
        weights[inside] = rng.choice([-1, 1]) * rng.uniform(0.5, 0.9, weights[inside].shape)
        blocks.append(frozenset([*targets[slice(*rows)].tolist(), *(10 + sources[slice(*columns)]).tolist()]))
    weights[targets[0], sources[5]] = noise
    return weights, blocks


def test_target_rows_come_first_and_unit_c_is_the_first_source() -> None:
    weights = np.array([[0.5, 0, -0.25], [0, 0.75, 0]])  # 2 targets, 3 sources
    matrix = hierarchy.joined(weights)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(matrix[:2, 2:], np.abs(weights))
    np.testing.assert_array_equal(matrix[2], [0.5, 0, 1, 0, 0])  # unit C: the first source, joined to target 0
    np.testing.assert_array_equal(hierarchy.distance(matrix)[2], [0.5, 1, 0, 1, 1])


@pytest.mark.parametrize(("targets", "sources"), [(1, 1), (1, 5), (4, 3), (6, 6)])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_the_tree_is_that_of_the_definition(targets: int, sources: int, scale: float) -> None:
    rng = np.random.default_rng(targets)
    matrix = rng.uniform(0.01, scale, (targets + sources,) * 2)  # full, because in M units of one net tie
    matrix = np.triu(matrix, 1) + np.triu(matrix, 1).T + np.eye(len(matrix))
    tree, top = hierarchy.average_linkage(matrix), float(matrix.max())
    order = hierarchy.leaf_order(tree, top)
    found = covered((tree, order, hierarchy.subtrees(tree, order, targets, top)))
    expected = {leaves: height for leaves, height in by_definition(matrix).items() if height < top}
    assert set(found) == set(expected)
    for leaves, one in found.items():
        assert one.height == pytest.approx(expected[leaves], abs=1e-12)
        parent = min((other for other in expected if leaves < other), key=len, default=None)
        assert one.gap == pytest.approx((expected[parent] if parent else top) - expected[leaves], abs=1e-12)


def test_scores_are_those_of_the_leaves() -> None:
    weights, _ = planted()
    matrix, found = hierarchy.joined(weights), grown(weights)
    for leaves, one in covered(found).items():
        inside = np.array(sorted(leaves))
        assert one.size == len(leaves) == found[0][one.node - 22, 3]
        assert (one.target, one.source) == ((inside < 10).sum(), (inside >= 10).sum())
        pairs = matrix[np.ix_(inside, inside)][np.triu_indices(len(inside), 1)]
        assert one.within == pytest.approx(pairs.mean())
    gaps = [one.gap for one in found[2]]
    assert gaps == sorted(gaps, reverse=True)


def test_subtrees_cover_exactly_their_leaves() -> None:
    """Leaves below a node, gathered from the linkage, are those at its place in the leaf order."""
    weights, _ = planted()
    tree, order, scored = grown(weights)
    below = {leaf: {leaf} for leaf in range(22)}
    for node, (left, right) in enumerate(tree[:, :2].astype(int), 22):
        below[node] = below[left] | below[right]
    assert scored
    assert sorted(order) == list(range(22))
    for one in scored:
        assert set(order[one.first : one.first + one.size]) == below[one.node]


@pytest.mark.parametrize("noise", [0, 0.05])
@pytest.mark.parametrize("seed", range(3))
def test_planted_blocks_are_the_best_mixed_clusters(seed: int, noise: float) -> None:
    weights, blocks = planted(seed, noise)
    found = grown(weights)
    best = hierarchy.best_mixed(found[2], 5, smallest=4)
    assert {leaves for leaves, one in covered(found).items() if one in best} == set(blocks)


def test_clusters_begin_with_the_largest_and_single_leaves_come_last() -> None:
    weights, blocks = planted(noise=0)
    _, order, _ = grown(weights)
    blocks = sorted(blocks, key=len, reverse=True)
    assert [frozenset(order[a:b].tolist()) for a, b in ((0, 9), (9, 16), (16, 20))] == blocks
    alone = sorted(set(range(22)) - frozenset().union(*blocks))
    assert order[20:].tolist() == alone  # in the order of their rows


@pytest.mark.parametrize("scale", [1.0, 1.7, 3.3])
@pytest.mark.parametrize("seed", range(4))
def test_merges_at_the_tied_height_are_not_scored(seed: int, scale: float) -> None:
    """Clusters that share no weight, also where the largest is no round number: averages of equal numbers round."""
    weights, blocks = planted(seed, noise=0)
    _, _, scored = grown(weights * scale)
    assert len(scored) == sum(len(block) - 1 for block in blocks)
    assert all(one.height < hierarchy.joined(weights * scale).max() for one in scored)


def test_a_mapping_of_zeros_has_no_clusters_and_keeps_its_order() -> None:
    _, order, scored = grown(np.zeros((3, 4)))
    assert scored == []
    assert order.tolist() == list(range(7))


@pytest.mark.parametrize("seed", range(4))
def test_permuting_units_permutes_clusters(seed: int) -> None:
    """Below the tied height, where what is merged first is arbitrary."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.1, 0.9, (15, 11)) * (rng.random((15, 11)) < 0.12)
    rows, columns = rng.permutation(15), rng.permutation(11)
    one, two = covered(grown(weights)), covered(grown(weights[np.ix_(rows, columns)]))
    back = np.concatenate([rows, 15 + columns])
    renamed = {frozenset(back[list(leaves)].tolist()): found for leaves, found in two.items()}
    assert set(renamed) == set(one)
    for leaves, found in renamed.items():
        for name in ("size", "target", "source", "height", "gap", "within"):
            assert getattr(found, name) == pytest.approx(getattr(one[leaves], name), abs=1e-12)


def test_identical_nets_pair_every_unit_with_its_twin() -> None:
    rng = np.random.default_rng(0)
    rows = rng.permutation(8)
    found = grown(0.75 * np.eye(8)[rows])  # target i is source rows[i], shrunk by the penalty
    assert set(covered(found)) == {frozenset([target, 8 + source]) for target, source in enumerate(rows.tolist())}
    assert all((one.target, one.source) == (1, 1) for one in found[2])
    assert {(one.height, one.gap, one.within) for one in found[2]} == {(0.25, 0.75, 0.75)}


def test_a_dead_unit_is_a_leaf_of_no_cluster() -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 0.9, (4, 5))
    weights[2] = weights[:, 3] = 0
    _, order, scored = grown(weights)
    assert order[-2:].tolist() == [2, 4 + 3]
    assert {(one.target, one.source) for one in scored if one.size == 7} == {(3, 4)}


def test_the_best_mixed_do_not_nest() -> None:
    def one(first: int, size: int, target: int) -> Subtree:
        return Subtree(0, first, size, target, size - target, 0.5, 0.1, 0.5)

    inner, outer, pure, pair, other = one(0, 3, 1), one(0, 5, 2), one(5, 4, 0), one(9, 2, 1), one(11, 4, 2)
    scored = [pure, inner, outer, pair, other]
    assert hierarchy.best_mixed(scored, 9) == [inner, pair, other]
    assert hierarchy.best_mixed(scored, 2) == [inner, pair]
    assert hierarchy.best_mixed(scored, 9, smallest=3) == [inner, other]


@pytest.fixture
def stitched(tmp_path: Path) -> Path:
    """A path of three points, the planted mapping in the middle."""
    path = tmp_path / "conv1.zarr" / "zarr.json"
    weights = np.stack([np.zeros((10, 12)), planted()[0], np.ones((10, 12))])
    alpha = np.array([1, 0.24, 0.1])
    arrays = {"alpha": alpha, "decay": alpha / 10, "weights": weights}
    about = {"kind": "mapping", "layer": "conv1", "images": {"train": "t", "val": "v"}}
    store.save(path, arrays, source="net0", target="net1", nets={"net0": "x", "net1": "y"}, **about)
    return path


def test_the_stage_writes_tree_and_scores(tmp_path: Path, stitched: Path) -> None:
    out, table = tmp_path / "out.zarr" / "zarr.json", tmp_path / "out.csv"
    hierarchy.main([str(stitched), str(out), str(table), "--alpha", "0.24"])
    tree, order, scored = grown(planted()[0])
    found, about = store.load(out), store.attributes(out)
    np.testing.assert_array_equal(found["linkage"], tree)
    np.testing.assert_array_equal(found["order"], order)
    assert found["net"].tolist() == [1] * 10 + [0] * 12  # 0: the pair's first net, the source
    assert found["unit"].tolist() == [*range(10), *range(12)]
    assert (found["net"][10], found["unit"][10]) == (0, 0)  # unit C: the first source
    assert [about[key] for key in ("target", "source", "point", "top")] == ["net1", "net0", 1, 1.0]
    assert (about["stitching"], about["nets"]) == (store.attributes(stitched)["sha256"], {"net0": "x", "net1": "y"})
    assert hierarchy.read(table) == scored
    assert table.read_text().startswith("rank,node,first,size,target,source,height,gap,within\n1,")


def test_an_alpha_that_is_not_on_the_path_is_refused(tmp_path: Path, stitched: Path) -> None:
    with pytest.raises(SystemExit, match=r"conv1.zarr/zarr.json: --alpha 0.3 is not on the path, .* 1, 0.24, 0.1$"):
        hierarchy.main([str(stitched), str(tmp_path / "out.zarr/zarr.json"), str(tmp_path / "out.csv"), "--alpha=.3"])
