# One pass over the validation images for all statistics, one over training images for the mappings to be fitted on.
PASSES = {
    "val": {
        "layers": LAYERS,
        "images": "",
        **{key: config["moments"][key] for key in ("blocks", "shards")},
    },
    "train": {
        "layers": STITCHED,
        "images": f"--images {config['stitching']['images']}",
        **{key: config["stitching"][key] for key in ("blocks", "shards")},
    },
}

for split, settings in PASSES.items():

    rule:
        name:
            f"moments_{split}"
        input:
            script="workflow/convergent/moments.py",
            code=sources(
                "activations",
                "alexnet",
                "blocks",
                "device",
                "geometry",
                "nets",
                "seeds",
                "store",
            ),
            images=f"results/{{run}}/images/{split}.zarr/zarr.json",
            weights=ancient(
                expand("results/{{run}}/nets/{net}.pt", net=[*NETS, *CONTROLS])
            ),
            digests=expand("results/{{run}}/nets/{net}.json", net=NETS),
            controls=expand("results/{{run}}/nets/{net}.json", net=CONTROLS),
        output:
            expand(
                "results/{{run}}/moments/{split}/shards/{{shard}}/{layer}.zarr/zarr.json",
                split=split,
                layer=settings["layers"],
            ),
        log:
            f"results/{{run}}/logs/moments/{split}/{{shard}}.log",
        benchmark:
            f"results/{{run}}/benchmarks/moments/{split}/{{shard}}.tsv"
        conda:
            "../../environment.yml"
        threads: config["moments"]["threads"]
        resources:
            gpu=1,
        params:
            module=as_py_module(),
            layers=settings["layers"],
            controlled=STITCHED,
            layered=LAYERED,
            images=settings["images"],
            blocks=settings["blocks"],
            shards=settings["shards"],
            wide=config["moments"]["wide"],
            batch=config["moments"]["batch"],
            seed=config["moments"]["seed"],
            passes=config["moments"]["threads"],
        shell:
            "python -m {params.module} {input.images} {output} --nets {input.digests} --layers {params.layers}"
            " --controls {input.controls} --control-layers {params.controlled} {params.layered} {params.images}"
            " --blocks {params.blocks} --wide-units {params.wide[units]} --wide-blocks {params.wide[blocks]}"
            " --shard {wildcards.shard} --shards {params.shards}"
            " --batch {params.batch} --seed {params.seed} --threads {params.passes} > {log} 2>&1"

    rule:
        name:
            f"merge_{split}"
        input:
            script="workflow/convergent/merge.py",
            code=sources("blocks", "store"),
            shards=expand(
                "results/{{run}}/moments/{split}/shards/{shard}/{{layer}}.zarr/zarr.json",
                split=split,
                shard=range(settings["shards"]),
            ),
        output:
            f"results/{{run}}/moments/{split}/{{layer}}.zarr/zarr.json",
        log:
            f"results/{{run}}/logs/merge/{split}/{{layer}}.log",
        benchmark:
            f"results/{{run}}/benchmarks/merge/{split}/{{layer}}.tsv"
        conda:
            "../../environment.yml"
        params:
            module=as_py_module(),
        shell:
            "python -m {params.module} {input.shards} {output} > {log} 2>&1"
