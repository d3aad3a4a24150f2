# Clusters of both nets' units: by the tree of a sparse mapping, and by the spectrum of their correlations.
rule hierarchy:
    input:
        script="workflow/convergent/hierarchy.py",
        code=sources("mappings", "store", "tables"),
        mapping="results/{run}/stitching/{layer}/{pair}.zarr/zarr.json",
    output:
        tree="results/{run}/clustering/hierarchy/{layer}/{pair}.zarr/zarr.json",
        scores="results/{run}/clustering/hierarchy/{layer}/{pair}.csv",
    log:
        "results/{run}/logs/hierarchy/{layer}/{pair}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
        alpha=config["stitching"]["alpha"],
    shell:
        "python -m {params.module} {input.mapping} {output} --alpha {params.alpha} > {log} 2>&1"


rule spectral:
    input:
        script="workflow/convergent/spectral.py",
        code=sources(
            "blocks",
            "convergence",
            "correlation",
            "graphs",
            "matching",
            "merge",
            "seeds",
            "store",
            "tables",
        ),
        moments="results/{run}/moments/val/{layer}.zarr/zarr.json",
    output:
        store="results/{run}/clustering/spectral/{layer}/{pair}.zarr/zarr.json",
        table="results/{run}/clustering/spectral/{layer}/{pair}.csv",
    log:
        "results/{run}/logs/spectral/{layer}/{pair}.log",
    benchmark:
        "results/{run}/benchmarks/spectral/{layer}/{pair}.tsv"
    conda:
        "../../environment.yml"
    threads: config["clustering"]["threads"]
    params:
        module=as_py_module(),
        clusters=config["clustering"]["clusters"],
        range=config["clustering"]["range"],
        resamples=config["clustering"]["resamples"],
        rotations=config["clustering"]["rotations"],
        seed=config["clustering"]["seed"],
        passes=config["clustering"]["threads"],
    shell:
        "python -m {params.module} {input.moments} {output} --pair {wildcards.pair} --clusters {params.clusters}"
        " --range {params.range} --resamples {params.resamples} --rotations {params.rotations} --seed {params.seed}"
        " --threads {params.passes} > {log} 2>&1"
