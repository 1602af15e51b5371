"""The student's report: what the run's files hold is filled in, in both languages; what the student thinks is not."""
import ast
import re
import shutil
from pathlib import Path
from string import Formatter
from urllib.parse import unquote

import pytest

from common.base import paths, yaml_text
from common.base.errors import UserError
from common.base.paths import all_cases
from common.experiment.results import TestResults, merge_json, write_json, write_manifest, write_text
from common.report import skeleton
from common.report.markdown import prose
from common.report.skeleton_source import first_sentence, source_files
from common.report.skeleton_text import TEXT

CONFIG = """
about:
  title: "Alpha | net"
  authors: [A. Author, B. Author]
  year: 2020
  links: {paper: "https://example.org/a_b", code: not an address}
  idea: {en: an idea of *stars*, zh: 一个想法}
  published:
  - {method: Alpha, set: val, row: gt_free, metrics: {psnr: 25.5}, source: "table 2 of the paper",
     note: {en: their own crop, zh: 自行裁剪}}
  - {method: Alpha, set: secret, row: gt_free, metrics: {psnr: 30.25}, source: table 3}
seed: 0
data: {root: datasets/x}   # path:
model: {depth: 3}
train: {steps: 100, lr: 1e-3}
presets:
  paper: {train: {steps: 5000}}
  deep: {model: {depth: 9}}
"""
MODEL = '''"""The network of Alpha. It is small."""
class Net:
    """A net | with `code`."""
class _Hidden:
    """Not public."""
def build():
    """Build it. The second sentence runs
    on in the next line."""
def bare(): pass
def _private(): pass
'''


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with the case alpha, which nothing has run of."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    write_text(tmp_path / "cases/alpha/model.py", MODEL)
    write_text(tmp_path / "cases/alpha/train.py", "x = (")
    write_text(tmp_path / "cases/alpha/README.md", "")
    write_text(tmp_path / "cases/alpha/README.zh-CN.md", "")
    write_text(tmp_path / "configs/alpha.yaml", CONFIG)
    return tmp_path


@pytest.fixture
def run(root):
    """results/alpha/mine/: trained, tested on two sets with a baseline and classes, one item failed, three figures."""
    folder = root / "results/alpha/mine"
    settings = {"seed": 0, "model": {"depth": 3}, "train": {"steps": 200, "lr": 0.001}}
    write_text(folder / "train/config.yaml", yaml_text.to_yaml(settings))
    write_text(folder / "train/log.jsonl", "".join(
        f'{{"stage": "train", "step": {step}, "loss": {loss}, "val_psnr": {psnr}}}\n'
        for step, loss, psnr in ((50, 3.0, 20.0), (100, 1.0, 24.0), (200, 2.0, 22.0))))
    test_on(folder, "val", settings, ["gt_free", "gt_mean", "gamma/gt_free", "identity/gt_free"], "psnr",
            {"good": (30, 31, 21, 5), "bad": (10, 20, 20, 4), "middle": (20, 24, 19, 6)}, failed="lost")
    test_on(folder, "own", settings | {"seed": 1}, ["network"], "rmse_4pt", {"a": (4.0,), "b": (9.0,)})
    entries = [("B9.1_net", "B9.1"), ("B9.2_stage", "B9.2"), ("curve", None)]
    write_json(folder / "figures/figures.json", [
        {"file": f"{name}.png", "number": number, "csv": f"{name}.csv", "alt": {"en": "a [picture]", "zh": "图"},
         "title": {"en": f"{name} in English", "zh": f"{name} 的中文"}} for name, number in entries])
    for name, _ in entries:
        (folder / f"figures/{name}.png").write_bytes(b"")
    part = {"versions": {"torch": "2.13.0"}, "device": "cpu", "device_name": "A CPU", "threads": 2, "seconds": 130,
            "peak_memory_mb": 512.5}
    merge_json(folder / "environment.json", {
        "test/val": part | {"command": ["test.py", "--name", "mine", "data.root=/home/li/LOL"],
                            "paths": {"data.root": "/home/li/LOL"},
                            "weights": "/home/li/checkpoints/best.pt"},
        "test/own": part | {"command": ["test.py", "--input", "/home/li/mine", "--name", "mine"],
                            "paths": {"data.root": "/home/li/LOL"}}})
    return folder


def test_on(folder, name, settings, rows, metric, items, failed=None):
    """Write test/<name> of a run: items: {item: value per row}."""
    results = TestResults(folder, name, weights="digest", settings=settings, data=[], rows=rows, metrics=[metric],
                          classings=["size"])
    for item, values in items.items():
        path = results.image_path(item, rows[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        lines = {row: ({metric: value}, path if row == rows[0] else None) for row, value in zip(rows, values)}
        results.add(item, lines, "high/1.png" if "gt_free" in rows else None,
                    {"size": "small" if item == "bad" else "large"})
    if failed:
        results.fail(failed, "cannot be read: /home/li/LOL/lost.png")
    results.finish([*items, failed] if failed else list(items))


test_on.__test__ = False


def cells(line):
    """The cells of a row of a Markdown table, as GitHub's parser splits it: at each | that no backslash escapes."""
    return [cell.strip() for cell in re.findall(r"((?:\\.|[^|\\])*)\|", line.removeprefix("|"))]


def tables(text):
    """All tables as lists of rows of cells; each row has the heading's number of cells."""
    found = [[cells(line) for line in block.splitlines()] for block in re.findall(r"(?:^\|.*\n)+", text, re.M)]
    for rows in found:
        assert {len(row) for row in rows} == {len(rows[0])} and set(rows[1]) == {"---"}, rows
    return found


def structure(text):
    """What both languages must share: headings, tables' sizes, figures, places to fill, questions, list items."""
    return ([len(mark) for mark in re.findall(r"^(#+) ", text, re.M)],
            [(len(rows), len(rows[0])) for rows in tables(text)],
            re.findall(r"^!\[.*\]\((.*)\)$", text, re.M), len(re.findall("^> ", text, re.M)),
            len(re.findall(r"^\*\*5\.\d+\*\* ", text, re.M)),
            len(re.findall("^- ", text, re.M)))


def both(case, name, folder):
    return [skeleton.write(case, name, language, folder / f"{language}.md", force=True).read_text(encoding="utf-8")
            for language in ("zh", "en")]


def of(text, title):
    """The rows of the table whose caption holds this."""
    return tables(text[text.index(title):])[0]


@pytest.mark.parametrize("case", all_cases())
def test_every_case_has_one_in_both_languages_alike(case, tmp_path):
    """On whatever this checkout has run, perhaps nothing."""
    chinese, english = both(case, None, tmp_path)
    assert structure(chinese) == structure(english)
    folder = paths.ROOT / "cases" / case
    for file in folder.rglob("*.py"):
        assert file.stem == "__init__" or f"| `{file.relative_to(folder).as_posix()}` |" in english
    assert not re.search(r"\{\w+\}", chinese.split("## 3")[0])
    assert "：**" not in chinese, "a ** after a Chinese colon does not end bold type"


def test_both_languages_have_the_same_structure_and_their_own_words(run, tmp_path):
    chinese, english = both("alpha", "mine", tmp_path)
    assert structure(chinese) == structure(english)
    assert "一个想法" in chinese and "一个想法" not in english and "an idea of \\*stars\\*" in english
    assert "B9.2_stage 的中文" in chinese and "B9.2_stage in English" in english
    assert len(re.findall("[一-鿿]", english)) == 0


def test_the_texts_fit_each_other():
    def fields(text):
        return [sorted({name for _, name, _, _ in Formatter().parse(line) if name})
                for line in (text if isinstance(text, tuple) else (text,))]
    for key, pair in TEXT.items():
        assert len(pair) == 2 and fields(pair[0]) == fields(pair[1]), key
        assert re.search("[一-鿿]", str(pair[1])) or key in ("colon", "comma", "and", "brackets", "own_number",
                                                           "results_of"), key


def test_the_title_block_has_the_paper_and_blanks_for_the_student(run):
    text = skeleton.write("alpha", "mine").read_text(encoding="utf-8")
    assert text.startswith("# 实验报告：Alpha \\| net\n")
    block = dict(tables(text)[0])
    assert block["案例"] == "`alpha`（B9）" and "Alpha \\| net. 2020" in block["论文"] and "开题" in block["报告类型"]
    assert [block[name] for name in ("姓名", "学号", "日期")] == ["", "", ""]


def test_every_question_waits_for_an_answer_and_none_is_given(run):
    text = skeleton.write("alpha", "mine").read_text(encoding="utf-8")
    for section in ("## 1", "## 2", "## 3", "### 4.3", "## 6", "## 7"):
        assert "\n> （待填写）\n" in text.split(f"\n{section} ")[1].split("\n## ")[0], section
    analysis = text.split("\n## 5 ")[1].split("\n## 6 ")[0]
    paragraphs = [part for part in analysis.split("\n\n")[2:] if part.strip()]
    assert len(paragraphs) >= 20 and all(part.startswith("**5.") for part in paragraphs[::2])
    assert {part.strip() for part in paragraphs[1::2]} == {"> （待填写）"}


def test_questions_come_from_the_numbers(run, tmp_path):
    _, text = both("alpha", "mine", tmp_path)
    analysis = text.split("\n## 5 ")[1]
    for part in ("item `bad` is the worst by `psnr` (10.00 dB, [output]", "item `good` the best (30.00 dB",
                 "the simple method `gamma` is as good as `network` or better: `psnr` 20.00 dB against 20.00 dB "
                 "(`gt_free`, n = 3)",
                 "by `size`, `small` is the weakest (`psnr` 10.00 dB, n = 1) "
                 "and `large` the strongest (25.00 dB, n = 2)",
                 "`psnr` of `network` on `val`: `gt_free` 20.00 dB, `gt_mean` 25.00 dB",
                 "item `b` is the worst by `rmse_4pt` (9.00 px", "item `a` the best (4.00 px",
                 "Look at the input and the output of both", "`val_psnr` was best at step 100 of 200 (24.00 dB)",
                 "Published for `Alpha` on `val`: `psnr` 25.50 dB; this run has 20.00 dB",
                 "1 setting(s) differ from the paper (`train.steps`)", "On `val`, 1 item(s) failed"):
        assert part in analysis, part
    assert "`identity`" not in analysis, "only the closest simple method is asked about"


@pytest.mark.parametrize("gamma, words", [
    (19.5, "`gamma` comes closest to `network`"),
    (20.5, "the simple method `gamma` is as good as `network` or better")])
def test_a_baseline_is_behind_or_ahead(run, tmp_path, gamma, words):
    rows = {"gt_free": 20.0, "gamma/gt_free": gamma, "network_blur/gt_free": 20.1}
    write_json(run / "test/val/metrics.json", {row: {"psnr": value, "count": 3} for row, value in rows.items()})
    assert words in both("alpha", "mine", tmp_path)[1]


def test_result_tables_name_protocol_count_and_source(run, tmp_path):
    chinese, text = both("alpha", "mine", tmp_path)
    assert "自行裁剪" in chinese
    rows = of(text, "mean over the items of `val`")
    assert rows[0] == ["method", "protocol", "items", "`psnr` ↑ (dB)", "source"]
    assert rows[2:] == [["`network`", "`gt_free`", "3", "20.00", "this run"],
                        ["`network`", "`gt_mean`", "3", "25.00", "this run"],
                        ["`gamma`", "`gt_free`", "3", "20.00", "this run"],
                        ["`identity`", "`gt_free`", "3", "5.00", "this run"],
                        ["Alpha", "`gt_free`", "–", "25.50", "table 2 of the paper, their own crop"]]
    # mean and median
    assert of(text, "mean over the items of `own`")[2] == ["`network`", "–", "2", "6.50", "6.50", "this run"]
    assert of(text, "not tested on")[2] == ["Alpha", "`secret`", "`gt_free`", "`psnr` 30.25", "table 3"]
    assert of(text, "`val` by classes")[2:] == [["`size`", "`large`", "2", "25.00"],
                                                ["`size`", "`small`", "1", "10.00"]]
    assert of(text, "test sets")[2:] == [
        ["`own`", "`--input mine`", "`digest`", "2", "0", "none", "`seed=1`"],
        ["`val`", "`data.root=LOL`", "`best.pt digest`", "4", "1", "`gt_free`, `gt_mean`", "none"]]


def test_values_that_are_not_finite_are_marked(run, tmp_path):
    write_json(run / "test/own/metrics.json", {"network": {"psnr": None, "ssim": 1.0, "count": 2,
                                                           "left_out": {"psnr": 2, "ssim": 1}}})
    _, text = both("alpha", "mine", tmp_path)
    assert of(text, "mean over the items of `own`")[2] == ["`network`", "–", "2", "–\\*", "1.0000\\*", "this run"]
    assert "left out of the mean, as not finite: `network` `psnr` 2, `network` `ssim` 1" in text


def test_settings_that_differ_are_marked(run, tmp_path):
    rows = {row[0]: row[1:] for row in of(both("alpha", "mine", tmp_path)[1], "settings of the run")}
    assert rows["`train.steps`"] == ["**`200`**", "`100`", "`5000`"]
    assert rows["`train.lr`"] == ["`0.001`", "", ""] and rows["`model.depth`"] == ["`3`", "", ""]
    assert "`data.root`" not in rows, "paths belong to the machine"
    presets = of(both("alpha", "mine", tmp_path)[1], "presets")
    assert presets[3] == ["`deep`", "`model.depth=9`", "`python cases/alpha/train.py preset=deep --name deep`", ""]


def test_settings_of_a_training_that_was_not_are_left_out(run, tmp_path):
    shutil.rmtree(run / "train")
    text = both("alpha", "mine", tmp_path)[1]
    assert "`train.steps`" not in {row[0] for row in of(text, "settings of the run")}
    assert "This run has not trained" in text and "differ from the paper" not in text
    assert of(text, "test sets")[3][-1] == "`seed=0`", "the other test's settings come first here"


def test_environment_and_curve_are_read_off(run, tmp_path):
    _, text = both("alpha", "mine", tmp_path)
    assert of(text, "versions")[2] == ["torch", "2.13.0"]
    assert ["`test/val`", "cpu A CPU", "2", "2 min 10 s", "512.5",
            "`python cases/alpha/test.py --name mine data.root=LOL`"] in of(text, "what ran")
    curve = of(text, "training curve")
    assert curve[2] == ["`train`", "`loss`", "3 (50)", "2 (200)", "1 (100)"]
    assert curve[3] == ["`train`", "`val_psnr`", "20 (50)", "22 (200)", "24 (100)"]
    assert "`lost` (cannot be read: lost.png)" in text
    assert "/home" not in text, "a report is handed in: no folder of the student in it"


def test_the_source_table_reads_the_files_without_running_them(run, tmp_path):
    rows = of(both("alpha", "mine", tmp_path)[1], "files, functions and classes")
    assert rows[0] == ["file", "name", "docstring", "in my words"]
    assert rows[2:6] == [["`model.py`", "(the file, 10 lines)", "The network of Alpha.", ""],
                         ["`model.py`", "`class Net`", "A net \\| with `code`.", ""],
                         ["`model.py`", "`build()`", "Build it.", ""],
                         ["`model.py`", "`bare()`", "", ""]]
    assert rows[6][0] == "`train.py`" and "SyntaxError" in rows[6][2] and len(rows) == 7


def test_files_come_in_the_order_of_reading(root):
    folder = root / "cases/alpha"
    for name in ("tiling.py", "benchmark.py", "__init__.py", "fast/train.py", "fast/network.py", "extras/convert.py",
                 "drawing/__init__.py", "drawing/captions.py", "baselines/classical.py", "losses.py"):
        write_text(folder / name, "")
    assert [file.relative_to(folder).as_posix() for file in source_files(folder)] == [
        "model.py", "losses.py", "train.py", "benchmark.py", "tiling.py", "fast/train.py", "fast/network.py",
        "baselines/classical.py", "drawing/captions.py", "extras/convert.py"]


@pytest.mark.parametrize("docstring, sentence", [
    ("One line", "One line"), ("Two sentences. On one line.", "Two sentences."), ("", ""),
    ("A sentence that\nruns on. Another.\n\nMore.", "A sentence that runs on."), ("No stop\n\nMore.", "No stop"),
    ("Scale (Jobson et al. 1997): 1.5 times\nw . x. Then.", "Scale (Jobson et al. 1997): 1.5 times w . x."),
    ("一句话。第二句。", "一句话。")])
def test_the_first_sentence_of_a_docstring(docstring, sentence):
    assert first_sentence(ast.parse(repr(docstring))) == sentence


def test_figures_keep_their_numbers_and_links_lead_somewhere(run, tmp_path):
    for out in (None, tmp_path / "a folder (new)/report.md"):
        path = skeleton.write("alpha", "mine", "en", out)
        text = path.read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!https?:)([^)]*)\)", text)
        assert len(links) >= 9 and all((path.parent / unquote(link)).exists() for link in links), links
        assert re.findall(r"^\*\*Figure ([\w.]+)\*\*: ", text, re.M) == ["B9.1", "B9.2", "4.1"]
        assert text.index("B9.1_net.png") < text.index("## 3 ") < text.index("B9.2_stage.png"), "network in section 2"
    assert "(figures/B9.1_net.png)" in (run / "skeleton.en.md").read_text(encoding="utf-8"), "relative to the file"
    assert "<https://example.org/a_b>" in text and "code: not an address" in text


def test_what_has_not_been_run_is_said_with_the_command(root):
    for language in ("zh", "en"):
        path = skeleton.write("alpha", language=language)
        assert path == root / f"results/alpha/default/skeleton.{language}.md"
        text = path.read_text(encoding="utf-8")
        for script in ("train", "test", "figures"):
            assert f"`python cases/alpha/{script}.py --name default`" in text
    write_text(root / "results/alpha/demo/test/val/items.csv", "")
    text = skeleton.write("alpha", language="en").read_text(encoding="utf-8")
    assert "`python cases/alpha/train.py --demo`" in text and "test on `val` has begun and not ended" in text


def test_what_a_student_has_written_is_not_lost(run, tmp_path):
    path = skeleton.write("alpha", "mine")
    path.write_text("my words")
    with pytest.raises(UserError, match=r"skeleton\.zh\.md exists.*--out.*--force"):
        skeleton.write("alpha", "mine")
    assert path.read_text() == "my words"
    skeleton.write("alpha", "mine", force=True)
    assert path.read_text(encoding="utf-8") != "my words"


def test_mistakes_are_said(run, tmp_path):
    write_text(tmp_path / "file", "")
    for words, part in ((("beta",), "expected one of alpha"), (("alpha", "other"), "expected one of mine"),
                        (("alpha", "mine", "fr"), "expected one of en, zh"),
                        (("alpha", "mine", "zh", tmp_path), "is a folder"),
                        (("alpha", "mine", "zh", tmp_path / "file/x.md"), "cannot write")):
        with pytest.raises(UserError, match=re.escape(part)):
            skeleton.write(*words)


@pytest.mark.parametrize("name", [
    "a|b", "a\\|b", "a\\\\|b", "line\nbreak", "`tick`", "``", "`", "<img src=x onerror=alert(1)>", "**bold**",
    "[x](http://y)"])
def test_no_name_breaks_a_table_or_becomes_markup(run, tmp_path, name):
    test_on(run, "val", {"seed": name}, ["gt_free", f"{name}/gt_free"], "psnr", {name: (10, 9), "other": (20, 21)},
            failed=name + "2")
    merge_json(run / "environment.json", {name: {"versions": {name: name}, "device": name, "command": [name, name]}})
    write_text(run.parents[2] / "cases/alpha/model.py", f"def f():\n    {name!r}\n")
    chinese, english = both("alpha", "mine", tmp_path)
    assert structure(chinese) == structure(english) and len(tables(english)) >= 10
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", english)                  # without code
    assert not re.search(r"(?<!\\)<img", outside) and "](http://y" not in outside.replace("\\](http", "")


@pytest.mark.parametrize("text, escaped", [
    ("plain, (text) 1 < 2", "plain, (text) 1 \\< 2"), ("a_b and _c_", "a_b and \\_c\\_"), ("`a*b` * c", "`a*b` \\* c"),
    ("one ` tick", "one \\` tick"),
    ("[a](b)", "\\[a\\](b)"), ("&lt; & co", "\\&lt; & co"), ("a\n b", "a b"), (None, ""), (2017, "2017"),
    ("~~x~~", "\\~~x\\~~")])
def test_prose_reads_as_it_stands(text, escaped):
    assert prose(text) == escaped


def test_a_damaged_run_is_named(run):
    write_text(run / "test/val/metrics.json", "{")
    with pytest.raises(UserError, match=r"results/alpha/mine/test/val/metrics\.json"):
        skeleton.write("alpha", "mine")


def test_the_newest_of_many_runs_is_not_needed_to_name_one(run):
    write_manifest(run, "train", "digest")
    assert skeleton.write("alpha").parent == run, "the run that the report shows"
    assert Path(run / "skeleton.zh.md").exists()
