# Room on the disk, which `make` looks at itself. Without a target everything is to be made.
import atexit
import logging

from workflow.runner.disk import check_room, shortage

by_hand = makes_files and "SNAKEMAKE_EVENTS" not in os.environ

if by_hand and not ASKED.targets and not ASKED.until:
    with one_line("Snakefile"):
        check_room(config, Path(f"results/{config['run']}"))


def say_shortage():
    """Tell of a full disk at the end: logs on it could not."""
    for line in shortage():
        print(line, file=sys.stderr)


if by_hand:
    atexit.register(say_shortage)

# Snakemake's log lies on the same disk. Python would print a traceback for each line that does not fit there.
logging.raiseExceptions = False
