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

pytestmark = pytest.mark.slow

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


IMAGES = np.array([40, 40, 20])
SEEN = {"photographs": 10, "evaluated": 100, "of_images": 100}
HITS = {"relu": [[20, 25, 5], [18, 20, 4], [8, 9, 3]], "untrained": [[8, 6, 6], [8, 4, 4], [4, 3, 3]]}


@pytest.fixture
def accuracy(tmp_path: Path, stored_mapping: Path) -> Path:
    """The store of the stitched nets of the layer, with net1-net0 at two penalties."""
    path = tmp_path / "functional" / "conv1.zarr/zarr.json"
    arrays = {"images": IMAGES, "alpha/net0-net1": ALPHA, "alpha/net1-net0": ALPHA[[0, 2]]}
    arrays |= {f"{kind}/net0-net1": np.array(hits) for kind, hits in HITS.items()}
    arrays |= {f"{kind}/net1-net0": np.array(hits)[[0, 2]] + 2 for kind, hits in HITS.items()}
    arrays["mapped/net0-net1"] = arrays["relu/net0-net1"] - 1
    arrays |= {name: np.array([28, 28, 14]) for name in ("whole/net1", "self/net1")}
    arrays |= {"whole/net0": np.array([24, 24, 12]), "zero/net1": np.array([10, 0, 0])}
    about = {"kind": "stitched nets", "layer": "conv1", "whole": ["net0-net1"], "pairs": ["net0-net1", "net1-net0"]}
    mapped = {"net0-net1": store.attributes(stored_mapping)["sha256"]}
    store.save(path, arrays, **about, **SEEN, mappings=mapped, nets=stores.digests(*NETS))
    return path


@pytest.fixture
def patches(tmp_path: Path) -> list[Path]:
    """Patches of target and source."""
    return [stores.patches(tmp_path, net, units) for net, units in (("net1", 3), ("net0", 4))]


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
    written = tables.read(table)
    assert [row["pair"] for row in written] == ["net0-net1"] * 3 + ["net1-net0"] * 2 + ["mean"] * 2
    rows = written[:3]
    assert [row["alpha"] for row in rows] == ALPHA.tolist()
    assert [row["nonzero"] for row in rows] == [1.5, 1.5, 1.0]  # of the two live targets
    assert [row["published_above"] for row in rows] == [1.5, 1.5, ""]
    assert [row["paper_loss"] for row in rows] == [0.17, 0.172, ""]
    assert [row["paper_weights"] for row in rows] == [83.5, 14.5, ""]
    assert rows[0]["r2"] == pytest.approx(0.65)
    assert rows[0]["live"] == 2
    assert [ax.get_title() for ax in figure.axes][:1] == ["conv1, 2 of 3 units live"]
    assert figure._suptitle.get_text() == "mappings from Net1 to Net2"
    shown = {line.get_label(): line.get_ydata() for line in figure.axes[1].get_lines()}
    np.testing.assert_allclose(shown["exact, not zero"], np.array([1.5, 1.5, 1.0]) / 4)
    plt.close("all")


@pytest.mark.parametrize(("of_images", "said"), [(100, ""), (50_000, "on 100 of 50,000 images")])
def test_the_panel_and_the_table_say_how_many_images_stitched_nets_saw(
    stored_mapping: Path, accuracy: Path, tmp_path: Path, of_images: int, said: str
) -> None:
    about = {name: of for name, of in store.attributes(accuracy).items() if name not in ("arrays", "chunks", "sha256")}
    store.save(accuracy, store.load(accuracy), **about | {"of_images": of_images})
    figure = mapping.table1_mapping([stored_mapping], [accuracy], PAPER, table=tmp_path / "table1.csv")
    *images, _, accuracy = figure.axes[2].get_title().splitlines()
    assert images == [said] * bool(said)
    assert accuracy == "0.53 [0.22, 0.82]"  # over all pairs, without a penalty
    assert all((row["images"], row["of_images"]) == (100, of_images) for row in tables.read(tmp_path / "table1.csv"))
    plt.close("all")


def test_stitched_nets_have_intervals_and_their_mean_over_pairs(
    stored_mapping: Path, accuracy: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table1.csv"
    figure = mapping.table1_mapping([stored_mapping], [accuracy], PAPER, table=table)
    rows = tables.read(table)
    assert [row["top1_relu"] for row in rows] == [0.5, 0.42, 0.2, 0.56, 0.26, 0.53, 0.23]
    assert [row["gain"] for row in rows] == pytest.approx([0.3, 0.26, 0.1, 0.3, 0.1, 0.3, 0.1])
    for name in ("top1_relu", "untrained_relu", "gain"):
        assert all(row[f"{name}_low"] < row[name] < row[f"{name}_high"] for row in rows)
    assert [row["target"] for row in rows] == [0.7] * 3 + [""] * 4
    axes = figure.axes[2]
    shown = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
    assert shown["stitched, ReLU behind"] == [0.5, 0.42, 0.2]
    bars = {bar.get_label(): bar for bar in axes.containers}
    assert bars["stitched, ReLU behind, all pairs"].lines[0].get_ydata().tolist() == pytest.approx([0.53, 0.23])
    segments = bars["stitched behind the untrained net, all pairs"].lines[2][0].get_segments()
    ends = [[row["untrained_relu_low"], row["untrained_relu_high"]] for row in rows[5:]]
    np.testing.assert_allclose([segment[:, 1] for segment in segments], ends, atol=1e-5)
    bands = [band.get_paths()[0].vertices[:, 1] for band in axes.collections if not hasattr(band, "get_segments")]
    assert bands[0].max() == pytest.approx(rows[0]["top1_relu_high"], abs=1e-4)
    plt.close("all")


def test_nets_without_a_twin_have_no_control(stored_mapping: Path, accuracy: Path, tmp_path: Path) -> None:
    arrays = {name: array for name, array in store.load(accuracy).items() if not name.startswith("untrained")}
    about = {key: store.attributes(accuracy)[key] for key in ("kind", "layer", "whole", "pairs", "mappings", "nets")}
    store.save(accuracy, arrays, **about, **SEEN)
    figure = mapping.table1_mapping([stored_mapping], [accuracy], PAPER, table=tmp_path / "table1.csv")
    assert not any("untrained" in line.get_label() for line in figure.axes[2].get_lines())
    assert not any("gain" in row for row in tables.read(tmp_path / "table1.csv"))
    plt.close("all")


def test_nets_of_other_classes_have_no_top1(stored_mapping: Path, accuracy: Path, tmp_path: Path) -> None:
    arrays = {name: array for name, array in store.load(accuracy).items() if name.startswith(("images", "alpha"))}
    about = {key: store.attributes(accuracy)[key] for key in ("kind", "layer", "whole", "pairs", "mappings", "nets")}
    store.save(accuracy, arrays, **about, **SEEN)
    table = tmp_path / "table1.csv"
    figure = mapping.table1_mapping([stored_mapping], [accuracy], PAPER, table=table)
    assert "the second net's\nclasses are not the images'" in figure.axes[2].texts[0].get_text()
    assert not figure.axes[2].get_lines()
    assert not any(name.startswith("top1") for name in tables.read(table)[0])
    plt.close("all")


def test_layers_share_an_axis_that_all_fit_into(stored_mapping: Path, accuracy: Path, tmp_path: Path) -> None:
    """Stores of stitched nets are found by their layer, in any order."""
    higher, other = tmp_path / "higher.zarr/zarr.json", tmp_path / "other.zarr/zarr.json"
    shutil.copytree(stored_mapping.parent, higher.parent)
    stores.resave(higher, {"val_loss": 9 * store.load(higher, "val_loss")["val_loss"]}, layer="conv2")
    shutil.copytree(accuracy.parent, other.parent)
    mapped = {"net0-net1": store.attributes(higher)["sha256"]}
    stores.resave(other, {"zero/net1": np.array([0, 10, 20])}, layer="conv2", mappings=mapped)
    table = tmp_path / "table1.csv"
    figure = mapping.table1_mapping([stored_mapping, higher], [other, accuracy], PAPER, table=table)
    low, high = figure.axes[1].get_ylim()
    assert low == 0
    assert high >= 9 * 1.5
    zeros = [(row["layer"], row["zero"]) for row in tables.read(table) if row["zero"] != ""]
    assert zeros == [("conv1", 0.1)] * 3 + [("conv2", 0.3)] * 3
    plt.close("all")


def test_figure_4_shows_thumbnails_of_a_net_without_positions(stored_mapping: Path, patches: list[Path]) -> None:
    stores.patches(patches[0].parents[1], "net1", 3, positions=False)
    figure = mapping.fig4_mapping(stored_mapping, patches, alpha=3e-3)
    axes = np.array(figure.subfigs[1].axes).reshape(2, 4)
    assert [ax.texts[0].get_text() for ax in axes[:, 0]] == ["patches", "deconvolution"]
    assert [ax.axison for ax in axes[1]] == [False, False, True, True]
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
    stores.resave(accuracy, {"alpha/net0-net1": np.array([0, 4e-3, 0.24])})
    with pytest.raises(InputError, match="penalties of conv1 differ"):
        mapping.table1_mapping([stored_mapping], [accuracy], PAPER, table=tmp_path / "table1.csv")


@pytest.mark.parametrize("other", [{"layer": "conv2"}, {"whole": ["net0-net2"]}])
def test_stitched_nets_of_another_layer_or_pair_are_refused(
    stored_mapping: Path, accuracy: Path, tmp_path: Path, other: dict
) -> None:
    stores.resave(accuracy, **other)
    with pytest.raises(InputError, match=r"--stitched: stores of .*; must be of conv1 net0-net1, as --mappings"):
        mapping.table1_mapping([stored_mapping], [accuracy], PAPER, table=tmp_path / "table1.csv")
    assert not (tmp_path / "table1.csv").exists()


def test_stitched_nets_of_another_mapping_are_refused(stored_mapping: Path, accuracy: Path, tmp_path: Path) -> None:
    stores.resave(stored_mapping, {"val_loss": 2 * store.load(stored_mapping, "val_loss")["val_loss"]})
    with pytest.raises(InputError, match=r"mappings differ: .*zarr\.json: .*conv1\.zarr/zarr\.json: "):
        mapping.table1_mapping([stored_mapping], [accuracy], PAPER, table=tmp_path / "table1.csv")


def test_a_layer_given_twice_is_refused(stored_mapping: Path, accuracy: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied.zarr/zarr.json"
    shutil.copytree(stored_mapping.parent, copied.parent)
    with pytest.raises(InputError, match="--mappings: conv1 is given twice"):
        mapping.table1_mapping([stored_mapping, copied], [accuracy], PAPER, table=tmp_path / "table1.csv")


def test_another_table_in_place_of_the_papers_is_refused(stored_mapping: Path, accuracy: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("layer,decay\nconv1,0\n")
    with pytest.raises(
        InputError, match=r"other\.csv: no column units, loss, weights, certain; there are layer, decay"
    ):
        mapping.table1_mapping([stored_mapping], [accuracy], other, table=tmp_path / "table1.csv")


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
