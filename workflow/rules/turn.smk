# One run at a time in this folder: a Snakemake that is going to make files waits here, as `make` does, before it reads
# anything that its plan depends on. Jobs, which parse these rules again, do not wait.
import os
import sys
from contextlib import suppress
from pathlib import Path

import snakemake.persistence
from snakemake.cli import get_argument_parser

from workflow.convergent.commands import one_line
from workflow.runner.alone import take_turn
from workflow.runner.machine import settle

# Options of a Snakemake that makes no files: it may look on beside a run.
LOOKS = (
    *("lint", "list_rules", "list_target_rules", "print_compilation", "report", "dag"),
    *("rulegraph", "filegraph", "d3dag", "unlock", "list_conda_envs", "list_changes"),
    *("list_input_changes", "list_params_changes", "list_untracked", "summary"),
    *("detailed_summary", "containerize"),
)


def command_line():
    """Arguments of this Snakemake; those of none where it was started from Python, or runs a job."""
    by_hand = "snakemake" in Path(sys.argv[0]).parts[-2:]
    return get_argument_parser().parse_args(
        sys.argv[1:] if by_hand and workflow.is_main_process else []
    )


settle()
ASKED = command_line()
looks = any(getattr(ASKED, name) for name in LOOKS) and not ASKED.report_after_run
makes_files = (
    workflow.is_main_process and not workflow.output_settings.dryrun and not looks
)

if makes_files:
    with one_line("Snakefile"):
        take_turn(Path.cwd())

# Snakemake looks for locks of its own by a pattern in which braces of the folder's name are wildcards: `{0}` would end
# it. Nobody else can be at work here by now.
with suppress(AttributeError):  # another version of Snakemake
    snakemake.persistence.PersistenceBase.locked = False


# Snakemake plans nothing for a file that is missing between files that are there. What a failed job has removed would
# never be made again, and what was made from it before would count as up to date: such files count as incomplete.
def with_missing(incomplete):
    async def found(persistence, job):
        missing = [file for file in job.output if not await file.exists()]
        return [*await incomplete(persistence, job), *missing]

    return found


if workflow.is_main_process:
    with suppress(AttributeError):
        known = snakemake.persistence.PersistenceBase.incomplete
        snakemake.persistence.PersistenceBase.incomplete = with_missing(known)
