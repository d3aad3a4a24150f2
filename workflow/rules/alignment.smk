# Similarity and matching of the units of all pairs of nets. A job does a whole layer: starting it takes longer than
# the work on one pair.
rule correlation:
    input:
        **stage("alignment.correlation"),
        moments="results/{run}/moments/val/{layer}.zarr/zarr.json",
    output:
        expand(
            "results/{{run}}/correlation/{{layer}}/{pair}.zarr/zarr.json", pair=PAIRS
        ),
    log:
        "results/{run}/logs/correlation/{layer}.log",
    localrule: True
    shell:
        "python -m workflow.convergent.alignment.correlation {input.moments}"
        " results/{wildcards.run}/correlation/{wildcards.layer} > {log} 2>&1"


rule matching:
    input:
        **stage("alignment.matching"),
        similarities=expand(
            "results/{{run}}/{{similarity}}/{{layer}}/{pair}.zarr/zarr.json",
            pair=BETWEEN,
        ),
    output:
        expand(
            "results/{{run}}/matching/{{similarity}}/{{layer}}/{pair}.csv",
            pair=BETWEEN,
        ),
    log:
        "results/{run}/logs/matching/{similarity}/{layer}.log",
    localrule: True
    shell:
        "python -m workflow.convergent.alignment.matching"
        " results/{wildcards.run}/matching/{wildcards.similarity}/{wildcards.layer}"
        " {input.similarities} > {log} 2>&1"


rule convergence:
    input:
        **stage("alignment.convergence"),
        moments="results/{run}/moments/val/{layer}.zarr/zarr.json",
    output:
        "results/{run}/convergence/{layer}.csv",
    log:
        "results/{run}/logs/convergence/{layer}.log",
    benchmark:
        "results/{run}/benchmarks/convergence/{layer}.tsv"
    params:
        options=options("convergence", "resamples", "rotations", "halves", "seed"),
    shell:
        "python -m workflow.convergent.alignment.convergence {input.moments} {output} {params.options} > {log} 2>&1"
