# Sparse mappings of all ordered pairs of nets, one job for each layer, and the top-1 accuracy of nets stitched together
# by them.
MAPPED = [f"{a}-{b}" for a in NETS for b in NETS if a != b]
ONTO_ITSELF = f"{TWO[1]}-{TWO[1]}"
FROM_CONTROL = [f"{control}-{TWO[1]}" for control in CONTROLS]


rule stitching:
    input:
        train="results/{run}/moments/train/{layer}.zarr/zarr.json",
        val="results/{run}/moments/val/{layer}.zarr/zarr.json",
    output:
        expand(
            "results/{{run}}/stitching/{{layer}}/{pair}.zarr/zarr.json",
            pair=[*MAPPED, ONTO_ITSELF, *FROM_CONTROL],
        ),
    log:
        "results/{run}/logs/stitching/{layer}.log",
    benchmark:
        "results/{run}/benchmarks/stitching/{layer}.tsv"
    threads: config["stitching"]["threads"]
    params:
        *stage("stitching.fit"),
        pairs=[*MAPPED, ONTO_ITSELF, *FROM_CONTROL],
        published=lambda wildcards: PAIR if replayed(wildcards.layer) else "",
        alphas=[*config["stitching"]["alphas"], config["stitching"]["alpha"]],
        options=options("stitching", "decays", "seed", "threads"),
    shell:
        "python -m workflow.convergent.stitching.fit {input.train} {input.val}"
        " results/{wildcards.run}/stitching/{wildcards.layer} --pairs {params.pairs:q} --published {params.published:q}"
        " --alphas {params.alphas:q} {params.options:q} > {log} 2>&1"


rule functional:
    input:
        images="results/{run}/images/val.zarr/zarr.json",
        weights=ancient(expand("results/{{run}}/nets/{net}.pt", net=[*TWO, *CONTROLS])),
        digests=expand("results/{{run}}/nets/{net}.json", net=[*TWO, *CONTROLS]),
        mapped=f"results/{{run}}/stitching/{{layer}}/{PAIR}.zarr/zarr.json",
        onto_itself=f"results/{{run}}/stitching/{{layer}}/{ONTO_ITSELF}.zarr/zarr.json",
        control=expand(
            "results/{{run}}/stitching/{{layer}}/{pair}.zarr/zarr.json",
            pair=FROM_CONTROL,
        ),
    output:
        f"results/{{run}}/functional/{{layer}}/{PAIR}.csv",
    log:
        "results/{run}/logs/functional/{layer}.log",
    benchmark:
        "results/{run}/benchmarks/functional/{layer}.tsv"
    threads: config["stitching"]["threads"]
    resources:
        gpu=1,
    params:
        *stage("stitching.stitched"),
        **LAYERED,
        batch=options("moments", "batch"),
        threads=options("stitching", "threads"),
    shell:
        "python -m workflow.convergent.stitching.stitched {input.images} {output} --nets {input.digests}"
        " --mapped {input.mapped} --self {input.onto_itself} --untrained {input.control} {params.batch:q}"
        " {params.threads:q} --modules {params.modules:q} --resample {params.resample:q} > {log} 2>&1"
