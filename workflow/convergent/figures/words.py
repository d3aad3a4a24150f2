"""What figures of the evidence say of their numbers, in parts with semicolons between them."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..evidence import summary
from ..evidence.compare import TRAINED, UNTRAINED
from ..evidence.inference import Interval
from ..evidence.summary import SIMILARITY

MEANING = {
    SIMILARITY: "mean correlation with the most similar unit, chosen on other photographs",
    summary.EXCESS: "its excess over rotated axes",
}


def with_interval(found: Interval) -> str:
    """A number with its interval, if it has one."""
    ends = f" [{found.low:.2f}, {found.high:.2f}]" if found.low == found.low else ""
    return f"{found.estimate:.2f}{ends}"


def similarities(layers: summary.Layers, name: str = SIMILARITY) -> str:
    """A number of each layer, of trained nets with its interval, before training and on rotated axes."""
    parts = [MEANING[name]]
    for layer, of in layers.items():
        said = f"{layer} {with_interval(of[TRAINED].interval(name))}"
        said += f", before training {of[UNTRAINED].interval(name).estimate:.2f}" if UNTRAINED in of else ""
        rotated = f"{name}_rotated"
        has = rotated in of[TRAINED].value
        parts.append(said + (f", on rotated axes {of[TRAINED].interval(rotated).estimate:.2f}" if has else ""))
    return "; ".join(parts)


def judged(rows: Sequence[Mapping[str, Any]]) -> str:
    """In which layers each claim holds, fails or cannot be told. rows: of the scorecard"""
    found: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        claim = f"{row['claim']}, against {row['against']}"
        found.setdefault(claim, {}).setdefault(row["verdict"], []).append(row["layer"])
    parts = []
    for claim, of in found.items():
        said = (f"{verdict} in {' and '.join(layers)}" for verdict, layers in of.items())
        parts.append(f"{claim}: {', '.join(said)}")
    return "; ".join(parts)


def through_training(layers: Mapping[str, Mapping[str, summary.Evidence]]) -> str:
    """The similarity of each layer before and after training."""
    ends = ((layer, list(states.values())) for layer, states in layers.items())
    parts = (
        f"{layer} {with_interval(states[0].interval(SIMILARITY))} before training, "
        f"{with_interval(states[-1].interval(SIMILARITY))} after it"
        for layer, states in ends
    )
    return "; ".join([MEANING[SIMILARITY], *parts])
