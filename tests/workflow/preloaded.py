"""Snakemake's command in a fork of a process that has loaded Snakemake; to load it takes most of a dry run's time.

``tiny.command`` starts it. It reads commands from its input, one a line of JSON, and answers with their exit status.
Nothing of the project is loaded before the fork, so that each command has the modules of its own folder.
"""

import json
import os
import sys
from typing import Any

from snakemake import cli


def run(folder: str, arguments: list[str], environment: dict[str, str], files: list[str]) -> None:
    """What ``python -m snakemake`` does in a folder. files: for what it prints, and for its errors"""
    for stream, file in enumerate([os.devnull, *files]):
        os.dup2(os.open(file, os.O_RDWR), stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0], sys.argv[:] = folder, [cli.__file__, *arguments]
    cli.main()


def answer(**command: Any) -> None:
    if not (child := os.fork()):
        run(**command)
        sys.exit()
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    for line in sys.stdin:
        answer(**json.loads(line))
