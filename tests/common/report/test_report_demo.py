"""The report on a demo: sample numbers marked and apart from published ones, both sets of weights in one table, cases
in the course's order, headings in both languages."""
import pytest
from report_runs import change_json, make_run
from test_report import tables, text_of, written

from common.base.paths import DEMO, DEMO_RELEASE
from common.report import run_folder
from common.report.blocks import Both, Figure, Gallery, Heading, Note
from common.report.case import case_blocks, pictures, title_of
from common.report.tables import method_name, numbers, with_both_weights


@pytest.fixture
def demo(repository):
    """The repository of the report's tests with a demo on sample data, and the release beside it 2 dB above."""
    for name in (DEMO, DEMO_RELEASE):
        folder = make_run(repository, name)
        for entry in ("train", "test/val", "test/photos"):
            change_json(folder / "environment.json", lambda content, entry=entry: content[entry].update(
                paths={"data.root": str(repository / "datasets/sample/toy"), "test.root": None}))

    def better(content):
        for row in ("gt_free", "gt_mean"):
            content[row]["psnr"] += 2
    change_json(folder / "test/val/metrics.json", better)
    return repository


def test_both_weights_stand_in_one_table_and_what_is_equal_stands_once(demo):
    run = run_folder.read_run("toy", DEMO)
    shown = tables(numbers(run, run_folder.about("toy"), run_folder.demo_release(run)))
    trained, release = method_name("network@trained"), method_name("network@release")
    assert trained.en == "network (trained here)" and release.zh == "network（预训练权重）"
    free = next(table for table in shown if "gt_free" in table.caption.en)
    assert free.rows == [[trained, "4", "16.50", "0.6500"], [release, "4", "18.50", "0.6500"],
                         ["gamma", "4", "14.50", "0.6500"]]
    assert free.strong == (0, 1), "both rows of the network"


def test_sample_numbers_are_marked_and_never_beside_published_ones(demo):
    run = run_folder.read_run("toy", DEMO)
    blocks = numbers(run, run_folder.about("toy"), run_folder.demo_release(run))
    *measured, alone = tables(blocks)
    assert all(table.caption.en.startswith("sample data · ") for table in measured)
    assert all(table.caption.zh.startswith("样例数据 · ") for table in measured)
    assert not any("published" in str(row[0]) for table in measured for row in table.rows)
    assert len(alone.rows) == 2 and all("published" in row[0].en for row in alone.rows), "both in a table of their own"
    titles = [block.text for block in blocks if isinstance(block, Heading) and block.level == 4][:2]
    assert all("sample data" in title.en and "样例数据" in title.zh for title in titles)
    html, markdown = written(demo, "--name", DEMO)
    assert "They say nothing" not in html and "These numbers say nothing about the method" in text_of(html)
    assert "sample data" in markdown


def test_real_data_are_not_marked(demo):
    run = run_folder.read_run("toy", "default")
    assert not any(run_folder.on_sample_data(run, test) for test in run.tests)
    html, _ = written(demo, "--name", "default")
    text = text_of(html)
    assert "sample data ·" not in text and "样例数据 ·" not in text and "（样例数据）" not in text


def test_a_test_root_of_ones_own_decides(demo):
    folder = demo / "results/toy/demo"
    change_json(folder / "environment.json",
                lambda content: content["test/val"]["paths"].update({"test.root": "/data/toy"}))
    run = run_folder.read_run("toy", DEMO)
    assert {test.name: run_folder.on_sample_data(run, test) for test in run.tests} == {"val": False, "photos": True}


def test_figures_are_those_of_the_release(demo):
    (demo / "results/toy/demo/figures/figures.json").unlink()
    blocks, problems = case_blocks("toy", DEMO)
    assert not problems
    drawn = [figure for block in blocks if isinstance(block, Gallery) for figure in block.blocks
             if isinstance(figure, Figure) and figure.path.parent.name == "figures"]
    assert drawn and all(figure.path.parent.parent.name == DEMO_RELEASE and figure.labelled for figure in drawn)
    assert any("release weights" in block.text.en for block in blocks
               if isinstance(block, Note) and isinstance(block.text, Both))
    assert not any("No figures" in block.text.en for block in blocks
                   if isinstance(block, Note) and isinstance(block.text, Both))


def test_rows_that_only_one_of_them_has_stay():
    rows = with_both_weights({"network": {"psnr": 1, "count": 2}, "sift": {"psnr": 3, "count": 2}},
                             {"sift": {"psnr": 3, "count": 2}, "untrained": {"psnr": 0, "count": 2}})
    assert list(rows) == ["network@trained", "sift", "untrained@release"]


def test_cases_come_in_the_order_of_the_course(demo):
    for case, chapter in (("toy", "B2"), ("later", "B1")):
        path = demo / "configs" / f"{case}.yaml"
        text = path.read_text(encoding="utf-8")
        extra = f"about:\n  chapter: {chapter}\n  name: {{en: The {case}, zh: 案例{chapter}}}\n"
        path.write_text(text.replace("about:\n", extra, 1), encoding="utf-8")
    assert run_folder.in_course_order(["toy", "later", "none"]) == ["later", "toy", "none"]
    assert title_of("toy", run_folder.about("toy")) == Both("B2 The toy", "B2 案例B2")
    html, markdown = written(demo)
    assert html.index('id="later"') < html.index('id="toy"') and "B1 案例B1" in html
    assert markdown.index("B1 The later") < markdown.index("B2 The toy")
    assert "A Toy Toy · Ann Author, Ben Writer, 2020" in text_of(html), "the paper's own title stands below"


def test_the_numbers_of_cases_count_as_numbers(monkeypatch):
    monkeypatch.setattr(run_folder, "about", lambda case: {"chapter": {"en": case, "zh": "案例"}})
    assert run_folder.in_course_order(["Case 10", "Case 7", "B6"]) == ["B6", "Case 7", "Case 10"]
    title = title_of("nuclei", {"chapter": {"en": "Case 7", "zh": "案例 7"}, "name": {"en": "Nuclei", "zh": "细胞核"}})
    assert title == Both("Case 7 Nuclei", "案例 7 细胞核")


def test_the_pictures_are_the_cases_own_and_no_baselines(repository, monkeypatch):
    run = run_folder.read_run("toy", "default")
    test = next(test for test in run.tests if test.name == "photos")
    rows, lines = ("identity", "network", "mine"), [line for line in test.items if line["row"] == "network"]
    test = test._replace(metrics={row: test.metrics["network"] for row in rows},
                         items=[line | {"row": row} for row in rows for line in lines])
    assert "row network" in pictures(run, test)[0].text.en
    monkeypatch.setattr(run_folder, "about", lambda case: {"row": "mine"})
    assert "row mine" in pictures(run, test)[0].text.en


def test_every_case_of_the_course_has_its_chapter_and_both_names():
    chapters = {case: run_folder.about(case) for case in run_folder.paths.all_cases()}
    known = {case: about["chapter"] for case, about in chapters.items() if about.get("chapter")}
    assert known == {"msrnet": "B1", "kind": "B2", "view_free_stitch": "B3", "udis": "B4", "siamfc": "B5",
                     "vgg19_style": "B6", "nuclei": {"en": "Case 7", "zh": "案例 7"},
                     "image_prior": {"en": "Case 10", "zh": "案例 10"},
                     "super_resolution": {"en": "Cases 11 and 12", "zh": "案例 11、12"}}
    for case in known:
        name = chapters[case]["name"]
        assert name["en"] and any("一" <= letter <= "鿿" for letter in name["zh"])
        notes = [entry["note"] for entry in chapters[case].get("published", []) if entry.get("note")]
        assert all(note.keys() == {"en", "zh"} for note in notes), "a note on published numbers is in one language"
