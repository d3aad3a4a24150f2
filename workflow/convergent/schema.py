"""What the schema says of a configuration: which keys there are, of which kind, and their defaults.

Each refusal is one line with the key, its value, what is allowed, and the schema's description of the key.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from .commands import InputError, cut

FILE = Path(__file__).parents[1] / "schemas/config.schema.yaml"
SHOWN = 60  # characters of a value
WHOLE = 1e15  # whole numbers up to here are written without a point
KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
}
RULES = {  # of the schema, in words
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "above {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "const": "only {}",
    "uniqueItems": "no entry may stand there twice",
    "pattern": "it is written otherwise",
    "contains": "it lacks an entry",
    "oneOf": "it is of another form",
}


@cache
def schema() -> dict[str, Any]:
    """The schema; not to be changed."""
    return yaml.load(FILE.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def key_of(path: Iterable[str | int]) -> str:
    """Key of an entry in messages.

    >>> key_of(["nets", 0, "seed"])
    'nets.0.seed'
    """
    return ".".join(cut(str(part), SHOWN) for part in path) or "top level"


def shown(value: object) -> str:
    """A value in messages; a date as it is written."""
    return cut(str(value) if isinstance(value, date) else repr(value), SHOWN)


def refuse(key: str, value: object, allowed: str) -> None:
    """Raise InputError for the value of a key. ``allowed`` says what may stand there instead."""
    raise InputError(f"Configuration, {key}: {shown(value)} is not possible; {allowed}")


def not_finite(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], float]]:
    """Path and value of each number that is NaN or infinite: comparisons let NaN through."""
    if isinstance(value, Mapping):
        value = value.items()
    elif isinstance(value, list):
        value = enumerate(value)
    else:
        if isinstance(value, float) and not math.isfinite(value):
            yield path, value
        return
    for name, each in value:
        yield from not_finite(each, (*path, name))


def number_in(text: Any) -> str:
    """The number that a text means as YAML takes it for one; empty where it means none.

    >>> number_in("1e-10"), number_in("6e1")
    ('1.0e-10', '60')
    """
    try:
        number = float(text) if isinstance(text, str) else math.nan
    except ValueError:
        return ""
    if number.is_integer() and abs(number) < WHOLE:
        return str(int(number))
    mantissa, *exponent = repr(number).split("e")
    point = "" if "." in mantissa else ".0"
    return "e".join([mantissa + point, *exponent]) if math.isfinite(number) else ""


def kind_hint(value: Any, kind: str) -> str:
    """How to write a value of another kind so that it is of the kind that is wanted."""
    if value is None:
        return "nothing stands there"
    if kind == "string":
        return "put it into quotes"
    if kind in ("integer", "number") and (number := number_in(value)):
        return f"write it as {number}, which YAML does not take for text"
    return ""


def allowed(error: ValidationError) -> str:
    """What may stand in place of a value of the wrong kind or range."""
    rule, value = error.validator, error.validator_value
    if rule == "type":
        hint = kind_hint(error.instance, value)
        return f"{KINDS[value]}{f' ({hint})' if hint else ''}"
    if rule == "enum":
        return f"one of {', '.join(value)}"
    return RULES[rule].format(value)


def told(error: ValidationError) -> ValidationError:
    """The error to tell of: where a value may be of several forms, that of the form which it is nearest to."""
    if error.validator != "oneOf" or not error.context:
        return error
    near = [each for each in error.context if each.validator not in ("const", "type")]
    return near[0] if near else error


def unknown(error: ValidationError) -> InputError:
    """The refusal of a key that there is none of, with the nearest that there is."""
    names = list(error.schema["properties"])
    key = next(name for name in error.instance if name not in names)
    near = get_close_matches(key, names, 1)
    meant = f"did you mean {near[0]}? Allowed" if near else "allowed"
    where = key_of([*error.absolute_path, key])
    return InputError(f"Configuration, {where}: there is no such key; {meant} are {', '.join(names)}")


def missing(error: ValidationError) -> InputError:
    """The refusal of a mapping that lacks a key."""
    key = next(name for name in error.validator_value if name not in error.instance)
    described = error.schema["properties"][key]["description"]
    return InputError(f"Configuration, {key_of([*error.absolute_path, key])}: it is missing. {described}")


def meaning(error: ValidationError) -> str:
    """Description of the key, or of the nearest above it that has one."""
    rule: Any = schema()
    found = ""
    for part in error.absolute_schema_path:
        found = rule.get("description", found) if isinstance(rule, dict) else found
        rule = rule[part]
    return found


def refusal(error: ValidationError) -> InputError:
    """The line for what the schema does not allow."""
    if error.validator == "additionalProperties":
        return unknown(error)
    if error.validator == "required":
        return missing(error)
    key, value = key_of(error.absolute_path), shown(error.instance)
    return InputError(f"Configuration, {key}: {value} is not possible; {allowed(error)}. {meaning(error)}")


def require_valid(config: Mapping[str, Any]) -> None:
    """Raise InputError for the first entry that the schema does not allow; unknown keys come first."""
    for path, value in not_finite(config):
        refuse(key_of(path), value, "it must be a finite number")
    errors = Draft202012Validator(schema()).iter_errors(config)
    for error in sorted(errors, key=lambda each: each.validator != "additionalProperties"):
        raise refusal(told(error))


def completed(value: Any, rule: Mapping[str, Any]) -> Any:
    """A copy of a valid value with the schema's defaults, and with 60.0 as 60 where it counts something."""
    forms = [rule, *rule.get("oneOf", [])]
    if isinstance(value, dict):
        known = {name: each for form in forms for name, each in form.get("properties", {}).items()}
        unset = {name: each["default"] for name, each in known.items() if "default" in each and name not in value}
        return {name: completed(each, known.get(name, {})) for name, each in [*value.items(), *unset.items()]}
    if isinstance(value, list):
        return [completed(each, rule.get("items", {})) for each in value]
    whole = any(form.get("type") == "integer" for form in forms)
    return int(value) if whole and isinstance(value, float) else value


def conform(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a configuration with the schema's defaults. Raises InputError where the schema does not allow it."""
    require_valid(config)
    return completed(dict(config), schema())
