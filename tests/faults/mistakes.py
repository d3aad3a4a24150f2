"""Configurations with a mistake, drawn from the schema and from what cannot be read as YAML."""

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml

from tests import ROOT
from tests.configurations_refused import FILES as UNREADABLE
from tests.configurations_refused import REFUSED

CANARY = "executed"  # the file that a mistake would make if it were executed
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the first is ten times as fast
Path = tuple[str | int, ...]  # of an entry


@dataclass(frozen=True)
class Mistake:
    """A configuration that has to be refused."""

    kind: str
    name: str
    content: bytes
    readable: bool = True  # whether it is YAML; what is not Snakemake refuses in its own words


def entries(schema: dict, path: Path = ()) -> Iterator[tuple[Path, dict]]:
    """Each entry that the schema knows, with its part of the schema; of a list its first."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from entries(part, (*path, name))
    if isinstance(schema.get("items"), dict):
        yield from entries(schema["items"], (*path, 0))


ENTRIES = list(entries(SCHEMA))


def put(config: dict, path: Path, value: object) -> dict:
    """A copy of a configuration with one entry set; sections that are missing are added."""
    changed = copy.deepcopy(config)
    place: Any = changed
    for name, following in pairwise(path):
        place = place[int(name)] if isinstance(place, list) else place.setdefault(name, [] if following == 0 else {})
        if place == []:
            place.append({})
    place[path[-1]] = value
    return changed


def of_type(*types: str) -> list[tuple[Path, dict]]:
    return [(path, part) for path, part in ENTRIES if path and part.get("type") in types]


def drawn(rng: random.Random, config: dict, *types: str) -> tuple[Path, dict]:
    """An entry of one of these types whose place exists or can be made."""
    return rng.choice([(path, part) for path, part in of_type(*types) if path[:2] != ("nets", 1)])


WRONG: dict[str, list[object]] = {
    "integer": ["many", 1.5, [1], {"a": 1}, None, True, "60"],
    "number": ["much", [0.5], {"a": 1}, None, False],
    "string": [5, ["a"], {"a": 1}, None, True],
    "boolean": ["maybe", 2, [True], None],
    "array": ["one", 3, {"a": 1}, None],
    "object": ["text", 3, [1], None],
}
TEXTS: list[object] = [
    "a\0b",
    "a\x1b[31mb",
    "a\nb",
    "scenes\n",
    "",
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"'; touch {CANARY}; '",
    "{run}",
    "a" * 5000,
    "../../nowhere",
    "\u202e",
    "x y",
]


def wrong_type(rng: random.Random, config: dict) -> tuple[str, object]:
    path, part = drawn(rng, config, *WRONG)
    return dotted(path), put(config, path, rng.choice(WRONG[part["type"]]))


def out_of_range(rng: random.Random, config: dict) -> tuple[str, object]:
    while True:
        path, part = drawn(rng, config, "integer", "number")
        beyond = [
            *([part["minimum"] - 1] if "minimum" in part else []),
            *([part["exclusiveMinimum"], -1] if "exclusiveMinimum" in part else []),
            *([part["maximum"] + 1] if "maximum" in part else []),
            *([part["exclusiveMaximum"]] if "exclusiveMaximum" in part else []),
        ]
        if beyond:
            return dotted(path), put(config, path, rng.choice(beyond))


def not_finite(rng: random.Random, config: dict) -> tuple[str, object]:
    path, _ = drawn(rng, config, "number", "integer")
    return dotted(path), put(config, path, rng.choice([float("nan"), float("inf"), -float("inf")]))


def huge(rng: random.Random, config: dict) -> tuple[str, object]:
    path, _ = drawn(rng, config, "integer")
    return dotted(path), put(config, path, 10**30)


def text(rng: random.Random, config: dict) -> tuple[str, object]:
    path = rng.choice(
        [("run",), ("data", "folder"), ("nets", 0, "architecture"), ("nets", 0, "weights"), ("layers", 0)]
    )
    return dotted(path), put(config, path, rng.choice(TEXTS))


def unknown(rng: random.Random, config: dict) -> tuple[str, object]:
    path, part = drawn(rng, config, "object")
    key = rng.choice([*(f"{name}s" for name in part.get("properties", {})), "nonsense", "$(touch executed)"])
    if path[-1] == "layers":
        key = "nonsense"
    return f"{dotted(path)}.{key}", put(config, (*path, key), "first")


def missing(rng: random.Random, config: dict) -> tuple[str, object]:
    needing = [(path, part) for path, part in ENTRIES if part.get("required") and not path[1:]]
    path, part = rng.choice([(path, part) for path, part in needing if not path or path[0] in config])
    key = rng.choice(part["required"])
    changed = copy.deepcopy(config)
    place = changed[path[0]] if path else changed
    place.pop(key, None)
    if path and path[0] == "nets":
        changed.pop("nets")
    return f"without {dotted((*path, key))}", changed


CONTRADICTIONS: dict[str, tuple[Path, object]] = {
    "a pair of a net that is not there": (("figures", "pair"), "net0-net7"),
    "a pair in the wrong order": (("figures", "pair"), "net1-net0"),
    "the same seed twice": (("nets", 1, "seed"), 0),
    "no seed": (("nets", 1), {}),
    "one net": (("nets",), [{"seed": 0}]),
    "weights that are not there": (("nets", 1), {"weights": "none.pth"}),
    "a module that is not there": (("nets", 1, "architecture"), "nothing:net"),
    "a model that torchvision lacks": (("nets", 1, "architecture"), "torchvision:nonsense"),
    "nesterov without momentum": (("training", "momentum"), 0),
    "more shards than blocks": (("moments", "shards"), 99),
    "a crop wider than the images": (("architecture", "crop"), 99),
    "a crop that convolutions use up": (("architecture", "conv", 0, "stride"), 30),
    "crops in the wrong order": (("data", "crops", "smallest"), 129),
    "crops of another source": (("data", "source"), "image_folder"),
    "a range in the wrong order": (("clustering", "range"), [9, 3]),
    "an unknown layer": (("layers",), ["conv9"]),
    "a stage of another layer": (("stitching", "layers"), ["conv3"]),
    "a layer twice": (("layers",), ["conv1", "conv1"]),
    "a unit that is not there": (("figures", "unit"), 4),
    "a folder that is not there": (("data", "folder"), "nowhere"),
    "a file in place of a folder": (("data", "folder"), "config.yaml"),
    "decays without 0": (("stitching", "decays"), [0.1]),
    "a decay that is not a number": (("stitching", "decays"), [0, float("nan")]),
    "more blocks than photographs": (("moments", "blocks"), 99),
    "more clusters than units": (("clustering", "clusters"), 99),
    "a batch larger than the images": (("training", "batch"), 2000),
}


def contradiction(rng: random.Random, config: dict) -> tuple[str, object]:
    name = rng.choice(list(CONTRADICTIONS))
    return name, put(config, *CONTRADICTIONS[name])


FILES: dict[str, Callable[[str], bytes]] = {
    "empty": lambda text: b"",
    "only a comment": lambda text: b"# nothing\n",
    "a list": lambda text: b"- run\n- data\n",
    "a text": lambda text: b"run\n",
    "a number": lambda text: b"5\n",
    "an open bracket": lambda text: f"{text}\nlayers: [conv1\n".encode(),
    "an open quote": lambda text: f"{text}\nfigures: {{pair: 'net0}}\n".encode(),
    "a tab": lambda text: f"{text}\nfigures:\n\tpair: net0-net1\n".encode(),
    "an indentation": lambda text: f"{text}\n  resample: none\n".encode(),
    "a key twice": lambda text: f"{text}\nrun: other\n".encode(),
    "a key twice in a section": lambda text: text.replace("crop:", "crop: 30\n  crop:", 1).encode(),
    "an unknown alias": lambda text: f"{text}\nfigures: *nothing\n".encode(),
    "an alias of itself": lambda text: f"{text}\nfigures: &a {{pair: *a}}\n".encode(),
    "an object of Python": lambda t: f"{t}\nfigures: !!python/object/apply:os.system ['touch {CANARY}']\n".encode(),
    "an unknown tag": lambda text: f"{text}\nfigures: !nonsense {{}}\n".encode(),
    "two documents": lambda text: f"{text}\n---\n{text}".encode(),
    "Latin-1": lambda text: f"{text}\n# Zürich\n".encode("latin-1"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "a zero byte": lambda text: text.encode().replace(b"scenes", b"sce\0nes", 1),
    "a control character": lambda text: text.encode().replace(b"scenes", b"sce\x07nes", 1),
    "half": lambda text: text.encode()[: len(text) // 2] + b"{",
    "bytes": lambda text: bytes(range(256)),
    "a key that is a list": lambda text: f"{text}\n? [a, b]\n: c\n".encode(),
    "a key that is a number": lambda text: f"{text}\n7: c\n".encode(),
    "deep nesting": lambda text: f"{text}\nfigures: {'[' * 3000}{']' * 3000}\n".encode(),
}
VALUES = {
    "type": wrong_type,
    "range": out_of_range,
    "not finite": not_finite,
    "huge": huge,
    "text": text,
    "unknown key": unknown,
    "missing key": missing,
    "contradiction": contradiction,
}


def dotted(path: Path) -> str:
    return ".".join(map(str, path)) or "top level"


def as_yaml(config: object) -> str:
    return yaml.dump(config, Dumper=DUMPER, allow_unicode=True)


def of_file(rng: random.Random, config: dict) -> Mistake:
    name = rng.choice(list(FILES))
    return Mistake("file", name, FILES[name](as_yaml(config)), readable=False)


def of_value(kind: str, rng: random.Random, config: dict) -> Mistake:
    name, changed = VALUES[kind](rng, config)
    return Mistake(kind, name, as_yaml(changed).encode())


def drawn_mistakes(config: dict, count: int, rng: random.Random) -> list[Mistake]:
    """So many different mistakes, as many of each kind."""
    found: dict[bytes, Mistake] = {}
    while len(found) < count:
        for kind in [*VALUES, "file"]:
            mistake = of_file(rng, config) if kind == "file" else of_value(kind, rng, config)
            found.setdefault(mistake.content, mistake)
    return list(found.values())[:count]


def mistakes(config: dict, count: int, rng: random.Random) -> list[Mistake]:
    """Half of them drawn, half from those that the tests hold, without those of a machine's memory."""
    held = [each for each in REFUSED if "GB" not in each.said]
    known = [Mistake("held by a test", each.name, each.content, each not in UNREADABLE) for each in held]
    return [*drawn_mistakes(config, count - count // 2, rng), *rng.sample(known, count // 2)]
