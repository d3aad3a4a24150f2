# What remains of the authors' own runs, as stores of mappings; only where the configuration names a clone of theirs.
AUTHORS = mappings_of(config["published"]["folder"]) if "published" in config else {}
AUTHORS_MAPPINGS = {
    layer_and_pair: "results/{run}/published/"
    + "/".join(layer_and_pair)
    + ".zarr/zarr.json"
    for layer_and_pair in AUTHORS
}
# The paper shows conv1 from the first net to the second at 10^-2.6; where that is missing, the nearest.
PRINTED = 10**-2.6
FIRST = next(iter(AUTHORS), None)
AUTHORS_DECAY = min(
    (run.decay for run in AUTHORS.get(FIRST, [])),
    key=lambda decay: abs(decay - PRINTED),
    default=None,
)

if AUTHORS:

    rule published_mappings:
        output:
            list(AUTHORS_MAPPINGS.values()),
        log:
            "results/{run}/logs/published/mappings.log",
        localrule: True
        params:
            *stage("authors.collect"),
            clone=lambda wildcards: config["published"]["folder"],
            files=lambda wildcards: tracked(
                file for runs in AUTHORS.values() for run in runs for file in run.files
            ),
        shell:
            "python -m workflow.convergent.authors.collect {params.clone:q} results/{wildcards.run}/published > {log} 2>&1"

    rule published_hierarchy:
        input:
            mapping=AUTHORS_MAPPINGS[FIRST],
        output:
            tree="results/{run}/published/hierarchy.zarr/zarr.json",
            scores=reported(
                "results/{run}/published/hierarchy.csv",
                "4 Clusters",
                "Clusters of the authors' own units by weights",
            ),
        log:
            "results/{run}/logs/published/hierarchy.log",
        localrule: True
        params:
            *stage("clustering.hierarchy"),
            decay=AUTHORS_DECAY,
        shell:
            "python -m workflow.convergent.clustering.hierarchy {input.mapping} {output} --decay {params.decay:q}"
            " > {log} 2>&1"

    rule published:
        input:
            expand(
                "{run}/figures/published_{figure}.{ext}",
                run=RUN,
                figure=["fig4", "fig5", "table1"],
                ext=["pdf", "png"],
            ),
        localrule: True
