"""The grader's command: exit statuses, a class of a hundred, the mark sheet, the page; what is handed in never acts."""
import csv
import html.parser
import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from handed_in import copy, edit, enter, make_root, make_run, pack

from common.base.errors import start
from common.base.paths import ROOT
from common.compare import guarded, page, pictures
from common.compare.__main__ import Judge, main
from common.compare.guarded import MAX_MEMORY, Lost, run_guarded
from common.compare.judge import Options
from common.experiment.results import write_text

EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(test root, reference, run of another seed)."""
    folder = tmp_path_factory.mktemp("a class")
    root = make_root(folder / "data")
    return root, make_run(folder / "reference", root), make_run(folder / "seed", root, seed=1)


def compare(*words):
    return start(main, [str(word) for word in words])


def test_exit_statuses(runs, tmp_path, capsys):
    root, reference, seed = runs
    edited = edit(copy(reference, "edited"), "test/val/items.csv", "7.500000", "9.500000")
    assert compare(reference, copy(reference, "twin")) == 0 and "twin: identical" in capsys.readouterr().out
    assert compare(reference, seed, "--exact") == 1
    out = capsys.readouterr().out
    assert "seed: different" in out and "psnr" in out and "seed = 1 instead of 0" in out
    assert compare(reference, edited) == 1 and "test/val/items.csv" in capsys.readouterr().out
    assert compare(reference, tmp_path) == 2 and "no result" in capsys.readouterr().out
    # one of several unreadable is no mistake of the grader
    assert compare(reference, tmp_path, seed, "--tolerance", "psnr=9") == 1
    assert compare(reference, pack(reference, tmp_path / "run.zip"), "--recompute", root) == 0


def test_a_pool_of_spawned_processes(runs, monkeypatch, capsys):
    """As on Windows, where no process is forked."""
    _, reference, seed = runs
    monkeypatch.setattr(guarded, "PROCESSES", multiprocessing.get_context("spawn"))
    assert compare(reference, copy(reference, "twin"), seed, "--exact", "--processes", 2) == 1
    assert "1 identical, 1 different" in capsys.readouterr().out


def test_forged_numbers_are_found_by_recompute(runs, capsys):
    """A number in metrics.json and its manifest line changed; then all of items.csv, metrics.json and manifest."""
    root, reference, _ = runs
    psnr = json.loads((reference / "test/val/metrics.json").read_text())["gt_free"]["psnr"]
    forged = edit(copy(reference, "forged"), "test/val/metrics.json", str(psnr), "60.5", forge=True)
    assert compare(reference, forged, "--recompute", root) == 1
    assert "gt_free: psnr = 60.5" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "expected"), [
    ([], "nothing to compare"), (["--each", "no/such"], "--each"), (["X", "--recompute", "no/such"], "--recompute"),
    (["X", "--tolerance", "psnr"], "METRIC=X"), (["X", "--tolerance", "pnsr=1"], "METRIC one of"),
    (["X", "--tolerance", "psnr=-1"], "from 0 up"), (["X", "--tolerance", "psnr=nan"], "from 0 up")])
def test_the_graders_mistakes(runs, capsys, words, expected):
    assert compare(runs[1], *(runs[2] if word == "X" else word for word in words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and expected in error and len(error.splitlines()) == 1


def test_a_reference_that_cannot_be_used(runs, tmp_path, capsys):
    spoilt = copy(runs[1], "spoilt")
    (spoilt / "test/val/images/gt_free/1.png").write_bytes(b"")
    for reference, reason in [(spoilt, "its own manifest"), (tmp_path / "none", "no such folder"),
                              (runs[0], "no result")]:
        assert compare(reference, runs[2]) == 2
        assert reason in capsys.readouterr().err


def test_a_wrong_root_is_the_graders_mistake(runs, tmp_path, capsys):
    """Nobody is accused because --recompute names the wrong folder; links inside the right one are the grader's."""
    assert compare(runs[1], runs[1], "--recompute", tmp_path) == 2 and "has no high/1.png" in capsys.readouterr().err
    os.symlink(runs[0] / "high", tmp_path / "high")
    assert compare(runs[1], runs[1], "--recompute", tmp_path) == 0


def test_a_pipe_for_a_reference(runs, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    assert compare(tmp_path / "pipe", runs[1]) == 2 and "no plain file" in capsys.readouterr().err


def test_names_that_the_terminal_cannot_show(runs, tmp_path):
    """A console without the letter, control characters in a name: the marks are written, nothing acts."""
    pack(runs[1], tmp_path / "\U0001F600.zip")
    pack(runs[2], tmp_path / "a;=1+1\x1b[2J.zip")
    words = [str(runs[1]), "--exact", "--each", str(tmp_path), "--csv", str(tmp_path / "marks.csv")]
    done = subprocess.run([sys.executable, "-m", "common.compare", *words], cwd=ROOT, capture_output=True,
                          env=os.environ | {"PYTHONIOENCODING": "gbk", "OMP_NUM_THREADS": "1"}, timeout=120)
    assert done.returncode == 1 and b"Traceback" not in done.stderr and b"\x1b" not in done.stdout, done.stderr
    assert '"a;\'=1+1\\x1b[2J.zip"' in (tmp_path / "marks.csv").read_text(encoding="utf-8-sig")


# ---- a class ----

@pytest.fixture(scope="module")
def handed_in(runs, tmp_path_factory):
    """A hundred submissions in one folder, honest, edited and hostile, with the verdict expected of each."""
    folder, expected = tmp_path_factory.mktemp("handed in"), {}
    root, reference, seed = runs

    def hand_in(name, verdict, run):
        expected[name] = verdict
        return shutil.copytree(run, folder / name) if not name.endswith(".zip") else pack(run, folder / name)

    for number in range(40):
        hand_in(f"honest-{number:02d}.zip", "identical", reference)
    for number in range(30):
        hand_in(f"seed-{number:02d}", "same", seed)
    for number in range(10):
        edit(hand_in(f"edited-{number}", "tampered", reference), "test/val/metrics.json", '"count": 3',
             f'"count": {number + 4}')
    for number in range(5):
        forged = hand_in(f"forged-{number}", "tampered", reference)
        text = (forged / "test/val/items.csv").read_text().splitlines()
        text[1] = re.sub(r"high/1.png,[\d.]+", "high/1.png,66.000000", text[1])
        write_text(forged / "test/val/items.csv", "\n".join(text) + "\n")
        enter(forged, "test/val/items.csv")
    for number in range(4):
        (hand_in(f"incomplete-{number}", "different", reference) / "test/val/images/gt_free/1.png").unlink()
    os.symlink("/etc", hand_in("link", "unreadable", reference) / "test" / "etc")
    for number, name in enumerate(["../../evil.txt", "/evil.txt", "run/../../evil.txt"]):
        with zipfile.ZipFile(hand_in(f"leads-out-{number}.zip", "unreadable", reference), "a") as archive:
            archive.writestr(name, EVIL)
    for name, content in {"page.zip": b"<html>login</html>", "empty.zip": b"", "rar.rar": b"Rar!\x1a\x07",
                          "half.zip": b"PK\x03\x04half"}.items():
        (folder / name).write_bytes(content)
        expected[name] = "unreadable"
    (folder / "nothing").mkdir()
    expected["nothing"] = "unreadable"
    expected["nan"] = "unreadable"
    edit(shutil.copytree(reference, folder / "nan"), "test/val/metrics.json", '"count": 3', '"count": NaN', forge=True)
    hostile = hand_in("=cmd|' -C calc'!A0 " + EVIL.replace("/", "|"), "different", seed)
    edit(hostile, "train/config.yaml", "steps: 3", f"steps: '{EVIL}'", forge=True)
    edit(hostile, "test/val/items.csv", "3,gt_free", f"3 {EVIL}".replace('"', "'") + ",gt_free", forge=True)
    edit(hostile, "test/val/metrics.json", '"entropy": 7.25', '"entropy": 9.25', forge=True)
    expected[hostile.name] = "tampered"
    (folder / "marks from last year.csv").write_text("not a submission")
    (folder / ".DS_Store").write_bytes(b"\0")
    assert len(expected) == 100
    return folder, expected


def test_a_class_of_a_hundred(runs, handed_in, tmp_path, capsys):
    """Every verdict as expected, every refusal named, nothing written but what was asked for, no foreign markup."""
    folder, expected = handed_in
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if not path.is_symlink()}
    outside = set(folder.parent.iterdir())
    sheet, page = tmp_path / "marks.csv", tmp_path / "marks.html"
    assert compare(runs[1], "--each", folder, "--csv", sheet, "--html", page, "--processes", 2,
                   "--tolerance", "psnr=1", "--tolerance", "ssim=.1", "--tolerance", "ssim_gray=.1") == 1
    lines = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8-sig"))))
    assert lines.pop()["submission"] == "marks from last year.csv"         # passed over, and said so
    assert {line["submission"].removeprefix("'"): line["verdict"] for line in lines} == expected
    assert [line["submission"].removeprefix("'") for line in lines] == sorted(expected)
    assert all(line["reasons"] for line in lines if line["verdict"] not in ("identical", "same"))
    assert not any(line["submission"].startswith(("=", "+", "-", "@")) for line in lines)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if not path.is_symlink()} == before
    assert set(folder.parent.iterdir()) == outside
    assert sorted(path.name for path in tmp_path.iterdir()) == ["marks.csv", "marks.html", "marks_files"]
    check_page(page.read_text(encoding="utf-8"), expected)
    assert f"{list(expected.values()).count('unreadable')} unreadable" in capsys.readouterr().out


def check_page(text, expected):
    """Only our own elements; every submission in the overview and with a section of its own."""
    found = Elements()
    found.feed(text)
    assert found.scripts == 1 and not found.handlers and not found.outside
    assert found.sections == len(expected) and EVIL not in text and "&lt;script&gt;alert(1)" in text


class Elements(html.parser.HTMLParser):
    """Counts what could act in a page."""
    scripts, sections = 0, 0

    def __init__(self):
        super().__init__()
        self.handlers, self.outside = [], []

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        self.sections += tag == "section"
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        self.outside += [value for name, value in attributes if name in ("src", "href")
                         and not value.startswith(("data:image/", "#", "marks_files/"))]


def test_a_page_of_one(runs, tmp_path):
    """The farthest pictures side by side with their difference, the settings, the means, the curve."""
    other = make_run(tmp_path / "noisy", runs[0], noise=0.05)
    assert compare(runs[1], other, "--html", tmp_path / "page.html") == 1
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("data:image/") == 9 and "difference," in text and "<polyline" in text and "What decides" in text


def test_memory_does_not_grow_with_their_number(runs):
    """What stays in memory of a submission is a page of text; its pictures are in the section, which waits on disk."""
    judgement, sections = Judge(runs[1], Options(), True)((runs[2], "seed"))
    assert "data:image/" in sections.shown and len(repr(judgement)) < 5000


def test_the_page_of_a_class_is_small_and_the_rest_lies_beside(runs, tmp_path):
    """Two thumbnails a submission; all its pictures, means and its curve on a page of its own, which is replaced the
    next time; a foreign file in that folder stays."""
    other = make_run(tmp_path / "noisy", runs[0], noise=0.05)
    for number in range(page.FEW + 1):
        shutil.copytree(other, tmp_path / "in" / f"student {number:02}")
    html, beside = tmp_path / "in" / "my marks.html", tmp_path / "in" / "my marks_files"
    for _ in range(2):                                         # the second time both lie among the submissions
        assert compare(runs[1], "--each", tmp_path / "in", "--html", html) == 1
        text = html.read_text(encoding="utf-8")
        assert text.count("data:image/") == 2 * (page.FEW + 1) and "<polyline" not in text
        assert 'href="my%20marks_files/1.html"' in text and text.count("<section") == page.FEW + 1
        own = (beside / "1.html").read_text(encoding="utf-8")
        assert own.count("data:image/") == 9 and "<polyline" in own and "student 00" in own
        assert len([path for path in beside.iterdir() if path.name != "my notes.html"]) == page.FEW + 1
        (beside / "my notes.html").write_text("mine")
        (beside / "99.html").write_text("of a larger class")
    assert (beside / "my notes.html").read_text() == "mine"


def test_a_picture_that_many_hand_in_is_measured_once(runs, tmp_path, monkeypatch):
    """By all processes together: what one has measured lies in a folder for the others."""
    measured, measure = [], pictures.measure

    def count(submission, path, *words):
        measured.append(path)
        return measure(submission, path, *words)
    monkeypatch.setattr(pictures, "measure", count)
    judge_one = Judge(runs[1], Options(recompute=runs[0], measured=tmp_path), False)
    for number in range(3):
        judgement, _ = judge_one((copy(runs[2], f"again{number}"), f"again{number}"))
        assert "3 lines measured again" in judgement.notes
    assert len(measured) == 3
    assert len([path for path in tmp_path.iterdir() if not path.suffix]) == 3


def test_an_unwritable_page(runs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert compare(runs[1], runs[2], "--html", tmp_path / "file" / "page.html") == 2
    assert "cannot write" in capsys.readouterr().err


# ---- guarded processes ----

class Killing:
    """A result whose process is killed while it answers, as by the kernel when memory runs out."""

    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGKILL)


def trouble(word):
    if word == "dies":
        os._exit(7)
    if word == "is killed":
        return Killing()
    if word == "eats":
        return len(bytearray(MAX_MEMORY))
    if word == "hangs":
        time.sleep(600)
    if word == "raises":
        raise RuntimeError("nobody thought of this")
    return word.upper()


def test_one_that_dies_hangs_or_raises_takes_nothing_with_it():
    words = ["a", "dies", "b", "hangs", "c", "raises", "d", "is killed", "e", "eats", "f"]
    began = time.monotonic()
    results = dict(run_guarded(trouble, words, 2, seconds=4))
    assert time.monotonic() - began < 60
    assert [results[place] for place in (0, 2, 4, 6, 8, 10)] == ["A", "B", "C", "D", "E", "F"]
    assert all(isinstance(results[place], Lost) for place in (1, 3, 5, 7, 9))
    assert "exit code 7" in results[1] and "longer than 4 seconds" in results[3] and "nobody thought" in results[5]
    assert "exit code -9" in results[7] and "MemoryError" in results[9]


def test_work_is_done_at_the_same_time(tmp_path):
    results = run_guarded(Path.exists, [tmp_path] * 20, 3, seconds=20)
    assert sorted(place for place, _ in results) == list(range(20))
