# What there is to be made: figures and tables of the stages that are on, and the refusal of all else.
def every_figure(wildcards):
    """Files of all figures; FIGURES is known once all rules are."""
    return expand(
        "{run}/figures/{figure}.{ext}", run=RUN, figure=FIGURES, ext=["pdf", "png"]
    )


# Tables by the stage that they need, and among them those that have a name.
NAMED = {
    "evidence": ["summary", "scorecard", "units", "measures", "training"],
    "information": ["information"],
    "stitching": ["table1_mapping"],
}


def tables_of_stages():
    """Files of all tables by the stage that they need."""
    empty = {
        "training": not FOLLOWED,
        "information": not INFORMED,
        "table1_mapping": not STITCHED,
    }
    tables = {
        stage: [f"{RUN}/tables/{name}.csv" for name in names if not empty.get(name)]
        for stage, names in NAMED.items()
    }
    if STITCHED:
        tables["stitching"] += [
            f"{RUN}/tables/table1_mapping_{pair}.csv" for pair in SHOWN[1:]
        ]
    by_pair = {
        "matching": ("matching/correlation", LAYERS, BETWEEN),
        "information": ("matching/mutual_information", INFORMED, BETWEEN),
        "clustering": ("clustering/spectral", CLUSTERED, SHOWN),
        "stitching": ("clustering/hierarchy", HIERARCHICAL, SHOWN),
    }
    for stage, (folder, layers, pairs) in by_pair.items():
        tables.setdefault(stage, []).extend(
            f"{RUN}/{folder}/{layer}/{pair}.csv" for layer in layers for pair in pairs
        )
    return tables


def every_table():
    """Files of the tables of all stages that are on."""
    return [
        table
        for stage, tables in tables_of_stages().items()
        if stage in STAGES
        for table in tables
    ]


def stages_of(name):
    """Stages that a figure or a table needs, by its name or its path; none of any other file."""
    folder, name = os.path.split(name)
    if os.path.basename(folder) not in ("", "figures", "tables"):
        return ()
    known = {figure: entry.get("stages", []) for figure, entry in DRAWN.items()}
    known |= {table: [stage] for stage in NAMED for table in NAMED[stage]}
    return next(
        (
            its
            for each, its in known.items()
            if re.match(rf"{re.escape(each)}(_|\.|$)", name)
        ),
        (),
    )


def is_target(name):
    """Whether it is a rule without wildcards, or a file that a rule makes."""
    if workflow.is_rule(name):
        return not workflow.get_rule(name).has_wildcards()
    return any(r.is_producer(os.path.relpath(name)) for r in workflow.rules)


def refuse_unknown_targets():
    """Stop with one line, for a stage that is off or with a list of figures and tables.

    Snakemake itself parses rules before it looks at targets.
    """
    for name in ASKED.targets:
        if off := [stage for stage in stages_of(name) if stage not in STAGES]:
            raise SystemExit(
                f"{name} needs stage {' and '.join(off)}, which is off; stages are {', '.join(STAGES)}"
            )
    unknown = [name for name in ASKED.targets if not is_target(name)]
    if unknown:
        tables = [path for path in every_table() if "/tables/" in path]
        raise SystemExit(
            f"There is no target {', '.join(sorted(unknown))}."
            f" Figures: {', '.join(FIGURES)}. Tables: {', '.join(tables)}"
        )
