"""The walk-throughs of the cases: their asserted numbers hold, they speak both languages, they become notebooks."""
import json
import os
import re
import sys

import numpy as np
import pytest

from common import notebooks
from common.base.errors import UserError
from common.base.paths import ROOT
from common.experiment import figures, notebook

TEXTS = notebooks.texts()
each = pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.parent.name)


def cells(path):
    """[(kind, text)] of a walk-through: kind `markdown` or `code`."""
    parts = re.split(r"^# %%(.*)\n", path.read_text(encoding="utf-8"), flags=re.M)[1:]
    return [("markdown" if "[markdown]" in head else "code", body) for head, body in zip(parts[::2], parts[1::2])]


@each
def test_its_asserted_numbers_hold(path, processes):
    done = processes.run([path.name], path.parent, os.environ | {"PYTHONIOENCODING": "utf-8"})
    assert done.returncode == 0, done.stderr
    code = "".join(text for kind, text in cells(path) if kind == "code")
    assert code.count("\nassert ") >= 10 and "# %pip" not in code


@each
def test_every_text_cell_says_it_in_chinese_and_then_in_english(path):
    for kind, text in cells(path):
        prose = re.sub(r"\$[^$]*\$|`[^`]*`|\([^)]*\)|^#", "", text, flags=re.M)
        if kind == "markdown":
            chinese = [place for place, letter in enumerate(prose) if "\u4e00" <= letter <= "\u9fff"]
            assert chinese, text
            english = list(re.finditer(r"[A-Za-z]+ [a-z]+ [a-z]+", prose[chinese[-1]:]))
            assert english or re.fullmatch(r"\s*##? .*\s*", text.removeprefix("#")), text


@each
def test_it_shows_the_lines_of_the_project_that_it_explains(path):
    code = "".join(text for kind, text in cells(path) if kind == "code")
    assert len(re.findall(r"^code\(", code, re.M)) >= 4 and len(re.findall(r"\bshow\(|\bslide\(", code)) >= 5
    assert "datasets/embedded" in code or "EMBEDDED" in code


def test_outside_a_notebook_nothing_is_shown(capsys):
    figure = figures.grid([[np.zeros((4, 4, 3), np.uint8)]], ["black"])
    notebook.show(figure)
    notebook.code(figures.grid)
    notebook.slide(lambda ratio: pytest.fail("drawn for nobody"), ratio=(0.0, 1.0, 0.1, 0.5))
    assert capsys.readouterr() == ("", "")
    assert notebook.jpeg(figure).startswith(b"\xff\xd8\xff")


def test_without_the_extra_the_command_for_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "jupytext", None)
    with pytest.raises(UserError, match="python common/install.py --extra notebook"):
        notebooks.execute(TEXTS[0])


@pytest.fixture
def jupyter():
    for package in ("jupytext", "nbclient", "ipykernel"):
        pytest.importorskip(package, reason="the extra `notebook` is not installed")


def test_a_wrong_number_is_told_with_its_file(tmp_path, jupyter):
    path = tmp_path / "walkthrough.py"
    path.write_text("# %%\nx = 1\nassert x == 2, 'one is not two'\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"walkthrough.py: AssertionError: one is not two"):
        notebooks.execute(path)


def test_a_notebook_holds_pictures_as_jpeg_and_the_source(tmp_path, jupyter):
    import nbformat
    path = tmp_path / "walkthrough.py"
    path.write_text(f"# %%\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\nimport numpy as np\n"
                    "from common.experiment import figures\nfrom common.experiment.notebook import code, show, slide\n"
                    "\n\ndef draw(grey):\n    return figures.grid([[np.full((9, 9), grey)]], ['a'])\n\n\n"
                    "# %%\nshow(draw(0.5))\n# %%\ncode(figures.grid)\n# %%\nslide(draw, grey=(0.0, 1.0, 0.1, 0.5))\n",
                    encoding="utf-8")
    content = nbformat.reads(notebooks.execute(path).decode(), as_version=4)
    nbformat.validate(content)
    outputs = [[sorted(output.data) for output in cell.outputs] for cell in content.cells]
    assert outputs == [[], [["image/jpeg", "text/plain"]], [["text/markdown", "text/plain"]],
                       [["image/jpeg", "text/plain"]]]
    assert "def grid(" in content.cells[2].outputs[0].data["text/markdown"]


@each
def test_the_notebook_beside_it_is_this_text_executed_without_an_error(path):
    committed = path.with_suffix(".ipynb")
    notebook = json.loads(committed.read_text(encoding="utf-8"))
    found = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    assert found == [(kind, as_cell(kind, text)) for kind, text in cells(path)], "make notebooks writes it"
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert all(cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert sum("image/jpeg" in output.get("data", {}) for output in outputs) >= 5
    assert committed.stat().st_size <= notebooks.LARGEST


def as_cell(kind, text):
    """The source of a cell of a walk-through in its notebook."""
    if kind == "markdown":
        text = notebooks.unwrap(re.sub(r"^# ?", "", text, flags=re.M))
    return text.strip("\n")


def test_the_notebooks_are_small_together_and_name_no_place_of_this_machine():
    content = [path.with_suffix(".ipynb").read_bytes() for path in TEXTS]
    assert sum(map(len, content)) <= 5_000_000
    assert not [path for path, text in zip(TEXTS, content) if str(ROOT).encode() in text or b"/.venv/" in text]


@pytest.mark.slow
@each
def test_it_becomes_a_small_notebook(path, jupyter):
    content = notebooks.execute(path)
    assert content.count(b"image/jpeg") >= 5 and b"image/png" not in content and len(content) <= notebooks.LARGEST
