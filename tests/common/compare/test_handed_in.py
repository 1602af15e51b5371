"""How a class hands things in: namesakes, archives of other kinds, files that are passed over, other cases' runs."""
import csv
import io
import os
import zipfile
from pathlib import Path

import pytest
from handed_in import copy, edit, make_root, make_run, pack
from processes import needs_rights

from common.base.errors import start
from common.base.paths import ROOT, all_cases, tell_apart
from common.base.yaml_text import load_yaml, to_yaml
from common.compare.__main__ import harmless, main
from common.compare.contents import Unreadable
from common.compare.judge import judge
from common.compare.submission import Submission

OVERRIDE, LINE = "\u202e", "\u2028"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a run")
    return make_run(folder / "run", make_root(folder / "data"))


def compare(*words):
    return start(main, [str(word) for word in words])


def test_namesakes_get_the_parts_of_their_paths_that_tell_them_apart(run, tmp_path, capsys):
    for student in "ab":
        copy(run, "demo").rename(tmp_path / student)
        os.renames(tmp_path / student, tmp_path / f"stu/{student}/results/msrnet/demo")
    assert compare(run, *tmp_path.glob("stu/*/results/msrnet/demo")) == 0
    out = capsys.readouterr().out
    assert "a/results/msrnet/demo" in out and "b/results/msrnet/demo" in out
    assert tell_apart(["/x/a/demo", "/x/b/demo", "/x/other"]) == ["a/demo", "b/demo", "other"]
    assert tell_apart(["/a/x/demo", "/b/x/demo", "/x/demo"]) == ["a/x/demo", "b/x/demo", "/x/demo"]
    assert tell_apart(["/x/demo", "/x/demo"]) == ["demo", "demo"]


def test_what_each_passes_over_is_listed(run, tmp_path, capsys):
    folder, sheet, page = tmp_path / "handed in", tmp_path / "handed in/marks.csv", tmp_path / "handed in/marks.html"
    folder.mkdir()
    packed = pack(run, folder / "good.zip").read_bytes()
    others = ["noextension", "download.zip.1", "x.zipx", ".late.zip"]
    for name in others:
        (folder / name).write_bytes(packed)
    (folder / ".DS_Store").write_bytes(b"")
    for _ in range(2):                                    # the second time with the grader's own files beside them
        assert compare(run, "--each", folder, "--csv", sheet, "--html", page) == 0
        out = capsys.readouterr().out
        lines = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8-sig"))))
        assert [line["submission"] for line in lines if line["verdict"] == "passed over"] == sorted(others)
        for name in others:
            why = "hidden" if name.startswith(".") else "a packed file without the ending .zip"
            assert f"passed over: {name} ({why}" in out and f"Passed over: {name} (" in page.read_text(encoding="utf-8")
        assert "DS_Store" not in out and "passed over: marks" not in out
    (folder / "good.zip").unlink()
    assert compare(run, "--each", folder, "--csv", sheet) == 2 and "x.zipx" in capsys.readouterr().err


def refused(path, reason):
    with pytest.raises(Unreadable, match=reason):
        Submission(path)


@pytest.mark.parametrize(("head", "kind"), [
    (b"Rar!\x1a\x07\x01\x00", "a RAR archive"), (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"\x1f\x8b\x08", "a gzip"),
    (b"BZh91AY", "a bzip2"), (b"\xfd7zXZ\x00", "an xz"), (bytes(257) + b"ustar\x0000", "a tar archive")])
def test_archives_of_other_kinds_are_called_what_they_are(tmp_path, head, kind):
    (tmp_path / "run.zip").write_bytes(head + bytes(300))
    refused(tmp_path / "run.zip", kind)
    (tmp_path / "run.zip").rename(tmp_path / "run.odd")
    refused(tmp_path, f"it holds run.odd, {kind}")


def test_two_zips_in_a_folder_and_a_zip_in_a_zip(run, tmp_path):
    for name in ("a.zip", "b.zip"):
        pack(run, tmp_path / name)
    refused(tmp_path, r"it holds 2 zips \(a.zip; b.zip\)")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(tmp_path / "a.zip", "inner/a.zip")
    refused(tmp_path / "outer.zip", "it holds inner/a.zip: unpack this zip")


@pytest.mark.parametrize("case", all_cases())
def test_another_cases_run_is_called_that(run, case):
    """Told by the keys of its settings, whatever their values."""
    usual = load_yaml(ROOT / "configs" / f"{case}.yaml")
    settings = {key: value for key, value in usual.items() if key not in ("about", "demo", "presets")}
    theirs, other = copy(run, "theirs"), next(name for name in all_cases() if name != case)
    (theirs / "train/config.yaml").write_text(to_yaml(settings))
    submission, reference = Submission(theirs), Submission(run)
    reference.case = other
    assert submission.case == case and Submission(run).case is None
    assert f"a run of another case: {case}, where {other} was expected" in judge(reference, submission).reasons


def test_a_half_last_line_of_the_log_costs_that_line(run):
    whole = Submission(run)
    cut = copy(run, "cut")
    text = (cut / "train/log.jsonl").read_text()
    (cut / "train/log.jsonl").write_text(text[:-10])
    assert Submission(cut).log == whole.log[:-1]
    assert any("cut off" in note for note in judge(whole, Submission(cut)).notes)
    (cut / "train/log.jsonl").write_text(text.rstrip("\n"))               # only the line end is gone
    assert Submission(cut).log == whole.log and not Submission(cut).log_is_cut_off


@needs_rights
def test_folders_that_nobody_may_read(run, tmp_path, processes):
    def compared(*words):
        return processes.run(["-m", "common.compare", run, *words], ROOT, dict(os.environ), bound=True)
    closed = tmp_path / "each" / "closed"
    closed.mkdir(parents=True)
    closed.chmod(0)
    among, alone = compared("--each", tmp_path / "each", run), compared("--each", closed)
    closed.chmod(0o700)
    assert among.returncode == 1 and "cannot be listed" in among.stdout, among.stderr
    assert alone.returncode == 2 and "cannot read the folder" in alone.stderr and alone.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_listed(run, tmp_path, capsys, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if Path(path) == tmp_path:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)
    monkeypatch.setattr("common.compare.contents.os.scandir", refuse)
    assert compare(run, "--each", tmp_path) == 2
    assert "cannot read the folder (Permission denied)" in capsys.readouterr().err


def test_a_name_that_turns_the_direction_is_shown_escaped(run, tmp_path, capsys):
    """In terminal, page and mark sheet; also among what is passed over and in what a submission says."""
    name = f"a{OVERRIDE}piz{LINE}b"
    edit(copy(run, "turned"), "test/val/items.csv", "3,gt_free", f"3{OVERRIDE},gt_free").rename(tmp_path / name)
    (tmp_path / f"x{OVERRIDE}.txt").write_text("")
    sheet, page = tmp_path / "marks.csv", tmp_path / "marks.html"
    assert compare(run, tmp_path / name, run, "--each", tmp_path, "--csv", sheet, "--html", page) == 1
    shown = capsys.readouterr().out, sheet.read_text(encoding="utf-8-sig"), page.read_text(encoding="utf-8")
    for text in shown:
        assert OVERRIDE not in text and LINE not in text
        assert "a\\u202epiz\\u2028b" in text and "x\\u202e.txt" in text


@pytest.mark.parametrize(("cell", "expected"), [
    ("=1+1", "'=1+1"), ("a;=1+1", "a;'=1+1"), ("a; @x", "a; '@x"), ("a,-1", "a,'-1"), ("a\t+1", "a\\t+1"),
    ("＝1", "'＝1"), ("psnr 20.1 instead of 20.3", "psnr 20.1 instead of 20.3"), ("a=b", "a=b"), ("a-b;c", "a-b;c")])
def test_no_cell_is_a_formula_wherever_a_spreadsheet_cuts(cell, expected):
    assert harmless(cell) == expected
