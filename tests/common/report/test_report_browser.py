"""The report in a real browser: no error, no request, and everything that can be clicked, pressed or printed does what
it should."""
import pytest
from browser import NAMES, Browser, find
from report_runs import build, copied

from common.base.errors import start
from common.report import __main__, page

LINES = [["b", "9.5", "7 min"], ["a", "10.25 dB", "69 s"], ["c", "–", ""], ["d", "-inf", "1 h"], ["e", "1,000", "1 h"]]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """file:// address of a report."""
    root = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        copied(build(tmp_path_factory.mktemp("template")), root, patch)
        assert start(__main__.main, []) == 0
    return (root / "results/report.html").as_uri()


def started(tmp_path_factory, language):
    program = find()
    if not program:
        pytest.skip(f"no browser on the PATH: none of {', '.join(NAMES)}")
    return Browser(program, tmp_path_factory.mktemp("profile"), language)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    browser = started(tmp_path_factory, "en-US")
    yield browser
    browser.close()


@pytest.fixture
def browser(running, address):
    """The browser at the report, wide and bright; afterwards no test may have left an error or a request."""
    running.look(1280)
    running.open("about:blank")
    running.value("window.name = ''")
    running.problems.clear()
    running.requests.clear()
    running.open(address)
    yield running
    assert running.problems == []
    assert [url for url in running.requests if not url.startswith(("data:", "file:", "about:"))] == []
    assert {url.split("?")[0].split("#")[0] for url in running.requests if url.startswith("file:")} <= {address}


def visible(browser, selector):
    return browser.value(f"[...document.querySelectorAll('{selector}')].filter(e => e.checkVisibility()).length")


def test_the_page_is_drawn(browser):
    assert browser.value("document.images.length") == 10
    assert browser.value("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")


def test_the_browser_sees_requests_and_errors(browser, address):
    """What the other tests rely on: a page that does ask for something is found out."""
    browser.value("console.error('on purpose')")
    browser.value("fetch('https://example.invalid/x').catch(() => 0)")
    browser.value("new Promise(done => setTimeout(done, 100))")
    assert len(browser.problems) >= 2, "the console's line, and the policy's refusal of the request"
    browser.problems.clear()
    browser.requests.clear()


def test_the_language_switches_and_is_remembered(browser, address):
    def language():
        assert visible(browser, "main .en") * visible(browser, "main .zh") == 0, "one language at a time"
        assert browser.value("document.documentElement.lang") == ("zh" if visible(browser, "main .zh") else "en")
        return browser.value("document.documentElement.lang")
    assert language() == "en" and browser.value("document.getElementById('language').innerText") == "中文"
    browser.click("#language")
    assert language() == "zh" and browser.value("document.getElementById('language').innerText") == "English"
    assert browser.value("document.querySelector('.slider input').ariaLabel") == "i3：本次运行的输出与参考图"
    assert browser.value("document.querySelector('.zoom img[data-zh=\"下降的曲线\"]').alt") == "下降的曲线"
    browser.click("nav a")                                 # to a section, and back to the page anew
    browser.reload()
    assert language() == "zh"
    browser.value("document.getElementById('language').focus()")
    browser.press("Enter")
    assert language() == "en"
    for place, expected in (("?lang=zh", "zh"), ("?lang=en", "en"), ("#zh", "zh"), ("?lang=xx", "zh")):
        browser.open("about:blank")
        browser.open(address + place)
        assert language() == expected, place
    browser.value("location.hash = 'en'")
    browser.value("new Promise(done => setTimeout(done, 50))")
    assert language() == "en"


def test_a_chinese_browser_begins_in_chinese(tmp_path_factory, address):
    browser = started(tmp_path_factory, "zh-CN")
    try:
        browser.open(address)
        assert browser.value("document.documentElement.lang") == "zh"
    finally:
        browser.close()


def test_the_slider_moves_by_pointer_and_keys(browser):
    def state():
        return browser.value("(() => { const s = document.querySelector('.slider'), i = s.querySelector('input'); "
                             "return [+i.value, getComputedStyle(s.querySelector('.half')).clipPath, "
                             "s.querySelector('.line').getBoundingClientRect().left - s.getBoundingClientRect().left, "
                             "s.clientWidth]; })()")
    value, clip, line, width = state()
    assert value == 50 and clip == "inset(0px 50% 0px 0px)" and abs(line - width / 2) < 3
    browser.click(".slider input", x=0.2)
    value, clip, line, width = state()
    assert abs(value - 20) <= 2 and clip == f"inset(0px {100 - value}% 0px 0px)" and abs(line - width * value / 100) < 3
    browser.press("ArrowRight")
    assert state()[0] == value + 1
    browser.press("End")
    assert state()[:2] == [100, "inset(0px 0% 0px 0px)"]


def test_the_focus_can_be_seen(browser):
    browser.value("document.querySelector('.slider input').focus()")
    browser.press("ArrowLeft")
    assert browser.value("getComputedStyle(document.querySelector('.slider')).outlineStyle") == "solid"
    browser.press("Tab")
    browser.press("Tab")
    assert browser.value("document.activeElement !== document.body")


@pytest.mark.parametrize("way_in, way_out", [("click", "Escape"), ("Enter", "click"), (" ", "button")])
def test_figures_open_in_full_size_and_close(browser, way_in, way_out):
    figure = "main > .grid:not(.small) .zoom"
    if way_in == "click":
        browser.click(figure)
    else:
        browser.value(f"document.querySelector('{figure}').focus()")
        browser.press(way_in)
    assert browser.value("document.querySelector('dialog').open")
    assert "Loss | of <training>" in browser.value("document.querySelector('dialog').innerText")
    assert browser.value("document.querySelector('dialog img').alt") == "a falling line"
    if way_out == "Escape":
        browser.press("Escape")
    else:
        browser.click("dialog img" if way_out == "click" else "dialog button")
    browser.value("new Promise(done => setTimeout(done, 50))")
    assert browser.value("document.querySelector('dialog')") is None
    assert browser.value("document.activeElement === "
                         f"document.querySelector('{figure}')"), "the focus is back where it was"


def test_tables_are_sorted_by_numbers_and_by_text(running, tmp_path):
    (tmp_path / "table.html").write_text(page.document("t", page.table(["name", "psnr", "time"], LINES, sortable=True)),
                                         encoding="utf-8")
    running.problems.clear()
    running.open((tmp_path / "table.html").as_uri())

    def column():
        return running.value("[...document.querySelectorAll('tbody th')].map(e => e.innerText).join('')")
    assert column() == "bacde"
    running.click("th:nth-child(2) button")
    assert column() == "dbaec" and running.value("document.querySelector('th:nth-child(2)').ariaSort") == "ascending"
    running.press("Enter")
    assert column() == "eabdc" and running.value("document.querySelector('th:nth-child(2)').ariaSort") == "descending", "what is missing stays below"
    running.click("th:nth-child(1) button")
    assert column() == "abcde" and running.value("document.querySelector('th:nth-child(2)').ariaSort") is None
    assert running.problems == []


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_sticks_out_of_the_window(browser, width):
    """Wide tables scroll inside their box, which the keyboard reaches; at no width does the page itself."""
    browser.look(width)
    browser.value("new Promise(done => setTimeout(done, 100))")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("[...document.querySelectorAll('.scroll')].every(box => (box.scrollWidth > box.clientWidth) "
                         "=== (box.tabIndex === 0))")


def test_dark_and_light_follow_the_system(browser):
    def ground():
        return browser.value("getComputedStyle(document.body).backgroundColor")
    light = ground()
    browser.look(1280, prefers_color_scheme="dark")
    assert light == "rgb(253, 253, 251)" and ground() == "rgb(21, 24, 27)"


def test_printed_is_what_is_open_with_pictures_side_by_side(browser):
    browser.value("document.querySelector('details').open = true")
    browser.look(1000, media="print", prefers_color_scheme="dark")
    assert visible(browser, "details") == 1 < browser.value("document.querySelectorAll('details').length")
    assert visible(browser, "#language") == visible(browser, "nav") == visible(browser, ".slider input") == 0
    left, right, clip = browser.value("(() => { const [a, b] = document.querySelectorAll('.slider .half'); return "
                                      "[a.getBoundingClientRect().right, b.getBoundingClientRect().left, "
                                      "getComputedStyle(a).clipPath]; })()")
    assert left <= right and clip == "none"
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)", "on white paper, in a dark room too"


def test_without_a_script_both_languages_are_there(browser):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.reload()
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert visible(browser, "main .en") > 10 and visible(browser, "main .zh") > 10
