# The configuration, checked before anything else: one line names the key, its value and what is allowed.
from workflow.convergent import checks, experiment, memory
from workflow.convergent.commands import one_line

with one_line("Snakefile"):
    for file in workflow.overwrite_configfiles:
        experiment.read(file)
    config.update(checks.checked(config, memory.of_a_cluster()))
