"""The numbers behind the figures of sparse mappings."""

import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests import ROOT
from tests.figures import stores
from workflow.convergent import store, tables
from workflow.convergent.commands import InputError
from workflow.convergent.figures import mapping

PAPER = ROOT / "workflow/resources/paper_table1.csv"
DECAY = [0.0, 1e-3, 0.08]
ALPHA = np.array([0, 3e-3, 0.24])
NETS = ("net0", "net1")


@pytest.mark.parametrize(
    ("r2", "expected"),
    [([0.1, 0.9, 0.5], 2), ([0.3, 0.1, 0.9, 0.5], 0), ([np.nan, 0.2, np.nan, 0.4], 1), ([np.nan, np.nan], 0)],
)
def test_the_median_unit_is_the_middle_one_of_the_live(r2: list[float], expected: int) -> None:
    assert mapping.median_unit(np.array(r2)) == expected


@pytest.mark.parametrize("wanted", ["7", "-1", "best"])
def test_a_unit_that_is_not_there_is_refused(wanted: str) -> None:
    with pytest.raises(InputError, match=f"figures.unit: {wanted} is not possible; median, or a unit from 0 to 2"):
        mapping.chosen_unit(wanted, np.zeros(3))


@pytest.fixture
def stored_mapping(tmp_path: Path) -> Path:
    """Three target units from four sources at three penalties; the last target is dead."""
    path = tmp_path / "stitching" / "net0-net1.zarr/zarr.json"
    weights = np.zeros((3, 3, 4))
    weights[:, 0, 2], weights[:, 1, 0], weights[:2, 1, 3] = 0.7, -0.6, 0.1
    measures = {name: np.full((3, 3), k + 0.5) for k, name in enumerate(("train_loss", "val_loss", "r2"))}
    measures["r2"] = np.array([[0.9, 0.4, np.nan]] * 3)
    measures |= {"nonzero": (weights != 0).sum(axis=2), "above": (np.abs(weights) > 0.01).sum(axis=2)}
    published = {f"published/{name}": measures[name][:2] for name in ("train_loss", "val_loss", "r2", "above")}
    arrays = {"alpha": ALPHA, "decay": np.array(DECAY), "weights": weights, "zero_loss": np.full(3, 0.5)}
    about = {"kind": "mapping", "layer": "conv1", "source": "net0", "target": "net1", "pair": "net0-net1"}
    about |= {"images": {"train": "t", "val": "v"}}
    about |= {"units": {"net0": 4, "net1": 3}, "nets": stores.digests("net0", "net1")}
    store.save(path, {**arrays, **measures, **published}, **about)
    return path


@pytest.fixture
def patches(tmp_path: Path) -> list[Path]:
    """Patches of target and source."""
    return [stores.patches(tmp_path, net, units) for net, units in (("net1", 3), ("net0", 4))]


@pytest.fixture
def accuracy(tmp_path: Path, stored_mapping: Path) -> Path:
    """The table of its stitched nets."""
    path = tmp_path / "functional.csv"
    same = {"source": 0.6, "target": 0.7, "self": 0.7, "zero": 0.1}
    rows = [
        {"layer": "conv1", "pair": "net0-net1", "decay": decay, "alpha": float(alpha), "top1": 0.5 - alpha, **same}
        for decay, alpha in zip(DECAY, ALPHA, strict=True)
    ]
    about = {"kind": "stitched", "layer": "conv1", "pair": "net0-net1"}
    rows = [row | {"top1_relu": row["top1"], "untrained_relu": 0.2} for row in rows]
    tables.write(path, rows, mapping=store.attributes(stored_mapping)["sha256"], **about)
    return path


def test_figure_4_puts_the_assignment_on_the_diagonal_and_shows_the_sources(
    stored_mapping: Path, patches: list[Path]
) -> None:
    figure = mapping.fig4_mapping(stored_mapping, patches, alpha=3e-3)
    native, permuted = (ax.images[0].get_array() for ax in figure.subfigs[0].axes[:2])
    assert native[1, 0] == permuted[1, 1] == 0.6
    assert native[0, 2] == permuted[0, 0] == 0.7
    titles = [ax.get_title() for ax in figure.subfigs[1].axes if ax.get_title()]
    assert titles == ["target\nNet2 1", "-0.600\nNet1 0", "+0.100\nNet1 3"]
    assert "the unit of the median R²: Net2 1, R² 0.40 from 2 units" in figure.subfigs[1]._suptitle.get_text()
    plt.close("all")


def test_a_penalty_that_is_not_on_the_path_is_refused(stored_mapping: Path, patches: list[Path]) -> None:
    with pytest.raises(InputError, match=r"--alpha 0.3 is not on the path, which has 0, 0.003, 0.24"):
        mapping.fig4_mapping(stored_mapping, patches, alpha=0.3)


def test_table_1_has_means_of_live_units_beside_the_paper(stored_mapping: Path, accuracy: Path, tmp_path: Path) -> None:
    table = tmp_path / "table1.csv"
    figure = mapping.table1_mapping([stored_mapping], [accuracy], PAPER, table=table)
    rows = tables.read(table)
    assert [row["alpha"] for row in rows] == ALPHA.tolist()
    assert [row["nonzero"] for row in rows] == [1.5, 1.5, 1.0]  # of the two live targets
    assert [row["published_above"] for row in rows] == [1.5, 1.5, ""]
    assert [row["paper_loss"] for row in rows] == [0.17, 0.172, ""]
    assert [row["paper_weights"] for row in rows] == [83.5, 14.5, ""]
    assert rows[0]["r2"] == pytest.approx(0.65)
    assert rows[0]["live"] == 2
    assert [ax.get_title() for ax in figure.axes][:1] == ["conv1, 2 of 3 units live"]
    shown = {line.get_label(): line.get_ydata() for line in figure.axes[1].get_lines()}
    np.testing.assert_allclose(shown["exact, not zero"], np.array([1.5, 1.5, 1.0]) / 4)
    plt.close("all")


def test_nets_of_other_classes_have_no_top1(stored_mapping: Path, accuracy: Path, tmp_path: Path) -> None:
    empty = dict.fromkeys(("top1", "top1_relu", "untrained_relu", "target", "self", "zero"), "")
    stores.rewrite(accuracy, [row | empty for row in tables.read(accuracy)])
    table = tmp_path / "table1.csv"
    figure = mapping.table1_mapping([stored_mapping], [accuracy], PAPER, table=table)
    assert "the second net's\nclasses are not the images'" in figure.axes[2].texts[0].get_text()
    assert not figure.axes[2].get_lines()
    assert tables.read(table)[0]["top1"] == ""
    plt.close("all")


def test_layers_share_an_axis_that_all_fit_into(stored_mapping: Path, accuracy: Path, tmp_path: Path) -> None:
    """Tables of stitched nets are found by their layer, in any order."""
    higher, other = tmp_path / "higher.zarr/zarr.json", tmp_path / "other.csv"
    shutil.copytree(stored_mapping.parent, higher.parent)
    stores.resave(higher, {"val_loss": 9 * store.load(higher, "val_loss")["val_loss"]}, layer="conv2")
    about = tables.about(accuracy) | {"layer": "conv2", "mapping": store.attributes(higher)["sha256"]}
    tables.write(other, [row | {"layer": "conv2", "zero": 0.3} for row in tables.read(accuracy)], **about)
    table = tmp_path / "table1.csv"
    figure = mapping.table1_mapping([stored_mapping, higher], [other, accuracy], PAPER, table=table)
    low, high = figure.axes[1].get_ylim()
    assert low == 0
    assert high >= 9 * 1.5
    assert [(row["layer"], row["zero"]) for row in tables.read(table)] == [("conv1", 0.1)] * 3 + [("conv2", 0.3)] * 3
    plt.close("all")


def test_figure_4_shows_thumbnails_of_a_net_without_positions(stored_mapping: Path, patches: list[Path]) -> None:
    stores.patches(patches[0].parents[1], "net1", 3, positions=False)
    figure = mapping.fig4_mapping(stored_mapping, patches, alpha=3e-3)
    axes = np.array(figure.subfigs[1].axes).reshape(2, 3)
    assert [ax.axison for ax in axes[1]] == [False, True, True]
    assert "no positions in Net2" in figure.subfigs[1]._suptitle.get_text()
    plt.close("all")


def test_patches_of_other_nets_or_weights_are_refused(stored_mapping: Path, patches: list[Path]) -> None:
    other = stores.patches(patches[0].parents[1], "net2", 3)
    with pytest.raises(InputError, match="--patches: stores of net2, net0; must be of net0, net1"):
        mapping.fig4_mapping(stored_mapping, [other, patches[1]], alpha=3e-3)
    stores.resave(patches[0], nets={"net1": "of another run"})
    with pytest.raises(InputError, match="weights of net1 differ"):
        mapping.fig4_mapping(stored_mapping, patches, alpha=3e-3)


def test_patches_without_the_layer_of_the_mapping_are_refused(stored_mapping: Path, patches: list[Path]) -> None:
    stores.resave(stored_mapping, layer="conv3")
    with pytest.raises(InputError, match="no patches of conv3; it has conv1"):
        mapping.fig4_mapping(stored_mapping, patches, alpha=3e-3)


def test_stitched_nets_at_other_penalties_are_refused(stored_mapping: Path, accuracy: Path, tmp_path: Path) -> None:
    stores.rewrite(accuracy, tables.read(accuracy)[:2])
    with pytest.raises(InputError, match="penalties of conv1 differ"):
        mapping.table1_mapping([stored_mapping], [accuracy], PAPER, table=tmp_path / "table1.csv")


@pytest.mark.parametrize("other", [{"layer": "conv2"}, {"pair": "net0-net2"}])
def test_stitched_nets_of_another_layer_or_pair_are_refused(
    stored_mapping: Path, accuracy: Path, tmp_path: Path, other: dict[str, str]
) -> None:
    stores.rewrite(accuracy, [row | other for row in tables.read(accuracy)], **other)
    with pytest.raises(InputError, match=r"--stitched: tables of .*; must be of conv1 net0-net1, as --mappings"):
        mapping.table1_mapping([stored_mapping], [accuracy], PAPER, table=tmp_path / "table1.csv")
    assert not (tmp_path / "table1.csv").exists()


def test_stitched_nets_of_another_mapping_are_refused(stored_mapping: Path, accuracy: Path, tmp_path: Path) -> None:
    stores.resave(stored_mapping, {"val_loss": 2 * store.load(stored_mapping, "val_loss")["val_loss"]})
    with pytest.raises(InputError, match=r"mappings differ: .*zarr\.json: .*functional\.csv: "):
        mapping.table1_mapping([stored_mapping], [accuracy], PAPER, table=tmp_path / "table1.csv")


def test_a_layer_given_twice_is_refused(stored_mapping: Path, accuracy: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied.zarr/zarr.json"
    shutil.copytree(stored_mapping.parent, copied.parent)
    with pytest.raises(InputError, match="--mappings: conv1 net0-net1 is given twice"):
        mapping.table1_mapping([stored_mapping, copied], [accuracy], PAPER, table=tmp_path / "table1.csv")


def test_another_table_in_place_of_the_papers_is_refused(stored_mapping: Path, accuracy: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"functional\.csv: no column units, loss, weights, certain; there are layer, "
    ):
        mapping.table1_mapping([stored_mapping], [accuracy], accuracy, table=tmp_path / "table1.csv")


def test_a_mapping_of_a_net_onto_itself_is_refused(stored_mapping: Path, patches: list[Path]) -> None:
    stores.resave(stored_mapping, source="net1", nets=stores.digests("net1"))
    with pytest.raises(InputError, match="store of net1; must be of two nets"):
        mapping.fig4_mapping(stored_mapping, patches, alpha=3e-3)


def test_the_papers_numbers_are_complete() -> None:
    """They are looked up by layer and decay; at conv1 the paper's 10^-2.6 is the penalty 0.24."""
    rows = tables.read_resource(PAPER, mapping.PAPER)
    assert len({(row["layer"], row["decay"]) for row in rows}) == len(rows) == 2 * 7 + 3 * 6
    assert 96 * rows[4]["decay"] == pytest.approx(0.24, abs=0.002)
    assert all(0 < row["loss"] < 0.52 for row in rows)
