"""What tests of the whole workflow share: finished runs of the tiny experiment, and a browser for the atlas.

Where Chromium is not installed, tests in it are skipped, or fail if BROWSER_TESTS=required (as in .ci/run, which
installs it).
"""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.atlas import browser
from tests.workflow import tiny


@pytest.fixture(scope="session")
def all_stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny experiment after Snakemake made all stages and figures of it. To be read, not changed."""
    return tiny.once(
        tmp_path_factory, "all_stages", lambda folder: tiny.snakemake(tiny.copy_project(folder, optional=True))
    )


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    missing = [] if browser.CHROMIUM else ["Chromium"]
    missing += [name for name in ("playwright", "axe_playwright_python") if not importlib.util.find_spec(name)]
    if missing:
        give_up = pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip
        give_up(f"{' and '.join(missing)} not installed: apt-get install chromium, as .ci/run does")
    with browser.chromium() as found:
        yield found


def make_figures(folder: Path) -> None:
    said = tiny.done(tiny.longer(folder), "figures")
    (folder / tiny.SAID).write_text(said)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smaller one with longer trainings after its first ``make figures``. To be read, not changed."""
    return tiny.once(tmp_path_factory, "made", make_figures)
