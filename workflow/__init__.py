"""Convergent learning: the package, what `make` runs, and the workflow."""

import sys

if sys.argv[:1] == ["-m"]:  # Python is about to import a command
    from .runner.machine import settle

    settle()
