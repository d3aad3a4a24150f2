# How alike units are in each layer, beside the same nets before training and other controls.
PAPER = "workflow/resources/paper_matching.csv"
EVIDENCE = [f"results/{{run}}/evidence/{layer}.zarr/zarr.json" for layer in LAYERS]


rule compare:
    input:
        moments="results/{run}/moments/val/{layer}.zarr/zarr.json",
        untrained=lambda wildcards: (
            f"results/{wildcards.run}/moments/untrained/{wildcards.layer}.zarr/zarr.json"
            if wildcards.layer in TWINNED
            else []
        ),
    output:
        "results/{run}/evidence/{layer}.zarr/zarr.json",
    log:
        "results/{run}/logs/evidence/{layer}.log",
    benchmark:
        "results/{run}/benchmarks/evidence/{layer}.tsv"
    params:
        *stage("evidence.compare"),
        options=options("evidence", "rotations", "derangements", "seed"),
        logits=lambda wildcards: (
            "--logits" if wildcards.layer in logits(config) else ""
        ),
    shell:
        "python -m workflow.convergent.evidence.compare {input.moments} {output} --untrained {input.untrained}"
        " {params.options:q} {params.logits:q} > {log} 2>&1"


rule tabulate:
    input:
        EVIDENCE,
    output:
        units=reported(
            "results/{run}/tables/units.csv",
            "1 Overview",
            "Every unit and its verdict",
        ),
        measures=reported(
            "results/{run}/tables/measures.csv",
            "1 Overview",
            "Measures of whole layers",
        ),
    log:
        "results/{run}/logs/tabulate.log",
    localrule: True
    params:
        *stage("evidence.tabulate"),
    shell:
        "python -m workflow.convergent.evidence.tabulate {output} --evidence {input} > {log} 2>&1"


# Likewise through their training.
TRAINING = [
    f"results/{{run}}/evidence/training/{layer}.zarr/zarr.json" for layer in FOLLOWED
]


rule compare_training:
    input:
        moments=expand(
            "results/{{run}}/moments/{way}/{{layer}}.zarr/zarr.json",
            way=["val", "untrained", "snapshots"],
        ),
        descriptions=expand("results/{{run}}/nets/{net}.json", net=SNAPPED),
    output:
        "results/{run}/evidence/training/{layer}.zarr/zarr.json",
    log:
        "results/{run}/logs/evidence/training/{layer}.log",
    benchmark:
        "results/{run}/benchmarks/evidence/training/{layer}.tsv"
    wildcard_constraints:
        layer=one_of(FOLLOWED),
    params:
        *stage("evidence.training"),
        options=options("evidence", "seed"),
    shell:
        "python -m workflow.convergent.evidence.training {input.moments} {output}"
        " --descriptions {input.descriptions} {params.options:q} > {log} 2>&1"


rule scorecard_table:
    input:
        evidence=EVIDENCE,
        training=TRAINING,
        mappings=lambda wildcards: expand(
            "results/{run}/stitching/{layer}/{pair}.zarr/zarr.json",
            run=wildcards.run,
            layer=STITCHED,
            pair=MAPPED,
        ),
        stitched=expand(
            "results/{{run}}/functional/{layer}.zarr/zarr.json", layer=STITCHED
        ),
    output:
        reported(
            "results/{run}/tables/scorecard.csv", "1 Overview", "Claims and verdicts"
        ),
    log:
        "results/{run}/logs/scorecard.log",
    localrule: True
    params:
        *stage("evidence.scorecard"),
        *tracked([PAPER]),
        paper=PAPER,
    shell:
        "python -m workflow.convergent.evidence.scorecard {output} --evidence {input.evidence}"
        " --training {input.training} --mappings {input.mappings} --stitched {input.stitched}"
        " --paper {params.paper:q} > {log} 2>&1"
