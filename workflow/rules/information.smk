# Mutual information of all pairs of nets, a layer a job, and how far it agrees with correlation.
rule information:
    input:
        script="workflow/convergent/information.py",
        code=sources(
            "activations",
            "alexnet",
            "device",
            "geometry",
            "nets",
            "histograms",
            "seeds",
            "store",
        ),
        images="results/{run}/images/val.zarr/zarr.json",
        weights=ancient(expand("results/{{run}}/nets/{net}.pt", net=NETS)),
        digests=expand("results/{{run}}/nets/{net}.json", net=NETS),
    output:
        expand(
            "results/{{run}}/mutual_information/{{layer}}/{pair}.zarr/zarr.json",
            pair=BETWEEN,
        ),
    log:
        "results/{run}/logs/information/{layer}.log",
    benchmark:
        "results/{run}/benchmarks/information/{layer}.tsv"
    conda:
        "../../environment.yml"
    threads: config["information"]["threads"]
    resources:
        gpu=1,
    params:
        module=as_py_module(),
        bins=config["information"]["bins"],
        positions=config["information"]["positions"],
        edge_images=config["information"]["edge_images"],
        batch=config["information"]["batch"],
        seed=config["information"]["seed"],
        passes=config["information"]["threads"],
        layered=LAYERED,
    shell:
        "python -m {params.module} {input.images} results/{wildcards.run}/mutual_information/{wildcards.layer}"
        " --nets {input.digests} --layer {wildcards.layer} --bins {params.bins} --positions {params.positions}"
        " --edge-images {params.edge_images} --batch {params.batch} --seed {params.seed} --threads {params.passes}"
        " {params.layered} > {log} 2>&1"


rule agreement:
    input:
        script="workflow/convergent/agreement.py",
        code=sources(
            "blocks",
            "convergence",
            "correlation",
            "matching",
            "merge",
            "seeds",
            "store",
            "tables",
        ),
        information=expand(
            "results/{{run}}/mutual_information/{layer}/{pair}.zarr/zarr.json",
            layer=INFORMED,
            pair=BETWEEN,
        ),
        correlation=expand(
            "results/{{run}}/correlation/{layer}/{pair}.zarr/zarr.json",
            layer=INFORMED,
            pair=BETWEEN,
        ),
    output:
        "results/{run}/tables/information.csv",
    log:
        "results/{run}/logs/agreement.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        module=as_py_module(),
    shell:
        "python -m {params.module} {output} --information {input.information} --correlation {input.correlation}"
        " > {log} 2>&1"
