"""The report in a real browser: no error, no request, and everything that can be clicked, pressed or printed does what
it should."""
import pytest
from browser import launch_browser, open_page
from report_runs import build, copied

from common.base.errors import start
from common.report import __main__
from common.report.page import document, table

LINES = [["b", "9.5", "7 min"], ["a", "10.25 dB", "69 s"], ["c", "–", ""], ["d", "-inf", "1 h"], ["e", "1,000", "1 h"]]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """file:// address of a report."""
    root = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        copied(build(tmp_path_factory.mktemp("template")), root, patch)
        assert start(__main__.main, []) == 0
    return (root / "results/report.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    with launch_browser() as browser:
        yield browser


@pytest.fixture
def opened(browser, address):
    """The report in a window of its own, wide and bright, and its complaints, of which no test may have left one."""
    page, complaints = open_page(browser, address)
    yield page, complaints
    page.close()
    assert complaints == []


@pytest.fixture
def page(opened):
    return opened[0]


def visible(page, selector):
    return page.evaluate(f"[...document.querySelectorAll('{selector}')].filter(e => e.checkVisibility()).length")


def test_the_page_is_drawn(page):
    assert page.evaluate("document.images.length") == 10
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_labels_of_figures_stay_readable_at_every_width(browser, address, width, language):
    """The smallest label of a figure, 5.5 pt at 150 dpi, is at least 9 px as shown; the page itself is not scrolled
    sideways for it."""
    page, complaints = open_page(browser, address, language)
    page.set_viewport_size({"width": width, "height": 900})
    shares = page.evaluate("[...document.querySelectorAll('.grid.wide .pan img')]"
                           ".map(image => image.getBoundingClientRect().width / image.naturalWidth)")
    assert shares and min(shares) * 5.5 / 72 * 150 >= 9
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()
    assert complaints == []


def test_the_browser_sees_requests_and_errors(opened):
    """What the other tests rely on: a page that does ask for something is found out."""
    page, complaints = opened
    page.evaluate("console.error('on purpose')")
    page.evaluate("fetch('https://example.invalid/x').catch(() => 0)")
    page.wait_for_timeout(100)
    assert len(complaints) >= 2, "the console's line, and the policy's refusal of the request"
    complaints.clear()


def test_requests_are_seen_where_no_policy_refuses_them(browser, tmp_path):
    (tmp_path / "asks.html").write_text("<img src='other.png'><script>throw Error('on purpose')</script>")
    page, complaints = open_page(browser, (tmp_path / "asks.html").as_uri())
    page.close()
    assert (tmp_path / "other.png").as_uri() in complaints and "on purpose" in " ".join(complaints)


def test_the_language_switches_and_is_remembered(page, address):
    def language():
        assert visible(page, "main .en") * visible(page, "main .zh") == 0, "one language at a time"
        assert page.evaluate("document.documentElement.lang") == ("zh" if visible(page, "main .zh") else "en")
        return page.evaluate("document.documentElement.lang")
    assert language() == "en" and page.inner_text("#language") == "中文"
    page.click("#language")
    assert language() == "zh" and page.inner_text("#language") == "English"
    assert page.get_attribute(".slider input", "aria-label") == "i3：本次运行的输出与参考图像"
    assert page.get_attribute(".zoom img[data-zh=\"下降的曲线\"]", "alt") == "下降的曲线"
    page.click("nav a")                                    # to a section, and back to the page anew
    page.reload()
    assert language() == "zh"
    page.focus("#language")
    page.keyboard.press("Enter")
    assert language() == "en"
    for place, expected in (("?lang=zh", "zh"), ("?lang=en", "en"), ("#zh", "zh"), ("?lang=xx", "zh")):
        page.goto("about:blank")
        page.goto(address + place)
        assert language() == expected, place
    page.evaluate("location.hash = 'en'")
    page.wait_for_timeout(50)
    assert language() == "en"


def test_a_chinese_browser_begins_in_chinese(browser, address):
    page, _ = open_page(browser, address, language="zh-CN")
    assert page.evaluate("document.documentElement.lang") == "zh"
    page.close()


def test_the_slider_moves_by_pointer_and_keys(page):
    def state():
        return page.evaluate("""() => {
            const slider = document.querySelector('.slider'), input = slider.querySelector('input');
            const left = element => element.getBoundingClientRect().left;
            return [+input.value, getComputedStyle(slider.querySelector('.half')).clipPath,
                    left(slider.querySelector('.line')) - left(slider), slider.clientWidth];
        }""")
    value, clip, line, width = state()
    assert value == 50 and clip == "inset(0px 50% 0px 0px)" and abs(line - width / 2) < 3
    box = page.locator(".slider input").first.bounding_box()
    page.click(".slider input", position={"x": 0.2 * box["width"], "y": 0.5 * box["height"]})
    value, clip, line, width = state()
    assert abs(value - 20) <= 2 and clip == f"inset(0px {100 - value}% 0px 0px)" and abs(line - width * value / 100) < 3
    page.keyboard.press("ArrowRight")
    assert state()[0] == value + 1
    page.keyboard.press("End")
    assert state()[:2] == [100, "inset(0px 0% 0px 0px)"]


def test_the_focus_can_be_seen(page):
    page.focus(".slider input")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("getComputedStyle(document.querySelector('.slider')).outlineStyle") == "solid"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")


@pytest.mark.parametrize("way_in, way_out", [("click", "Escape"), ("Enter", "click"), (" ", "button")])
def test_figures_open_in_full_size_and_close(page, way_in, way_out):
    figure = "main > .grid:not(.small) .zoom"
    if way_in == "click":
        page.click(figure)
    else:
        page.focus(figure)
        page.keyboard.press(way_in)
    assert page.evaluate("document.querySelector('dialog').open")
    assert "Loss | of <training>" in page.inner_text("dialog")
    assert page.get_attribute("dialog img", "alt") == "a falling line"
    if way_out == "Escape":
        page.keyboard.press("Escape")
    else:
        page.click("dialog img" if way_out == "click" else "dialog button")
    page.wait_for_timeout(50)
    assert page.query_selector("dialog") is None
    focused = page.evaluate(f"document.activeElement === document.querySelector('{figure}')")
    assert focused, "the focus is back where it was"


def test_tables_are_sorted_by_numbers_and_by_text(browser, tmp_path):
    (tmp_path / "table.html").write_text(document("t", table(["name", "psnr", "time"], LINES, sortable=True)),
                                         encoding="utf-8")
    page, complaints = open_page(browser, (tmp_path / "table.html").as_uri())

    def names():
        return page.evaluate("[...document.querySelectorAll('tbody th')].map(e => e.innerText).join('')")

    def order():
        return page.get_attribute("th:nth-child(2)", "aria-sort")
    assert names() == "bacde"
    page.click("th:nth-child(2) button")
    assert names() == "dbaec" and order() == "ascending"
    page.keyboard.press("Enter")
    assert names() == "eabdc" and order() == "descending", "what is missing stays below"
    page.click("th:nth-child(1) button")
    assert names() == "abcde" and order() is None
    page.close()
    assert complaints == []


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_sticks_out_of_the_window(page, width):
    """Wide tables scroll inside their box, which the keyboard reaches; at no width does the page itself."""
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.querySelectorAll('.scroll')].every(box => "
                         "(box.scrollWidth > box.clientWidth) === (box.tabIndex === 0))")


def ground(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_dark_and_light_follow_the_system(page):
    light = ground(page)
    page.emulate_media(color_scheme="dark")
    assert light == "rgb(253, 253, 251)" and ground(page) == "rgb(21, 24, 27)"


def test_printed_is_what_is_open_with_pictures_side_by_side(page):
    page.evaluate("document.querySelector('details').open = true")
    page.set_viewport_size({"width": 1000, "height": 900})
    page.emulate_media(media="print", color_scheme="dark")
    assert visible(page, "details") == 1 < page.evaluate("document.querySelectorAll('details').length")
    assert visible(page, "#language") == visible(page, "nav") == visible(page, ".slider input") == 0
    left, right, clip = page.evaluate("""() => {
        const [a, b] = document.querySelectorAll('.slider .half');
        return [a.getBoundingClientRect().right, b.getBoundingClientRect().left, getComputedStyle(a).clipPath];
    }""")
    assert left <= right and clip == "none"
    assert ground(page) == "rgb(255, 255, 255)", "on white paper, in a dark room too"


def test_without_a_script_both_languages_are_there(browser, address):
    page, _ = open_page(browser, address, java_script_enabled=False)
    assert visible(page, "main .en") > 10 and visible(page, "main .zh") > 10
    page.close()
