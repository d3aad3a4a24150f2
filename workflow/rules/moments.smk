# One pass over the validation images for all statistics, one over training images for the mappings to be fitted on.
PASSES = {
    "val": {"layers": LAYERS, "images": [], "section": "moments"},
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
            *stage("moments.accumulate"),
            **LAYERED,
            layers=its["layers"],
            control_layers=STITCHED,
            images=its["images"],
            blocks=options(its["section"], "blocks", "shards"),
            wide=config["moments"]["wide"],
            options=options("moments", "batch", "seed", "threads"),
        shell:
            "python -m workflow.convergent.moments.accumulate {input.images} {output} --nets {input.digests}"
            " --layers {params.layers:q} --controls {input.controls} --control-layers {params.control_layers:q}"
            " {params.images:q} {params.blocks:q} --shard {wildcards.shard} --wide-units {params.wide[units]:q}"
            " --wide-blocks {params.wide[blocks]:q} {params.options:q} --modules {params.modules:q}"
            " --resample {params.resample:q} > {log} 2>&1"

    rule:
        name:
            f"merge_{split}"
        input:
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
        params:
            *stage("moments.merge"),
        shell:
            "python -m workflow.convergent.moments.merge {input.shards} {output} > {log} 2>&1"
