"""Every Markdown page: balanced formulas that GitHub shows as written, and links that lead somewhere."""
import re
from functools import cache
from urllib.parse import unquote

import pytest

from common.base.paths import ROOT
from common.links import correct, list_pages
from common.metrics import METRICS

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
