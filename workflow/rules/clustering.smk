# Clusters of the units of two nets: by the tree of a sparse mapping, and by the spectrum of their correlations.
rule hierarchy:
    input:
        mapping="results/{run}/stitching/{layer}/{pair}.zarr/zarr.json",
    output:
        tree="results/{run}/clustering/hierarchy/{layer}/{pair}.zarr/zarr.json",
        scores=reported(
            "results/{run}/clustering/hierarchy/{layer}/{pair}.csv",
            "4 Clusters",
            "Clusters of {layer}'s units by weights",
            pair="{pair}",
        ),
    log:
        "results/{run}/logs/hierarchy/{layer}/{pair}.log",
    localrule: True
    params:
        *stage("clustering.hierarchy"),
        options=options("stitching", "alpha"),
    shell:
        "python -m workflow.convergent.clustering.hierarchy {input.mapping} {output} {params.options:q} > {log} 2>&1"


rule spectral:
    input:
        moments="results/{run}/moments/val/{layer}.zarr/zarr.json",
    output:
        clusters="results/{run}/clustering/spectral/{layer}/{pair}.zarr/zarr.json",
        scores=reported(
            "results/{run}/clustering/spectral/{layer}/{pair}.csv",
            "4 Clusters",
            "Clusters of {layer}'s units by correlation",
            pair="{pair}",
        ),
    log:
        "results/{run}/logs/spectral/{layer}/{pair}.log",
    benchmark:
        "results/{run}/benchmarks/spectral/{layer}/{pair}.tsv"
    threads: config["clustering"]["threads"]
    params:
        *stage("clustering.spectral"),
        options=options(
            "clustering",
            *("clusters", "range", "resamples", "rotations", "seed", "threads"),
        ),
    shell:
        "python -m workflow.convergent.clustering.spectral {input.moments} {output} --pair {wildcards.pair}"
        " {params.options:q} > {log} 2>&1"
