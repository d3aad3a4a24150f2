# Convergent learning: contents page. `snakemake` makes every figure, `snakemake <figure>` one.
from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/turn.smk"


# An experiment given by --configfile stands alone.
if not workflow.overwrite_configfiles:

    include: "workflow/rules/yaml.smk"

    configfile: "config.yaml"


include: "workflow/rules/config.smk"
include: "workflow/rules/room.smk"


onstart:
    if not workflow.local_exec:
        refuse_odd_folders(workflow.executor_plugin.name)
    probe_nets()


report: "workflow/report/workflow.rst"


if ASKED.report:
    from workflow.runner import captions

    captions.register()


include: "workflow/rules/common.smk"
include: "workflow/rules/targets.smk"


rule all:
    default_target: True
    input:
        every_figure,
        every_table(),
        f"{RUN}/atlas/index.html",
    localrule: True


include: "workflow/rules/probe.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/nets.smk"
include: "workflow/rules/moments.smk"
include: "workflow/rules/alignment.smk"
include: "workflow/rules/evidence.smk"
include: "workflow/rules/information.smk"
include: "workflow/rules/stitching.smk"
include: "workflow/rules/clustering.smk"
include: "workflow/rules/patches.smk"
include: "workflow/rules/published.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/atlas.smk"


# One environment serves every rule.
for each in workflow.rules:
    each.conda_env = verbatim(f"{workflow.basedir}/environment.yml")


refuse_unknown_targets()
