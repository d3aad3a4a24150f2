"""The numbers and pictures that figures of units show."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests import ROOT
from tests.evidence.stores import evidence
from tests.figures import stores
from workflow.convergent import store, tables
from workflow.convergent.commands import InputError
from workflow.convergent.evidence import summary
from workflow.convergent.figures import comparisons, pictures, sheets, units
from workflow.convergent.figures.inputs import read_matches

RESOURCES = ROOT / "workflow/resources"


def test_best_and_worst_come_first_and_last_without_the_dead() -> None:
    similarity = np.array([0.5, np.nan, 0.9, -0.1, 0.2, 0.7])
    assert units.best_and_worst(similarity, 2).tolist() == [2, 5, 4, 3]
    assert units.best_and_worst(similarity, 3).tolist() == [2, 5, 0, 4, 3]


@pytest.fixture
def patches(tmp_path: Path) -> list[Path]:
    """Patches of two nets of three units, of which the first net's last one is dead."""
    return [stores.patches(tmp_path, "net0", 3, dead=[2]), stores.patches(tmp_path, "net1", 3)]


@pytest.fixture
def matches(tmp_path: Path) -> Path:
    """Their table of matches."""
    return stores.matches(tmp_path / "t.csv", (0, 1, 0.9, 1, 0.9), (1, 0, 0.4, 0, 0.4), (2, "", "", "", ""))


def test_matches_show_each_unit_over_its_partner_and_say_what_is_dead(patches: list[Path], matches: Path) -> None:
    figure = units.fig2_matches(patches[::-1], matches, units=[0, 2])
    named, axes = np.split(np.array(figure.subfigs[0].axes).reshape(4, 3), [1], axis=1)
    assert [ax.get_title(loc="right") for ax in named.flat] == ["correlation\nunit of Net1", "", "unit of Net2", ""]
    assert [ax.texts[0].get_text() for ax in named.flat] == ["patches", "deconvolution"] * 2
    assert [ax.get_title() for ax in axes[0]] == ["0.90\n0", "dead\n2"]
    assert axes[2, 0].get_title() == "1"
    stored = store.load(patches[1], "conv1/patch")["conv1/patch"][1]
    np.testing.assert_allclose(axes[2, 0].images[0].get_array(), pictures.tiles(stored))
    assert axes[0, 1].texts[0].get_text() == "never\nactive"
    assert not axes[2, 1].axison
    plt.close("all")


@pytest.mark.slow
def test_matches_stand_beside_rotated_axes_and_the_paper(tmp_path: Path) -> None:
    """The paper's eight best and eight worst of the same layer; nothing of layers that it does not have."""
    store_of_evidence = evidence(tmp_path, "conv1", nets=2)
    described = summary.read(store_of_evidence)["trained"].described["net0", "net1"]
    count = len(described.partner)
    rows = [(k, k, 0.9 - k / 100, k, 0.9) for k in range(count)]
    table = stores.matches(tmp_path / "t.csv", *rows)
    folders = [stores.patches(tmp_path, net, count) for net in ("net0", "net1")]
    beside = {"evidence": store_of_evidence, "paper": RESOURCES / "paper_matching.csv"}
    figure = units.fig2_matches(folders, table, **beside, best=RESOURCES / "paper_best.csv")
    name, first = figure.subfigs[0].axes[:2]
    assert name.get_title(loc="right").split("\n") == ["correlation", "on rotated axes", "unit of Net1"]
    assert first.get_title().split("\n")[:2] == ["0.90", f"{described.rotated_median[0]:.2f}"]
    assert f"on rotated axes {described.rotated_median.mean():.2f}, in the paper 0.70" in figure._suptitle.get_text()
    sixteen = comparisons.of_paper(RESOURCES / "paper_best.csv", read_matches(table, "correlation"), 8, 16)
    assert (sixteen[:2], sixteen[-2:]) == (["1.00", "0.98"], ["0.28", "0.18"])
    assert comparisons.of_paper(RESOURCES / "paper_best.csv", read_matches(table, "correlation"), 8, 6) == []
    for change, said in (({"layer": "conv2"}, "layers differ"), ({"layer": "conv1", "images": "w"}, "images differ")):
        stores.rewrite(table, **change)
        with pytest.raises(InputError, match=said):
            comparisons.rotated(store_of_evidence, read_matches(table, "correlation"))
    plt.close("all")


def test_a_layer_that_the_paper_does_not_have_is_not_compared(tmp_path: Path) -> None:
    assert comparisons.printed(RESOURCES / "paper_matching.csv", "layer4") is None
    assert comparisons.printed_best(RESOURCES / "paper_best.csv", "conv5", "correlation") == {}
    table = read_matches(stores.matches(tmp_path / "t.csv", (0, 0, 0.9, 0, 0.9)), "correlation")
    assert np.isnan(comparisons.rotated(None, table)).all()


@pytest.mark.slow
def test_a_last_row_that_is_not_full_is_empty_behind_its_units(patches: list[Path], matches: Path) -> None:
    figure = units.fig2_matches(patches[::-1], matches, units=[*([0, 1] * 4), 1])
    first, last = (np.array(part.axes).reshape(4, 9)[:, 1:] for part in figure.subfigs)
    assert [ax.axison for ax in first[0]] == [True] * 8
    assert [ax.axison for ax in last[0]] == [True] + [False] * 7
    assert not any(ax.axison for ax in last[:, 1:].flat)
    plt.close("all")


def test_thumbnails_stand_alone_where_a_layer_has_no_positions(patches: list[Path], matches: Path) -> None:
    stores.patches(patches[1].parents[1], "net1", 3, positions=False)
    figure = units.fig2_matches(patches, matches, units=[0, 1])
    named, axes = np.split(np.array(figure.subfigs[0].axes).reshape(3, 3), [1], axis=1)
    assert [ax.texts[0].get_text() for ax in named.flat] == ["patches", "deconvolution", "whole crops"]
    assert axes[2, 0].get_title() == "1"
    stored = store.load(patches[1], "conv1/thumbnail")["conv1/thumbnail"][1]
    np.testing.assert_allclose(axes[2, 0].images[0].get_array(), pictures.tiles(stored))
    assert "no positions in Net2: pictures are the whole crops" in figure._suptitle.get_text()
    plt.close("all")


@pytest.mark.parametrize("unit", [3, -1])
def test_a_unit_that_is_not_there_is_refused(patches: list[Path], matches: Path, unit: int) -> None:
    with pytest.raises(InputError, match=f"--units: {unit} is not possible; conv1 has units 0 to 2"):
        units.fig2_matches(patches, matches, units=[0, unit])


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ({"layer": "conv9"}, "no patches of conv9; it has conv1"),
        ({"nets": stores.digests("net0", "net2")}, "--patches: stores of net0, net1; must be of net0, net2"),
        ({"nets": {"net0": "other", "net1": "other"}}, "weights of net0 differ"),
        ({"images": "others"}, "images differ"),
        ({"similarity": "mutual_information"}, "matches by mutual_information"),
    ],
)
def test_matches_of_another_layer_pair_run_or_similarity_are_refused(
    patches: list[Path], matches: Path, of: dict, said: str
) -> None:
    stores.rewrite(matches, **of)
    with pytest.raises(InputError, match=said):
        units.fig2_matches(patches, matches)


def test_figure_s4_says_how_far_information_agrees_in_its_layer_and_pair(
    patches: list[Path], matches: Path, tmp_path: Path
) -> None:
    stores.rewrite(matches, similarity="mutual_information")
    row = {"best": 8, "same_greedy": 0.5, "rank_agreement": 0.25, "rank_agreement_absolute": ""}
    rows = [
        {"layer": layer, "pair": "net0-net1", "best_shared": k, **row} for k, layer in enumerate(("conv2", "conv1"))
    ]
    about = {"kind": "agreement", "images": "v", "nets": stores.digests("net0", "net1", "net2")}
    tables.write(tmp_path / "information.csv", rows, **about)
    figure = units.figS4_information(patches, matches, tmp_path / "information.csv")
    title = " ".join(figure._suptitle.get_text().split())
    assert "1 of the 8 best pairs" in title
    assert "50% of both nets' units have the same partner" in title
    assert "none with its absolute value" in title
    axes = figure.subfigs[0].axes
    assert axes[0].get_title(loc="right") == "information, nats\nunit of Net1"
    assert [ax.get_title() for ax in axes[1:3]] == ["0.90\n0", "0.40\n1"]
    for own, of, said in (
        (rows[:1], {}, "no row of conv1 net0-net1; it has conv2 net0-net1"),
        (rows, {"nets": {"net1": "of another run"}}, "weights of net1 differ"),
        (rows, {"images": "others"}, "images differ"),
    ):
        tables.write(tmp_path / "information.csv", own, **about | of)
        with pytest.raises(InputError, match=said):
            units.figS4_information(patches, matches, tmp_path / "information.csv")
    plt.close("all")


@pytest.mark.slow
def test_most_and_least_active_units_of_unequal_nets(patches: list[Path], tmp_path: Path) -> None:
    count = 20
    stores.patches(patches[1].parents[1], "net1", count, positions=False)
    means = {"net0": np.array([0.5, 2.0, -1.0]), "net1": np.arange(count) / 1.0}
    moments = stores.moments(tmp_path / "moments.zarr/zarr.json", means)
    figure = units.figS11_active(moments, patches[::-1])
    one, two = ([ax.get_title() for ax in part.axes if ax.get_title()] for part in figure.subfigs)
    assert one == ["2.00\n1", "0.50\n0", "-1.00\n2"]
    assert two == [f"{k}.0\n{k}" for k in [19, 18, 17, 16, 15, 14, 5, 4, 3, 2, 1, 0]]
    gap = np.array(figure.subfigs[1].axes).reshape(1, 14)[0, 7]
    assert not gap.axison
    assert figure.get_label() == "highest mean activation: Net1 2.0, Net2 19.0"
    plt.close("all")


@pytest.mark.slow
def test_filters_of_any_size_and_of_no_net(tmp_path: Path) -> None:
    path = tmp_path / "filters.zarr/zarr.json"
    store.save(path, {"filters/net0": np.ones((6, 7, 7, 3)), "filters/net2": np.ones((64, 3, 5, 3))}, kind="filters")
    figure = units.nets_filters(path)
    assert [ax.get_title() for ax in figure.axes] == [
        "Net1, first convolution\n6 filters of 7 x 7",
        "Net3, first convolution\n64 filters of 3 x 5",
    ]
    store.save(path, {f"filters/net{k}": np.ones((4, 3, 3, 3)) for k in range(12)}, kind="filters")
    many = units.nets_filters(path)
    assert many.get_figwidth() == 5 * sheets.FILTERS
    assert [ax.get_title().split(",")[0] for ax in many.axes if ax.images] == [f"Net{k}" for k in range(1, 13)]
    assert sum(ax.axison for ax in many.axes) == 0
    store.save(path, {}, kind="filters")
    assert "no net" in units.nets_filters(path)._suptitle.get_text()
    plt.close("all")


def filters_of(path: Path, sizes: dict[str, int], units_of: str) -> Path:
    """A store of the first filters of nets with so many units, each of one colour."""
    rng = np.random.default_rng(0)
    arrays = {f"filters/{net}": np.ones((size, 3, 3, 1)) * rng.random((size, 1, 1, 3)) for net, size in sizes.items()}
    store.save(path, arrays, kind="filters", nets=stores.digests(*sizes), units_of=units_of)
    return path


def test_filters_stand_above_their_partners(tmp_path: Path) -> None:
    path = filters_of(tmp_path / "filters.zarr/zarr.json", {"net0": 3, "net1": 3, "net2": 2}, "conv1")
    one = stores.matches(tmp_path / "1.csv", (0, 1, 0.9, 1, 0.9), (1, 0, 0.4, 0, 0.4), (2, 2, 0.6, 2, 0.6))
    rows = (0, 1, 0.9, 1, 0.7), (1, 0, 0.4, 0, 0.2), (2, 0, 0.6, "", "")
    two = stores.matches(tmp_path / "2.csv", *rows, pair="net0-net2")
    figure = units.nets_filters(path, [one, two])
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["Net1", "Net2", "Net3", "0.80", "0.60", "0.30"]
    shown = [image.get_array()[1, 1::4] for image in axes.images]  # a pixel of each filter
    stored = store.load(path)
    for row, (net, chosen) in enumerate({"net0": [0, 2, 1], "net1": [1, 2, 0], "net2": [1, None, 0]}.items()):
        for column, unit in enumerate(chosen):
            own = np.ones(3) if unit is None else stored[f"filters/{net}"][unit, 0, 0]
            own = own if unit is None else 0.5 + 0.5 * own / own.max()
            np.testing.assert_allclose(shown[row][column], own)
    assert figure.get_label().endswith("of 3 units median 0.60, highest 0.80, lowest 0.30")
    filters_of(path, {"net0": 3, "net1": 3, "net2": 2}, "")
    assert len(units.nets_filters(path, [one, two]).axes) == 3  # no layer has the filters as units: each net alone
    plt.close("all")


@pytest.mark.slow
def test_many_filters_stand_in_bands(tmp_path: Path) -> None:
    path = filters_of(tmp_path / "filters.zarr/zarr.json", {f"net{k}": 96 for k in range(10)}, "conv1")
    rows = [(unit, unit, 0.5, unit, 0.5) for unit in range(96)]
    pairs = [f"net0-net{k}" for k in range(1, 10)]
    figure = units.nets_filters(path, [stores.matches(tmp_path / f"{pair}.csv", *rows, pair=pair) for pair in pairs])
    assert [len(ax.images) for ax in figure.axes] == [10] * 3
    plt.close("all")


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ({"layer": "conv2"}, "layers differ"),
        ({"nets": {"net0": "other", "net1": "other"}}, "weights of net0 differ"),
        ({"similarity": "mutual_information"}, "matches by mutual_information"),
        ({"pair": "net1-net2", "nets": stores.digests("net1", "net2")}, "first nets differ"),
    ],
)
def test_filters_beside_matches_of_another_layer_run_or_first_net_are_refused(
    tmp_path: Path, of: dict, said: str
) -> None:
    path = filters_of(tmp_path / "filters.zarr/zarr.json", {"net0": 2, "net1": 2, "net2": 2}, "conv1")
    rows = (0, 1, 0.9, 1, 0.9), (1, 0, 0.4, 0, 0.4)
    one = stores.matches(tmp_path / "1.csv", *rows, pair="net0-net2", nets=stores.digests("net0", "net2"))
    other = stores.matches(tmp_path / "2.csv", *rows)
    stores.rewrite(other, **of)
    with pytest.raises(InputError, match=said):
        units.nets_filters(path, [one, other])


@pytest.mark.slow
def test_groups_show_a_unit_of_each_net_with_their_similarity(tmp_path: Path) -> None:
    nets = ("net0", "net1", "net2")
    paths = [stores.patches(tmp_path, net, 3) for net in nets]
    between = np.array([[0.1, 0.9, 0.2], [0.7, 0.3, 0.4], [0.1, 0.2, 0.0]])
    known = [
        stores.correlation(
            tmp_path / f"{a}-{b}.zarr/zarr.json", between if a == "net0" else np.eye(3), a, b, images="v"
        )
        for a, b in (nets[:2], nets[::2], nets[1:])
    ]
    figure = units.units_matched(known, paths[::-1])
    first, *others = (np.array(part.axes).reshape(2, 8) for part in figure.subfigs)
    assert [ax.get_title() for ax in first[0, :3]] == ["0.93, 3 pairs\nunit 0", "0.80, 3 pairs\nunit 1", ""]
    assert [[ax.get_title() for ax in grid[0, :2]] for grid in others] == [["unit 1", "unit 0"]] * 2
    stored = store.load(paths[1], "conv1/patch")["conv1/patch"][1]
    np.testing.assert_allclose(others[0][0, 0].images[0].get_array(), pictures.tiles(stored))
    assert figure.get_label().endswith("over all pairs of nets: 0.93, 3 pairs; 0.80, 3 pairs")
    assert "units of 3 nets" in figure._suptitle.get_text()
    with pytest.raises(InputError, match="--between: no store of net1-net2; every two nets must have one"):
        units.units_matched(known[:2], paths)
    two = units.units_matched(known[:1], paths[:2])
    assert two.subfigs[0].axes[0].get_title() == "0.90\nunit 0"
    assert "Net1 and Net2" in two._suptitle.get_text()
    plt.close("all")


def test_slots_without_an_image_stay_white(tmp_path: Path) -> None:
    path = stores.patches(tmp_path, "net0", 1)
    stores.resave(path, {"conv1/image": np.array([[4, 5, -1, -1, -1, -1, -1, -1, -1]])})
    (of,) = pictures.read_pictures([path], "conv1", stores.digests("net0"), "v")
    _, axes = plt.subplots()
    pictures.draw_unit([axes], of, 0)
    shown = axes.images[0].get_array()
    assert (shown[:5, 12:] == 1).all()
    assert (shown[6:] == 1).all()
    np.testing.assert_allclose(shown[:5, :5], store.load(path)["conv1/patch"][0, 0] / 255)
    plt.close("all")
