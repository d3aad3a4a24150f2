"""The schema: every key is described and bounded, and what it lets through is complete and of the right kind."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from snakemake.utils import validate

from tests import ROOT
from tests.configurations import change
from workflow.convergent import experiment, schema


def rules(rule: Any, path: str = "") -> Iterator[tuple[str, dict]]:
    """Every part of the schema that says what a value may be, with its path."""
    if isinstance(rule, dict):
        if {"type", "enum", "const", "oneOf"} & set(rule):
            yield path, rule
        for name, each in rule.items():
            yield from rules(each, f"{path}.{name}")
    elif isinstance(rule, list):
        for number, each in enumerate(rule):
            yield from rules(each, f"{path}.{number}")


RULES = dict(rules(schema.schema()))
INTEGERS = [
    "data.size",
    "data.seed",
    "data.crops.train",
    "nets.0.seed",
    "architecture.crop",
    "architecture.conv.0.units",
    "architecture.conv.1.pool.0",
    "architecture.fc.0.units",
    "training.steps",
    "training.batch",
    "training.threads",
    "moments.blocks",
    "information.bins",
    "stitching.images",
    "evidence.rotations",
]


def test_every_key_is_described() -> None:
    keys = {path: rule for path, rule in RULES.items() if path.split(".")[-2:-1] == ["properties"]}
    assert len(keys) > 70
    assert [path for path, rule in keys.items() if "description" not in rule] == []


def test_every_number_and_every_list_is_bounded() -> None:
    numbers = {path: rule for path, rule in RULES.items() if rule.get("type") in ("integer", "number")}
    assert len(numbers) > 50
    for bounds in ({"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}):
        assert [path for path, rule in numbers.items() if not bounds & set(rule)] == []


def test_patterns_let_no_newline_through() -> None:
    """In Python $ matches before one at the end, too."""
    patterns = [rule["pattern"] for rule in RULES.values() if "pattern" in rule]
    assert len(patterns) == 6
    assert all(pattern.startswith("^") and pattern.endswith(r"\Z") and "$" not in pattern for pattern in patterns)


def test_all_stages_are_on_by_default() -> None:
    stages = schema.schema()["properties"]["stages"]
    assert stages["default"] == stages["items"]["enum"]


@pytest.mark.slow
def test_defaults_are_those_of_snakemakes_own_check() -> None:
    for file in (ROOT / "config.yaml", *(ROOT / "workflow/experiments").glob("*.yaml")):
        config = experiment.read(file)
        expected = copy.deepcopy(config)
        validate(expected, str(schema.FILE))
        assert schema.conform(config) == expected
        assert schema.conform(expected) == expected


def value_at(config: Any, key: str) -> Any:
    for name in key.split("."):
        config = config[int(name) if name.isdigit() else name]
    return config


@pytest.mark.parametrize("key", INTEGERS)
def test_a_whole_number_may_be_written_with_a_point(key: str) -> None:
    config = experiment.read(ROOT / "config.yaml")
    expected = schema.conform(config)
    change(config, key, float(value_at(config, key)))
    completed = schema.conform(config)
    assert completed == expected
    assert type(value_at(completed, key)) is int


@pytest.mark.parametrize(("key", "value"), [("information.positions", 3.0), ("figures.unit", 3.0)])
def test_so_may_one_that_may_be_a_word(config: dict, key: str, value: float) -> None:
    change(config, key, value)
    assert type(value_at(schema.conform(config), key)) is int


def test_numbers_that_need_not_be_whole_stay_as_they_are(config: dict) -> None:
    config["training"]["learning_rate"] = 1.0
    config["stitching"]["alphas"] = [1, 1.0]
    completed = schema.conform(config)
    assert [type(each) for each in (completed["training"]["learning_rate"], *completed["stitching"]["alphas"])] == [
        float,
        int,
        float,
    ]


def test_the_configuration_that_is_given_is_not_changed(config: dict) -> None:
    del config["patches"]
    before = copy.deepcopy(config)
    completed = schema.conform(config)
    completed["patches"]["batch"] = 1
    assert config == before
    assert schema.conform(config)["patches"]["batch"] != 1
