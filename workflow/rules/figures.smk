# Every figure is one rule of the same form. A name with {layer} is drawn for each layer that FIGURES lists.
VALIDATED = "results/{run}/moments/val/{layer}.zarr/zarr.json"
MATCHED = f"results/{{run}}/matching/correlation/{{layer}}/{PAIR}.csv"
PICTURES = {net: f"results/{{run}}/patches/{net}.zarr/zarr.json" for net in NETS}
PICTURED = [PICTURES[net] for net in TWO]
SUMMARY = "results/{run}/tables/summary.csv"
INFORMATION = ["results/{run}/tables/information.csv"] if INFORMED else []

DRAWN = {
    # figure: (category and label in the report, what it is drawn from)
    "fig1_correlation": (
        ("Correlation", "Fig 1"),
        expand(
            "results/{{run}}/correlation/conv1/{pair}.zarr/zarr.json",
            pair=[f"{TWO[0]}-{TWO[0]}", f"{TWO[1]}-{TWO[1]}", PAIR],
        ),
    ),
    "fig2_matches_{layer}": (("Matching", "Fig 2"), [*PICTURED, MATCHED]),
    "fig3_assignment_{layer}": (("Matching", "Fig 3"), [MATCHED]),
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
        expand("results/{{run}}/nets/{net}.csv", net=NETS),
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
    ),
}

for name, ((category, label), drawn) in DRAWN.items():
    figure = name.removesuffix("_{layer}")
    by_layer = figure != name

    rule:
        name:
            f"draw_{figure}"
        input:
            script="workflow/convergent/figures.py",
            code=sources(
                "figures_statistics", "figures_units", "matching", "plots", "store"
            ),
            style="workflow/convergent/figures.mplstyle",
            drawn=drawn,
        output:
            pdf=report(
                f"results/{{run}}/figures/{name}.pdf",
                caption=f"../report/{figure}.rst",
                category=category,
                labels={"figure": label, **({"layer": "{layer}"} if by_layer else {})},
            ),
            png=f"results/{{run}}/figures/{name}.png",
            table=[SUMMARY] if figure == "summary_convergence" else [],
        log:
            f"results/{{run}}/logs/figures/{name}.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            module=as_py_module(),
            figure=figure,
            layer="--layer {layer}" if by_layer else "",
            table=f"--table {SUMMARY}" if figure == "summary_convergence" else "",
        shell:
            "python -m {params.module} {params.figure} {input.drawn} --outputs {output.pdf} {output.png}"
            " {params.layer} {params.table} > {log} 2>&1"


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
