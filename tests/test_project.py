"""The project as a whole: two languages that say the same, imports that only go down, files of a readable size."""
import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from common.base.paths import ROOT, all_cases

PAIRS = [*(ROOT / page for page in ("README.md", "CONTRIBUTING.md", "datasets/README.md", "checkpoints/README.md",
                                    "docs/metrics.md")), *sorted(ROOT.glob("cases/*/README.md"))]
SOURCES = [*ROOT.glob("common/**/*.py"), *ROOT.glob("cases/**/*.py"), *ROOT.glob("tests/**/*.py")]


def parts(text):
    """(heading levels, code blocks without their comments, numbers of tables row by row) of a Markdown text."""
    blocks = re.findall(r"```.*?\n(.*?)```", text, re.S)
    rest = re.sub(r"```.*?```", "", text, flags=re.S)
    headings = [len(match) for match in re.findall(r"^(#+) ", rest, re.M)]
    commands = [[re.split(r"\s+#|\s{3,}", line)[0].rstrip() for line in block.splitlines()] for block in blocks]
    rows = [re.findall(r"\d+(?:[.,]\d+)*", line) for line in rest.splitlines() if line.startswith("|")]
    return headings, commands, rows


def translated(english):
    return english.with_suffix(".zh-CN.md")


def name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("english", PAIRS, ids=name)
def test_both_languages_say_the_same(english):
    chinese = translated(english)
    assert chinese.exists()
    a, b = parts(english.read_text(encoding="utf-8")), parts(chinese.read_text(encoding="utf-8"))
    assert a[0] == b[0], "headings"
    assert a[1] == b[1], "commands"
    assert a[2] == b[2], "numbers in tables"


@pytest.mark.parametrize("english", PAIRS, ids=name)
def test_each_language_links_the_other_at_the_top(english):
    for page, other in ((english, translated(english)), (translated(english), english)):
        assert f"]({other.name})" in "".join(page.read_text(encoding="utf-8").splitlines()[:6]), page


@pytest.mark.parametrize("readme", [*PAIRS, *map(translated, PAIRS)], ids=name)
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


FLOORS = [["base"], ["data", "metrics"], ["play"], ["experiment", "stitching"],
          ["lowlight", "features", "report", "page_pictures"],
          ["compare", "pack", "menu", "links", "settings_pages", "notebooks", "numbers", "screenshot"]]
FLOOR_OF = {"": 1} | {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}      # "": common itself
NOT_FOR_CASES = {"report", "page_pictures", *FLOORS[-1]}                                # these read what others write


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in [*ROOT.glob("common/**/*.py"), *ROOT.glob("cases/**/*.py")]}


def imported(path):
    """Names of the modules that a file imports, also inside its functions; of a package the submodules named."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: say from where: `from common.…` or `from cases.…`"
            inside = (f"{node.module}.{alias.name}" for alias in node.names)
            found.update(name if name in MODULES else node.module for name in inside)
    return found


def may_import(module, name):
    """A room of common imports only rooms of lower floors; a case only common; common/install.py nothing of ours."""
    top, own, *_ = [*module.split("."), ""]
    other_top, other, *_ = [*name.split("."), ""]
    if other_top not in ("common", "cases"):
        return own != "base" or other_top != "torch"
    if (top, own) == (other_top, other):
        return True
    if top == "cases":
        return other_top == "common" and other in FLOOR_OF.keys() - NOT_FOR_CASES
    return other_top == "common" and FLOOR_OF.get(other, len(FLOORS)) < FLOOR_OF.get(own, 0)


def test_arrows_point_one_way():
    wrong = [f"{module} imports {name}" for module, path in MODULES.items() for name in sorted(imported(path))
             if not may_import(module, name)]
    assert not wrong


def test_no_file_imports_itself_by_way_of_others():
    TopologicalSorter({module: imported(path) for module, path in MODULES.items()}).prepare()     # else CycleError


@pytest.mark.parametrize("module, name", [
    ("common.base.files", "common.data.images"), ("common.base.files", "torch.nn"),
    ("common.data.images", "common.metrics"), ("common.metrics.ssim", "common.data.images"),
    ("common.data.check", "common.experiment.run"), ("common.experiment.run", "common.stitching.network"),
    ("common.features.vgg", "common.lowlight.figures"), ("common.report.case", "common.compare.judge"),
    ("common.menu", "common.pack"), ("common.menu", "cases.kind.model"), ("common.install", "common.base.paths"),
    ("common.pack", "common.install"), ("common.new_room.file", "common.base.paths"), ("common.report", "common.new"),
    ("cases.kind.train", "cases.msrnet.model"), ("cases.kind.train", "common.report.page"),
    ("cases.kind.train", "common.install")])
def test_a_wrong_arrow_is_seen(module, name):
    assert not may_import(module, name)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_can_be_read(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno <= 60, f"{node.name} is too long"


@pytest.mark.parametrize("case", all_cases())
def test_a_case_is_whole(case):
    """The layout of CONTRIBUTING.md: the paper's files, what surrounds them, and a docstring that names the paper."""
    folder = ROOT / "cases" / case
    for name in ("model.py", "losses.py", "data.py", "train.py", "test.py", "figures.py", "benchmark.py",
                 "drawing/captions.py", "README.md", "README.zh-CN.md"):
        assert (folder / name).exists(), name
    assert (ROOT / "configs" / f"{case}.yaml").exists()
    inside = {path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert inside <= {"baselines", "diagrams", "drawing", "extras", "fast", "pictures"}, "CONTRIBUTING.md knows it not"
    for package in [folder, *(folder / name for name in inside - {"diagrams", "pictures"})]:
        assert ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))), package


def test_menu_finds_cases_and_names_them():
    def menu(*words):
        return subprocess.run([sys.executable, "-m", "common.menu", *words], cwd=ROOT, capture_output=True, text=True)
    done = menu("train", "--case", "msrnett")
    assert done.returncode == 2 and "msrnet" in done.stderr and "Traceback" not in done.stderr
    assert menu("train", "--case", "msrnet", "--help").returncode == 0


def test_style():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
