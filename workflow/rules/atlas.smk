# The atlas: every unit of every layer in the browser, with all that the stages that are on say of it.
MATCHED = LAYERS if "matching" in STAGES else []
STORES, TABLES = "{pair}.zarr/zarr.json", "{pair}.csv"
IN_ATLAS = INFORMED if STAGES == ["information"] else LAYERS
# By option of the command: where it lies, the files that are read there, and the layers that have it.
PARTS = {
    "moments": (
        "moments/val/{layer}.zarr/zarr.json",
        [""],
        LAYERS if STAGES != ["information"] else [],
    ),
    "evidence": (
        "evidence/{layer}.zarr/zarr.json",
        [""],
        LAYERS if "evidence" in STAGES else [],
    ),
    "correlation": ("correlation/{layer}", expand(STORES, pair=PAIRS), MATCHED),
    "matches": (
        "matching/correlation/{layer}",
        expand(TABLES, pair=BETWEEN),
        MATCHED,
    ),
    "information": (
        "mutual_information/{layer}",
        expand(STORES, pair=BETWEEN),
        INFORMED,
    ),
    "information_matches": (
        "matching/mutual_information/{layer}",
        expand(TABLES, pair=BETWEEN),
        INFORMED,
    ),
    "mappings": ("stitching/{layer}", expand(STORES, pair=MAPPED), STITCHED),
    "trees": (
        "clustering/hierarchy/{layer}",
        expand([STORES, TABLES], pair=SHOWN),
        HIERARCHICAL,
    ),
    "clusters": (
        "clustering/spectral/{layer}",
        expand([STORES, TABLES], pair=SHOWN),
        CLUSTERED,
    ),
    "images": (
        "images/val.zarr/zarr.json",
        [""],
        [layer for layer in IN_ATLAS if layer in logits(config)],
    ),
}


rule atlas_layer:
    input:
        unpack(
            lambda wildcards: {
                name: [
                    f"results/{wildcards.run}/{where.format(**wildcards)}/{file}".strip(
                        "/"
                    )
                    for file in files
                ]
                for name, (where, files, layers) in PARTS.items()
                if wildcards.layer in layers
            }
        ),
        patches=(
            expand("results/{{run}}/patches/{net}.zarr/zarr.json", net=NETS)
            if "patches" in STAGES
            else []
        ),
    output:
        "results/{run}/atlas/layers/{layer}/_layer.js",
    log:
        "results/{run}/logs/atlas/{layer}.log",
    benchmark:
        "results/{run}/benchmarks/atlas/{layer}.tsv"
    params:
        *stage("atlas.layer"),
        nets=NETS,
        pairs=SHOWN,
        alpha=options("stitching", "alpha"),
        parts=lambda wildcards: as_options(
            {
                name: f"results/{wildcards.run}/{where.format(**wildcards)}"
                for name, (where, _, layers) in PARTS.items()
                if wildcards.layer in layers
            }
        ),
    shell:
        "python -m workflow.convergent.atlas.layer {output} --layer {wildcards.layer} --nets {params.nets:q}"
        " --pairs {params.pairs:q} {params.alpha:q} {params.parts:q} --patches {input.patches} > {log} 2>&1"


rule atlas_page:
    input:
        layers=expand("results/{{run}}/atlas/layers/{layer}/_layer.js", layer=IN_ATLAS),
        evidence=EVIDENCE if "evidence" in STAGES else [],
        scorecard=("results/{run}/tables/scorecard.csv" if "evidence" in STAGES else []),
        figures=expand("results/{{run}}/figures/{figure}.png", figure=FIGURES),
    output:
        "results/{run}/atlas/index.html",
    log:
        "results/{run}/logs/atlas.log",
    localrule: True
    params:
        *stage("atlas.page"),
        *tracked(
            f"workflow/resources/atlas/{name}"
            for name in ("atlas.css", "atlas.js", "index.html.j2")
        ),
        nets=NETS,
        layers=IN_ATLAS,
        stages=STAGES,
    shell:
        "python -m workflow.convergent.atlas.page {output} --run {wildcards.run} --layers {params.layers:q}"
        " --nets {params.nets:q} --stages {params.stages:q} --evidence {input.evidence} --scorecard {input.scorecard}"
        " --figures {input.figures} > {log} 2>&1"


rule atlas:
    input:
        f"{RUN}/atlas/index.html",
    localrule: True
