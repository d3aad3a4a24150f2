SOURCE = config["data"]["source"]


rule images:
    output:
        expand("results/{{run}}/images/{split}.zarr/zarr.json", split=SPLITS),
    log:
        "results/{run}/logs/images.log",
    benchmark:
        "results/{run}/benchmarks/images.tsv"
    # or as many as there are; nothing depends on it
    threads: 16 if SOURCE == "image_folder" else 1
    params:
        *stage("images.build"),
        options=options("data", "source", "size", "seed", "on_error"),
        rotate="--rotate" if config["data"]["rotate"] else [],
        folder=lambda wildcards: as_path(config["data"]["folder"]),
        # all other sources are downloaded by the job, which checks what it got
        files=lambda wildcards: (
            folder_digest(config["data"]["folder"])
            if SOURCE in ("scenes", "image_folder")
            else ""
        ),
        crops=lambda wildcards: as_json(config["data"].get("crops", {})),
        groups=lambda wildcards: config["data"]["groups"],
        table=lambda wildcards: (
            file_digest(config["data"]["groups"])
            if is_table(config["data"]["groups"])
            else ""
        ),
    shell:
        "python -m workflow.convergent.images.build {output} --folder {params.folder:q} --crops {params.crops:q}"
        " --groups={params.groups:q}"
        " {params.options:q} {params.rotate:q} --workers {threads} 2>&1 | tee {log}"
