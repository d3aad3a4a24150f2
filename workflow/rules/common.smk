# Names that the rules share: nets, pairs, layers, figures, and where a stage's code is.
import json
import os
import re
import sys
from itertools import combinations, combinations_with_replacement
from pathlib import Path

from snakemake.cli import get_argument_parser

from workflow.convergent.configuration import logits, net_settings, own_code, spatial
from workflow.convergent.sources import sources

# Jobs run under the Python that runs Snakemake, its environment activated or not. A prefix replaces Snakemake's
# own, which makes a failure inside a pipe fail the job, so that is said again.
shell.prefix(f"set -euo pipefail; PATH={os.path.dirname(sys.executable)}:$PATH; ")


def as_json(what):
    """A part of the configuration as one argument of a command, to be quoted there by ``:q``."""
    return json.dumps(what, sort_keys=True)


RUN = f"results/{config['run']}"
NETS = [f"net{i}" for i in range(len(config["nets"]))]
PAIRS = [f"{a}-{b}" for a, b in combinations_with_replacement(NETS, 2)]
BETWEEN = [f"{a}-{b}" for a, b in combinations(NETS, 2)]
LAYERS = config["layers"]
INFORMED = config["information"]["layers"]
SPATIAL = spatial(config, LAYERS)
SPLITS = ["train", "val"]
STITCHED = config["stitching"]["layers"]
CLUSTERED = config["clustering"]["layers"]
GIVEN = [net for net, entry in zip(NETS, config["nets"]) if "weights" in entry]
TRAINED = [net for net in NETS if net not in GIVEN]
# What stages that run nets are told of their layers: names of modules, and what happens where grids differ.
LAYERED = {
    "modules": as_json(
        {n: e["layers"] for n, e in zip(NETS, config["nets"]) if e.get("layers")}
    ),
    "resample": config["resample"],
}
PAIR = config["figures"]["pair"]
TWO = PAIR.split("-")
CONTROLS = ["net0_untrained"] if STITCHED else []


wildcard_constraints:
    run=config["run"],
    split="|".join(SPLITS),
    net=r"net\d+",
    layer="|".join(map(re.escape, LAYERS)),
    shard=r"\d+",
    pair=r"net\d+-net\d+",
    similarity="correlation|mutual_information",


def stage(module, without=()):
    """Inputs that say which code a stage's result depends on, as plain paths: an edit reruns it, a touch does not."""
    return {"code": sources(module, without)}


def options(section, *keys):
    """Entries of a section of the configuration as options of a command: ``--edge-images 2000``."""
    values = {key: config[section][key] for key in keys}
    listed = {k: v if isinstance(v, list) else [v] for k, v in values.items()}
    return " ".join(
        f"--{key.replace('_', '-')} {' '.join(map(str, entries))}"
        for key, entries in listed.items()
    )


def replayed(layer):
    """Whether the published optimiser is replayed: at 4096 units it takes days."""
    return config["stitching"]["as_published"] and layer in SPATIAL


def one_of(nets):
    """A wildcard's pattern for some of the nets, which may be none."""
    return "|".join(nets) or "none"


def entry_of(wildcards):
    """The configuration's entry of a net."""
    return config["nets"][NETS.index(wildcards.net)]


def own_code_of(wildcards):
    """The user's own module that makes a net, where there is one."""
    return own_code(entry_of(wildcards)["architecture"])


def net_options(wildcards):
    """Which net is made; its seed is its number where it has none."""
    seed = entry_of(wildcards).get("seed", NETS.index(wildcards.net))
    return f"--seed {seed} --architecture {entry_of(wildcards)['architecture']}"


def settings_of(wildcards):
    """The section ``architecture`` as it is for a net."""
    return as_json(net_settings(config, NETS.index(wildcards.net)))


MADE = {"net": net_options, "settings": settings_of}


def every_figure(wildcards):
    """Files of all figures; FIGURES is known once all rules are."""
    return expand(
        "{run}/figures/{figure}.{ext}", run=RUN, figure=FIGURES, ext=["pdf", "png"]
    )


def every_table():
    return [
        f"{RUN}/tables/summary.csv",
        *([f"{RUN}/tables/information.csv"] if INFORMED else []),
        *([f"{RUN}/tables/table1_mapping.csv"] if STITCHED else []),
        *expand(
            "{run}/matching/mutual_information/{layer}/{pair}.csv",
            run=RUN,
            layer=INFORMED,
            pair=BETWEEN,
        ),
        *expand(
            "{run}/clustering/spectral/{layer}/{pair}.csv",
            run=RUN,
            layer=CLUSTERED,
            pair=PAIR,
        ),
        *expand(
            "{run}/clustering/hierarchy/{layer}/{pair}.csv",
            run=RUN,
            layer=STITCHED,
            pair=PAIR,
        ),
    ]


def is_target(name):
    """Whether it is a rule without wildcards, or a file that a rule makes."""
    if workflow.is_rule(name):
        return not workflow.get_rule(name).has_wildcards()
    return any(r.is_producer(os.path.relpath(name)) for r in workflow.rules)


def refuse_unknown_targets():
    """Stop with one line that lists figures and tables.

    Targets are read from the command line: Snakemake parses rules before it looks at them. Jobs of a cluster have none.
    """
    if "snakemake" not in Path(sys.argv[0]).parts[-2:]:  # started from Python
        return
    asked = get_argument_parser().parse_args(sys.argv[1:]).targets
    unknown = [name for name in asked if not is_target(name)]
    if unknown:
        tables = [path for path in every_table() if "/tables/" in path]
        raise SystemExit(
            f"There is no target {', '.join(sorted(unknown))}."
            f" Figures: {', '.join(FIGURES)}. Tables: {', '.join(tables)}"
        )
