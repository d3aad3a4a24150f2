"""The file of an experiment, read as what it says: YAML in which nothing is lost or taken for something else.

YAML drops all but the last of equal keys, takes 010 for 8 and 1:30 for 90, and reads on where a file is no text. Each
such thing is refused with its line.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import reduce
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn

import yaml

from .commands import InputError, cut

LARGEST = 2**20  # bytes of a file
VALUES = 100_000  # in a file, those of anchors counted wherever they are used
DEEPEST = 20  # values within each other
BRACKETS = 100  # open at a time, those of comments among them; YAML takes minutes for thousands
SHOWN = 60  # characters of what is wrong
TAG = "tag:yaml.org,2002:"
TEMPLATE = "__use_yte__"  # Snakemake would run what such a file says


class Loader(yaml.SafeLoader):
    """YAML's values; a date or a number that is none becomes an error with its line."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None


def neighbours(file: Path) -> str:
    """What to say of the files of YAML that lie where one is missing, those of a similar name if there are any."""
    names = sorted(each.name for each in file.parent.glob("*.y*ml")) if file.parent.is_dir() else []
    near = get_close_matches(file.name, names) or names[:10]
    return f"; there are {', '.join(near)}" if near else ""


def text_of(file: Path) -> str:
    """Text of a file. Raises InputError where it is missing, no file, too large or not in UTF-8."""
    try:
        if not file.exists():
            raise InputError(f"{file}: no such configuration{neighbours(file)}")
        if not file.is_file():
            raise InputError(f"{file}: a configuration must be a file, not a folder, a pipe or a device")
        if file.stat().st_size > LARGEST:
            raise InputError(f"{file}: {file.stat().st_size} bytes, a configuration has at most {LARGEST}")
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}, the configuration cannot be read") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{file}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None


class Walk:
    """A look at all values of a file before they are taken for what YAML says."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.extents: dict[yaml.Node, tuple[int, int]] = {}

    def refuse(self, node: yaml.Node, wrong: str) -> NoReturn:
        raise InputError(f"{self.file}, line {node.start_mark.line + 1}: {wrong}")

    def key(self, node: yaml.Node, known: set[str]) -> None:
        """Refuse a key that is no text, or stands there twice."""
        if node.tag not in (f"{TAG}str", f"{TAG}merge"):
            said = cut(node.value, SHOWN) if isinstance(node, yaml.ScalarNode) else "a list or a mapping"
            self.refuse(node, f"key {said or 'without a name'} is not text for YAML; put it into quotes")
        if node.value in known:
            self.refuse(node, f"key {cut(node.value, SHOWN)} stands there twice; remove one")
        if node.value == TEMPLATE:
            self.refuse(node, f"{TEMPLATE}: a configuration is no template")
        known.add(node.value)

    def scalar(self, node: yaml.ScalarNode) -> None:
        """Refuse a number that YAML takes for another."""
        kind, said = node.tag.removeprefix(TAG), cut(node.value, SHOWN)
        if kind == "int" and re.fullmatch(r"[-+]?0[0-7_]+", node.value):
            self.refuse(node, f"{said} is octal for YAML; write it without the leading 0")
        if kind in ("int", "float") and ":" in node.value:
            self.refuse(node, f"{said} counts in sixties for YAML; put it into quotes if it is text")

    def inner(self, node: yaml.Node) -> list[yaml.Node]:
        """Values of a list or a mapping, whose keys are looked at; none of a single value, which is looked at."""
        if isinstance(node, yaml.MappingNode):
            known: set[str] = set()
            for key, _ in node.value:
                self.key(key, known)
            return [value for _, value in node.value]
        if isinstance(node, yaml.SequenceNode):
            return node.value
        if isinstance(node, yaml.ScalarNode):
            self.scalar(node)
        return []

    def extent(self, node: yaml.Node, above: tuple[yaml.Node, ...] = ()) -> tuple[int, int]:
        """Number of values of a node, and how deep they lie. Raises InputError for what a configuration cannot hold."""
        if node in above:
            self.refuse(node, "this value contains itself")
        if node not in self.extents:
            inner = [self.extent(each, (*above, node)) for each in self.inner(node)]
            values = 1 + sum(values for values, _ in inner)
            depth = 1 + max((depth for _, depth in inner), default=0)
            if depth > DEEPEST or len(above) > DEEPEST or values > VALUES:
                self.refuse(node, f"more than {VALUES} values, or more than {DEEPEST} within each other")
            self.extents[node] = values, depth
        return self.extents[node]


def parsed(text: str, file: Path) -> Any:
    """What YAML says. Raises InputError with the line of what is wrong."""
    if max(accumulate((each in "[{") - (each in "]}") for each in text), default=0) > BRACKETS:
        raise InputError(f"{file}: more than {BRACKETS} brackets within each other")
    loader = Loader(text)
    node = loader.get_single_node()
    if node is None:
        raise InputError(f"{file}: the configuration is empty")
    Walk(file).extent(node)
    return loader.construct_document(node)


def read(path: str | Path) -> dict[str, Any]:
    """Content of the file of an experiment. Raises InputError with file and line where it is not what it should be."""
    file = Path(path)
    text = text_of(file)
    try:
        config = parsed(text, file)
    except yaml.reader.ReaderError as error:
        line = len(text[: error.position].splitlines() or [""])
        raise InputError(f"{file}, line {line}: character U+{ord(text[error.position]):04X} is not allowed") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise InputError(f"{file}, line {line}: {cut(error.problem or error.context or 'not YAML')}") from None
    except RecursionError:
        raise InputError(f"{file}: more than {VALUES} values, or more than {DEEPEST} within each other") from None
    if not isinstance(config, dict):
        raise InputError(f"{file}: {cut(repr(config), SHOWN)} is no configuration, which is a mapping of keys, as run")
    return config


def merged(config: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the entries of a later one, key by key, as Snakemake merges them. Lists are replaced.

    >>> merged({"run": "a", "data": {"size": 36, "seed": 0}}, {"data": {"size": 32}})
    {'run': 'a', 'data': {'size': 32, 'seed': 0}}
    """
    known = {key: config[key] for key in later if isinstance(config.get(key), Mapping)}
    inner = {key: merged(each, later[key]) for key, each in known.items() if isinstance(later[key], Mapping)}
    return {**config, **later, **inner}


def together(paths: Iterable[str | Path]) -> dict[str, Any]:
    """Content of the files of an experiment, of which later ones replace entries of earlier ones, as ``read``."""
    return reduce(merged, map(read, paths))
