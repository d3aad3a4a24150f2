"""What figures of the evidence say of their numbers."""

from pathlib import Path

import pytest

from tests.evidence.stores import evidence
from workflow.convergent.evidence import summary
from workflow.convergent.figures import words


@pytest.mark.slow
@pytest.mark.parametrize("name", [summary.SIMILARITY, summary.EXCESS])
def test_similarities_are_said_with_intervals_and_controls(tmp_path: Path, name: str) -> None:
    layers = {
        "conv1": summary.read(evidence(tmp_path, "conv1")),
        "fc6": summary.read(evidence(tmp_path, "fc6", untrained=False)),
    }
    meaning, first, second = words.similarities(layers, name).split("; ")
    assert meaning == words.MEANING[name]
    found = layers["conv1"]["trained"].interval(name)
    assert first.startswith(f"conv1 {found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]")
    assert f"before training {layers['conv1']['untrained'].interval(name).estimate:.2f}" in first
    assert "before training" not in second
    assert ("on rotated axes" in second) == (name == summary.SIMILARITY)


def test_a_claim_is_said_once_with_its_layers_by_verdict() -> None:
    rows = [
        {"claim": "units are alike", "against": "rotated axes", "layer": layer, "verdict": verdict}
        for layer, verdict in (("conv1", "holds"), ("conv2", "fails"), ("conv3", "holds"))
    ]
    assert words.judged(rows) == "units are alike, against rotated axes: holds in conv1 and conv3, fails in conv2"
