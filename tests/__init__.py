"""Tests and benchmarks; the package comes first, because it sets what numpy and torch read when they load."""

import os
from pathlib import Path

import workflow.convergent  # noqa: F401

ROOT = Path(__file__).parents[1]

# Where make runs the tests, the make that they run is a user's first one, not a part of that.
for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
    os.environ.pop(name, None)
