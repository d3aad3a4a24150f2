"""Figures of the authors' own runs, and what they measure of them."""

from pathlib import Path

import numpy as np
import pytest

from tests.authors.clone import add_run
from workflow.convergent import tables
from workflow.convergent.authors import collect
from workflow.convergent.clustering import hierarchy
from workflow.convergent.commands import InputError
from workflow.convergent.figures import authors

DECAYS = {"-3": 1e-3, "-2": 1e-2}
UNITS = 6


def planted(share: float, decay: float) -> np.ndarray:
    """Weights of targets with one source each that moved a share of the way from 0.9 to 0.9 - alpha, and small ones."""
    weights = np.full((UNITS, UNITS), 1e-5) + np.diag(np.full(UNITS, 0.9 - share * decay * UNITS))
    weights[0] = 0.2  # several sources
    weights[1] = 0  # none
    return weights.astype("<f4")


@pytest.fixture
def stores(tmp_path: Path) -> dict[str, Path]:
    """Stores of both layers; in conv1 weights move 0.75 of the way, in conv2 0.4."""
    for layer, share in {"conv1": 0.75, "conv2": 0.4}.items():
        for power, decay in DECAYS.items():
            add_run(tmp_path, f"net0_net1_L1_{power}_{layer}", planted(share, decay), [0.4, decay], [0.5, 0.3])
    collect.main([str(tmp_path), str(tmp_path / "out")])
    return {layer: tmp_path / f"out/{layer}/net0-net1.zarr/zarr.json" for layer in ("conv1", "conv2")}


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_planted_share_of_the_way_is_found_of_targets_with_one_source(share: float) -> None:
    weights = np.stack([planted(share, decay) for decay in DECAYS.values()])
    found = authors.shares_of_way(weights, [UNITS * decay for decay in DECAYS.values()])
    assert len(found) == UNITS - 2
    np.testing.assert_allclose(found, share, atol=1e-5)


def test_a_single_source_is_the_only_weight_above_a_hundredth() -> None:
    weights = np.array([[0.5, 0.001, 0], [0.02, -0.02, 0], [0, 0.009, 0], [0, 0, -0.011]])
    assert authors.single_sources(weights).tolist() == [0, -1, -1, 2]


def test_table_1_is_drawn_of_all_layers_and_written(stores: dict[str, Path], tmp_path: Path) -> None:
    figure = authors.published_table1(list(stores.values()), table=tmp_path / "t.csv")
    assert [axes.get_title().split(",")[0] for axes in figure.axes[:2]] == ["conv1", "conv2"]
    rows = tables.read(tmp_path / "t.csv", ("layer", "decay", "share", "single", "train_last", "above"))
    assert [(row["layer"], row["single"]) for row in rows] == [("conv1", 0), ("conv1", 4), ("conv2", 0), ("conv2", 4)]
    assert [row["share"] for row in rows if row["single"]] == pytest.approx([0.75, 0.4], abs=1e-4)
    assert [row["train_last"] for row in rows] == [1e-3, 1e-2] * 2
    assert rows[0]["above"] == pytest.approx((UNITS + 4) / UNITS, abs=1e-5)


def test_figure_4_names_the_sources_of_the_unit(stores: dict[str, Path]) -> None:
    figure = authors.published_fig4(stores["conv1"], decay=1e-3, unit=3)
    texts = [text.get_text() for axes in figure.findobj(authors.Axes) for text in axes.texts]
    assert any(text.startswith("3: +0.895") for text in texts)
    with pytest.raises(InputError, match="--unit: 6 is not possible; a unit from 0 to 5"):
        authors.published_fig4(stores["conv1"], decay=1e-3, unit=6)
    with pytest.raises(InputError, match=r"--decay 0.5 is not on the path, which has 0.001, 0.01"):
        authors.published_fig4(stores["conv1"], decay=0.5)


def test_figure_5_boxes_every_merge(stores: dict[str, Path], tmp_path: Path) -> None:
    tree, scores = tmp_path / "t.zarr/zarr.json", tmp_path / "t.csv"
    hierarchy.main([str(stores["conv1"]), str(tree), str(scores), "--decay", "0.001"])
    figure = authors.published_fig5(stores["conv1"], tree, scores)
    count = len(tables.read(scores, ("rank",)))
    assert f"a box for each of {count} subtrees" in figure.axes[1].get_title()
