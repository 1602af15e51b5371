"""The playground as the first page shows it: python -m common.screenshot

Opens the page in Chromium (the extra `dev` has Playwright), lets the first tab work on its first example, and writes
docs/playground.jpg and docs/playground.zh-CN.jpg.
"""
import os
import shutil
import sys

import numpy as np
from PIL import Image

from common.base import paths
from common.base.errors import UserError, start
from common.base.files import write_whole
from common.page_pictures import WIDE, encoded
from common.play.__main__ import OFFLINE, offers

FILES = {"en-US": "playground.jpg", "zh-CN": "playground.zh-CN.jpg"}
VIEW = {"width": 1180, "height": 900}                       # pixels of the window
PATIENCE = 600_000                                          # milliseconds
SHOWN = "() => document.querySelector('.status textarea').value.includes('done')"


def main(argv=None):
    os.environ.update(OFFLINE)
    from playwright.sync_api import sync_playwright

    from common.play import server
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not program:
        raise UserError("no browser on the PATH: chromium was expected: install it")
    with (server.served(offers(), 0) as (_, address), sync_playwright() as playwright,
          playwright.chromium.launch(executable_path=program, args=["--no-sandbox"]) as browser):
        for locale, file in FILES.items():
            page = browser.new_page(locale=locale, viewport=VIEW)
            page.set_default_timeout(PATIENCE)
            page.goto(address)
            page.locator("[role=tabpanel]:visible button.primary").click()
            page.wait_for_function(SHOWN)
            page.wait_for_timeout(3000)                     # until all of it is drawn
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=paths.ROOT / "docs" / file, type="png")
            page.close()
            shrink(paths.ROOT / "docs" / file)


def shrink(path):
    """Make a screenshot as wide and as small as the pictures of the pages."""
    with Image.open(path) as image:
        size = WIDE, round(WIDE * image.height / image.width)
        write_whole(path, encoded(np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS)), path.name))
    print(f"{path.relative_to(paths.ROOT)}: {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    sys.exit(start(main))
