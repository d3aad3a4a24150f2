# The weights are a function of the code listed here; store.py only reads the images, and an edit of it trains nothing.
rule train:
    input:
        script="workflow/convergent/train.py",
        code=sources(
            "alexnet",
            "checkpoints",
            "device",
            "geometry",
            "nets",
            "seeds",
            "untrained",
        ),
        own_code=lambda wildcards: own_code(entry_of(wildcards)["architecture"]),
        images=expand("results/{{run}}/images/{split}.zarr/zarr.json", split=SPLITS),
    output:
        description="results/{run}/nets/{net}.json",
        weights="results/{run}/nets/{net}.pt",
        history="results/{run}/nets/{net}.csv",
    log:
        "results/{run}/logs/train/{net}.log",
    benchmark:
        "results/{run}/benchmarks/train/{net}.tsv"
    wildcard_constraints:
        net=one_of(TRAINED),
    conda:
        "../../environment.yml"
    threads: config.get("training", {}).get("threads", 1)
    resources:
        gpu=1,
    params:
        module=as_py_module(),
        net=made_by,
        training=json.dumps(config.get("training"), sort_keys=True),
    shell:
        "python -m {params.module} {input.images} {output} --name {wildcards.net} {params.net}"
        " --training {params.training:q}"
        " --checkpoints results/{wildcards.run}/checkpoints/{wildcards.net} 2>&1 | tee {log}"


rule given:
    input:
        script="workflow/convergent/given.py",
        code=sources("alexnet", "geometry", "nets", "seeds", "store", "untrained"),
        own_code=lambda wildcards: own_code(entry_of(wildcards)["architecture"]),
        images="results/{run}/images/train.zarr/zarr.json",
        weights=lambda wildcards: entry_of(wildcards)["weights"],
    output:
        description="results/{run}/nets/{net}.json",
        weights="results/{run}/nets/{net}.pt",
    log:
        "results/{run}/logs/given/{net}.log",
    wildcard_constraints:
        net=one_of(GIVEN),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
        net=made_by,
    shell:
        "python -m {params.module} {input.images} {input.weights:q} {output} {params.net} > {log} 2>&1"


rule untrained:
    input:
        script="workflow/convergent/untrained.py",
        code=sources("alexnet", "geometry", "nets", "seeds", "store"),
        own_code=lambda wildcards: own_code(entry_of(wildcards)["architecture"]),
        images="results/{run}/images/train.zarr/zarr.json",
    output:
        description="results/{run}/nets/{net}_untrained.json",
        weights="results/{run}/nets/{net}_untrained.pt",
    log:
        "results/{run}/logs/untrained/{net}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
        net=made_by,
    shell:
        "python -m {params.module} {input.images} {output} {params.net} > {log} 2>&1"


rule filters:
    input:
        script="workflow/convergent/filters.py",
        code=sources("alexnet", "geometry", "nets", "seeds", "store"),
        weights=ancient(expand("results/{{run}}/nets/{net}.pt", net=NETS)),
        digests=expand("results/{{run}}/nets/{net}.json", net=NETS),
    output:
        "results/{run}/nets/filters.zarr/zarr.json",
    log:
        "results/{run}/logs/filters.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
    shell:
        "python -m {params.module} {output} {input.digests} > {log} 2>&1"
