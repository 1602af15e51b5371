"""Every Markdown page: balanced formulas that GitHub shows as written, and links that lead somewhere."""
import re
from functools import cache
from urllib.parse import unquote

import pytest

from common import settings_pages
from common.base.paths import ROOT
from common.links import correct, list_pages
from common.metrics import METRICS
from common.settings_pages import ROW, list_configured, page_of, written_anew

PAGES = list_pages()
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def without_code(path):
    return CODE.sub("", path.read_text(encoding="utf-8"))


def name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_formulas_are_balanced(path):
    text = without_code(path)
    rest = FORMULA.sub("", text)
    assert "$" not in rest, f"a dollar without a partner near {rest[max(0, rest.find('$') - 40):rest.find('$') + 40]!r}"
    for formula in FORMULA.findall(text):
        assert formula.count("{") == formula.count("}"), formula
        assert formula.count(r"\left") == formula.count(r"\right"), formula
        assert len(re.findall(r"\\begin{", formula)) == len(re.findall(r"\\end{", formula)), formula


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_formulas_survive_markdown(path):
    """Markdown takes a backslash before punctuation away, and pairs of * for emphasis, before the formula is read."""
    for formula in FORMULA.findall(without_code(path)):
        assert not re.search(r"\\[,{};!|]", formula), f"write \\\\thinspace, \\\\lbrace or \\\\vert in {formula}"
        assert "*" not in formula, f"write \\ast in {formula}"


def crowded(text):
    """The formulas that GitHub leaves as they are: it opens one after a space or a bracket only, and not after a wide
    comma, and closes none before a letter."""
    return [found[0] for found in FORMULA.finditer(text)
            if text[:found.start()][-1:] not in ("", "\n", " ", "(") or re.match(r"\w", text[found.end():])]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_formulas_stand_apart(path):
    assert crowded(without_code(path)) == [], "a space is missing"


def test_a_formula_after_a_wide_comma_is_seen():
    assert crowded("图像，$x$ 是 $y$z") == ["$x$", "$y$"] and crowded("图像， $x$，是 ($y$)\n$z$。") == []


@cache
def anchors(path):
    """What GitHub makes of the headings: lower case, without punctuation, hyphens for spaces."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", CODE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE):
        found.add(re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-"))
    return found


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_somewhere(path):
    for target in LINK.findall(without_code(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = unquote(target).partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{target}: no such file"
        line = re.fullmatch(r"L(\d+)", anchor)
        if line:
            assert int(line[1]) <= len(there.read_text(encoding="utf-8").splitlines()), f"{target}: no such line"
        elif anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{target}: no such heading"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_to_lines_lead_to_what_they_name(path):
    text, broken = correct(path)
    assert not broken
    assert text == path.read_text(encoding="utf-8"), "code has moved: python -m common.links"


def test_a_link_to_an_old_line_is_corrected_and_a_wrong_name_is_told(tmp_path):
    (tmp_path / "model.py").write_text("X = 1\n\n\nclass Net:\n    def forward(self):\n        pass\n")
    page = tmp_path / "page.md"
    page.write_text("[`Net.forward`](model.py#L1), [`X`](model.py#L1), [`gone`](model.py#L2)")
    text, broken = correct(page)
    assert "[`Net.forward`](model.py#L5), [`X`](model.py#L1)" in text and broken == ["[`gone`](model.py#L2)"]


def test_a_wrong_dollar_is_seen():
    assert "$" in FORMULA.sub("", "a $x$ and one $ more") and "$" not in FORMULA.sub("", "$a$ b $c$")


@pytest.mark.parametrize("page", ["docs/metrics.md", "docs/metrics.zh-CN.md"])
def test_every_metric_is_defined_in_both_languages(page):
    defined = set(re.findall(r"`(\w+)`", (ROOT / page).read_text(encoding="utf-8")))
    assert METRICS.keys() - {"count"} <= defined, METRICS.keys() - defined


# ---- Chinese as a lecturer would write it ----
CHINESE = [path for path in PAGES if path.name.endswith(".zh-CN.md")]
SPOKEN = [*CHINESE, *(path for suffix in ("py", "yaml", "html", "js") for room in ("cases", "common", "configs")
                      for path in sorted((ROOT / room).rglob(f"*.{suffix}")))]
HAN = r"[\u4e00-\u9fff]"


@cache
def glossary():
    """{heading: rows of cells} of the tables of docs/glossary.md."""
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    lines = {heading: re.findall(r"^\| *(.+?) *\|$", body, re.MULTILINE)[2:]
             for heading, body in zip(parts[::2], parts[1::2], strict=True)}
    return {heading: [re.split(r" *\| *", row) for row in rows] for heading, rows in lines.items()}


def rejected_words():
    return {word: instead for word, instead in glossary()["Rejected 不用的词"]}


def test_the_glossary_has_one_word_per_term():
    terms = [row[:2] for heading, rows in glossary().items() if not heading.startswith("Rejected") for row in rows]
    assert len(terms) > 100
    for language in zip(*terms, strict=True):
        twice = {word for word in language if language.count(word) > 1}
        assert not twice, twice
    assert not {chinese for _, chinese in terms} & rejected_words().keys()


@pytest.mark.parametrize("path", SPOKEN, ids=name)
def test_no_rejected_word(path):
    text = path.read_text(encoding="utf-8")
    found = {word: instead for word, instead in rejected_words().items() if word in text}
    assert not found, f"docs/glossary.md has other words: {found}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_decimals_have_a_leading_zero(path):
    assert re.findall(r"(?<![\w.\\])\.\d+", FORMULA.sub("", without_code(path))) == []


@pytest.mark.parametrize("path", SPOKEN, ids=name)
def test_chinese_has_its_own_punctuation(path):
    """Wide brackets round Chinese words, and wide commas between them, in pages, captions and reports."""
    text = path.read_text(encoding="utf-8")
    if path in CHINESE:
        text = re.sub(r"\]\([^)]*\)", "]", FORMULA.sub("", CODE.sub("", text)))
    assert re.findall(rf"{HAN} ?\([^()\n]*{HAN}[^()\n]*\)", text) == []
    assert re.findall(rf"{HAN}[,;:?!]\s*{HAN}", text) == []


@pytest.mark.parametrize("case", list_configured())
def test_the_chinese_page_has_every_setting_with_its_range_and_default(case):
    path = page_of(case)
    assert path.is_file(), "a case without a Chinese page of settings: python -m common.settings_pages"
    text = path.read_text(encoding="utf-8")
    assert text == written_anew(case), "the settings have changed: python -m common.settings_pages"
    for row in ROW.finditer(text):
        assert re.search(HAN, row["does"]), f"say it in Chinese: {row['key']}"


def test_a_new_case_gets_a_page_to_be_translated(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/alpha.yaml").write_text("train:\n  lr: 0.1     # (0, 1] larger: faster\n")
    monkeypatch.setattr(settings_pages, "ROOT", tmp_path)
    settings_pages.main([])
    text = (tmp_path / "configs/alpha.zh-CN.md").read_text(encoding="utf-8")
    assert text.startswith("# alpha：全部设置\n") and "| `train.lr` | `(0, 1]` | `0.1` |" in text
