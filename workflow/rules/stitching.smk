# Sparse mappings of all ordered pairs of nets and from their untrained twins, one job for each layer, and the top-1
# accuracy of nets stitched together by them. Only the pairs of the figures have the control of their whole path.
MAPPED = [f"{a}-{b}" for a in NETS for b in NETS if a != b]
FROM_TWINS = [f"{twin_name(a)}-{b}" for a in TRAINED for b in NETS if a != b]
TARGETS = list(dict.fromkeys(pair.split("-")[1] for pair in SHOWN))
FITTED = [*MAPPED, *(f"{net}-{net}" for net in TARGETS), *FROM_TWINS]
WHOLE = [f"{twin_name(a)}-{b}" for a, b in (pair.split("-") for pair in SHOWN)]
FEW = [pair for pair in FROM_TWINS if pair not in WHOLE]


rule stitching:
    input:
        train="results/{run}/moments/train/{layer}.zarr/zarr.json",
        val="results/{run}/moments/val/{layer}.zarr/zarr.json",
    output:
        expand("results/{{run}}/stitching/{{layer}}/{pair}.zarr/zarr.json", pair=FITTED),
    log:
        "results/{run}/logs/stitching/{layer}.log",
    benchmark:
        "results/{run}/benchmarks/stitching/{layer}.tsv"
    threads: config["stitching"]["threads"]
    params:
        *stage("stitching.fit"),
        pairs=FITTED,
        few=FEW,
        published=lambda wildcards: SHOWN if replayed(wildcards.layer) else [],
        alphas=[*config["stitching"]["alphas"], config["stitching"]["alpha"]],
        options=options("stitching", "decays", "seed", "threads"),
    shell:
        "python -m workflow.convergent.stitching.fit {input.train} {input.val}"
        " results/{wildcards.run}/stitching/{wildcards.layer} --pairs {params.pairs:q} --few {params.few:q}"
        " --published {params.published:q} --alphas {params.alphas:q} {params.options:q} > {log} 2>&1"


rule functional:
    input:
        images="results/{run}/images/val.zarr/zarr.json",
        weights=ancient(expand("results/{{run}}/nets/{net}.pt", net=[*NETS, *CONTROLS])),
        digests=expand("results/{{run}}/nets/{net}.json", net=[*NETS, *CONTROLS]),
        mappings=expand(
            "results/{{run}}/stitching/{{layer}}/{pair}.zarr/zarr.json", pair=FITTED
        ),
    output:
        "results/{run}/functional/{layer}.zarr/zarr.json",
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
        whole=SHOWN,
        batch=options("moments", "batch"),
        options=options("stitching", "alpha", "evaluated", "threads"),
    shell:
        "python -m workflow.convergent.stitching.stitched {input.images} {output} --nets {input.digests}"
        " --mappings {input.mappings} --whole {params.whole:q} {params.batch:q} {params.options:q}"
        " --modules {params.modules:q} --resample {params.resample:q} > {log} 2>&1"
