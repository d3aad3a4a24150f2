"""What drawn files say of themselves, and the refusal of those that do not fit together."""

import inspect
from pathlib import Path

import numpy as np
import pytest

from tests.figures import stores
from workflow.convergent import store, tables
from workflow.convergent.alignment import matching
from workflow.convergent.commands import InputError
from workflow.convergent.figures import clusters, draw, inputs, mapping, overview, statistics, units


@pytest.fixture
def matches(tmp_path: Path) -> Path:
    return stores.matches(tmp_path / "t.csv", (0, 1, 0.9, "", ""), layer="my.layer", pair="net2-net10")


def test_matches_are_of_the_layer_and_pair_that_their_table_says(matches: Path) -> None:
    table = inputs.read_matches(matches, "correlation")
    assert (table.layer, table.pair) == ("my.layer", ("net2", "net10"))
    assert (table.nets, table.images) == (stores.digests("net2", "net10"), "v")
    assert table.columns["assigned"].tolist() == [matching.UNMATCHED]


def test_a_table_made_by_hand_is_refused(matches: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied.csv"
    copied.write_bytes(matches.read_bytes())
    with pytest.raises(
        InputError, match=r"copied\.csv: no copied\.csv\.sha256 beside it, .* tables made by hand are not"
    ):
        inputs.read_matches(copied, "correlation")


def test_another_table_is_refused(tmp_path: Path) -> None:
    tables.write(tmp_path / "t.csv", [{"layer": "conv1", "greedy": 0.5}], kind="agreement")
    with pytest.raises(InputError, match=r"t\.csv: a table of agreement; must be one of matches"):
        inputs.read_matches(tmp_path / "t.csv", "correlation")


def test_matches_by_another_similarity_are_refused(matches: Path) -> None:
    with pytest.raises(InputError, match="matches by correlation; this figure shows matches by mutual_information"):
        inputs.read_matches(matches, "mutual_information")


@pytest.fixture
def correlations(tmp_path: Path) -> tuple[list[Path], Path]:
    """Stores of two nets of three and of two units, each with itself and between them."""
    within = [
        stores.correlation(tmp_path / "a.zarr/zarr.json", np.eye(3), "net0"),
        stores.correlation(tmp_path / "b.zarr/zarr.json", np.eye(2), "net1"),
    ]
    return within, stores.correlation(tmp_path / "c.zarr/zarr.json", np.full((3, 2), 0.5), "net0", "net1")


def test_correlations_are_found_in_any_order(correlations: tuple[list[Path], Path]) -> None:
    within, between = correlations
    for order in (within, within[::-1]):
        found = inputs.read_correlations(order, between)
        assert (found.layer, found.pair) == ("conv1", ("net0", "net1"))
        assert (found.first.shape, found.second.shape, found.between.shape) == ((3, 3), (2, 2), (3, 2))


@pytest.mark.parametrize("attribute", ["layer", "moments"])
def test_correlations_of_another_layer_or_of_other_moments_are_refused(
    correlations: tuple[list[Path], Path], attribute: str
) -> None:
    within, between = correlations
    stores.resave(within[1], **{attribute: "another"})
    with pytest.raises(InputError, match=rf"{attribute} differ: .*another"):
        inputs.read_correlations(within, between)


def test_correlations_of_another_net_are_refused(correlations: tuple[list[Path], Path]) -> None:
    within, between = correlations
    stores.resave(within[1], nets=stores.digests("net2"))
    with pytest.raises(InputError, match="--within: stores of net0, net2; must be one of net0 and one of net1"):
        inputs.read_correlations(within, between)
    with pytest.raises(InputError, match="store of net0; must be of two nets"):
        inputs.read_correlations(within, within[0])


FAMILIES = (statistics, units, mapping, clusters, overview)
FIGURES = {name: figure for family in FAMILIES for name, figure in draw.figures_of(family.__name__).items()}
STORES = ("images", "moments of a shard", "moments", "correlation", "mutual_information", "mapping", "stitched nets")
STORES += ("tree", "clusters")
TABLES = ("matches", "agreement", "subtrees", "clusters", "training", "summary", "table 1")


@pytest.fixture(scope="module")
def one_of_each(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A store and a table of every kind that say nothing else, and files that are neither."""
    folder = tmp_path_factory.mktemp("kinds")
    files = [folder / "text.csv", folder / "folder.zarr", folder / "gone.csv", folder / "gone.zarr/zarr.json"]
    files[0].write_text("unit,greedy\n0,1\n")
    files[1].mkdir()
    for kind in (*STORES, "patches", "filters"):
        files.append(folder / f"{kind}.zarr/zarr.json")
        store.save(files[-1], {}, kind=kind)
    for kind in TABLES:
        files.append(folder / f"{kind}.csv")
        tables.write(files[-1], [{"layer": "conv1"}], kind=kind)
    return files


def of_type(annotation: object, file: Path) -> object:
    """A value of a parameter: the file, a list of it, or a setting."""
    kind = draw.argument(annotation)
    if kind["type"] is not Path:
        return kind["type"]("1")
    return [file] if "nargs" in kind else file


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_refuses_every_other_kind_of_file_in_one_line(
    figure: str, one_of_each: list[Path], tmp_path: Path
) -> None:
    parameters = inspect.signature(FIGURES[figure]).parameters
    for file in one_of_each:
        given = {name: of_type(parameter.annotation, file) for name, parameter in parameters.items()}
        if "table" in given:
            given["table"] = tmp_path / "written.csv"
        if (figure, file.parent.name) == ("nets_filters", "filters.zarr"):
            continue  # nets without convolutions have such a store
        with pytest.raises(InputError, match=f"^{file.parent}") as refusal:
            FIGURES[figure](**given)
        assert "\n" not in str(refusal.value)
