"""The report: every number with its protocol and count, published ones marked, gaps and damage said, all escaped."""
import re
import shutil
from pathlib import Path

import pytest
from report_runs import change_json, make_run, picture
from test_page import Reader

from common.base import paths
from common.base.errors import start
from common.base.paths import all_cases
from common.report import __main__, run_folder
from common.report.blocks import Both, Table, code, join, quiet, to_markdown
from common.report.case import case_blocks, inside
from common.report.tables import numbers, split


def written(repository, *words):
    """(report.html, report.md) after a report with these options, which must end well."""
    assert start(__main__.main, list(words)) == 0
    folder = repository / "results"
    return (folder / "report.html").read_text(encoding="utf-8"), (folder / "report.md").read_text(encoding="utf-8")


def tables(blocks):
    return [block for block in blocks if isinstance(block, Table)]


def text_of(html):
    """The page's text, without style and script."""
    return Reader(re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.S)).text


# ---- numbers ----

def test_our_numbers_stand_beside_the_published_ones_of_the_same_protocol(repository):
    run = run_folder.read_run("toy", "default")
    photos, free, mean, alone = tables(numbers(run, run_folder.about("toy")))
    assert free.caption.en == "`val` · protocol `gt_free` (no use of the reference) · 4 items"
    assert free.header == [Both("method", "方法"), "n", "psnr\u00a0↑ (dB)", "ssim\u00a0↑"]
    theirs, elsewhere = (Both(f"TheirNet (published: Author 2020, Table {number})",
                              f"TheirNet（已发表：Author 2020, Table {number}）") for number in (1, 9))
    assert free.rows == [["network", "4", "16.50", "0.6500"], [theirs, "–", "20.87", "0.8021"],
                         ["gamma", "4", "14.50", "0.6500"]]
    assert free.strong == (0,), "the network's row"
    assert mean.rows == [["network", "4", "15.50", "0.6500"]] and "gt_mean" in mean.caption.zh
    assert [row[0] for row in photos.rows] == ["network", "identity"] and photos.caption.en == "`photos` · 4 items"
    assert alone.rows == [[elsewhere, "elsewhere", "sift", "–", "1.50"]], "what this run has not measured"


def test_rows_are_methods_or_protocols():
    assert split("gt_free", ["gt_free"]) == ("network", "gt_free")
    assert split("gamma/gt_free", []) == ("gamma", "gt_free")
    assert split("sift", ["sift", "network"]) == ("sift", "")
    assert split("odd", ["odd", "gamma/odd"]) == ("network", "odd")


def test_values_that_are_none_and_those_left_out_are_said(repository):
    def change(content):
        content["gt_free"].update(psnr=None, left_out={"psnr": 4}, depth=1.25)
    change_json(repository / "results/toy/default/test/val/metrics.json", change)
    html, _ = written(repository)
    assert "values that are missing or infinite are left out of the means: psnr 4" in text_of(html)
    free = tables(numbers(run_folder.read_run("toy", "default"), {}))[1]
    assert free.rows[0] == ["network", "4", "–", "0.6500"]
    assert "network: depth 1.2500" in text_of(html), "a metric of one method alone stands below the table"


def test_classes_and_failures(repository):
    path = repository / "results/toy/default/test/val/items.csv"
    lines = path.read_text().splitlines()
    broken = re.sub(",ok,", ",failed,no <such> file,", lines[1], count=1)
    path.write_text("\n".join([lines[0], re.sub(",no <such> file,,", ",no <such> file,", broken), *lines[2:]]) + "\n")
    html, markdown = written(repository)
    assert "1 of 4 items failed and are in no mean: i0: no <such> file" in text_of(html) and "<such>" not in html
    assert html.count("<details>") >= 3 and "a: dark" in html and "a: dark" in markdown
    assert "分类结果：亮度" in html, "the classing has a Chinese word"


def test_a_classing_without_classes_is_not_shown(repository):
    def change(content):
        for values in content.values():
            values.setdefault("by", {})["scene"] = {}
    change_json(repository / "results/toy/default/test/val/metrics.json", change)
    html, _ = written(repository)
    assert "分类结果：亮度" in html and "scene" not in text_of(html)


# ---- the whole report ----

def test_the_page_is_whole_and_well_formed(repository):
    html, markdown = written(repository)
    reader = Reader(html)
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:])), "headings in order"
    assert all(image["alt"] for image in reader.all("img")) and len(reader.all("img")) == 3 * 2 + 3 + 1
    names = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(names) == len(set(names)) and {"toy", "later"} <= set(names)
    spans = [span["lang"] for span in reader.all("span") if "lang" in span]
    assert spans.count("en") == spans.count("zh") > 50
    addresses = [link["href"] for link in reader.all("a")]
    assert addresses[:4] == ["#later", "#toy", *["https://example.org/paper"] * 2], "no address that is none"
    assert len(addresses) == 7 and "creativecommons.org" in addresses[4], "the licences of the pictures, at the end"
    text = text_of(html)
    for said in ("A Toy Toy", "Ann Author, Ben Writer, 2020", "Brighten <everything>.", "把一切都提亮。",
                 "B9.1 Loss | of <training>", "训练损失", "by e-mail", "train.steps", "300000",
                 "Toy <CPU>", "3 min 20 s", "512 MB", "本次运行", "abababababab"):
        assert said in text, said
    assert "<everything>" not in html and "<training>" not in html
    assert len(html) < 200_000


def test_the_markdown_says_the_same(repository):
    html, markdown = written(repository)
    assert "| **network** | **4** | **16.50** | **0.6500** |" in markdown
    for said in ("TheirNet (published: Author 2020, Table 1)", "## A Toy Toy", "把一切都提亮。",
                 "[paper · 论文](<https://example.org/paper>)"):
        assert said in markdown
    assert "Loss \\| of \\<training\\>" in markdown
    for target in re.findall(r"\]\(<([^>]*)>\)", markdown):
        assert target.startswith("https://") or (repository / "results" / target).exists(), target
    assert "![" in markdown and "(<toy/default/figures/one.png>)" in markdown
    assert "(<../data/toy/val/high/i3.png>)" in markdown


def test_best_median_and_worst_are_shown_over_their_references(repository):
    html, _ = written(repository)
    reader = Reader(html)
    assert [entry["aria-label"][:2] for entry in reader.all("input")] == ["i3", "i1", "i0"]
    text = text_of(html)
    assert "i3: psnr 18.00 dB, ssim 0.8000 (best psnr of 4)" in text and "（4 项中 psnr 最差）" in text
    shutil.rmtree(repository / "data")
    html, _ = written(repository)
    assert not Reader(html).all("input") and "best psnr of 4" in text_of(html), "the output alone"


def test_inputs_that_the_test_recorded_are_the_before(repository):
    """The slider goes from input to output where environment.json knows the input, else from output to reference."""
    picture(repository / "mine.png", 5)

    def change(content):
        content["test/val"]["inputs"] = {"i3": str(repository / "mine.png"), "i0": "no/such/file.png", "i1": 7}
    change_json(repository / "results/toy/default/environment.json", change)
    html, _ = written(repository)
    assert html.count("i3: output of the run and its input") and html.count("i0: output of the run and its reference")


def test_references_are_found_by_the_cases_file_too(repository):
    change_json(repository / "results/toy/default/environment.json", lambda content: content.pop("test/val"))
    html, _ = written(repository)
    assert len(Reader(html).all("input")) == 3


def test_names_do_not_lead_out_of_their_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_text("x")
    (tmp_path / "in/a.png").write_text("x")
    assert inside(tmp_path / "in", "a.png") == tmp_path / "in/a.png"
    for name in ("../secret.png", str(tmp_path / "secret.png"), "", None, ".", "b.png", "a\0", "a" * 5000):
        assert inside(tmp_path / "in", name) is None, name


def test_hostile_names_stay_text(repository):
    evil = '"><img src=x onerror=alert(1)>`<b>`'
    change_json(repository / "results/toy/default/figures/figures.json",
                lambda entries: entries[0]["title"].update(en=evil, zh=evil))
    change_json(repository / "results/toy/default/environment.json",
                lambda content: content["train"].update(device_name=evil))
    path = repository / "results/toy/default/test/val/items.csv"
    path.write_text(path.read_text().replace("i3,", "<script>i3</script>,"))
    html, markdown = written(repository)
    assert "<script>i3" not in html and "onerror=alert(1)>" not in html
    assert not any("onerror" in name for _, attributes in Reader(html).elements for name in attributes)
    assert "<img src=x" not in markdown.replace("\\<img", "")


# ---- what has not been run, what is damaged ----

def test_what_has_not_been_run_comes_with_its_command(repository):
    html, markdown = written(repository)
    assert "python cases/later/train.py --name default" in html
    assert "python -m common.menu demo --case later" in markdown
    (repository / "checkpoints/later").mkdir(parents=True)
    for name in ("release.pt", "release-other.pt"):
        (repository / "checkpoints/later" / name).write_text("")
    html, _ = written(repository)
    assert "python cases/later/test.py --name check --weights release\n" in html and "cases/later/train.py" not in html


def test_parts_that_a_run_lacks_are_named(repository):
    folder = repository / "results/toy/default"
    shutil.rmtree(folder / "figures")
    (folder / "test/val/metrics.json").unlink()
    change_json(folder / "manifest.json", lambda content: content["weights"].pop("train"))
    (folder / "environment.json").unlink()
    text = text_of(written(repository)[0])
    for said in ("No figures have been drawn under this name yet:", "python cases/toy/figures.py --name default",
                 "The test on val has not ended", "The training has not ended yet", "environment.json is missing"):
        assert said in text, said
    shutil.rmtree(folder / "test")
    assert "No test has been run under this name yet:" in text_of(written(repository)[0])


def test_a_run_that_only_tested_compares_the_network_alone(repository):
    shutil.rmtree(repository / "results/toy/default/train")
    text = text_of(written(repository)[0])
    assert "This run tested weights and did not train" in text and "300000" not in text


def test_damage_is_said_in_its_place_and_the_rest_is_written(repository, capsys):
    (repository / "results/toy/default/test/val/metrics.json").write_text("{")
    make_run(repository, "second")
    html, _ = written(repository)
    text = text_of(html)
    assert "results/toy/default/test/val/metrics.json: is no JSON" in text and "该案例的其余部分从略" in text
    assert "python cases/later/train.py" in html and "TheirNet" in text
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 1 and warnings[0].startswith("warning: toy: results/toy/default/test/val/metrics.json")
    assert "16.50" in text_of(written(repository, "--case", "toy", "--name", "second")[0])


@pytest.mark.parametrize("file", ["figures/one.png", "test/val/images/gt_free/i3.png"])
def test_a_damaged_picture_costs_only_itself(repository, capsys, file):
    (repository / "results/toy/default" / file).write_text("no picture")
    text = text_of(written(repository)[0])
    assert Path(file).name in text and "16.50" in text and "train.steps" in text
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_damaged_case_file_costs_only_its_case(repository, capsys):
    (repository / "configs/toy.yaml").write_text("about: [")
    html, _ = written(repository)
    assert "configs/toy.yaml" in text_of(html) and "A Toy Later" in text_of(html)
    assert "warning: toy" in capsys.readouterr().err


# ---- the command line ----

def test_mistakes_are_answered(repository, capsys):
    assert start(__main__.main, ["--case", "tyo"]) == 2 and "expected one of later, toy" in capsys.readouterr().err
    assert start(__main__.main, ["--case", "toy", "--name", "defualt"]) == 2
    assert "expected one of default" in capsys.readouterr().err
    assert start(__main__.main, ["--name", "defualt"]) == 2
    assert not (repository / "results/report.html").exists()
    shutil.rmtree(repository / "cases")
    assert start(__main__.main, []) == 2 and "there is no case" in capsys.readouterr().err


def test_a_name_that_one_case_has_is_no_mistake(repository):
    text = text_of(written(repository, "--name", "default")[0])
    assert "There is no run default of this case." in text and "16.50" in text


def test_one_case_into_another_folder(repository, tmp_path):
    assert start(__main__.main, ["--case", "toy", "--out", str(tmp_path / "new/place")]) == 0
    html = (tmp_path / "new/place/report.html").read_text(encoding="utf-8")
    assert "A Toy Later" not in html and "<nav" not in html, "no contents for one case"
    markdown = (tmp_path / "new/place/report.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(<(\.\.[^>]*)>\)", markdown):
        assert (tmp_path / "new/place" / target).exists()


def test_the_skeleton_is_asked_for_by_option(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("common.report.skeleton.write", lambda *words: asked.append(words) or Path("x.md"))
    assert start(__main__.main, ["--skeleton", "toy", "--name", "a", "--lang", "en", "--out", "x.md"]) == 0
    assert start(__main__.main, ["--skeleton", "toy", "--force"]) == 0
    assert asked == [("toy", "a", "en", "x.md", False), ("toy", None, "zh", None, True)]
    assert capsys.readouterr().out == "x.md\nx.md\n"


def test_every_real_case_can_be_reported_without_results(monkeypatch, tmp_path):
    """What stands under `about` in configs/ has the form that the report reads."""
    cases, root = all_cases(), paths.ROOT
    shutil.copytree(root / "configs", tmp_path / "configs")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    for case in cases:
        blocks, problems = case_blocks(case)
        assert not problems and f"python cases/{case}/" in to_markdown(blocks, tmp_path)
        idea = run_folder.about(case)["idea"]
        assert idea["en"] and re.search(r"[\u4e00-\u9fff]", idea["zh"])


# ---- the two forms ----

def test_code_from_files_cannot_end_its_backticks():
    assert code("a`<b>\n") == "`a'<b> `" and quiet("_a_b_ `c_|` | *") == "\\_a_b\\_ `c_|` \\| \\*"
    assert join(Both("a", "甲"), "b", between="-") == Both("a-b", "甲-b") and join("a", "b") == "a b"
