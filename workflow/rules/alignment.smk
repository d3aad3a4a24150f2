# Correlation, matching and convergence of all pairs, a layer a job: the work is milliseconds, the start-up is not.
rule correlation:
    input:
        script="workflow/convergent/correlation.py",
        code=sources("blocks", "merge", "store"),
        moments="results/{run}/moments/val/{layer}.zarr/zarr.json",
    output:
        expand(
            "results/{{run}}/correlation/{{layer}}/{pair}.zarr/zarr.json", pair=PAIRS
        ),
    log:
        "results/{run}/logs/correlation/{layer}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
    shell:
        "python -m {params.module} {input.moments} results/{wildcards.run}/correlation/{wildcards.layer} > {log} 2>&1"


rule matching:
    input:
        script="workflow/convergent/matching.py",
        code=sources("store"),
        similarities=expand(
            "results/{{run}}/{{similarity}}/{{layer}}/{pair}.zarr/zarr.json",
            pair=BETWEEN,
        ),
    output:
        expand(
            "results/{{run}}/matching/{{similarity}}/{{layer}}/{pair}.csv",
            pair=BETWEEN,
        ),
    log:
        "results/{run}/logs/matching/{similarity}/{layer}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
    shell:
        "python -m {params.module} results/{wildcards.run}/matching/{wildcards.similarity}/{wildcards.layer}"
        " {input.similarities} --array {wildcards.similarity} > {log} 2>&1"


rule convergence:
    input:
        script="workflow/convergent/convergence.py",
        code=sources(
            "blocks", "correlation", "matching", "merge", "seeds", "store", "tables"
        ),
        moments="results/{run}/moments/val/{layer}.zarr/zarr.json",
    output:
        "results/{run}/convergence/{layer}.csv",
    log:
        "results/{run}/logs/convergence/{layer}.log",
    benchmark:
        "results/{run}/benchmarks/convergence/{layer}.tsv"
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
        resamples=config["convergence"]["resamples"],
        rotations=config["convergence"]["rotations"],
        halves=config["convergence"]["halves"],
        seed=config["convergence"]["seed"],
    shell:
        "python -m {params.module} {input.moments} {output} --resamples {params.resamples}"
        " --rotations {params.rotations} --halves {params.halves} --seed {params.seed} > {log} 2>&1"
