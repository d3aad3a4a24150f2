"""Configurations that are refused in one line before any work: how each differs from config.yaml, and what is said."""

import copy
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests import ROOT
from tests.configurations import change

EMBEDDED = (ROOT / "config.yaml").read_text()
PARSED = yaml.safe_load(EMBEDDED)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # in C where there is one, a tenth of the time
PICTURES = len(list((ROOT / "docs").glob("*.png")))
NOTHING = "=nothing="  # a value that is left empty
INF, NAN = float("inf"), float("nan")
FOLDER = {"data": {"source": "image_folder", "folder": "workflow/resources/scenes", "size": 36}}
CIFAR = {"data": {"source": "cifar10", "folder": "data", "size": 32}, "architecture.crop": 32}


class Refused(NamedTuple):
    """A configuration that is no possible one."""

    name: str
    said: str  # part of the line
    content: bytes  # of its file


def changed(key: str, value: Any, said: str, **others: Any) -> Refused:
    """The embedded configuration with another entry, and with ``others`` whose keys have two underscores for a dot."""
    config = copy.deepcopy(PARSED)
    for name, each in [*others.items(), (key, value)]:
        change(config, name.replace("__", "."), copy.deepcopy(each))
    text = (
        yaml.dump(config, Dumper=DUMPER, allow_unicode=True, sort_keys=False)
        .replace(f"'{NOTHING}'", "")
        .replace(NOTHING, "")
    )
    return Refused(f"{key}: {value!r}"[:100], said, text.encode())


def written(name: str, said: str, *edits: tuple[str, str]) -> Refused:
    """The embedded configuration with another text in places."""
    text = EMBEDDED
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return Refused(name, said, text.encode("utf-8", "surrogatepass"))


def raw(name: str, content: bytes, said: str) -> Refused:
    """A file of its own."""
    return Refused(name, said, content)


def deep(count: int) -> bytes:
    return b"run: " + b"[" * count + b"]" * count


def bomb() -> bytes:
    """Lists of lists by anchors: a billion values in a few lines."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(lines).encode()


# Files that are no YAML, or in which something would be lost.
FILES = [
    raw("empty", b"", "the configuration is empty"),
    raw("comments only", b"# nothing\n---\n", "None is no configuration"),
    raw("list", b"- run\n- data\n", "['run', 'data'] is no configuration, which is a mapping"),
    raw("scalar", b"3\n", "3 is no configuration"),
    raw("text", b"my experiment\n", "'my experiment' is no configuration"),
    raw("two documents", b"run: a\n---\nrun: b\n", "line 2: but found another document"),
    raw("bracket that is not closed", b"run: a\ndata: [1, 2\nnets: 3\n", "line 3: "),
    raw("colon that is missing", b"run: a\ndata\nnets: 3\n", "line 3: "),
    raw("quote that is not closed", b"run: 'a\n", "line 2: found unexpected end of stream"),
    raw("tab", b"run: a\ndata:\n\tsize: 3\n", r"line 3: found character '\t' that cannot start any token"),
    raw("indentation", b"run: a\n  data: 3\n", "line 2: mapping values are not allowed here"),
    raw("unknown alias", b"run: *a\n", "line 1: found undefined alias 'a'"),
    raw("latin-1", "run: a\ndata: {folder: Möwen}\n".encode("latin-1"), "line 2: byte 0xf6 is not UTF-8; save the"),
    raw("utf-16", "run: a\n".encode("utf-16"), "line 1: byte 0xff is not UTF-8"),
    raw("binary", bytes(range(128, 256)) * 4, "line 1: byte 0x80 is not UTF-8"),
    raw("nul", b"run: a\ndata: {folder: 'x\0y'}\n", "line 2: character U+0000 is not allowed"),
    raw("escape", b"run: a\n\n# \x1b[31m\n", "line 3: character U+001B is not allowed"),
    raw("too large", b"#" * 2**21, "2097152 bytes, a configuration has at most 1048576"),
    raw("python", b"run: !!python/name:os.system\n", "line 1: could not determine a constructor for the tag"),
    raw("template", b"__use_yte__: true\nrun: ?str(1)\n", "line 1: __use_yte__: a configuration is no template"),
    raw("date that is none", b"run: 2024-13-45\n", "line 1: month must be in 1..12"),
    raw("number of 5000 digits", b"run: " + b"9" * 5000, "line 1: Exceeds the limit"),
    raw("itself", b"run: &a [*a]\n", "line 1: this value contains itself"),
    raw("bomb", bomb(), "more than 100000 values"),
    raw("deep", deep(100), "more than 20 within each other"),
    raw("deepest", deep(100_000), "more than 100 brackets within each other"),
    raw("dashes", b"run: a\ndata:\n" + b"- " * 3000, "more than 20 within each other"),
    raw("key twice", b"run: a\nrun: b\n", "line 2: key run stands there twice; remove one"),
    raw("key twice in quotes", b'run: a\n"run": a\n', "line 2: key run stands there twice"),
    raw("key twice in json", b'{"run": "a", "run": "b"}', "line 1: key run stands there twice"),
    written("key twice below", "key steps stands there twice", ("  batch: 64\n", "  batch: 64\n  steps: 30\n")),
    written("key twice in a list", "key seed stands there twice", ("- seed: 0", "- {seed: 0, seed: 5}")),
    raw("number as key", b"1: a\n", "line 1: key 1 is not text for YAML; put it into quotes"),
    raw("yes as key", b"yes: a\n", "line 1: key yes is not text for YAML"),
    raw("list as key", b"? [a, b]\n: c\n", "line 1: key a list or a mapping is not text"),
    raw("null as key", b"~: a\n", "line 1: key ~ is not text for YAML"),
    written("octal", "line 37: 010 is octal for YAML; write it without the leading 0", ("batch: 64", "batch: 010")),
    written("sixties", "1:30 counts in sixties for YAML", ("steps: 3000", "steps: 1:30")),
]
# Keys and kinds that the schema does not have.
KEYS = [
    changed("colour", "red", "Configuration, colour: there is no such key; allowed are run, stages, data, "),
    changed("trainin", {}, "trainin: there is no such key; did you mean training? Allowed are run", training=None),
    changed("training.step", 9, "training.step: there is no such key; did you mean steps?", training__steps=None),
    changed("nets.0.sede", 1, "nets.0.sede: there is no such key; did you mean seed?"),
    changed("a\x1b\n", 1, r"a\x1b: there is no such key"),
    changed("k" * 500, 1, f"{'k' * 59}…: there is no such key"),
    changed("data.crops.height", 1, "data.crops.height: there is no such key; allowed are train, val,"),
    changed("moments", None, "moments: it is missing. The pass over the validation images"),
    changed("data.size", None, "data.size: it is missing. Width and height of a stored image"),
    changed("data.crops.left", None, "data.crops.left: it is missing. Share of a photograph's width"),
    changed("architecture.conv.0.units", None, "architecture.conv.0.units: it is missing. Number of units"),
    changed("training.steps", 60.5, "training.steps: 60.5 is not possible; a whole number. Number of training steps"),
    changed("training.steps", "60", "'60' is not possible; a whole number (write it as 60, which YAML does not take"),
    changed("training.learning_rate", "1e-3", "a number (write it as 0.001, which YAML does not take for text)"),
    changed("training.steps", True, "training.steps: True is not possible; a whole number"),
    changed("training.momentum", False, "training.momentum: False is not possible; a number"),
    changed("training.nesterov", "maybe", "'maybe' is not possible; true or false"),
    changed("training.nesterov", 1, "training.nesterov: 1 is not possible; true or false"),
    changed("training.steps", [60], "training.steps: [60] is not possible; a whole number"),
    changed("training", [], "training: [] is not possible; a mapping. Settings of stochastic gradient descent"),
    changed("training", 3, "training: 3 is not possible; a mapping"),
    changed("information", NOTHING, "information: None is not possible; a mapping (nothing stands there)"),
    changed("data", NOTHING, "data: None is not possible; a mapping (nothing stands there)"),
    changed("moments.blocks", NOTHING, "moments.blocks: None is not possible; a whole number (nothing stands there)"),
    changed("nets", {"seed": 0}, "nets: {'seed': 0} is not possible; a list"),
    changed("nets", [{"seed": 0}], "nets: [{'seed': 0}] is not possible; at least 2 entries"),
    changed("nets", [{"seed": n} for n in range(101)], "at most 100 entries"),
    changed("nets.0", 0, "nets.0: 0 is not possible; a mapping"),
    changed("nets.1", {"seed": 0}, "nets: [0, 0, 2, 3] is not possible; each net that is trained needs a seed"),
    changed("layers", "conv1", "layers: 'conv1' is not possible; a list"),
    changed("layers", [], "layers: [] is not possible; at least 1 entries"),
    changed("layers", ["conv1", "conv1"], "no entry may stand there twice"),
    changed("run", 2024, "run: 2024 is not possible; text (put it into quotes). Name of the experiment"),
    written("run: a date", "run: 2024-01-01 is not possible; text (put it", ("scenes", "2024-01-01")),
    written("run: yes", "run: True is not possible; text (put it into quotes)", ("scenes", "yes")),
    changed("data.folder", 3, "data.folder: 3 is not possible; text (put it into quotes)"),
    changed("nets.0.weights", 3, "nets.0.weights: 3 is not possible; text"),
    changed("data.source", "imagenet", "'imagenet' is not possible; one of scenes, image_folder, cifar10"),
    changed("resample", False, "resample: False is not possible; one of none, area"),
]
# Values that are out of range.
VALUES = [
    changed(
        "stages", ["matchin"], "stages.0: 'matchin' is not possible; one of nets, matching, information, stitching"
    ),
    changed("stages", ["matching", "Patches"], "stages.1: 'Patches' is not possible; one of nets, matching, inform"),
    changed("stages", [], "stages: [] is not possible; at least 1 entries. Figures and tables that are made"),
    changed("stages", ["nets", "nets"], "no entry may stand there twice"),
    changed("stages", "matching", "stages: 'matching' is not possible; a list. Figures and tables"),
    changed("run", "..", "run: '..' is not possible; it is written otherwise. Name of the experiment"),
    changed("run", ".", "run: '.' is not possible"),
    changed("run", "", "run: '' is not possible"),
    changed("run", "a/b", "run: 'a/b' is not possible"),
    changed("run", "a\n", r"run: 'a\n' is not possible; it is written otherwise"),
    changed("run", "ä", "run: 'ä' is not possible"),
    changed("run", "a b", "run: 'a b' is not possible"),
    changed("run", "{run}", "run: '{run}' is not possible"),
    changed("run", "a" * 101, "at most 100 characters"),
    changed("layers.0", "conv1\n", r"layers.0: 'conv1\n' is not possible; it is written otherwise. Layers that"),
    changed("layers.0", "../x", "layers.0: '../x' is not possible"),
    changed("layers.0", "c" * 101, "at most 100 characters"),
    changed("nets.0.architecture", "alexnet\n", r"nets.0.architecture: 'alexnet\n' is not possible"),
    changed("nets.0.architecture", "resnet18", "nets.0.architecture: 'resnet18' is not possible"),
    changed("nets.0.architecture", "a.b:c\n", r"'a.b:c\n' is not possible"),
    changed("figures.pair", "net0-net1\n", r"figures.pair: 'net0-net1\n' is not possible"),
    *(
        changed("nets.0.name", name, f"nets.0.name: {name!r} is not possible; it is written otherwise. Name of the net")
        for name in ("a-b", "-a", "", "1st", "a b", "a/b", "..", "_a", "ä", "{net}", "a*", "$(a)")
    ),
    changed("nets.0.name", "a\n", r"nets.0.name: 'a\n' is not possible; it is written otherwise"),
    changed("nets.0.name", "n" * 31, "at most 30 characters. Name of the net in files, figures and tables"),
    changed("nets.0.name", 18, "nets.0.name: 18 is not possible; text (put it into quotes)"),
    changed("figures.pair", "a-b-c", "figures.pair: 'a-b-c' is not possible; it is written otherwise"),
    changed("figures.pair", "0-1", "figures.pair: '0-1' is not possible"),
    changed("data.size", 1_000_000, "data.size: 1000000 is not possible; at most 4096"),
    changed("data.size", 7, "data.size: 7 is not possible; at least 8. Width and height"),
    changed("data.size", -36, "data.size: -36 is not possible; at least 8"),
    changed("data.seed", -1, "data.seed: -1 is not possible; at least 0"),
    changed("data.seed", 10**30, "at most 9223372036854775807"),
    changed("data.crops.train", 10**9, "data.crops.train: 1000000000 is not possible; at most 1000000"),
    changed("data.crops.left", 1, "data.crops.left: 1 is not possible; below 1"),
    changed("data.on_error", "ask", "data.on_error: 'ask' is not possible; one of stop, skip"),
    changed("data.rotate", "yes", "data.rotate: 'yes' is not possible; true or false"),
    changed("architecture.conv.0.units", 10**9, "architecture.conv.0.units: 1000000000 is not possible; at most 65536"),
    changed("architecture.fc.0.units", 10**9, "architecture.fc.0.units: 1000000000 is not possible; at most 65536"),
    changed("architecture.conv.0.std", 0, "architecture.conv.0.std: 0 is not possible; above 0"),
    changed("architecture.conv.0.std", 1e300, "at most 1000"),
    changed("architecture.conv.0.pool", [2], "architecture.conv.0.pool: [2] is not possible; at least 2 entries"),
    changed("architecture.conv", [], "architecture.conv: [] is not possible; at least 5 entries"),
    changed("architecture.dropout", 1, "architecture.dropout: 1 is not possible; below 1"),
    changed(
        "architecture.pixels.mean", "none", "architecture.pixels.mean: 'none' is not possible; one of image, channel"
    ),
    changed("training.steps", 0, "training.steps: 0 is not possible; at least 1"),
    changed("training.steps", 10**18, "training.steps: 1000000000000000000 is not possible; at most 1000000000"),
    changed("training.batch", 10**12, "training.batch: 1000000000000 is not possible; at most 65536"),
    changed("training.learning_rate", 0, "training.learning_rate: 0 is not possible; above 0"),
    changed("training.learning_rate", 1e300, "training.learning_rate: 1e+300 is not possible; at most 1000"),
    changed("training.momentum", 1, "training.momentum: 1 is not possible; below 1"),
    changed("training.snapshots", [0, 0.1], "training.snapshots.0: 0 is not possible; above 0. Shares of the steps"),
    changed("training.snapshots", [0.1, 1], "training.snapshots.1: 1 is not possible; below 1"),
    changed("training.snapshots", [0.1, 0.1], "[0.1, 0.1] is not possible; no entry may stand there twice"),
    changed("training.snapshots", 0.1, "training.snapshots: 0.1 is not possible; a list"),
    changed("training.decay", "cosine", "training.decay: 'cosine' is not possible; it is of another form. Decay of"),
    changed("training.decay", {"factor": 2, "every": 9}, "training.decay.factor: 2 is not possible; at most 1"),
    changed("training.decay", {"factor": 0.1}, "training.decay.every: it is missing. Number of steps between"),
    changed(
        "training.threads", 1000, "training.threads: 1000 is not possible; at most 256. CPU threads of one training"
    ),
    changed("moments.threads", 10**6, "moments.threads: 1000000 is not possible; at most 256"),
    changed("patches.threads", 0, "patches.threads: 0 is not possible; at least 1", patches={}),
    changed("moments.blocks", 10**9, "moments.blocks: 1000000000 is not possible; at most 1000000"),
    changed("moments.wide", {"blocks": 1}, "moments.wide.blocks: 1 is not possible; at least 2"),
    changed("information.bins", 10**6, "information.bins: 1000000 is not possible; at most 256"),
    changed("information.positions", 0, "information.positions: 0 is not possible; at least 1. Positions of an image"),
    changed("information.positions", "some", "information.positions: 'some' is not possible; it is of another form"),
    changed("stitching.decays", [0.1], "stitching.decays: [0.1] is not possible; it lacks an entry. Penalties"),
    changed("stitching.decays", [0, -1], "stitching.decays.1: -1 is not possible; at least 0"),
    changed("stitching.alpha", 0, "stitching.alpha: 0 is not possible; above 0"),
    changed("data.groups", ".*", "data.groups: '.*' is not possible; it goes with data.source: image_folder only"),
    changed("data.groups", "(", "data.groups: '(' is no regular expression (missing )", **FOLDER),
    changed("data.groups", "nowhere.csv", "data.groups: nowhere.csv cannot be read as a table ([Errno 2]", **FOLDER),
    changed("evidence.rotations", 10**9, "evidence.rotations: 1000000000 is not possible; at most 100000"),
    changed("figures.unit", "best", "figures.unit: 'best' is not possible; it is of another form. Unit of the pair's"),
]
# NaN and infinity, which comparisons let through.
PIXELS = {"mean": [0.5] * 3, "deviation": [0.2] * 3}
NUMBERS = [
    changed(key, value, f"{key}: {value} is not possible; it must be a finite number", **others)
    for key, value, others in [
        ("training.learning_rate", NAN, {}),
        ("training.steps", INF, {}),
        ("training.momentum", NAN, {}),
        ("training.clip", INF, {}),
        ("training.weight_decay", NAN, {}),
        ("architecture.dropout", NAN, {}),
        ("architecture.conv.0.std", INF, {}),
        ("architecture.conv.0.bias", NAN, {}),
        ("data.crops.left", NAN, {}),
        ("data.size", INF, {}),
        ("stitching.decays.1", NAN, {}),
        ("stitching.decays.0", -INF, {}),
        ("stitching.alpha", NAN, {}),
        ("nets.0.pixels.mean.0", NAN, {"nets__0__pixels": PIXELS}),
        ("nets.0.pixels.deviation.2", INF, {"nets__0__pixels": PIXELS}),
    ]
] + [
    changed("stitching.alphas", [0.1, NAN], "stitching.alphas.1: nan is not possible"),
    changed("nets.0.pixels", PIXELS | {"deviation": [0.2, 0, 0.2]}, "deviation.1: 0 is not possible; at least 1e-06"),
    changed("nets.0.pixels", PIXELS | {"deviation": [-1] * 3}, "deviation.0: -1 is not possible; at least 1e-06"),
    changed("nets.0.pixels", PIXELS | {"mean": [1e300] * 3}, "mean.0: 1e+300 is not possible; at most 1000"),
]
# Entries that do not fit each other, the disk, the images or the memory.
TOGETHER = [
    changed("data.folder", "no/such/folder", "data.folder: 'no/such/folder' is not possible; it must be an existing"),
    changed(
        "data.folder", "docs", f"moments.blocks: 52 is not possible; at most {PICTURES}, the number of photographs"
    ),
    changed("data.folder", "tests", "data.folder: 'tests' is not possible; it has images of 0 classes, at least 2 are"),
    changed("data.folder", "a\0b", r"data.folder: 'a\x00b' is not possible; it must be an existing folder"),
    changed(
        "data", FOLDER["data"], "workflow/resources/scenes/train: no such folder; data.folder needs train/ and val/"
    ),
    changed("data.crops", None, "data.crops: None is not possible; it goes with data.source: scenes"),
    changed("data.source", "cifar10", "data.crops: {"),
    changed("data.crops.smallest", 200, "data.crops.smallest: 200 is not possible; at most largest, 128"),
    changed("data.crops.largest", 5000, "data.crops.largest: 5000 is not possible; at most "),
    changed(
        "data", CIFAR["data"] | {"size": 36}, "data.size: 36 is not possible; images of cifar10 are 32 pixels wide"
    ),
    changed("architecture.crop", 37, "architecture.crop: 37 is not possible; at most data.size, 36"),
    changed("architecture.conv.0.stride", 16, "nothing is left of a crop of 32 pixels after conv"),
    changed("architecture.conv.0.kernel", 100, "nothing is left of a crop of 32 pixels after conv1"),
    changed(
        "architecture.dropout", None, "architecture.dropout: None is not possible; net0 is an alexnet and needs it"
    ),
    changed("moments.shards", 53, "moments.shards: 53 is not possible; at most moments.blocks, 52"),
    changed("moments.blocks", 53, "moments.blocks: 53 is not possible; at most 52, the number of photographs that"),
    changed("stitching.blocks", 53, "stitching.blocks: 53 is not possible; at most 52, the number of photographs that"),
    changed("moments.blocks", 10_001, "moments.blocks: 10001 is not possible; at most 10000, the", **CIFAR),
    changed("training.batch", 15_601, "training.batch: 15601 is not possible; at most 15600, the number of training"),
    changed("training.batch", 50_001, "training.batch: 50001 is not possible; at most 50000, the number", **CIFAR),
    changed("stitching.images", 52, "stitching.blocks: 52 is not possible; at most 34, the", stitching__blocks=52),
    changed("stitching.shards", 5, "stitching.shards: 5 is not possible; at most stitching.blocks, 4"),
    changed("stitching.evaluated", 0, "stitching.evaluated: 0 is not possible; at least 1. Validation images that"),
    changed("stitching.evaluated", 2.5, "stitching.evaluated: 2.5 is not possible; it is of another form. Validation"),
    changed("stitching.evaluated", True, "stitching.evaluated: True is not possible; it is of another form"),
    changed("stitching.evaluated", 51, "stitching.evaluated: 51 is not possible; all, or at least moments.blocks, 52"),
    changed("stitching.evaluated", 3121, "stitching.evaluated: 3121 is not possible; all, or at most 3120, the number"),
    changed(
        "stitching.evaluated", 10_001, "stitching.evaluated: 10001 is not possible; all, or at most 10000", **CIFAR
    ),
    changed("stitching.images", 3, "stitching.images: 3 is not possible; at least stitching.blocks, 4"),
    changed(
        "stages",
        ["information", "clustering"],
        "stages: ['information', 'clustering'] is not possible; nothing is left to be made, information.layers is",
        information__layers=[],
        clustering__layers=[],
    ),
    changed("layers", ["conv1"], "information.layers: 'conv2' is not possible; it must be among layers, conv1"),
    changed("stitching.layers", ["conv9"], "stitching.layers: 'conv9' is not possible; it must be among layers, conv1"),
    changed("clustering.layers", ["fc9"], "clustering.layers: 'fc9' is not possible"),
    changed("layers", ["conv1", "conv2", "conv9"], "layers: 'conv9' is not possible; net0 is an alexnet and has conv1"),
    changed("layers", ["conv1", "Conv1"], "layers: ['conv1', 'Conv1'] is not possible; names must differ by more"),
    changed("nets.0.name", "net1", "'net1' is not possible; names of this form go by place, this net's is net0"),
    changed("nets.0.name", "Net0", "'Net0' is not possible; names of this form go by place, this net's is net0"),
    changed("nets.2.name", "net02", "names of this form go by place, this net's is net2"),
    changed("nets.0.name", "a_untrained", "names that end so are those of nets before and in their training"),
    changed("nets.0.name", "a_Snapshot3", "names that end so are those of nets before and in their training"),
    changed("nets.0.name", "Probe", "nets.0.name: 'Probe' is not possible; probe.json is another file beside"),
    changed("nets.0.name", "a", "nets: ['a', 'A', 'net2', 'net3'] is not possible; names must", nets__1__name="A"),
    changed("nets.0.name", "b", "nets: ['b', 'b', 'net2', 'net3'] is not possible; names must", nets__1__name="b"),
    changed("figures.pair", "net0-net1", "two different of a, net1, net2, net3, in this order", nets__0__name="a"),
    changed("figures.pair", "b-a", "two different of a, b, net2, net3", nets__0__name="a", nets__1__name="b"),
    changed(
        "nets.1",
        {"name": "b", "seed": 1, "layers": {"conv2": "conv9"}},
        "nets.1.layers.conv2: 'conv9' is not possible; b is an alexnet and has conv1",
    ),
    changed("nets.1.layers", {"conv2": "conv9"}, "nets.1.layers.conv2: 'conv9' is not possible; net1 is an alexnet"),
    changed("nets.1.layers", {"first": "conv1"}, "nets.1.layers: 'first' is not possible; it must be among layers"),
    changed("figures.unit", 32, "figures.unit: 32 is not possible; median, or a unit of conv1, 0 to 31"),
    changed(
        "figures.unit", 64, "a unit of pool2, 0 to 63", layers=["pool2"], information={}, stitching={}, clustering={}
    ),
    changed("clustering.range", [9, 3], "clustering.range: [9, 3] is not possible; the smaller number must"),
    changed("clustering.clusters", 64, "clustering.clusters: 64 is not possible; fewer than the 64 units of conv1"),
    changed("figures.pair", "net0-net4", "figures.pair: 'net0-net4' is not possible; two different of net0, net1"),
    changed("figures.pair", "net1-net1", "two different"),
    changed(
        "figures.pairs", ["net0-net2", "net3-net2"], "figures.pairs: 'net3-net2' is not possible; two different of"
    ),
    changed(
        "figures.pairs", "some", "figures.pairs: 'some' is not possible; it is of another form. Further pairs that"
    ),
    changed("figures.pairs", ["net0-net2"] * 2, "no entry may stand there twice"),
    changed("figures.pairs", [], "figures.pairs: [] is not possible; at least 1 entries"),
    changed(
        "figures",
        {"pair": "net0-x_b", "pairs": ["net0-b"]},
        "figures.pairs: ['net0-b'] is not possible; a_x_b is a layer and a net in two ways; rename the net",
        nets=[
            {"seed": seed, "layers": {"a": "conv1", "a_x": "conv2"}, **({"name": name} if name else {})}
            for seed, name in enumerate(["", "b", "x_b"])
        ],
        layers=["a", "a_x"],
        stages=["matching"],
    ),
    changed("figures.pair", "net1-net0", "in this order"),
    changed("training", None, "training: None is not possible; it is needed where a net has no weights"),
    changed("training.momentum", 0, "training.nesterov: True is not possible; with training.momentum 0 it must"),
    changed("training.snapshots", [0.3, 0.1], "training.snapshots: [0.3, 0.1] is not possible; shares must ascend"),
    changed(
        "training.snapshots",
        [0.0999, 0.1],
        "[0.0999, 0.1] is not possible; of 3000 steps these are 300, 300; each must be another, not the last",
    ),
    changed("training.snapshots", [0.5, 0.9999], "of 3000 steps these are 1500, 3000; each must be another, not the"),
    changed("nets.1", {}, "nets: [0, None, 2, 3] is not possible; each net that is trained needs a seed of its own"),
    changed(
        "nets.1",
        {"seed": 2.0, "layers": {}},
        "nets: [0, 2, 2, 3] is not possible; each net that is trained needs a seed of its own",
    ),
    changed("nets.1.weights", "no.pth", "nets.1.weights: 'no.pth' is not possible; it must be an existing file"),
    changed("nets.1.weights", "docs", "nets.1.weights: 'docs' is not possible; it must be an existing file"),
    changed("nets.1.weights", "DEFAULT", "nets.1.weights: 'DEFAULT' is not possible; it must be an existing file"),
    changed(
        "nets.1",
        {"architecture": "torchvision:resnet50", "weights": "IMAGENET1K_V9"},
        "nets.1.weights: 'IMAGENET1K_V9' is not possible; it must be an existing file that can be read, or one of "
        "torchvision's, IMAGENET1K_V1, IMAGENET1K_V2, DEFAULT",
    ),
    changed(
        "nets.1.pixels", {"mean": [0.5], "deviation": [0.2]}, "one number for each channel, of which images have 3"
    ),
    changed(
        "nets.1.architecture",
        "torchvision:alexnett",
        "nets.1.architecture: 'torchvision:alexnett' is not possible; torchvision has alexnet",
    ),
    changed("nets.1.architecture", "torchvision:nonsense", "torchvision has alexnet, convnext_base, "),
    changed("nets.1.weights", "x" * 5000, "it must be an existing file that can be read"),
    changed("data.folder", "x" * 5000, f"data.folder: '{'x' * 58}… is not possible; it must be an existing folder"),
    changed("clustering.clusters", 104, "fewer than the 104 units of fc8", clustering__layers=["fc8"]),
    changed("nets.1.architecture", "no_such.nets:small", "there is no module no_such.nets where snakemake runs"),
    changed("nets.1.architecture", "__main__:small", "there is no module __main__ where snakemake runs"),
    changed(
        "architecture.fc.0.units", 65_536, "its weights in training take 51.5 GB", architecture__fc__1__units=65_536
    ),
    changed("architecture.conv.1.units", 65_536, "architecture.conv.", architecture__conv__2__units=65_536),
    changed("data.crops.train", 1_000_000, "stored images take 202 GB, there are 16 GB"),
    changed("data.size", 4096, "data.size: 4096 is not possible; 18720 stored images take 942 GB, there are 16 GB"),
]
ROOM = 16 * 10**9  # bytes of memory of the machine that these are refused on
REFUSED = [*FILES, *KEYS, *VALUES, *NUMBERS, *TOGETHER]


def write(refused: Refused, folder: Path) -> Path:
    """The configuration as a file."""
    file = folder / "wrong.yaml"
    file.write_bytes(refused.content)
    return file
