# The weights are a function of the code listed here; store.py only reads the images, and an edit of it trains nothing.
rule train:
    input:
        script="workflow/convergent/train.py",
        code=sources("alexnet", "device", "geometry", "seeds"),
        images=expand("results/{{run}}/images/{split}.zarr/zarr.json", split=SPLITS),
    output:
        description="results/{run}/nets/{net}.json",
        weights="results/{run}/nets/{net}.pt",
        history="results/{run}/nets/{net}.csv",
    log:
        "results/{run}/logs/train/{net}.log",
    benchmark:
        "results/{run}/benchmarks/train/{net}.tsv"
    conda:
        "../../environment.yml"
    threads: config["training"]["threads"]
    resources:
        gpu=1,
    params:
        module=as_py_module(),
        seed=lambda wildcards: config["nets"][NETS.index(wildcards.net)]["seed"],
        architecture=json.dumps(config["architecture"], sort_keys=True),
        training=json.dumps(config["training"], sort_keys=True),
    shell:
        "python -m {params.module} {input.images} {output} --name {wildcards.net} --seed {params.seed}"
        " --architecture {params.architecture:q} --training {params.training:q}"
        " --checkpoints results/{wildcards.run}/checkpoints/{wildcards.net} 2>&1 | tee {log}"


rule untrained:
    input:
        script="workflow/convergent/untrained.py",
        code=sources("alexnet", "device", "geometry", "seeds", "store", "train"),
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
        seed=lambda wildcards: config["nets"][NETS.index(wildcards.net)]["seed"],
        architecture=json.dumps(config["architecture"], sort_keys=True),
    shell:
        "python -m {params.module} {input.images} {output} --seed {params.seed}"
        " --architecture {params.architecture:q} > {log} 2>&1"


rule filters:
    input:
        script="workflow/convergent/filters.py",
        code=sources("alexnet", "geometry", "seeds", "store"),
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
