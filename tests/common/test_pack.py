"""The zip that a grader asks for: whole, checked, the same every time, and without the student's folders in it."""
import json
import os
import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from common import pack
from common.base import paths
from common.base.errors import UserError, start
from common.experiment.results import TestResults, merge_json, write_csv, write_json, write_manifest, write_text


@pytest.fixture
def run(tmp_path, monkeypatch):
    """results/alpha/mine/ of a repository with one case: trained, tested on two pictures, with one figure."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    write_text(tmp_path / "cases/alpha/model.py", "")
    folder = tmp_path / "results/alpha/mine"
    write_text(folder / "train/log.jsonl", '{"stage": "train", "step": 1, "loss": 1.0}\n')
    write_manifest(folder, "train", "digest")
    results = TestResults(folder, "val", weights="digest", settings={"seed": 0}, data=[], rows=["gt_free"],
                          metrics=["psnr"])
    for item, level in (("1", 0), ("图", 200)):
        path = results.image_path(item, "gt_free")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (level, 0, 0)).save(path)
        results.add(item, {"gt_free": ({"psnr": 20.0}, path)})
    results.finish(["1", "图"])
    write_csv(folder / "figures/B9.1.csv", ["a"], [[1]])
    Image.new("RGB", (9, 9)).save(folder / "figures/B9.1.png")
    write_json(folder / "figures/figures.json", [])
    write_manifest(folder, "figures")
    merge_json(folder / "environment.json", {"test/val": {
        "threads": 2, "seconds": 1.5, "versions": {"torch": "2.13"},
        "command": ["test.py", "--name", "mine", "data.root=/home/li/my data/LOL"]}})
    return folder


def members(path):
    with zipfile.ZipFile(path) as packed:
        assert packed.testzip() is None
        return {info.filename: packed.read(info) for info in packed.infolist()}


def test_a_zip_holds_the_judged_files_as_they_are_and_what_a_reader_wants(run):
    path, count, _ = pack.pack("alpha", "mine")
    assert path == run.parent.parent / "alpha-mine.zip"
    inside = members(path)
    assert set(inside) == {"alpha-mine/" + name for name in (
        "manifest.json", "environment.json", "train/log.jsonl", "test/val/config.yaml", "test/val/metrics.json",
        "test/val/items.csv", "test/val/images/gt_free/1.png", "test/val/images/gt_free/图.png",
        "figures/B9.1.csv", "figures/B9.1.png", "figures/figures.json")}
    assert count == len(inside)
    for name, data in inside.items():
        if not name.endswith("environment.json"):
            assert data == (run / name.removeprefix("alpha-mine/")).read_bytes(), name
    assert sorted(path.name for path in path.parent.iterdir()) == ["alpha", "alpha-mine.zip"], "no part is left"


def test_the_same_run_makes_the_same_bytes(run, tmp_path):
    first, _, _ = pack.pack("alpha", "mine", tmp_path / "a")
    for file in run.rglob("*"):
        os.utime(file, (1e9, 1e9))
    second, _, _ = pack.pack("alpha", "mine", tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as packed:
        assert {info.date_time for info in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_packed_run_checks_against_its_manifest_again(run, tmp_path):
    path, _, _ = pack.pack("alpha", "mine")
    with zipfile.ZipFile(path) as packed:
        packed.extractall(tmp_path / "results/alpha")
    assert pack.pack("alpha", "alpha-mine")[1] == len(members(path))


@pytest.mark.parametrize("spoil, name, word", [
    (lambda run: (run / "test/val/metrics.json").write_text("{}"), "test/val/metrics.json", "changed"),
    (lambda run: flip(run / "test/val/images/gt_free/1.png"), "test/val/images/gt_free/1.png", "changed"),
    (lambda run: (run / "test/val/items.csv").unlink(), "test/val/items.csv", "missing"),
    (lambda run: (run / "test/val/images/gt_free/3.png").write_bytes(b"x"), "test/val/images/gt_free/3.png",
     "not in the manifest"),
    (lambda run: write_text(run / "test/other/metrics.json", "{}"), "test/other/metrics.json", "not in the manifest"),
    (lambda run: write_csv(run / "figures/own.csv", ["a"], []), "figures/own.csv", "not in the manifest"),
])
def test_what_does_not_match_the_manifest_is_named_and_nothing_is_written(run, spoil, name, word):
    spoil(run)
    with pytest.raises(UserError, match=re.escape(f"{name} ({word})")) as caught:
        pack.pack("alpha", "mine")
    script = "figures" if name.startswith("figures") else "test"
    assert f"python cases/alpha/{script}.py --name mine" in str(caught.value)
    assert sorted(path.name for path in run.parent.parent.iterdir()) == ["alpha"]


def flip(path):
    """Change one byte, not the size."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_the_command_that_mends_is_the_one_that_was_typed(run):
    flip(run / "test/val/images/gt_free/1.png")
    with pytest.raises(UserError, match=re.escape("test.py --name mine 'data.root=/home/li/my data/LOL' --fresh")):
        pack.pack("alpha", "mine")


def test_many_problems_are_ten_and_a_count(run):
    for number in range(14):
        write_text(run / f"train/{number:02d}.txt", "")
    with pytest.raises(UserError, match=r"14 file.*train/09\.txt.*and 4 more") as caught:
        pack.pack("alpha", "mine")
    assert "10.txt" not in str(caught.value)


def test_what_is_not_judged_is_neither_asked_for_nor_packed(run):
    write_text(run / "notes.txt", "mine")
    write_text(run / "test/.val.new/items.csv", "half")
    write_text(run / "figures/skeleton.zh.md", "mine")
    (run / "environment.json").unlink()
    inside = members(pack.pack("alpha", "mine")[0])
    assert not re.search(r"notes|\.new|skeleton|environment", " ".join(inside))


def test_a_link_is_refused(run, tmp_path):
    write_text(tmp_path / "secret.txt", "x")
    (run / "figures/link.png").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(UserError, match=r"symbolic link.*figures/link\.png"):
        pack.pack("alpha", "mine")


@pytest.mark.parametrize("content", ["[]", "{}", "no json", '{"files": [{"path": 3}]}', '{"files": 5}', "[" * 100000])
def test_an_unreadable_manifest_is_named(run, content):
    (run / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"manifest\.json.*test\.py --name mine --fresh"):
        pack.pack("alpha", "mine")


def test_a_manifest_that_points_elsewhere_packs_nothing_from_there(run, tmp_path):
    write_text(tmp_path / "results/alpha/secret.txt", "x")
    listing = json.loads((run / "manifest.json").read_text())
    listing["files"].append({"path": "../secret.txt", "size": 1, "sha256": "0"})
    write_json(run / "manifest.json", listing)
    with pytest.raises(UserError, match=re.escape("../secret.txt (missing)")):
        pack.pack("alpha", "mine")


def test_runs_that_cannot_be_packed(run, tmp_path, capsys):
    write_text(tmp_path / "cases/beta/train.py", "")
    write_text(run.parent / "raw/train/log.jsonl", "")
    for words, parts in ((["alpha", "--name", "other"], ["'other'", "mine, raw"]),
                         (["alpha"], ["several runs", "mine, raw"]),
                         (["alpha", "--name", "../alpha/mine"], ["no run"]),
                         (["beta"], ["no run yet", "cases/beta/test.py"]),
                         (["alpha", "--name", "raw"], ["no test results", "python cases/alpha/test.py --name raw"]),
                         (["gamma"], ["expected one of alpha, beta"])):
        assert start(pack.main, words) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and all(part in said for part in parts), said
    assert not list(run.parent.parent.glob("*.zip"))


def test_without_a_name_it_is_default_or_the_only_one(run):
    assert pack.pack("alpha")[0].name == "alpha-mine.zip"
    run.rename(run.parent / "default")
    write_text(run.parent / "another/train/log.jsonl", "")
    assert pack.pack("alpha")[0].name == "alpha-default.zip"


def test_the_printed_lines_say_where_how_many_and_what_was_cut(run, tmp_path, capsys):
    assert start(pack.main, ["alpha", "--out", str(tmp_path / "new/folder")]) == 0
    said = capsys.readouterr().out
    for part in (tmp_path / "new/folder/alpha-mine.zip", "11 files", "MB", "cut to their last part"):
        assert str(part) in said
    assert start(pack.main, ["alpha", "--out", str(run / "environment.json")]) == 2


@pytest.mark.parametrize("text, cut", [
    ("/home/li/data/LOL", "LOL"), ("/home/li/", "~"), ("data.root=/home/li/LOL", "data.root=LOL"),
    ("--weights=/srv/it's, (mine)/best.pt", "--weights=best.pt"),
    ("C:\\Users\\Li Na\\LOL", "LOL"), ("C:\\Users\\Li", "~"),
    ("~/pictures/a.png", "a.png"), ("../../li/photos", "photos"), ("a/../../li", "li"),
    ("\\\\server\\li\\LOL", "LOL"), ("x=[/home/li/a, /home/li/b]", "x=[a, b]"),
    ("could not open '/home/li/a.png'", "could not open 'a.png'"),
    (str(Path.home()), "~"), ("file:///home/li/x", "x"),
    ("test.set=val", "test.set=val"), ("gamma/gt_free", "gamma/gt_free"), ("data/LOL", "data/LOL"),
    ("Linux-6.1-x86_64", "Linux-6.1-x86_64"), ("", "")])
def test_paths_lose_all_but_their_last_part(text, cut):
    assert paths.without_paths({"a": [text, 3, None]}) == {"a": [cut, 3, None]}


def test_the_zip_names_no_folder_of_the_student_and_says_where_it_cannot_help_it(run):
    path, _, remarks = pack.pack("alpha", "mine")
    environment = members(path)["alpha-mine/environment.json"].decode()
    assert "/home" not in environment and json.loads(environment)["test/val"] == {
        "threads": 2, "seconds": 1.5, "versions": {"torch": "2.13"},
        "command": ["test.py", "--name", "mine", "data.root=LOL"]}
    assert len(remarks) == 1 and "/home/li" in (run / "environment.json").read_text()
    results = TestResults(run, "val", weights="digest", settings={"seed": 0}, data=[], rows=["gt_free"],
                          metrics=["psnr"])
    results.fail("1", "cannot be read: /home/li/1.png")
    results.finish(["1", "图"])
    assert "test/val/items.csv" in pack.pack("alpha", "mine")[2][1]
