"""The project as a whole: documents that say the same in two languages, arrows that point one way, files of a readable
size."""
import ast
import re
import subprocess
import sys

import pytest

from common.base.paths import ROOT, all_cases

PAIRS = [path for path in [ROOT / "README.md", *ROOT.glob("cases/*/README.md")] if path.exists()]
SOURCES = [*ROOT.glob("common/**/*.py"), *ROOT.glob("cases/**/*.py"), *ROOT.glob("tests/**/*.py")]


def parts(text):
    """(heading levels, code blocks without their comments, numbers of tables row by row) of a Markdown text."""
    blocks = re.findall(r"```.*?\n(.*?)```", text, re.S)
    rest = re.sub(r"```.*?```", "", text, flags=re.S)
    headings = [len(match) for match in re.findall(r"^(#+) ", rest, re.M)]
    commands = [[re.split(r"\s+#|\s{3,}", line)[0].rstrip() for line in block.splitlines()] for block in blocks]
    rows = [re.findall(r"\d+(?:[.,]\d+)*", line) for line in rest.splitlines() if line.startswith("|")]
    return headings, commands, rows


@pytest.mark.parametrize("english", PAIRS, ids=lambda path: path.parent.name)
def test_both_languages_say_the_same(english):
    chinese = english.with_name("README.zh-CN.md")
    assert chinese.exists()
    a, b = parts(english.read_text(encoding="utf-8")), parts(chinese.read_text(encoding="utf-8"))
    assert a[0] == b[0], "headings"
    assert a[1] == b[1], "commands"
    assert a[2] == b[2], "numbers in tables"


READMES = [*PAIRS, *(path.with_name("README.zh-CN.md") for path in PAIRS), ROOT / "datasets/README.md",
           ROOT / "checkpoints/README.md"]


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_scripts_exist(readme):
    text = readme.read_text(encoding="utf-8")
    assert "@@" not in text
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert (readme.parent / target).exists(), target
    for script in re.findall(r"python (?:-m )?((?:cases|common)[/\w]+\.py)", text):
        assert (ROOT / script).exists(), script
    for module in re.findall(r"python -m (common[\.\w]+)", text):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module


def test_arrows_point_one_way():
    """common imports no case; no case imports another."""
    for path in [*ROOT.glob("common/*.py"), *ROOT.glob("cases/*/*.py")]:
        own = f"cases.{path.parent.name}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith("cases") or (name + ".").startswith(own + "."), f"{path} imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_can_be_read(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno <= 60, f"{node.name} is too long"


@pytest.mark.parametrize("case", all_cases())
def test_a_case_is_whole(case):
    for name in ("model.py", "train.py", "test.py", "figures.py", "README.md", "README.zh-CN.md"):
        assert (ROOT / "cases" / case / name).exists(), name
    assert (ROOT / "configs" / f"{case}.yaml").exists() and (ROOT / "cases" / case / "benchmark.py").exists()


def test_menu_finds_cases_and_names_them():
    def menu(*words):
        return subprocess.run([sys.executable, "-m", "common.menu", *words], cwd=ROOT, capture_output=True, text=True)
    done = menu("train", "--case", "msrnett")
    assert done.returncode == 2 and "msrnet" in done.stderr and "Traceback" not in done.stderr
    assert menu("train", "--case", "msrnet", "--help").returncode == 0


def test_style():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
