"""What drawn files say of themselves, and the refusal of those that do not fit together."""

from pathlib import Path

import numpy as np
import pytest

from tests.figures import stores
from workflow.convergent.alignment import matching
from workflow.convergent.commands import InputError
from workflow.convergent.figures import inputs


@pytest.mark.parametrize("name", ["patches/net12.zarr/zarr.json", "nets/net12.csv"])
def test_a_file_of_one_net_names_it(name: str) -> None:
    assert inputs.net_of(Path(name)) == "net12"


@pytest.mark.parametrize("name", ["patches.zarr/zarr.json", "conv1/net0-net1.csv", "mynet0.csv"])
def test_a_file_that_names_no_net_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: does not name its net"):
        inputs.net_of(Path(name))


@pytest.fixture
def matches(tmp_path: Path) -> Path:
    return stores.matches(tmp_path / "matching/correlation/my.layer/net2-net10.csv", "0,1,0.9,,")


def test_matches_are_of_the_layer_and_pair_of_their_path(matches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = inputs.read_matches(matches, "correlation")
    assert (table.layer, table.pair) == ("my.layer", ("net2", "net10"))
    assert table.columns["assigned"].tolist() == [matching.UNMATCHED]
    monkeypatch.chdir(matches.parent)
    assert inputs.read_matches(Path(matches.name), "correlation").layer == "my.layer"


def test_matches_whose_path_does_not_say_what_they_are_of_are_refused(matches: Path) -> None:
    moved = matches.rename(matches.parent.parent / "table.csv")
    with pytest.raises(InputError, match=r"table\.csv: does not say its layer and pair"):
        inputs.read_matches(moved, "correlation")


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
