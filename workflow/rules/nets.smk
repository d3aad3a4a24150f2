# Weights depend on seed, settings, images and code. The command is given the code files that the rule tracks, and
# its checkpoint keeps their digest, so an edit of any of them trains anew. Left out are the modules that read and write
# files and print refusals: weights do not depend on them.
UNRELATED = (
    "chunks",
    "commands",
    "files",
    "kernels",
    "sources",
    "store",
    "tables",
    "tracked",
)


rule train:
    input:
        images=expand("results/{{run}}/images/{split}.zarr/zarr.json", split=SPLITS),
    output:
        description="results/{run}/nets/{net}.json",
        weights="results/{run}/nets/{net}.pt",
        history=reported("results/{run}/nets/{net}.csv", "5 Nets", "Training of {net}"),
        snapshots=snapshot_files("{net}", "json"),
        snapshot_weights=snapshot_files("{net}", "pt"),
    log:
        "results/{run}/logs/train/{net}.log",
    benchmark:
        "results/{run}/benchmarks/train/{net}.tsv"
    wildcard_constraints:
        net=one_of(TRAINED),
    threads: config.get("training", {}).get("threads", 1)
    resources:
        gpu=1,
    params:
        *stage("nets.train", UNRELATED),
        **MADE,
        code=sources("nets.train", UNRELATED),
        training=lambda wildcards: as_json(config.get("training")),
    shell:
        "python -m workflow.convergent.nets.train {input.images} {output.description} {output.weights}"
        " {output.history} --snapshots {output.snapshots} --name {wildcards.net} {params.net:q}"
        " --settings {params.settings:q} --training {params.training:q} --code {params.code:q}"
        " --checkpoints results/{wildcards.run}/checkpoints/{wildcards.net} 2>&1 | tee {log}"


rule given:
    input:
        images="results/{run}/images/train.zarr/zarr.json",
    output:
        description="results/{run}/nets/{net}.json",
        weights="results/{run}/nets/{net}.pt",
    log:
        "results/{run}/logs/given/{net}.log",
    wildcard_constraints:
        net=one_of(GIVEN),
    localrule: True
    params:
        *stage("nets.given"),
        **MADE,
        file=lambda wildcards: as_path(entry_of(wildcards)["weights"]),
        digest=lambda wildcards: weights_digest(entry_of(wildcards)),
    shell:
        "python -m workflow.convergent.nets.given {input.images} {params.file:q} {output} {params.net:q}"
        " --settings {params.settings:q} > {log} 2>&1"


rule untrained:
    input:
        images="results/{run}/images/train.zarr/zarr.json",
    output:
        description="results/{run}/nets/{net}_untrained.json",
        weights="results/{run}/nets/{net}_untrained.pt",
    log:
        "results/{run}/logs/untrained/{net}.log",
    localrule: True
    params:
        *stage("nets.untrained"),
        **MADE,
    shell:
        "python -m workflow.convergent.nets.untrained {input.images} {output} --control-of {wildcards.net}"
        " {params.net:q} --settings {params.settings:q} > {log} 2>&1"


rule filters:
    input:
        weights=ancient(expand("results/{{run}}/nets/{net}.pt", net=NETS)),
        digests=expand("results/{{run}}/nets/{net}.json", net=NETS),
    output:
        "results/{run}/nets/filters.zarr/zarr.json",
    log:
        "results/{run}/logs/filters.log",
    localrule: True
    params:
        *stage("nets.filters"),
        **LAYERED,
        layer=(SPATIAL or LAYERS)[0],
    shell:
        "python -m workflow.convergent.nets.filters {output} {input.digests} --layer {params.layer:q}"
        " --modules {params.modules:q} --resample {params.resample:q} > {log} 2>&1"
