"""Every Markdown page: balanced formulas that GitHub shows as written, and links that lead somewhere."""
import ast
import re
from functools import cache
from urllib.parse import unquote

import pytest

from common.base.paths import ROOT

PAGES = sorted(path for path in ROOT.rglob("*.md")
               if not {".venv", "results", "node_modules"} & set(path.relative_to(ROOT).parts))
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


@cache
def definitions(path):
    """{line: name} of the classes, functions and constants of a module."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found[node.lineno] = node.name
        elif isinstance(node, ast.Assign):
            found[node.lineno] = ast.unparse(node.targets[0])
    return found


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_to_lines_name_what_is_defined_there(path):
    """[`MSRNet.stages`](model.py#L128) must be the line of that definition."""
    for text, file, line in re.findall(r"\[`?([\w.]+)`?\]\(([^)#\s]+\.py)#L(\d+)\)", path.read_text(encoding="utf-8")):
        found = definitions((path.parent / file).resolve()).get(int(line))
        assert found == text.split(".")[-1], f"{name(path)}: {file}, line {line} defines {found}, not {text}"


def test_a_wrong_dollar_is_seen():
    assert "$" in FORMULA.sub("", "a $x$ and one $ more") and "$" not in FORMULA.sub("", "$a$ b $c$")
