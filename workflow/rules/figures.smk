# Every figure is one rule of the same form. A name with {layer} is drawn for each layer that FIGURES lists.
FIRST = (SPATIAL or LAYERS)[0]  # what figures of one layer show
FIRST_MAPPED = (spatial(config, STITCHED) or [FIRST])[0]
VALIDATED = "results/{run}/moments/val/{layer}.zarr/zarr.json"
MAPPING = f"results/{{{{run}}}}/stitching/{{layer}}/{PAIR}.zarr/zarr.json"
STITCHED_NETS = f"results/{{{{run}}}}/functional/{{layer}}/{PAIR}.csv"
TREE = [
    f"results/{{{{run}}}}/clustering/hierarchy/{{layer}}/{PAIR}.{end}"
    for end in ("zarr/zarr.json", "csv")
]
CORRELATED = expand(
    "results/{{run}}/correlation/{{layer}}/{pair}.zarr/zarr.json",
    pair=[f"{TWO[0]}-{TWO[0]}", f"{TWO[1]}-{TWO[1]}", PAIR],
)
PICTURES = {net: f"results/{{run}}/patches/{net}.zarr/zarr.json" for net in NETS}
PICTURED = [PICTURES[net] for net in TWO]
INFORMATION = ["results/{run}/tables/information.csv"] if INFORMED else []

DRAWN = {
    # name: (category and label in the report, what it is drawn from, more arguments, table it writes)
    "fig1_correlation": (
        ("Correlation", "Fig 1"),
        [path.replace("{layer}", FIRST) for path in CORRELATED],
    ),
    "fig2_matches_{layer}": (
        ("Matching", "Fig 2"),
        [
            *PICTURED,
            f"results/{{run}}/matching/correlation/{{layer}}/{PAIR}.csv",
        ],
    ),
    "fig3_assignment_{layer}": (
        ("Matching", "Fig 3"),
        [f"results/{{run}}/matching/correlation/{{layer}}/{PAIR}.csv"],
    ),
    "fig4_mapping": (
        ("Mapping", "Fig 4"),
        [*expand(MAPPING, layer=FIRST_MAPPED), *PICTURED],
        f"--layer {FIRST_MAPPED} --alpha {config['stitching']['alpha']} --unit {config['figures']['unit']}",
    ),
    "table1_mapping": (
        ("Mapping", "Table 1"),
        [
            *expand(MAPPING, layer=STITCHED),
            *expand(STITCHED_NETS, layer=STITCHED),
            "workflow/resources/paper_table1.csv",
        ],
        "",
        "results/{run}/tables/table1_mapping.csv",
    ),
    "fig5_hierarchy": (
        ("Clusters", "Fig 5"),
        [*expand(MAPPING, layer=FIRST_MAPPED), *expand(TREE, layer=FIRST_MAPPED)],
    ),
    "fig6_clusters": (
        ("Clusters", "Fig 6"),
        [*expand(TREE, layer=FIRST_MAPPED), *PICTURED],
    ),
    "figS_spectral_{layer}": (
        ("Clusters", "Spectral"),
        [
            f"results/{{run}}/clustering/spectral/{{layer}}/{PAIR}.zarr/zarr.json",
            f"results/{{run}}/clustering/spectral/{{layer}}/{PAIR}.csv",
            *CORRELATED,
            *PICTURED,
        ],
    ),
    "figS4_information_{layer}": (
        ("Matching", "Fig S4"),
        [
            *PICTURED,
            f"results/{{run}}/matching/mutual_information/{{layer}}/{PAIR}.csv",
            *INFORMATION,
        ],
    ),
    "figS10_means_{layer}": (("Activations", "Fig S10"), [VALIDATED]),
    "figS11_active_{layer}": (
        ("Activations", "Fig S11"),
        [VALIDATED, *PICTURES.values()],
    ),
    "nets_training": (
        ("Nets", "Training"),
        expand("results/{{run}}/nets/{net}.csv", net=TRAINED),
    ),
    "nets_filters": (
        ("Nets", "Filters"),
        ["results/{run}/nets/filters.zarr/zarr.json"],
    ),
    "summary_convergence": (
        ("Summary", "Summary"),
        [
            *expand("results/{{run}}/convergence/{layer}.csv", layer=LAYERS),
            *INFORMATION,
        ],
        "",
        "results/{run}/tables/summary.csv",
    ),
}

for name, ((category, label), drawn, *rest) in DRAWN.items():
    figure = name.removesuffix("_{layer}")
    layer = {"layer": "{layer}"} if figure != name else {}
    more, table = [*rest, "", ""][:2]

    rule:
        name:
            f"draw_{figure}"
        input:
            **stage("figures.draw"),
            style="workflow/convergent/figures/figures.mplstyle",
            drawn=drawn,
        output:
            pdf=report(
                f"results/{{run}}/figures/{name}.pdf",
                caption=f"../report/{figure}.rst",
                category=category,
                labels={"figure": label, **layer},
            ),
            png=f"results/{{run}}/figures/{name}.png",
            table=[table] if table else [],
        log:
            f"results/{{run}}/logs/figures/{name}.log",
        localrule: True
        params:
            figure=figure,
            more=more or ("--layer {layer}" if layer else ""),
            table=f"--table {table}" if table else "",
        shell:
            "python -m workflow.convergent.figures.draw {params.figure} {input.drawn} --outputs {output.pdf} {output.png}"
            " {params.more} {params.table} > {log} 2>&1"


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
