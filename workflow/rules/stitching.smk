# Sparse mappings of all ordered pairs, a layer a job, and whether nets that are stitched together by them still work.
MAPPED = [f"{a}-{b}" for a in NETS for b in NETS if a != b]
ONTO_ITSELF = f"{TWO[1]}-{TWO[1]}"
FROM_UNTRAINED = (
    f"net0_untrained-{TWO[1]}"  # any net before training serves as the control
)


rule stitching:
    input:
        script="workflow/convergent/stitching.py",
        code=sources("blocks", "lasso", "mappings", "merge", "replay", "seeds", "store"),
        train="results/{run}/moments/train/{layer}.zarr/zarr.json",
        val="results/{run}/moments/val/{layer}.zarr/zarr.json",
    output:
        expand(
            "results/{{run}}/stitching/{{layer}}/{pair}.zarr/zarr.json",
            pair=[*MAPPED, ONTO_ITSELF, FROM_UNTRAINED],
        ),
    log:
        "results/{run}/logs/stitching/{layer}.log",
    benchmark:
        "results/{run}/benchmarks/stitching/{layer}.tsv"
    conda:
        "../../environment.yml"
    threads: config["stitching"]["threads"]
    params:
        module=as_py_module(),
        pairs=[*MAPPED, ONTO_ITSELF, FROM_UNTRAINED],
        published=lambda wildcards: PAIR if replayed(wildcards.layer) else "",
        decays=config["stitching"]["decays"],
        alphas=[*config["stitching"]["alphas"], config["stitching"]["alpha"]],
        seed=config["stitching"]["seed"],
        passes=config["stitching"]["threads"],
    shell:
        "python -m {params.module} {input.train} {input.val} results/{wildcards.run}/stitching/{wildcards.layer}"
        " --pairs {params.pairs} --published {params.published} --decays {params.decays} --alphas {params.alphas}"
        " --seed {params.seed} --threads {params.passes} > {log} 2>&1"


rule functional:
    input:
        script="workflow/convergent/functional.py",
        code=sources(
            "activations",
            "alexnet",
            "blocks",
            "device",
            "geometry",
            "nets",
            "lasso",
            "mappings",
            "merge",
            "replay",
            "seeds",
            "stitching",
            "store",
            "tables",
        ),
        images="results/{run}/images/val.zarr/zarr.json",
        weights=ancient(expand("results/{{run}}/nets/{net}.pt", net=[*TWO, *CONTROLS])),
        digests=expand("results/{{run}}/nets/{net}.json", net=[*TWO, *CONTROLS]),
        mapped=f"results/{{run}}/stitching/{{layer}}/{PAIR}.zarr/zarr.json",
        onto_itself=f"results/{{run}}/stitching/{{layer}}/{ONTO_ITSELF}.zarr/zarr.json",
        untrained=f"results/{{run}}/stitching/{{layer}}/{FROM_UNTRAINED}.zarr/zarr.json",
    output:
        f"results/{{run}}/functional/{{layer}}/{PAIR}.csv",
    log:
        "results/{run}/logs/functional/{layer}.log",
    benchmark:
        "results/{run}/benchmarks/functional/{layer}.tsv"
    conda:
        "../../environment.yml"
    threads: config["stitching"]["threads"]
    resources:
        gpu=1,
    params:
        module=as_py_module(),
        batch=config["moments"]["batch"],
        passes=config["stitching"]["threads"],
        layered=LAYERED,
    shell:
        "python -m {params.module} {input.images} {output} --nets {input.digests} --mapped {input.mapped}"
        " --self {input.onto_itself} --untrained {input.untrained} --batch {params.batch}"
        " --threads {params.passes} {params.layered} > {log} 2>&1"
