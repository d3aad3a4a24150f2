# One pass over the validation images for all statistics, one over training images for the mappings to be fitted on.
PASSES = {
    "val": {"layers": LAYERS, "images": "", "section": "moments"},
    "train": {
        "layers": STITCHED,
        "images": options("stitching", "images"),
        "section": "stitching",
    },
}

for split, its in PASSES.items():

    rule:
        name:
            f"moments_{split}"
        input:
            **stage("moments.accumulate"),
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
                layer=its["layers"],
            ),
        log:
            f"results/{{run}}/logs/moments/{split}/{{shard}}.log",
        benchmark:
            f"results/{{run}}/benchmarks/moments/{split}/{{shard}}.tsv"
        threads: config["moments"]["threads"]
        resources:
            gpu=1,
        params:
            **LAYERED,
            layers=its["layers"],
            control_layers=STITCHED,
            images=its["images"],
            blocks=options(its["section"], "blocks", "shards"),
            wide=config["moments"]["wide"],
            options=options("moments", "batch", "seed", "threads"),
        shell:
            "python -m workflow.convergent.moments.accumulate {input.images} {output} --nets {input.digests}"
            " --layers {params.layers} --controls {input.controls} --control-layers {params.control_layers}"
            " {params.images} {params.blocks} --shard {wildcards.shard} --wide-units {params.wide[units]}"
            " --wide-blocks {params.wide[blocks]} {params.options} --modules {params.modules:q}"
            " --resample {params.resample} > {log} 2>&1"

    rule:
        name:
            f"merge_{split}"
        input:
            **stage("moments.merge"),
            shards=expand(
                "results/{{run}}/moments/{split}/shards/{shard}/{{layer}}.zarr/zarr.json",
                split=split,
                shard=range(config[its["section"]]["shards"]),
            ),
        output:
            f"results/{{run}}/moments/{split}/{{layer}}.zarr/zarr.json",
        log:
            f"results/{{run}}/logs/merge/{split}/{{layer}}.log",
        benchmark:
            f"results/{{run}}/benchmarks/merge/{split}/{{layer}}.tsv"
        shell:
            "python -m workflow.convergent.moments.merge {input.shards} {output} > {log} 2>&1"
