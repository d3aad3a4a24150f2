# The configuration, checked before anything else: one line names the key, its value and what is allowed.
import atexit

from workflow.convergent import checks, experiment, memory
from workflow.convergent.commands import one_line
from workflow.convergent.configuration import same_weights

with one_line("Snakefile"):
    for file in workflow.overwrite_configfiles:
        experiment.read(file)
    config.update(checks.checked(config, memory.of_a_cluster()))


def warn():
    """Tell of nets that are one; where `make` runs this Snakemake, it tells itself."""
    for line in same_weights(config):
        print(line, file=sys.stderr)


if workflow.is_main_process and "SNAKEMAKE_EVENTS" not in os.environ:
    warn()
    if makes_files:  # again at the end, where it is seen
        atexit.register(warn)
