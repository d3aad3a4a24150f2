# Similarity and matching of the units of all pairs of nets. A job does a whole layer: starting it takes longer than
# the work on one pair.
rule correlation:
    input:
        moments="results/{run}/moments/val/{layer}.zarr/zarr.json",
    output:
        expand(
            "results/{{run}}/correlation/{{layer}}/{pair}.zarr/zarr.json", pair=PAIRS
        ),
    log:
        "results/{run}/logs/correlation/{layer}.log",
    localrule: True
    params:
        *stage("alignment.correlation"),
    shell:
        "python -m workflow.convergent.alignment.correlation {input.moments}"
        " results/{wildcards.run}/correlation/{wildcards.layer} > {log} 2>&1"


rule matching:
    input:
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
    params:
        *stage("alignment.matching"),
    shell:
        "python -m workflow.convergent.alignment.matching"
        " results/{wildcards.run}/matching/{wildcards.similarity}/{wildcards.layer}"
        " {input.similarities} > {log} 2>&1"
