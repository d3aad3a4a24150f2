rule images:
    input:
        **stage("images.build"),
    output:
        expand("results/{{run}}/images/{split}.zarr/zarr.json", split=SPLITS),
    log:
        "results/{run}/logs/images.log",
    benchmark:
        "results/{run}/benchmarks/images.tsv"
    # or as many as there are; nothing depends on it
    threads: 16 if config["data"]["source"] == "image_folder" else 1
    params:
        options=options("data", "source", "size", "seed", "on_error"),
        folder=config["data"]["folder"],
        crops=as_json(config["data"].get("crops", {})),
    shell:
        "python -m workflow.convergent.images.build {output} --folder {params.folder:q} --crops {params.crops:q}"
        " {params.options} --workers {threads} 2>&1 | tee {log}"
