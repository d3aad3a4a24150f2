# How alike units are in each layer, beside the same nets before training and other controls.
EVIDENCE = [f"results/{{run}}/evidence/{layer}.zarr/zarr.json" for layer in LAYERS]


rule compare:
    input:
        moments="results/{run}/moments/val/{layer}.zarr/zarr.json",
        untrained=lambda wildcards: (
            f"results/{wildcards.run}/moments/untrained/{wildcards.layer}.zarr/zarr.json"
            if wildcards.layer in TWINNED
            else []
        ),
    output:
        "results/{run}/evidence/{layer}.zarr/zarr.json",
    log:
        "results/{run}/logs/evidence/{layer}.log",
    benchmark:
        "results/{run}/benchmarks/evidence/{layer}.tsv"
    params:
        *stage("evidence.compare"),
        options=options("evidence", "rotations", "derangements", "seed"),
    shell:
        "python -m workflow.convergent.evidence.compare {input.moments} {output} --untrained {input.untrained}"
        " {params.options:q} > {log} 2>&1"
