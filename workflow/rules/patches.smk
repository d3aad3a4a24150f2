rule patches:
    input:
        images="results/{run}/images/val.zarr/zarr.json",
        weights=ancient("results/{run}/nets/{net}.pt"),
        description="results/{run}/nets/{net}.json",
    output:
        "results/{run}/patches/{net}.zarr/zarr.json",
    log:
        "results/{run}/logs/patches/{net}.log",
    benchmark:
        "results/{run}/benchmarks/patches/{net}.tsv"
    threads: config["patches"]["threads"]
    resources:
        gpu=1,
    params:
        *stage("patches.pictures"),
        **LAYERED,
        layers=LAYERS,
        options=options("patches", "per_group", "batch", "threads"),
    shell:
        "python -m workflow.convergent.patches.pictures {input.images} {input.description} {output}"
        " --layers {params.layers:q} {params.options:q} --modules {params.modules:q} --resample {params.resample:q}"
        " > {log} 2>&1"
