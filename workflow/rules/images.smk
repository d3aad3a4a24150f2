rule images:
    input:
        script="workflow/convergent/data.py",
        code=sources("decoding", "parts", "seeds", "store"),
    output:
        expand("results/{{run}}/images/{split}.zarr/zarr.json", split=SPLITS),
    log:
        "results/{run}/logs/images.log",
    benchmark:
        "results/{run}/benchmarks/images.tsv"
    conda:
        "../../environment.yml"
    # or as many as there are; nothing depends on it
    threads: 16 if config["data"]["source"] == "image_folder" else 1
    params:
        module=as_py_module(),
        source=config["data"]["source"],
        folder=config["data"]["folder"],
        size=config["data"]["size"],
        seed=config["data"]["seed"],
        on_error=config["data"]["on_error"],
        crops=json.dumps(config["data"].get("crops", {}), sort_keys=True),
    shell:
        "python -m {params.module} {output} --source {params.source} --folder {params.folder:q} --size {params.size}"
        " --seed {params.seed} --on-error {params.on_error} --crops {params.crops:q}"
        " --workers {threads} 2>&1 | tee {log}"
