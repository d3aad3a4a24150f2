# Room on the disk. Without a target everything is to be made; `make` asks for that in two steps.
import atexit

from workflow.runner.disk import check_room, shortage

BY_MAKE = "SNAKEMAKE_EVENTS" in os.environ

if makes_files and not ASKED.targets and (BY_MAKE or not ASKED.until):
    with one_line("Snakefile"):
        check_room(config, Path(f"results/{config['run']}"))


def say_shortage():
    """Tell of a full disk at the end: logs on it could not."""
    for line in shortage():
        print(line, file=sys.stderr)


if makes_files and not BY_MAKE:
    atexit.register(say_shortage)
