"""The system's Chromium without a window, driven by Playwright: real clicks and keys, and what a page complains of."""
import contextlib
import shutil

import pytest
from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def launch_browser():
    """A playwright.sync_api.Browser; the test skips, with the reason, where there is none on the PATH."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        pytest.skip(f"no browser on the PATH: none of {', '.join(NAMES)}")
    with (sync_playwright() as playwright,
          playwright.chromium.launch(executable_path=program, args=["--no-sandbox"]) as browser):
        yield browser


def open_page(browser, address, language="en-US", **context):
    """(playwright.sync_api.Page at the address, its complaints) in a new window, 1280 pixels wide.

    complaints: a list that grows by every error and warning of the console, every exception, and every request for
    anything but the address itself.
    """
    page = browser.new_page(locale=language, viewport={"width": 1280, "height": 900}, **context)
    complaints = []

    def hear(message):
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def watch(request):
        if request.url.split("?")[0].split("#")[0] != address and not request.url.startswith(("data:", "about:")):
            complaints.append(request.url)
    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", watch)
    page.goto(address)
    return page, complaints
