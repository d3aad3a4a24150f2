"""A logger of Snakemake (``--logger events``): each message becomes a line of JSON in the file $SNAKEMAKE_EVENTS.

Snakemake finds a package of this name in any folder of PYTHONPATH. The logger replaces Snakemake's messages on the
terminal; `.snakemake/log` receives them as always.
"""

import json
import os
from contextlib import suppress
from logging import LogRecord

from snakemake_interface_logger_plugins.base import LogHandlerBase

FIELDS = ("event", "jobid", "job_id", "rule_name", "wildcards", "threads", "log", "stats", "cores")


class LogHandler(LogHandlerBase):
    writes_to_stream = True  # Snakemake then adds no handler of its own for the terminal
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: LogRecord) -> None:
        """Append one line. The file is opened each time: it need not exist before, and nothing stays in a buffer.

        What a full disk does not take is lost: an exception here would end the messages, and print a traceback.
        """
        fields = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        event = {"time": record.created, "level": record.levelname, "text": record.getMessage(), **fields}
        with suppress(OSError), open(os.environ["SNAKEMAKE_EVENTS"], "a") as file:
            file.write(json.dumps(event, default=str) + "\n")
