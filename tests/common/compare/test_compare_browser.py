"""The grader's page in a real browser: it sorts, shows its pictures, and what was handed in does not act."""
import pytest
from browser import launch_browser, open_page
from handed_in import copy, edit, make_root, make_run

from common.base.errors import start
from common.compare.__main__ import main


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The page of three submissions, of which one has markup for a name, in a browser; and the page's complaints."""
    with launch_browser() as browser:
        folder = tmp_path_factory.mktemp("class")
        root = make_root(folder / "data")
        reference, other = make_run(folder / "reference", root), make_run(folder / "b", root, noise=0.05)
        evil = copy(other, "a<img src=x onerror=alert(1)>")
        edit(evil, "train/config.yaml", "steps: 3", "steps: <script>alert(1)</script>", forge=True)
        words = [reference, reference, other, evil, "--html", folder / "page.html"]
        assert start(main, list(map(str, words))) == 1
        yield open_page(browser, (folder / "page.html").as_uri())


@pytest.fixture
def page(opened):
    return opened[0]


def overview(page):
    return page.evaluate("[...document.querySelector('table').tBodies[0].rows].map(row => row.cells[0].innerText)")


def test_the_page_is_quiet(opened):
    """No error on the console, no request, no dialog, every picture drawn."""
    page, complaints = opened
    assert complaints == []
    assert page.evaluate("document.images.length") == 18
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.scripts.length") == 1


def test_the_overview_sorts_and_leads_to_the_sections(page):
    assert overview(page) == ["reference", "b", "a<img src=x onerror=alert(1)>"]
    page.click("th button")
    assert overview(page) == ["a<img src=x onerror=alert(1)>", "b", "reference"]
    page.click("tbody tr:nth-child(2) a")
    assert page.evaluate("document.querySelector(location.hash + ' h2').innerText").startswith("b: different")


def test_a_phone_is_wide_enough(page):
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
