# Names that the rules share: nets, pairs, layers, figures, and where a stage's code is.
import json
import os
import re
import shlex
import sys
from itertools import combinations, combinations_with_replacement
from pathlib import Path

from snakemake.settings.types import DeploymentMethod

from workflow.convergent.configuration import (
    logits,
    net_settings,
    own_code,
    snapshot_blocks,
    spatial,
    trained,
    twinned,
)
from workflow.convergent.images.groups import is_table
from workflow.convergent.authors.runs import mappings_of
from workflow.convergent.nets import published
from workflow.convergent.nets.names import net_names, snapshot_name, twin_name
from workflow.convergent.photographs import channels, classes
from workflow.convergent.sources import sources
from workflow.convergent.tracked import file_digest, folder_digest, tracked


# Names of the user's may hold any character. They come into shell lines as parameters alone, which are all quoted there
# by ``:q``, the entries of a list one by one. Where they are text the parameter is a function, because Snakemake takes
# braces of a plain text for wildcards.
def verbatim(text):
    """Text that comes out as it is where Snakemake fills in braces."""
    return text.replace("{", "{{").replace("}", "}}")


def as_path(path):
    """A path as an argument of a command, which a leading dash would make an option."""
    return f"./{path}" if path.startswith("-") else path


def reported(table, category, label, **more):
    """A table as an output that the report has, below a category; what it shows, and more labels."""
    return report(
        table,
        caption="../report/tables.rst",
        category=category,
        subcategory="Tables",
        labels={"shows": label, **more},
    )


def as_json(what):
    """A part of the configuration as one argument of a command."""
    return json.dumps(what, sort_keys=True)


def as_options(values):
    """Values by name as options of a command: ``--edge-images 2000``."""
    words = []
    for name, value in values.items():
        several = not isinstance(value, (str, int, float))
        words += [f"--{name.replace('_', '-')}", *(value if several else [value])]
    return words


def options(section, *keys):
    """Entries of a section of the configuration as options of a command."""
    return as_options({key: config[section][key] for key in keys})


def refuse_odd_folders(program):
    """Stop with one line where a program, which quotes no names, would read that of a folder as a command."""
    for name in (os.getcwd(), sys.executable):
        if not re.fullmatch(r"[\w.,@+=/-]+", name):
            raise SystemExit(
                f"{program}: not possible in {name!r}; allowed are letters, digits and . , @ + = - _"
            )


# Jobs run under the Python that runs Snakemake, its environment activated or not, unless --sdm conda gives them one. A
# prefix replaces Snakemake's own, which makes a failure inside a pipe fail the job, so that is said again.
if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method:
    refuse_odd_folders("--sdm conda")
else:
    folder = shlex.quote(os.path.dirname(sys.executable))
    shell.prefix(verbatim(f"set -euo pipefail; PATH={folder}:$PATH; "))


def one_of(names):
    """A wildcard's pattern for some nets or layers, which may be none."""
    return "|".join(map(re.escape, names)) or "(?!)"


RUN = f"results/{config['run']}"
NETS = net_names(config["nets"])
PAIRS = [f"{a}-{b}" for a, b in combinations_with_replacement(NETS, 2)]
BETWEEN = [f"{a}-{b}" for a, b in combinations(NETS, 2)]
LAYERS = config["layers"]
STAGES = config["stages"]
INFORMED = config["information"]["layers"]
SPATIAL = spatial(config, LAYERS)
SPLITS = ["train", "val"]
STITCHED = config["stitching"]["layers"]
CLUSTERED = config["clustering"]["layers"]
HIERARCHICAL = STITCHED if "clustering" in STAGES else []
TRAINED = [NETS[number] for number in trained(config)]
GIVEN = [net for net in NETS if net not in TRAINED]
# What stages that run nets are told of their layers: names of modules, and what happens where grids differ.
LAYERED = {
    "modules": lambda wildcards: as_json(
        {n: e["layers"] for n, e in zip(NETS, config["nets"]) if e.get("layers")}
    ),
    "resample": config["resample"],
    "own_code": lambda wildcards: tracked_own_code(config["nets"]),
}
SHOWN = config["figures"][
    "pairs"
]  # pairs of figures of two nets, of which the first has no name in these
PAIR = SHOWN[0]
TWO = PAIR.split("-")
# Nets before training, and the layers in which they are compared with each other. In layers of mappings they take part
# in the passes of the trained nets too: mappings from them are the controls.
TWINS = [twin_name(net) for net in TRAINED]
TWINNED = twinned(config, classes(config["data"]))
# Numbers of the snapshots of each trained net, their names by step, and the layers in which these are compared.
SNAPSHOTS = range(1, len(config.get("training", {}).get("snapshots", [])) + 1)
SNAPPED = [snapshot_name(net, number) for number in SNAPSHOTS for net in TRAINED]
FOLLOWED = TWINNED if SNAPSHOTS else []
CONTROLS = TWINS if STITCHED else []


wildcard_constraints:
    run=config["run"],
    split="|".join(SPLITS),
    net=one_of(NETS),
    layer=one_of(LAYERS),
    shard=r"\d+",
    a=one_of(NETS),
    b=one_of(NETS),
    pair=f"(?:{one_of(NETS)})-(?:{one_of(NETS)})",
    similarity="correlation|mutual_information",


def stage(module, without=()):
    """Parameters that say which code a stage's result depends on: an edit reruns it, a touch does not."""
    return tracked(sources(module, without))


def replayed(layer):
    """Whether the published optimiser is replayed: at 4096 units it takes days."""
    return config["stitching"]["as_published"] and layer in SPATIAL


def snapshot_files(net, kind):
    """Files of the snapshots of a net, by step. kind: json or pt"""
    names = [snapshot_name(net, number) for number in SNAPSHOTS]
    return [f"results/{{run}}/nets/{name}.{kind}" for name in names]


def entry_of(wildcards):
    """The configuration's entry of a net."""
    return config["nets"][NETS.index(wildcards.net)]


def tracked_own_code(entries):
    """Digests of the user's own modules that make the nets of some entries of the configuration."""
    return tracked(
        {file for entry in entries for file in own_code(entry["architecture"])}
    )


def weights_digest(entry):
    """What a net whose weights are given is tracked by: their content."""
    return published.digest(entry["architecture"], entry["weights"])


def net_options(wildcards):
    """Which net is made; its seed is its number where it has none."""
    seed = entry_of(wildcards).get("seed", NETS.index(wildcards.net))
    return ["--seed", seed, "--architecture", entry_of(wildcards)["architecture"]]


def settings_of(wildcards):
    """The section ``architecture`` as it is for a net."""
    return as_json(net_settings(config, NETS.index(wildcards.net)))


MADE = {
    "net": net_options,
    "settings": settings_of,
    "own_code": lambda wildcards: tracked_own_code([entry_of(wildcards)]),
}
