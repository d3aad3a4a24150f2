"""A browser for tests of the atlas.

Where Chromium is not installed they are skipped, or fail if BROWSER_TESTS=required (as in .ci/run, which installs it).
"""

import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.atlas import browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    missing = [] if browser.CHROMIUM else ["Chromium"]
    missing += [name for name in ("playwright", "axe_playwright_python") if not importlib.util.find_spec(name)]
    if missing:
        give_up = pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip
        give_up(f"{' and '.join(missing)} not installed: apt-get install chromium, as .ci/run does")
    with browser.chromium() as found:
        yield found
