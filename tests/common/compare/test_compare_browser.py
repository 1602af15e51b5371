"""The grader's page in a real browser: it sorts, shows its pictures, and what was handed in does not act."""
import pytest
from browser import NAMES, Browser, find
from handed_in import copy, edit, make_root, make_run

from common.base.errors import start
from common.compare.__main__ import main


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser at the page of three submissions, of which one has markup for a name."""
    program = find()
    if not program:
        pytest.skip(f"no browser on the PATH: none of {', '.join(NAMES)}")
    folder = tmp_path_factory.mktemp("class")
    root = make_root(folder / "data")
    reference, other = make_run(folder / "reference", root), make_run(folder / "b", root, noise=0.05)
    evil = copy(other, "a<img src=x onerror=alert(1)>")
    edit(evil, "train/config.yaml", "steps: 3", "steps: <script>alert(1)</script>", forge=True)
    assert start(main, [str(path) for path in (reference, reference, other, evil, "--html", folder / "page.html")]) == 1
    browser = Browser(program, tmp_path_factory.mktemp("profile"), "en-US")
    browser.look(1280)
    browser.open((folder / "page.html").as_uri())
    yield browser
    browser.close()


def overview(browser):
    return browser.value("[...document.querySelector('table').tBodies[0].rows].map(row => row.cells[0].innerText)")


def test_the_page_is_quiet(browser):
    """No error on the console, no request, no dialog, every picture drawn."""
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith(("data:", "file:", "about:"))] == []
    assert browser.value("document.images.length") == 18
    assert browser.value("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert browser.value("document.scripts.length") == 1


def test_the_overview_sorts_and_leads_to_the_sections(browser):
    assert overview(browser) == ["reference", "b", "a<img src=x onerror=alert(1)>"]
    browser.click("th button")
    assert overview(browser) == ["a<img src=x onerror=alert(1)>", "b", "reference"]
    browser.click("tbody tr:nth-child(2) a")
    assert browser.value("document.querySelector(location.hash + ' h2').innerText").startswith("b: different")


def test_a_phone_is_wide_enough(browser):
    browser.look(390)
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")
