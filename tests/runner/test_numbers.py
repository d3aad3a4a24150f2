"""The numbers at the end of a run."""

from workflow.runner import numbers

SUMMARY = [
    {"layer": layer, "state": state, "pair": pair, "similarity": kind, "greedy_crossfit": 0.5 + number / 100}
    | ({"greedy": 0.75, "greedy_crossfit_rotated": 0.25} if state == "trained" else {})
    for number, layer in enumerate(["conv1", "first", "conv3", "conv4", "conv5", "fc6"])
    for state in ("trained", "untrained")
    for pair in ("net0-net1", "mean")
    for kind in ("correlation", "mutual_information")
]


def test_numbers_stand_beside_chance_and_the_papers() -> None:
    """The first five layers, the mean over pairs, and no number of the paper's for a layer that it does not have."""
    lines = numbers.numbers(SUMMARY, numbers.published()).splitlines()
    assert [line.split() for line in lines[2:]] == [
        ["layer", "trained", "untrained", "rotated", "axes", "same", "images", "the", "paper"],
        ["conv1", "0.500", "0.500", "0.250", "0.750", "0.703"],
        ["first", "0.510", "0.510", "0.250", "0.750", "-"],
        ["conv3", "0.520", "0.520", "0.250", "0.750", "0.478"],
        ["conv4", "0.530", "0.530", "0.250", "0.750", "0.369"],
        ["conv5", "0.540", "0.540", "0.250", "0.750", "0.416"],
    ]
    assert len({len(line) for line in lines[2:]}) == 1


def test_numbers_that_are_missing_end_no_run() -> None:
    row = {"layer": "conv1", "state": "trained", "pair": "mean", "similarity": "correlation", "greedy_crossfit": ""}
    row |= {"greedy": 0.5, "greedy_crossfit_rotated": 0.25}
    assert numbers.numbers([row], {}).splitlines()[-1].split() == ["conv1", "-", "-", "0.250", "0.500", "-"]
    assert numbers.numbers([], {}) == "No pair of nets could be compared."
