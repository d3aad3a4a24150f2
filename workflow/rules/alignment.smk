# Similarity and matching of the units of all pairs of nets. Starting a job takes longer than to correlate all layers,
# or than to match all pairs of one.
rule correlation:
    input:
        moments=expand(
            "results/{{run}}/moments/val/{layer}.zarr/zarr.json", layer=LAYERS
        ),
    output:
        expand(
            "results/{{run}}/correlation/{layer}/{pair}.zarr/zarr.json",
            layer=LAYERS,
            pair=PAIRS,
        ),
    log:
        "results/{run}/logs/correlation.log",
    localrule: True
    params:
        *stage("alignment.correlation"),
    shell:
        "python -m workflow.convergent.alignment.correlation {input.moments}"
        " results/{wildcards.run}/correlation > {log} 2>&1"


rule matching:
    input:
        similarities=expand(
            "results/{{run}}/{{similarity}}/{{layer}}/{pair}.zarr/zarr.json",
            pair=BETWEEN,
        ),
    output:
        [
            reported(
                f"results/{{run}}/matching/{{similarity}}/{{layer}}/{pair}.csv",
                "2 Matches",
                "Partners of {layer}'s units by {similarity}",
                pair=pair,
            )
            for pair in BETWEEN
        ],
    log:
        "results/{run}/logs/matching/{similarity}/{layer}.log",
    localrule: True
    params:
        *stage("alignment.matching"),
    shell:
        "python -m workflow.convergent.alignment.matching"
        " results/{wildcards.run}/matching/{wildcards.similarity}/{wildcards.layer}"
        " {input.similarities} > {log} 2>&1"
