"""The atlas in a real browser: Chromium, driven by Playwright. As a command it takes the README's picture.

python -m tests.atlas.browser results/scenes/atlas/index.html docs/atlas.png
"""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
SHOWN = "conv2/net0?to=net1&sort=excess"  # in the picture of the README
COLOURS = 224  # of that picture


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser. Its sandbox is off: it does not start in containers, and the pages are ours."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_page(browser: Any, page: Path, address: str = "", width: int = 1280, scheme: str = "light") -> Any:
    """A tab that shows an address of the atlas, from the file system; ``tab.said`` collects what the console prints."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    tab = context.new_page()
    tab.said = []
    tab.on("console", lambda message: tab.said.append(message.text))
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.on("requestfailed", lambda request: tab.said.append(f"failed: {request.url}"))
    tab.goto(f"{page.resolve().as_uri()}#{address}")
    settle(tab)
    return tab


def settle(tab: Any) -> None:
    """Wait until the address is shown."""
    tab.wait_for_timeout(30)  # until the event of a new address is there
    tab.evaluate("atlas.ready()")


def seen(tab: Any) -> Image.Image:
    """What the tab shows."""
    tab.wait_for_timeout(300)  # until pictures are decoded
    return Image.open(BytesIO(tab.screenshot())).convert("RGB")


def take_picture(tab: Any, path: Path) -> None:
    """Save what the tab shows as a picture of few colours."""
    seen(tab).quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="page of an atlas (index.html)")
    parser.add_argument("picture", type=Path, help="picture to write (.png)")
    args = parser.parse_args()
    with chromium() as browser:
        take_picture(open_page(browser, args.page, SHOWN), args.picture)


if __name__ == "__main__":
    main()
