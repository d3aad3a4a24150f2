# Mutual information of all pairs of nets, one job for each layer, and how far it agrees with correlation.
rule information:
    input:
        images="results/{run}/images/val.zarr/zarr.json",
        weights=ancient(expand("results/{{run}}/nets/{net}.pt", net=NETS)),
        digests=expand("results/{{run}}/nets/{net}.json", net=NETS),
    output:
        expand(
            "results/{{run}}/mutual_information/{{layer}}/{pair}.zarr/zarr.json",
            pair=BETWEEN,
        ),
    log:
        "results/{run}/logs/information/{layer}.log",
    benchmark:
        "results/{run}/benchmarks/information/{layer}.tsv"
    threads: config["information"]["threads"]
    resources:
        gpu=1,
    params:
        *stage("alignment.information"),
        **LAYERED,
        options=options(
            "information",
            *("bins", "positions", "edge_images", "batch", "seed", "threads"),
        ),
        blocks=[
            *options("moments", "blocks"),
            *as_options({"block_seed": config["moments"]["seed"]}),
        ],
    shell:
        "python -m workflow.convergent.alignment.information {input.images}"
        " results/{wildcards.run}/mutual_information/{wildcards.layer} --nets {input.digests} --layer {wildcards.layer}"
        " {params.options:q} {params.blocks:q} --modules {params.modules:q} --resample {params.resample:q} > {log} 2>&1"


rule agreement:
    input:
        information=expand(
            "results/{{run}}/mutual_information/{layer}/{pair}.zarr/zarr.json",
            layer=INFORMED,
            pair=BETWEEN,
        ),
        correlation=expand(
            "results/{{run}}/correlation/{layer}/{pair}.zarr/zarr.json",
            layer=INFORMED,
            pair=BETWEEN,
        ),
    output:
        reported(
            "results/{run}/tables/information.csv",
            "2 Matches",
            "Information with partners, and its agreement with correlation",
        ),
    log:
        "results/{run}/logs/agreement.log",
    localrule: True
    params:
        *stage("alignment.agreement"),
    shell:
        "python -m workflow.convergent.alignment.agreement {output} --information {input.information}"
        " --correlation {input.correlation} > {log} 2>&1"
