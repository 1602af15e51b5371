"""The shell of report and compare: nothing is left unescaped or fetched, and all can be read in both colour schemes."""
import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from common.base.errors import UserError, printable
from common.report import page
from common.report.page import Html

EVIL = '<script>alert("1")</script> & \'x\''


class Reader(HTMLParser):
    """All elements of a page as (tag, attributes) and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def pixels(height=30, width=50):
    """A photograph-like picture: smooth, with some noise."""
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([120 + 80 * np.sin(x / 9), 100 + y, 60 + 40 * np.cos((x + y) / 20)], axis=2)
    return np.clip(smooth + np.random.default_rng(1).normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def decoded(image):
    """The Pillow image in an <img> of page.picture."""
    return Image.open(io.BytesIO(base64.b64decode(Reader(image).all("img")[0]["src"].split(",")[1])))


# ---- escaping ----

@given(st.text())
def test_any_text_comes_out_as_text(text):
    reader = Reader(f'<p title="{page.escape(text)}">{page.escape(text)}</p>')
    expected = printable(text, keep="\n\t")
    assert [tag for tag, _ in reader.elements] == ["p"] and reader.text == expected
    assert reader.all("p")[0]["title"] == expected


def test_html_is_taken_as_it_is_until_it_is_mixed_with_text():
    assert page.escape(Html("<b>x</b>")) == "<b>x</b>" and isinstance(page.escape("<"), Html)
    assert page.escape(Html("<b>") + "<i>") == "&lt;b&gt;&lt;i&gt;", "the safe side"
    assert page.escape(3) == "3" and page.escape("\ud800") == "\\ud800"


@pytest.mark.parametrize("made", [
    page.table([EVIL], [[EVIL, EVIL]], sortable=True, caption=EVIL), page.paragraph(EVIL, EVIL),
    page.two(EVIL, EVIL), page.details(EVIL, ""),
    page.picture(pixels(), EVIL), page.picture(pixels(), {"en": EVIL, "zh": EVIL}),
    page.slider(pixels(), pixels(), EVIL, (EVIL, EVIL)),
    page.figure(page.picture(pixels(), EVIL), EVIL), page.document(EVIL, "").split("<style>")[0]], ids=range(9))
def test_every_part_escapes(made):
    assert "<script>alert" not in made and 'alert("1")' not in made and EVIL.split(" &")[0] in "".join(
        [Reader(made).text, *(str(value) for _, attributes in Reader(made).elements for value in attributes.values())])


# ---- the page ----

def test_a_page_fetches_nothing_and_forbids_it():
    made = page.document("A & B", page.figure(page.picture(pixels(), "x"), "y"), bilingual=True)
    reader = Reader(made)
    policies = [meta["content"] for meta in reader.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1 and policies[0].startswith("default-src 'none'; img-src data:; style-src "
                                                         "'unsafe-inline'; script-src 'unsafe-inline'")
    assert not reader.all("link") and not any("src" in attributes for attributes in reader.all("script"))
    assert all(image["src"].startswith("data:image/") for image in reader.all("img"))
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp", page.STYLE + page.SCRIPT)
    assert not re.search("Storage|cookie", page.SCRIPT), "which a page opened from a file may be refused"
    assert "</" not in page.SCRIPT and "<" not in page.STYLE, "neither ends its element early"
    assert "<title>A &amp; B</title>" in made
    assert reader.all("html")[0]["lang"] == "en" and reader.all("meta")[0]["charset"] == "utf-8"


def test_the_switch_stands_on_bilingual_pages_only():
    assert [button["id"] for button in Reader(page.document("t", "", bilingual=True)).all("button")] == ["language"]
    alone = Reader(page.document("t", ""))
    assert not alone.all("button") and "data-bilingual" not in alone.all("html")[0]
    spans = Reader(page.two("a", "甲")).all("span")
    assert [(span["class"], span["lang"]) for span in spans] == [("en", "en"), ("zh", "zh")]


def test_a_table_says_what_its_cells_are():
    made = page.table(["name", "dB", "what"], [["a", "1.50", "x"], [Html("<b>b</b>"), "–", "3"]], caption="means")
    reader = Reader(made)
    assert [head["scope"] for head in reader.all("th")] == ["col"] * 3 + ["row"] * 2
    assert "<caption>means</caption>" in made
    kinds = [cell.get("class") for cell in reader.all("td")]
    assert kinds == ["number", None] * 2, "a column of numbers, and one of texts"
    assert "<b>b</b>" in made and not reader.all("button")
    assert len(Reader(page.table(["a", "b"], [], sortable=True)).all("button")) == 2


@pytest.mark.parametrize("cell, number", [("1", True), ("-1.5", True), ("12.3 dB", True), ("1,234", True),
                                          ("inf", True), ("–", True), ("", True),
                                          (Html("<strong>4.5 %</strong>"), True), ("a1", False), ("7 min 19 s", False),
                                          ("1.2.3", False)])
def test_numbers_are_known_as_such(cell, number):
    assert page.is_number(cell) is number


# ---- pictures ----

def test_a_picture_is_bounded_and_like_the_original():
    original = pixels(300, 500)
    image = Reader(page.picture(original, "a photo")).all("img")[0]
    assert (image["width"], image["height"], image["alt"]) == ("500", "300", "a photo")
    difference = np.asarray(decoded(page.picture(original, "x")).convert("RGB"), float) - original
    assert 20 * np.log10(255 / np.sqrt((difference ** 2).mean())) > 30
    assert decoded(page.picture(np.zeros((10, 4000, 3), np.uint8), "x")).size == (1600, 4)
    assert decoded(page.picture(original, "x", width=100)).size == (100, 60)
    assert decoded(page.picture(original[..., 0], "gray")).size == (500, 300)


def test_a_figure_is_never_narrower_than_its_labels_ask_nor_wider_than_a_wide_window():
    widths = [re.search(r"min-width: ?(\d+)px", page.picture(pixels(30, side), "x", labelled=True))[1]
              for side in (500, 1350, 1600)]
    assert widths == ["400", "1080", "1080"]
    assert "min-width" not in page.picture(pixels(), "x")


def test_diagrams_stay_exact_and_photographs_become_small():
    diagram = np.full((200, 300, 3), 255, np.uint8)
    for line in range(0, 200, 7):
        diagram[line, line:line + 90] = (0, 114, 178)
    assert np.array_equal(np.asarray(decoded(page.picture(diagram, "x")).convert("RGB")), diagram)
    assert len(page.picture(pixels(200, 300), "x")) < 200 * 300


def test_a_file_that_is_no_picture_is_said(tmp_path):
    Image.fromarray(pixels()).save(tmp_path / "a.png")
    assert decoded(page.picture(tmp_path / "a.png", "x")).size == (50, 30)
    (tmp_path / "b.png").write_text("<html>")
    with pytest.raises(UserError, match="b.png"):
        page.picture(tmp_path / "b.png", "x")


def test_texts_for_the_ear_are_in_both_languages():
    image = Reader(page.picture(pixels(), {"en": "a line", "zh": "一条线"})).all("img")[0]
    assert (image["alt"], image["data-spoken"]) == ("a line", "alt")
    assert (image["data-en"], image["data-zh"]) == ("a line", "一条线")


def test_a_slider_is_two_pictures_and_an_input():
    made = page.slider(pixels(), pixels(), {"en": "both", "zh": "两者"}, ("left", page.two("right", "右")))
    reader = Reader(made)
    inputs = [(entry["type"], entry["aria-label"], entry["data-zh"]) for entry in reader.all("input")]
    assert inputs == [("range", "both", "两者")]
    assert len(reader.all("img")) == 2 and "left" in reader.text and "右" in reader.text
    unequal = page.slider(pixels(30, 50), pixels(30, 40), "both")
    assert 'class="pair"' in unequal and not Reader(unequal).all("input"), "different sizes stand side by side"


# ---- colours ----

def schemes():
    """{scheme: {name: colour}} of page.css."""
    light, dark = re.findall(r":root \{(.*?)\}", page.STYLE, re.S)[:2]
    return {name: dict(re.findall(r"--(\w+): (#\w{6});", text)) for name, text in (("light", light), ("dark", dark))}


def luminance(colour):
    """Relative luminance of WCAG 2."""
    channels = [int(colour[place:place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_it_should():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(scheme):
    colours = schemes()[scheme]
    assert set(colours) == {"ground", "raised", "line", "text", "muted", "accent", "good", "warn", "bad"}
    for text in ("text", "muted", "accent", "good", "warn", "bad"):
        for ground in ("ground", "raised"):
            assert contrast(colours[text], colours[ground]) >= 4.5, f"{text} on {ground}"
    label = re.search(r"\.half \.label \{.*?color: #(\w+); background: (#\w{6})", page.STYLE)
    assert label[1] == "fff" and contrast("#ffffff", label[2]) >= 4.5


def test_colours_are_said_once():
    """Apart from the schemes, print and what lies on pictures: a colour of its own could lack contrast."""
    rest = re.sub(r":root \{.*?\}", "", page.STYLE, flags=re.S)
    assert set(re.findall(r"#[0-9a-f]{3,6}\b", rest)) <= {"#fff", "#000", "#24292e"}
