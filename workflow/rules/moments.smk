rule moments:
    input:
        script="workflow/convergent/moments.py",
        code=sources("activations", "alexnet", "device", "geometry", "seeds", "store"),
        images="results/{run}/images/{split}.zarr/zarr.json",
        weights=ancient(expand("results/{{run}}/nets/{net}.pt", net=NETS)),
        digests=expand("results/{{run}}/nets/{net}.json", net=NETS),
    output:
        expand(
            "results/{{run}}/moments/{{split}}/shards/{{shard}}/{layer}.zarr/zarr.json",
            layer=LAYERS,
        ),
    log:
        "results/{run}/logs/moments/{split}/{shard}.log",
    benchmark:
        "results/{run}/benchmarks/moments/{split}/{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: config["moments"]["threads"]
    resources:
        gpu=1,
        runtime="4h",
        mem="16GB",
    params:
        module=as_py_module(),
        layers=LAYERS,
        blocks=config["moments"]["blocks"],
        shards=config["moments"]["shards"],
        batch=config["moments"]["batch"],
        seed=config["moments"]["seed"],
        passes=config["moments"]["threads"],
    shell:
        "python -m {params.module} {input.images} {output} --nets {input.digests} --layers {params.layers}"
        " --blocks {params.blocks} --shard {wildcards.shard} --shards {params.shards} --batch {params.batch}"
        " --seed {params.seed} --threads {params.passes} > {log} 2>&1"


rule merge:
    input:
        script="workflow/convergent/merge.py",
        code=sources("store"),
        shards=expand(
            "results/{{run}}/moments/{{split}}/shards/{shard}/{{layer}}.zarr/zarr.json",
            shard=SHARDS,
        ),
    output:
        "results/{run}/moments/{split}/{layer}.zarr/zarr.json",
    log:
        "results/{run}/logs/merge/{split}/{layer}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
    shell:
        "python -m {params.module} {input.shards} {output} > {log} 2>&1"
