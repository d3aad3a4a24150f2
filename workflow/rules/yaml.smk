# config.yaml as it stands: Snakemake reads on where an entry stands twice, and its own message of a wrong line has no number.
from workflow.convergent import experiment
from workflow.convergent.commands import one_line

with one_line("Snakefile"):
    experiment.read("config.yaml")
