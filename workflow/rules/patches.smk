rule patches:
    input:
        script="workflow/convergent/patches.py",
        code=sources(
            "activations",
            "alexnet",
            "deconvolution",
            "device",
            "geometry",
            "nets",
            "receptive",
            "seeds",
            "store",
        ),
        images="results/{run}/images/val.zarr/zarr.json",
        weights=ancient("results/{run}/nets/{net}.pt"),
        description="results/{run}/nets/{net}.json",
    output:
        "results/{run}/patches/{net}.zarr/zarr.json",
    log:
        "results/{run}/logs/patches/{net}.log",
    benchmark:
        "results/{run}/benchmarks/patches/{net}.tsv"
    conda:
        "../../environment.yml"
    threads: config["patches"]["threads"]
    resources:
        gpu=1,
    params:
        module=as_py_module(),
        layers=LAYERS,
        layered=LAYERED,
        batch=config["patches"]["batch"],
        passes=config["patches"]["threads"],
    shell:
        "python -m {params.module} {input.images} {input.description} {output} --layers {params.layers}"
        " --batch {params.batch} --threads {params.passes} {params.layered} > {log} 2>&1"
