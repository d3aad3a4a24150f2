# Figures. Each is a function of a family, which is a module of workflow/convergent/figures, and an entry of DRAWN.
STYLE = "workflow/convergent/figures/figures.mplstyle"
MAPPED_LAYERS = spatial(config, STITCHED)
ONE = (SPATIAL or LAYERS)[0]  # the layer of figures that show a single one
ONE_MAPPED = (MAPPED_LAYERS or [ONE])[0]
ACTIVE = [layer for layer in LAYERS if layer not in logits(config)]
MOMENTS = "results/{run}/moments/val/{layer}.zarr/zarr.json"
MATCHES = "results/{run}/matching"
INFORMATION = "results/{run}/tables/information.csv"
MAPPINGS = [
    f"results/{{run}}/stitching/{layer}/{{a}}-{{b}}.zarr/zarr.json"
    for layer in STITCHED
]
STITCHED_NETS = [
    f"results/{{run}}/functional/{layer}.zarr/zarr.json" for layer in STITCHED
]
SCORECARD = "results/{run}/tables/scorecard.csv"
FILTERS = "results/{run}/nets/filters.zarr/zarr.json"
MAPPING = f"results/{{run}}/stitching/{ONE_MAPPED}/{{a}}-{{b}}.zarr/zarr.json"
TREE = {
    "tree": f"results/{{run}}/clustering/hierarchy/{ONE_MAPPED}/{{a}}-{{b}}.zarr/zarr.json",
    "scores": f"results/{{run}}/clustering/hierarchy/{ONE_MAPPED}/{{a}}-{{b}}.csv",
}
MATCHES_OF_FIRST = [
    f"{MATCHES}/correlation/{ONE}/{NETS[0]}-{net}.csv" for net in NETS[1:]
]
GROUPED = NETS[:6]  # nets whose groups of units are shown: more have no room on a page
PATCHES_OF_PAIR = [
    f"results/{{run}}/patches/{net}.zarr/zarr.json" for net in ("{a}", "{b}")
]


def correlated(layer):
    """Correlation within each net of a pair and between them, as inputs of a figure."""
    folder = f"results/{{run}}/correlation/{layer}"
    return {
        "within": [f"{folder}/{net}-{net}.zarr/zarr.json" for net in ("{a}", "{b}")],
        "between": f"{folder}/{{a}}-{{b}}.zarr/zarr.json",
    }


BEST = "workflow/resources/paper_best.csv"


def beside(layer, *papers):
    """What matches of a layer are compared with, as inputs of a figure: the paper, and rotated axes where they are."""
    evidence = {"evidence": f"results/{{run}}/evidence/{layer}.zarr/zarr.json"}
    return {**dict(papers), **(evidence if "evidence" in STAGES else {})}


def of_first_pair(inputs):
    """Inputs of a figure with the nets of the first pair in place of {a} and {b}."""
    if isinstance(inputs, dict):
        return {name: of_first_pair(each) for name, each in inputs.items()}
    if isinstance(inputs, list):
        return [of_first_pair(each) for each in inputs]
    return inputs.replace("{a}", TWO[0]).replace("{b}", TWO[1])


# The page of all: what the stages that are on have of it.
LOOKED_AT = [ONE, *SPATIAL[:2]][-1]  # layer of its pair of units
OVERVIEW = {}
if "evidence" in STAGES:
    OVERVIEW |= {"evidence": EVIDENCE, "paper": PAPER, "scorecard": SCORECARD}
if "stitching" in STAGES and STITCHED:
    OVERVIEW["stitched"] = STITCHED_NETS
if {"matching", "patches"} <= set(STAGES) and SPATIAL:
    OVERVIEW["pair"] = f"{MATCHES}/correlation/{LOOKED_AT}/{PAIR}.csv"
    OVERVIEW["patches"] = of_first_pair(PATCHES_OF_PAIR)
if OVERVIEW and "matching" in STAGES:
    OVERVIEW |= {"filters": FILTERS, "matches": MATCHES_OF_FIRST}


# Entries of a figure: the family that it belongs to; its category in the report and the question that it answers, in
# which {layer} stands for its layer too; its inputs, named as in its
# function, where {a} and {b} are the nets of a pair if it is of one; and, where it has them,
#   stages    stages that it needs: it is drawn if all of them are on
#   layers    it is drawn for each of these layers, which {layer} stands for
#   when      whether it is drawn, if it is not drawn for layers
#   settings  options of its command besides the inputs
#   table     the name of a table that it writes, in a list
DRAWN = {
    "overview": {
        "family": "overview",
        "report": ("1 Overview", "What came out, on one page?"),
        "inputs": OVERVIEW,
        "when": OVERVIEW,
    },
    "fig1_correlation": {
        "family": "statistics",
        "stages": ["matching"],
        "report": ("2 Matches", f"How do {ONE}'s units correlate?"),
        "inputs": correlated(ONE),
        "when": SPATIAL,
    },
    "fig2_matches": {
        "family": "units",
        "stages": ["matching", "patches"],
        "report": ("2 Matches", "What do {layer}'s units see?"),
        "inputs": {
            "patches": PATCHES_OF_PAIR,
            "matches": f"{MATCHES}/correlation/{{layer}}/{{a}}-{{b}}.csv",
            **beside("{layer}", ("paper", PAPER), ("best", BEST)),
        },
        "layers": SPATIAL,
    },
    "units_matched": {
        "family": "units",
        "stages": ["matching", "patches"],
        "report": ("2 Matches", "Which units of {layer} belong together in all nets?"),
        "inputs": {
            "between": [
                f"results/{{run}}/correlation/{{layer}}/{a}-{b}.zarr/zarr.json"
                for a, b in combinations(GROUPED, 2)
            ],
            "patches": [
                f"results/{{run}}/patches/{net}.zarr/zarr.json" for net in GROUPED
            ],
        },
        "layers": SPATIAL,
    },
    "fig3_assignment": {
        "family": "statistics",
        "stages": ["matching"],
        "report": ("2 Matches", "How well is each unit of {layer} matched?"),
        "inputs": {
            "matches": f"{MATCHES}/correlation/{{layer}}/{{a}}-{{b}}.csv",
            **beside("{layer}", ("paper", PAPER)),
        },
        "layers": SPATIAL,
    },
    "fig3_layers": {
        "family": "statistics",
        "stages": ["matching"],
        "report": ("2 Matches", "How well are the units of each layer matched?"),
        "inputs": {
            "matches": [
                f"{MATCHES}/correlation/{layer}/{{a}}-{{b}}.csv" for layer in LAYERS
            ],
            "paper": PAPER,
            **({"evidence": EVIDENCE} if "evidence" in STAGES else {}),
        },
    },
    "figS4_information": {
        "family": "units",
        "stages": ["information", "patches"],
        "report": ("2 Matches", "What do {layer}'s units see that share information?"),
        "inputs": {
            "patches": PATCHES_OF_PAIR,
            "matches": f"{MATCHES}/mutual_information/{{layer}}/{{a}}-{{b}}.csv",
            "information": INFORMATION,
            "best": BEST,
        },
        "layers": [layer for layer in INFORMED if layer in SPATIAL],
    },
    "figS10_means": {
        "family": "statistics",
        "stages": ["nets"],
        "report": ("5 Nets", "How active are {layer}'s units?"),
        "inputs": {"moments": MOMENTS},
        "layers": ACTIVE,
    },
    "figS10_layers": {
        "family": "statistics",
        "stages": ["nets"],
        "report": ("5 Nets", "How active are the units of each layer?"),
        "inputs": {"moments": [MOMENTS.replace("{layer}", layer) for layer in ACTIVE]},
        "when": ACTIVE,
    },
    "figS11_active": {
        "family": "units",
        "stages": ["patches"],
        "report": ("5 Nets", "What do {layer}'s most and least active units see?"),
        "inputs": {
            "moments": MOMENTS,
            "patches": [
                f"results/{{run}}/patches/{net}.zarr/zarr.json" for net in NETS
            ],
        },
        "layers": SPATIAL[:2],
    },
    "table1_mapping": {
        "family": "mapping",
        "stages": ["stitching"],
        "report": (
            "3 Mappings",
            "How well do a few units predict those of another net?",
        ),
        "inputs": {
            "mappings": MAPPINGS,
            "stitched": STITCHED_NETS,
            "paper": "workflow/resources/paper_table1.csv",
        },
        "when": STITCHED,
        "table": ["table1_mapping"],
    },
    "fig4_mapping": {
        "family": "mapping",
        "stages": ["stitching", "patches"],
        "report": ("3 Mappings", f"Which units predict a unit of {ONE_MAPPED}?"),
        "inputs": {"mapping": MAPPING, "patches": PATCHES_OF_PAIR},
        "when": MAPPED_LAYERS,
        "settings": [*options("stitching", "alpha"), *options("figures", "unit")],
    },
    "fig5_hierarchy": {
        "family": "clusters",
        "stages": ["stitching", "clustering"],
        "report": (
            "4 Clusters",
            f"Which units of {ONE_MAPPED} are one cluster, by their weights?",
        ),
        "inputs": {"mapping": MAPPING, **TREE},
        "when": MAPPED_LAYERS,
    },
    "fig6_clusters": {
        "family": "clusters",
        "stages": ["stitching", "clustering", "patches"],
        "report": ("4 Clusters", f"What do the clusters of {ONE_MAPPED} see?"),
        "inputs": {**TREE, "patches": PATCHES_OF_PAIR},
        "when": MAPPED_LAYERS,
    },
    "figS_spectral": {
        "family": "clusters",
        "stages": ["clustering", "patches"],
        "report": (
            "4 Clusters",
            "Which units of {layer} are one cluster, by correlation?",
        ),
        "inputs": {
            "clusters": f"results/{{run}}/clustering/spectral/{{layer}}/{{a}}-{{b}}.zarr/zarr.json",
            "scores": f"results/{{run}}/clustering/spectral/{{layer}}/{{a}}-{{b}}.csv",
            "patches": PATCHES_OF_PAIR,
            **correlated("{layer}"),
        },
        "layers": [layer for layer in CLUSTERED if layer in SPATIAL],
    },
    "nets_training": {
        "family": "statistics",
        "stages": ["nets"],
        "report": ("5 Nets", "How did the nets learn?"),
        "inputs": {"histories": [f"results/{{run}}/nets/{net}.csv" for net in TRAINED]},
        "when": TRAINED,
    },
    "nets_filters": {
        "family": "units",
        "stages": ["nets"],
        "report": ("5 Nets", "Which first filters belong together?"),
        "inputs": {
            "filters": FILTERS,
            **({"matches": MATCHES_OF_FIRST} if "matching" in STAGES else {}),
        },
    },
    "evidence": {
        "family": "evidence",
        "stages": ["evidence"],
        "report": ("1 Overview", "How alike are units, beside controls?"),
        "inputs": {
            "evidence": EVIDENCE,
            "paper": PAPER,
        },
    },
    "scorecard": {
        "family": "evidence",
        "stages": ["evidence"],
        "report": ("1 Overview", "Which claims hold?"),
        "inputs": {"scorecard": SCORECARD},
    },
    "summary_convergence": {
        "family": "evidence",
        "stages": ["evidence"],
        "report": ("1 Overview", "How alike are units, beside the paper?"),
        "inputs": {
            "evidence": EVIDENCE,
            "paper": PAPER,
            **({"information": INFORMATION} if INFORMED else {}),
        },
        "table": ["summary"],
    },
    "summary_training": {
        "family": "training",
        "stages": ["evidence"],
        "report": ("1 Overview", "When do units become alike in training?"),
        "inputs": {"evidence": TRAINING},
        "when": FOLLOWED,
        "table": ["training"],
    },
    "published_fig4": {
        "family": "authors",
        "report": ("3 Mappings", "Which units predict a unit in the authors' own run?"),
        "inputs": {"mapping": AUTHORS_MAPPINGS.get(FIRST, [])},
        "when": AUTHORS,
        "settings": (
            ["--decay", AUTHORS_DECAY, *options("published", "unit")] if AUTHORS else []
        ),
    },
    "published_fig5": {
        "family": "authors",
        "report": (
            "4 Clusters",
            "Which units are one cluster in the authors' own run?",
        ),
        "inputs": {
            "mapping": AUTHORS_MAPPINGS.get(FIRST, []),
            "tree": "results/{run}/published/hierarchy.zarr/zarr.json",
            "scores": "results/{run}/published/hierarchy.csv",
        },
        "when": AUTHORS,
    },
    "published_table1": {
        "family": "authors",
        "report": ("3 Mappings", "How well did the authors' own mappings do?"),
        "inputs": {"mappings": list(AUTHORS_MAPPINGS.values())},
        "when": AUTHORS,
        "table": ["published_table1"],
    },
}

FIGURES = []
ALONE, OF_PAIRS = {}, {"pair": "{a}-{b}"}
for figure, entry in DRAWN.items():
    if not set(entry.get("stages", [])) <= set(STAGES):
        continue
    by_layer = {"layer": "{layer}"} if "layers" in entry else {}
    of_pair = "{a}" in str(entry["inputs"])
    category, label = entry["report"]
    layers = entry.get("layers", [""]) if entry.get("when", True) else []

    # The first pair has no name in its figures, as if there were no other.
    for pair in [ALONE, *([OF_PAIRS] if of_pair and SHOWN[1:] else [])]:
        rows = {**by_layer, **pair}
        name = "_".join([figure, *rows.values()])
        inputs = entry["inputs"] if pair else of_first_pair(entry["inputs"])
        FIGURES += [
            name.replace("{layer}", each).replace("{a}-{b}", of)
            for of in (SHOWN[1:] if pair else [PAIR])
            for each in layers
        ]

        rule:
            name:
                f"draw_{figure}{'_of_pairs' if pair else ''}"
            input:
                **inputs,
            output:
                pdf=f"results/{{run}}/figures/{name}.pdf",
                png=report(
                    f"results/{{run}}/figures/{name}.png",
                    caption=f"../report/{figure}.rst",
                    category=category,
                    subcategory="Figures",
                    labels={
                        "shows": label,
                        **({"pair": pair.get("pair", PAIR)} if of_pair else {}),
                    },
                ),
                table=[
                    reported(
                        "_".join([f"results/{{run}}/tables/{each}", *pair.values()])
                        + ".csv",
                        category,
                        f"Numbers: {label}",
                        **({"pair": pair.get("pair", PAIR)} if of_pair else {}),
                    )
                    for each in entry.get("table", [])
                ],
            log:
                f"results/{{run}}/logs/figures/{name}.log",
            localrule: True
            params:
                *stage(f"figures.{entry['family']}"),
                *tracked(
                    file
                    for file in [STYLE, *inputs.values()]
                    if str(file).startswith("workflow/")
                ),
                family=entry["family"],
                figure=figure,
                inputs=lambda wildcards, input: as_options(dict(input.items())),
                settings=entry.get("settings", []),
                table="--table" if "table" in entry else "",
            shell:
                "python -m workflow.convergent.figures.{params.family:q} {params.figure:q} {params.inputs:q}"
                " {params.settings:q} --outputs {output.pdf} {output.png} {params.table:q} {output.table} > {log} 2>&1"


# One alias for each figure, so that its name is a target.
for figure in FIGURES:

    rule:
        name:
            figure
        input:
            expand(
                "{run}/figures/{figure}.{ext}",
                run=RUN,
                figure=figure,
                ext=["pdf", "png"],
            ),
        localrule: True
