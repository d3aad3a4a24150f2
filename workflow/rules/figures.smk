# Each figure is one rule; what it is drawn from is `drawn`.
rule fig1:
    input:
        script="workflow/convergent/figures.py",
        code=sources("matching", "plots", "store"),
        style="workflow/convergent/figures.mplstyle",
        drawn=expand(
            "results/{{run}}/correlation/conv1/{pair}.zarr/zarr.json",
            pair=[f"{TWO[0]}-{TWO[0]}", f"{TWO[1]}-{TWO[1]}", PAIR],
        ),
    output:
        pdf=report(
            "results/{run}/figures/fig1_correlation.pdf",
            caption="../report/fig1_correlation.rst",
            category="Correlation",
            labels={"figure": "Fig 1"},
        ),
        png="results/{run}/figures/fig1_correlation.png",
    log:
        "results/{run}/logs/figures/fig1_correlation.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
    shell:
        "python -m {params.module} fig1_correlation {input.drawn} --outputs {output.pdf} {output.png} > {log} 2>&1"


rule fig2:
    input:
        script="workflow/convergent/figures.py",
        code=sources("matching", "plots", "store"),
        style="workflow/convergent/figures.mplstyle",
        drawn=[
            *expand("results/{{run}}/patches/{net}.zarr/zarr.json", net=TWO),
            f"results/{{run}}/matching/correlation/{{layer}}/{PAIR}.csv",
        ],
    output:
        pdf=report(
            "results/{run}/figures/fig2_matches_{layer}.pdf",
            caption="../report/fig2_matches.rst",
            category="Matching",
            labels={"figure": "Fig 2", "layer": "{layer}"},
        ),
        png="results/{run}/figures/fig2_matches_{layer}.png",
    log:
        "results/{run}/logs/figures/fig2_matches_{layer}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
    shell:
        "python -m {params.module} fig2_matches {input.drawn} --outputs {output.pdf} {output.png} --layer {wildcards.layer} > {log} 2>&1"


rule fig3:
    input:
        script="workflow/convergent/figures.py",
        code=sources("matching", "plots", "store"),
        style="workflow/convergent/figures.mplstyle",
        drawn=f"results/{{run}}/matching/correlation/{{layer}}/{PAIR}.csv",
    output:
        pdf=report(
            "results/{run}/figures/fig3_assignment_{layer}.pdf",
            caption="../report/fig3_assignment.rst",
            category="Matching",
            labels={"figure": "Fig 3", "layer": "{layer}"},
        ),
        png="results/{run}/figures/fig3_assignment_{layer}.png",
    log:
        "results/{run}/logs/figures/fig3_assignment_{layer}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
    shell:
        "python -m {params.module} fig3_assignment {input.drawn} --outputs {output.pdf} {output.png} --layer {wildcards.layer} > {log} 2>&1"


rule figS10:
    input:
        script="workflow/convergent/figures.py",
        code=sources("matching", "plots", "store"),
        style="workflow/convergent/figures.mplstyle",
        drawn="results/{run}/moments/val/{layer}.zarr/zarr.json",
    output:
        pdf=report(
            "results/{run}/figures/figS10_means_{layer}.pdf",
            caption="../report/figS10_means.rst",
            category="Activations",
            labels={"figure": "Fig S10", "layer": "{layer}"},
        ),
        png="results/{run}/figures/figS10_means_{layer}.png",
    log:
        "results/{run}/logs/figures/figS10_means_{layer}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
    shell:
        "python -m {params.module} figS10_means {input.drawn} --outputs {output.pdf} {output.png} --layer {wildcards.layer} > {log} 2>&1"


rule figS11:
    input:
        script="workflow/convergent/figures.py",
        code=sources("matching", "plots", "store"),
        style="workflow/convergent/figures.mplstyle",
        drawn=[
            "results/{run}/moments/val/{layer}.zarr/zarr.json",
            *expand("results/{{run}}/patches/{net}.zarr/zarr.json", net=NETS),
        ],
    output:
        pdf=report(
            "results/{run}/figures/figS11_active_{layer}.pdf",
            caption="../report/figS11_active.rst",
            category="Activations",
            labels={"figure": "Fig S11", "layer": "{layer}"},
        ),
        png="results/{run}/figures/figS11_active_{layer}.png",
    log:
        "results/{run}/logs/figures/figS11_active_{layer}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
    shell:
        "python -m {params.module} figS11_active {input.drawn} --outputs {output.pdf} {output.png} --layer {wildcards.layer} > {log} 2>&1"


rule training_curves:
    input:
        script="workflow/convergent/figures.py",
        code=sources("matching", "plots", "store"),
        style="workflow/convergent/figures.mplstyle",
        drawn=expand("results/{{run}}/nets/{net}.csv", net=NETS),
    output:
        pdf=report(
            "results/{run}/figures/nets_training.pdf",
            caption="../report/nets_training.rst",
            category="Nets",
            labels={"figure": "Training"},
        ),
        png="results/{run}/figures/nets_training.png",
    log:
        "results/{run}/logs/figures/nets_training.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
    shell:
        "python -m {params.module} nets_training {input.drawn} --outputs {output.pdf} {output.png} > {log} 2>&1"


rule filters_sheet:
    input:
        script="workflow/convergent/figures.py",
        code=sources("matching", "plots", "store"),
        style="workflow/convergent/figures.mplstyle",
        drawn="results/{run}/nets/filters.zarr/zarr.json",
    output:
        pdf=report(
            "results/{run}/figures/nets_filters.pdf",
            caption="../report/nets_filters.rst",
            category="Nets",
            labels={"figure": "Filters"},
        ),
        png="results/{run}/figures/nets_filters.png",
    log:
        "results/{run}/logs/figures/nets_filters.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
    shell:
        "python -m {params.module} nets_filters {input.drawn} --outputs {output.pdf} {output.png} > {log} 2>&1"


rule summary:
    input:
        script="workflow/convergent/figures.py",
        code=sources("matching", "plots", "store"),
        style="workflow/convergent/figures.mplstyle",
        drawn=expand("results/{{run}}/convergence/{layer}.csv", layer=LAYERS),
    output:
        pdf=report(
            "results/{run}/figures/summary_convergence.pdf",
            caption="../report/summary_convergence.rst",
            category="Summary",
            labels={"figure": "Summary"},
        ),
        png="results/{run}/figures/summary_convergence.png",
        table="results/{run}/tables/summary.csv",
    log:
        "results/{run}/logs/figures/summary_convergence.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
    shell:
        "python -m {params.module} summary_convergence {input.drawn} --outputs {output.pdf} {output.png} --table {output.table} > {log} 2>&1"


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
