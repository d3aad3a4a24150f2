"""Stored evidence as rows."""

from pathlib import Path

import numpy as np
import pytest

from tests.evidence import stores
from workflow.convergent.evidence import inference, summary


@pytest.mark.slow
def test_rows_are_of_pairs_and_of_their_mean(tmp_path: Path) -> None:
    evidence = summary.read(stores.evidence(tmp_path))
    rows = summary.rows("conv1", evidence)
    assert [(row["state"], row["pair"]) for row in rows] == [
        (state, pair) for state in ("trained", "untrained") for pair in ("net0-net1", "net0-net2", "net1-net2", "mean")
    ]
    pairs, mean = rows[:3], rows[3]
    for name in ("greedy", "greedy_crossfit", "overlap", "mutual", "greedy_crossfit_rotated", "layout", "shuffled"):
        assert mean[name] == pytest.approx(np.mean([row[name] for row in pairs]))
    assert pairs[0]["units"] == 6
    assert mean["units"] == ""


@pytest.mark.slow
def test_ends_are_over_photographs_and_of_the_mean_over_nets_too(tmp_path: Path) -> None:
    of = summary.read(stores.evidence(tmp_path))["trained"]
    value, without = of.value["greedy_crossfit"], of.without["greedy_crossfit"]
    assert of.interval("greedy_crossfit") == inference.interval(value, without, [(0, 1), (0, 2), (1, 2)])
    alone = of.interval("greedy_crossfit", slice(1, 2))
    assert alone.estimate == value[1]
    assert alone.df == 3  # of four blocks
    assert np.isnan(alone.error_nets)


def test_shares_never_leave_their_range(tmp_path: Path) -> None:
    for of in summary.read(stores.evidence(tmp_path)).values():
        for name in ("overlap", "mutual", "overlap_rotated"):
            found = of.interval(name)
            assert 0 <= found.low <= found.estimate <= found.high <= 1


def test_the_net_of_the_fewest_live_units_decides_how_sure_a_share_of_none_is() -> None:
    def reach(*live: int) -> float:
        units = {f"net{number}": [9, of] for number, of in enumerate(live)}
        share = {"mutual": np.zeros(3)}, {"mutual": np.zeros((3, 4))}
        return float(summary.Evidence(list(units), units, *share, {}, {}).interval("mutual").high)

    assert reach(9, 3, 9) == reach(3, 9, 9) == reach(3, 3, 3) > reach(9, 9, 9)


@pytest.mark.slow
def test_without_twins_there_are_rows_of_trained_nets_alone(tmp_path: Path) -> None:
    rows = summary.rows("conv1", summary.read(stores.evidence(tmp_path, untrained=False, nets=2)))
    assert [(row["state"], row["pair"]) for row in rows] == [("trained", "net0-net1"), ("trained", "mean")]
