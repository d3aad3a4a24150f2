"""Evidence at steps of a training."""

from pathlib import Path

import numpy as np
import pytest

from tests.evidence import stores
from workflow.convergent import store
from workflow.convergent.evidence import summary, training
from workflow.convergent.evidence.crossfit import between
from workflow.convergent.evidence.pairs import numbers
from workflow.convergent.moments.covariance import load_pair

pytestmark = pytest.mark.slow

STATES = ["untrained", "snapshot1", "snapshot2", "snapshot3", "trained"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stores.through(tmp_path_factory.mktemp("training"))


def test_the_store_holds_every_state_by_step(made: Path) -> None:
    attributes, evidence = store.attributes(made, "training evidence"), summary.read(made)
    assert attributes["steps"] == dict(zip(STATES, [0, 3, 10, 40, 100], strict=True))
    assert attributes["nets"] == {net: f"weights of {net}" for net in ("net0", "net1", "net2")}
    assert list(evidence) == STATES
    similar = [of.interval("greedy_crossfit").estimate for of in evidence.values()]
    assert similar == sorted(similar)  # as planted
    assert evidence["trained"].value.keys() >= {"greedy_crossfit_rotated", "greedy_crossfit_excess", "mutual"}
    assert not any("assigned" in name for name in evidence["trained"].value)


@pytest.mark.parametrize("state", ["untrained", "snapshot2", "trained"])
def test_every_state_is_measured_on_the_blocks_of_the_snapshots(made: Path, state: str) -> None:
    """Against moments in two blocks from activations: stores of the first and the last state have four."""
    nets = stores.through_training()[STATES.index(state)]
    path = stores.moments(made.parents[2] / f"alone/{state}.zarr/zarr.json", nets, sizes=[6, 7])
    of = summary.read(made)[state]
    for number, (i, j) in enumerate(of.pairs()):
        a, b = list(nets)[i], list(nets)[j]
        expected = numbers(between(load_pair(path, a, b), a, b), assign=False)
        for name in ("greedy", "greedy_crossfit", "mutual"):
            assert of.value[name][number] == pytest.approx(expected[name].value, abs=1e-12)
            np.testing.assert_allclose(of.without[name][number], expected[name].without, atol=1e-12)


def test_the_table_has_shares_and_intervals(made: Path) -> None:
    evidence, steps = summary.read(made), store.attributes(made)["steps"]
    rows = training.rows("conv1", list(steps.values()), evidence)
    assert [(row["state"], row["step"], row["share"]) for row in rows] == list(
        zip(STATES, [0, 3, 10, 40, 100], [0, 0.03, 0.1, 0.4, 1], strict=True)
    )
    for row, of in zip(rows, evidence.values(), strict=True):
        for name in ("greedy_crossfit", "greedy_crossfit_excess"):
            assert [row[f"{name}{end}"] for end in ("", "_low", "_high")] == list(of.interval(name)[:3])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sha256": "other"}, "weights of net0_snapshot1 differ"),
        ({"becomes": "other"}, "weights of net0 differ"),
        ({"snapshot_of": "net7"}, "weights of net7 differ"),
    ],
)
def test_snapshots_of_other_weights_are_refused(tmp_path: Path, changed: dict, said: str) -> None:
    with pytest.raises(SystemExit, match=said):
        training.main(stores.training_arguments(tmp_path, **changed))


@pytest.mark.parametrize(
    ("change", "said"), [({"step": 4}, "nets differ: "), ({"steps": 99}, "numbers of steps diffe")]
)
def test_snapshots_that_do_not_belong_together_are_refused(tmp_path: Path, change: dict, said: str) -> None:
    arguments = stores.training_arguments(tmp_path)
    _, first, *_ = stores.through_training()
    stores.descriptions(tmp_path, [{"net0_snapshot1": first["net0_snapshot1"]}, {}, {}], **change)
    with pytest.raises(SystemExit, match=said):
        training.main(arguments)


def test_moments_of_other_images_are_refused(tmp_path: Path) -> None:
    arguments = stores.training_arguments(tmp_path)
    _, *snapshots, _ = stores.through_training()
    stores.moments(Path(arguments[2]), *snapshots, images="other")
    with pytest.raises(SystemExit, match="images differ"):
        training.main(arguments)
