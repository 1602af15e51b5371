"""What is read of a run's folder: all of it, nothing where nothing is, and damage said by name."""
import json
import os
import shutil

import pytest
from report_runs import DIGEST, ROWS, SETTINGS, change_json, make_run

from common.base.errors import UserError
from common.report import run_folder


def test_a_whole_run_is_read(repository):
    run = run_folder.read_run("toy", "default")
    assert (run.case, run.name, run.folder) == ("toy", "default", repository / "results/toy/default")
    assert run.settings == SETTINGS
    assert [(line["step"], line["loss"]) for line in run.log] == [(10, 0.5), (20, 0.25)]
    photos, val = run.tests
    assert (photos.name, val.name) == ("photos", "val") and val.folder == run.folder / "test/val"
    assert list(val.metrics) == ROWS and val.metrics["gt_free"]["psnr"] == 16.5 and val.metrics["gt_free"]["count"] == 4
    assert len(val.items) == 12 and val.items[0]["item"] == "i0" and val.items[0]["reference"] == "val/high/i0.png"
    assert val.settings == SETTINGS and val.environment["threads"] == 2
    assert [entry["file"] for entry in run.figures] == ["one.png"], "a figure whose picture is gone is none"
    assert run.environment["train"]["device_name"] == "Toy <CPU>"
    assert run.weights == {"figures": DIGEST, "test/photos": DIGEST, "test/val": DIGEST, "train": DIGEST}


def test_what_is_missing_stays_empty(repository):
    folder = repository / "results/toy/bare"
    (folder / "test/val").mkdir(parents=True)
    (folder / "test/.val.new").mkdir()
    run = run_folder.read_run("toy", "bare")
    assert run[3:] == ({}, [], [], [], {}, {})
    assert run_folder.find_unfinished_tests("toy", "bare") == ["val"]
    assert run_folder.find_unfinished_tests("toy", "default") == []
    shutil.rmtree(repository / "results/toy/default/train")
    assert run_folder.read_run("toy", "default").settings == SETTINGS, "the first test's, where nothing has trained"
    (repository / "results/toy/default/environment.json").unlink()
    assert run_folder.read_run("toy", "default").tests[0].environment == {}


def test_a_line_of_the_log_that_is_being_written_does_not_count(repository):
    with open(repository / "results/toy/default/train/log.jsonl", "a") as file:
        file.write('{"stage": "a", "st')
    assert len(run_folder.read_run("toy", "default").log) == 2


def test_the_run_is_chosen_in_a_known_order(repository):
    (repository / "results/toy/bench.json").write_text("{}")
    (repository / "results/toy/.hidden/test").mkdir(parents=True)
    for age, name in ((50, "new"), (90, "old"), (10, "demo"), (99, "check")):
        manifest = make_run(repository, name) / "manifest.json"
        for file in (manifest, manifest.with_name("environment.json")):
            os.utime(file, (2_000_000_000 - age,) * 2)
    assert run_folder.run_names("toy") == ["check", "default", "demo", "new", "old"]
    for expected in ("default", "check", "new", "old", "demo"):
        assert run_folder.choose_run("toy").name == expected
        shutil.rmtree(repository / "results/toy" / expected)
    assert run_folder.choose_run("toy") is None and run_folder.choose_run("later") is None
    assert run_folder.run_names("nowhere") == []


@pytest.mark.parametrize("name", ["defualt", "../toy/default", "", "."])
def test_an_unknown_run_is_answered_with_those_there_are(repository, name):
    with pytest.raises(UserError, match="there is no run .* of toy .*expected one of default"):
        run_folder.choose_run("toy", name)
    with pytest.raises(UserError, match="later has no run yet"):
        run_folder.choose_run("later", "default")


DAMAGE = [
    ("test/val/metrics.json", "{", "is no JSON"),
    ("test/val/metrics.json", "[]", "holds no dict"),
    ("test/val/metrics.json", '{"gt_free": 3}', "'gt_free' is no mapping"),
    ("test/val/metrics.json", '{"gt_free": {"psnr": 3}}', "has no count"),
    ("test/val/metrics.json", '{"gt_free": {"psnr": "high", "count": 1}}', "'psnr' in the row 'gt_free' is no number"),
    ("test/val/metrics.json", '{"gt_free": {"psnr": NaN, "count": 1}}', "is no JSON"),
    ("test/val/metrics.json", '{"gt_free": {"count": 1, "by": {"light": 3}}}', "'light' is no mapping"),
    ("test/val/metrics.json", "[" * 100_000, "is no JSON"),
    ("test/val/items.csv", "item,row\n", "has no column 'status'"),
    ("test/val/items.csv", "item,row,status,image,reference\na,b,ok\n", "too long or too short"),
    ("test/val/items.csv", 'item,row,status,image,reference\n"a', "is no CSV"),
    ("test/val/config.yaml", "a: [1", "cannot be read as YAML"),
    ("train/config.yaml", "12", "holds no settings"),
    ("train/log.jsonl", '{"step": 1}\n', "has a line without stage or step"),
    ("figures/figures.json", '[{"file": "one.png"}]', "without file, title and alt"),
    ("figures/figures.json", "[7]", "without file, title and alt"),
    ("environment.json", '{"train": 1}', "'train' is no mapping"),
    ("manifest.json", '{"weights": []}', "'weights' is no mapping"),
    ("manifest.json", b"\xff\xfe\x00", "is not UTF-8 text"),
]


@pytest.mark.parametrize("file, content, problem", DAMAGE)
def test_damage_is_said_with_the_files_name(repository, file, content, problem):
    (repository / "results/toy/default" / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        run_folder.read_run("toy", "default")
    message = str(caught.value)
    assert problem in message and f"results/toy/default/{file}" in message and "\n" not in message


def test_a_figure_outside_its_folder_is_refused(repository):
    path = repository / "results/toy/default/figures/figures.json"
    change_json(path, lambda entries: entries[0].update(file="../../../../secret.png"))
    with pytest.raises(UserError, match="names a file outside its folder"):
        run_folder.read_run("toy", "default")
    assert json.loads(path.read_text())                    # only read


def test_what_the_cases_file_says(repository):
    assert run_folder.about("toy")["title"] == "A Toy Toy"
    assert run_folder.settings_of("toy")["train"] == {"steps": 50, "lr": 0.001}
    assert run_folder.settings_of("toy", "paper")["train"] == {"steps": 300000, "lr": 0.001}
    assert run_folder.presets_of("toy") == ["paper"]
    with pytest.raises(UserError, match="unknown preset 'papre' of toy: expected one of paper"):
        run_folder.settings_of("toy", "papre")
    with pytest.raises(UserError, match="configs/nothing.yaml"):
        run_folder.about("nothing")


def test_differences_from_the_paper(repository):
    """The seed and the test's settings are none, and what the run does not have cannot differ."""
    changed = SETTINGS | {"train": {"steps": 50, "lr": 0.5}, "model": {}}
    assert run_folder.paper_differences("toy", SETTINGS) == [("train.steps", 50, 300000)]
    assert run_folder.paper_differences("toy", changed) == [("train.steps", 50, 300000), ("train.lr", 0.5, 0.001)]
    path = repository / "configs/toy.yaml"
    path.write_text(path.read_text(encoding="utf-8").split("presets:")[0], encoding="utf-8")
    assert run_folder.paper_differences("toy", SETTINGS) == []
