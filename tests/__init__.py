"""Tests and benchmarks; the package comes first, because it sets what numpy and torch read when they load."""

from pathlib import Path

import workflow.convergent  # noqa: F401

ROOT = Path(__file__).parents[1]
