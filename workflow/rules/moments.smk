# One pass over the validation images for all statistics, one over training images for the mappings to be fitted on, and
# two over the validation images of the nets before training, for what nets share without having learned anything, and
# at steps of it, where nets of one step are a set: only these are compared with each other.
PASSES = {
    "val": {
        "split": "val",
        "options": [],
        "section": "moments",
        "nets": NETS,
        "controls": CONTROLS,
        "layers": LAYERS,
    },
    "train": {
        "split": "train",
        "options": options("stitching", "images"),
        "section": "stitching",
        "nets": NETS,
        "controls": CONTROLS,
        "layers": STITCHED,
    },
    "untrained": {
        "split": "val",
        "options": [],
        "section": "moments",
        "nets": TWINS,
        "controls": [],
        "layers": TWINNED,
    },
    "snapshots": {
        "split": "val",
        "options": as_options(
            {"sets": len(SNAPSHOTS), "other_blocks": snapshot_blocks(config)}
        ),
        "section": "moments",
        "nets": SNAPPED,
        "controls": [],
        "layers": FOLLOWED,
    },
}

for folder, its in PASSES.items():

    rule:
        name:
            f"moments_{folder}"
        input:
            images=f"results/{{run}}/images/{its['split']}.zarr/zarr.json",
            weights=ancient(
                expand(
                    "results/{{run}}/nets/{net}.pt",
                    net=[*its["nets"], *its["controls"]],
                )
            ),
            digests=expand("results/{{run}}/nets/{net}.json", net=its["nets"]),
            controls=expand("results/{{run}}/nets/{net}.json", net=its["controls"]),
        output:
            expand(
                "results/{{run}}/moments/{folder}/shards/{{shard}}/{layer}.zarr/zarr.json",
                folder=folder,
                layer=its["layers"],
            ),
        log:
            f"results/{{run}}/logs/moments/{folder}/{{shard}}.log",
        benchmark:
            f"results/{{run}}/benchmarks/moments/{folder}/{{shard}}.tsv"
        threads: config["moments"]["threads"]
        resources:
            gpu=1,
        params:
            *stage("moments.accumulate"),
            **LAYERED,
            layers=its["layers"],
            control_layers=STITCHED if its["controls"] else [],
            of_pass=its["options"],
            blocks=options(its["section"], "blocks", "shards"),
            wide=config["moments"]["wide"],
            options=options("moments", "batch", "seed", "threads"),
        shell:
            "python -m workflow.convergent.moments.accumulate {input.images} {output} --nets {input.digests}"
            " --layers {params.layers:q} --controls {input.controls} --control-layers {params.control_layers:q}"
            " {params.of_pass:q} {params.blocks:q} --shard {wildcards.shard} --wide-units {params.wide[units]:q}"
            " --wide-blocks {params.wide[blocks]:q} {params.options:q} --modules {params.modules:q}"
            " --resample {params.resample:q} > {log} 2>&1"

    rule:
        name:
            f"merge_{folder}"
        input:
            shards=expand(
                "results/{{run}}/moments/{folder}/shards/{shard}/{{layer}}.zarr/zarr.json",
                folder=folder,
                shard=range(config[its["section"]]["shards"]),
            ),
        output:
            f"results/{{run}}/moments/{folder}/{{layer}}.zarr/zarr.json",
        log:
            f"results/{{run}}/logs/merge/{folder}/{{layer}}.log",
        benchmark:
            f"results/{{run}}/benchmarks/merge/{folder}/{{layer}}.tsv"
        wildcard_constraints:
            layer=one_of(its["layers"]),
        params:
            *stage("moments.merge"),
        shell:
            "python -m workflow.convergent.moments.merge {input.shards} {output} > {log} 2>&1"
