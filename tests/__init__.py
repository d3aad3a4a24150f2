"""Tests and benchmarks; the package comes first, because it sets what numpy and torch read when they load."""

import workflow.convergent  # noqa: F401
