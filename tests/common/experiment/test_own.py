"""--input and --output: every case settles where its results go before any work; earlier results stay."""
import ast
import importlib
import re
import shutil
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from common.base import paths
from common.base.errors import Negative, UserError, start
from common.base.paths import ROOT, all_cases
from common.data import video
from common.data.samples import build
from common.experiment import own
from common.experiment.results import TestResults
from common.experiment.run import Run
from common.experiment.settings import resolve


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with A/1.png, B/1.png and clip.webm, to stand in; results go there too."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
        Image.fromarray(draw.integers(0, 90, (40, 56, 3), dtype=np.uint8)).save(tmp_path / name / "1.png")
    with video.writing(tmp_path / "clip.webm", 10, (64, 48)) as write:
        for _ in range(3):
            write(draw.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    return tmp_path


def script(processes, place, case, *words):
    command = [str(ROOT / "cases" / case / "test.py"), "--demo", "--name", "own", "--weights", "release", *words]
    return processes.run(command, place, {"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize("case", all_cases())
def test_no_case_writes_over_an_input(processes, place, case):
    """Pictures and a video by every case, whichever of the two it takes, over themselves and each other."""
    if not (ROOT / "checkpoints" / case / "release.pt").exists():
        pytest.skip(f"checkpoints/{case}/release.pt is not there yet: its own tests look at this")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    more = {"siamfc": ["--box", "9,9,20,20"], "vgg19_style": ["--style", "A/1.png"]}.get(case, [])
    for words in (["--input", "A", "B", "--output", "B"], ["--input", "A/1.png", "--output", "x.gif"],
                  ["--input", "clip.webm", "--output", "clip.webm"]):
        done = script(processes, place, case, *words, *more)
        assert done.returncode in (1, 2), (words, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert not (place / "x.gif").exists()


@pytest.mark.parametrize("words", [["--input"], ["--weights"], ["--config"], ["--name"], ["test.root="], ["data.root="],
                                   ["--input", "A", "--output"]], ids=" ".join)
def test_five_thousand_letters_are_one_line(place, words, capsys):
    """A name too long for a file, and a path too long for the system."""
    for long in ("x" * 5000, "/".join(["y" * 200] * 25)):
        value = words[:-1] + [words[-1] + long] if words[-1].endswith("=") else [*words, long]
        main = importlib.import_module("cases.msrnet.test").main
        try:
            status = start(main, ["--demo", "--device", "cpu", *value])
        except SystemExit as end:
            status = end.code
        said = capsys.readouterr().err
        assert status == 2 and "Traceback" not in said and said.count("error: ") == 1, said[:2000]


SETTLE = ("expect_targets", "settle(", "settle_folder(", "settle_own(", "restore_own(", "segment_own(", "stitch_own(",
          "enlarge_own(", "follow_own(", "own_pictures.", "skeleton.write", "pack(")


def test_every_script_that_is_told_where_to_write_looks_first():
    """Whoever has an option or argument that names what is written calls common/base/targets.py, itself or by way of
    what it names."""
    asked = []
    for path in [*ROOT.glob("cases/**/*.py"), *ROOT.glob("common/**/*.py")]:
        text = path.read_text(encoding="utf-8")
        words = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
        if "add_argument" in text and {"--out", "--output", "--html", "--csv", "out", "target"} & set(map(str, words)):
            asked.append(path.relative_to(ROOT).as_posix())
            if path.name != "options.py":
                assert any(call in text for call in SETTLE), path
    assert len(asked) >= 8
    for path in ROOT.glob("cases/*/test.py"):
        assert any(call in path.read_text(encoding="utf-8") for call in SETTLE), path


def run_of(place, *words):
    return Run("msrnet", "test", ["--name", "own", "--device", "cpu", *map(str, words)])


def test_output_is_a_file_for_one_result_and_a_folder_for_several(place):
    (place / "there.png").mkdir()
    one, two = [own.picture("A/1.png")], [own.picture("A/1.png"), own.picture("B/1.png", "2")]
    for output, made, expected in [("out.png", one, ["out.png"]), ("name.v2/", one, ["name.v2/1.png"]),
                                   ("out", one, ["out/1.png"]), ("there.png", one, ["there.png/1.png"]),
                                   ("out.png/", two, ["out.png/1.png", "out.png/2.png"]),
                                   ("name.v2", two, ["name.v2/1.png", "name.v2/2.png"])]:
        found = run_of(place, "--input", "A", "--output", output).settle(made)
        assert [path.as_posix() for path in found] == expected
    for output, made, said in [("out.png", two, "one file for 2 results"), ("x.mkv", two, "one file for 2 results"),
                               ("name.v2", one, "unknown picture format '.v2'"),
                               ("x.gif", one, "unknown picture format '.gif'")]:
        with pytest.raises(UserError, match=said):
            run_of(place, "--input", "A", "--output", output).settle(made)


def test_a_format_that_cannot_hold_the_picture_is_told(place):
    made = [own.picture("A/1.png", size=(20, 16384))]
    with pytest.raises(UserError, match="at most 16383 pixels a side, the picture has 16384x20"):
        run_of(place, "--input", "A", "--output", "wide.webp").settle(made)
    assert run_of(place, "--input", "A", "--output", "wide.jpg").settle(made)
    for words in (["--output", "vast.png"], []):             # what four times the sides make of a large photograph
        with pytest.raises(UserError, match="would have 16000x12000 pixels, at most 178 million"):
            run_of(place, "--input", "A", *words).settle([own.picture("A/1.png", size=(12000, 16000))])
    Image.new("1", (16000, 12000)).save("A/vast.png")        # what is not read is told in its turn, not for all
    assert run_of(place, "--input", "A").settle([own.picture("A/vast.png"), own.picture("A/vast.png", size=(9, 99999))])


def test_names_stay_and_kinds_that_are_not_written_become_others(place):
    shutil.copy("A/1.png", "A/1.bmp")
    Image.open("A/1.png").save("A/2.gif")
    (place / "film.wmv").write_bytes(b"")
    made = [own.picture("A/1.png"), own.picture("A/1.bmp"), own.picture("A/2.gif"), own.film("film.wmv", place / "v")]
    assert [path.name for path in run_of(place, "--input", "A", "--output", "out").settle(made)] == [
        "1.png", "1.bmp", "2.png", "film.mp4"]
    (place / "v").mkdir()
    (place / "v" / "film.mp4").write_bytes(b"earlier")
    assert run_of(place, "--input", "A").settle(made) == [None, None, None, place / "v" / "film-2.mp4"]


def test_the_files_that_settings_name_are_inputs(place):
    with pytest.raises(UserError, match="would overwrite the input .*B/1.png"):
        run_of(place, "--input", "A", "--output", "B/1.png", f"--weights={place / 'B' / '1.png'}").settle(
            [own.picture("A/1.png")])
    with pytest.raises(UserError, match="is for the results of --input"):
        run_of(place, "--output", "B/1.png")


def own_results(place, *words, weights="w"):
    chosen = type("Weights", (), {"digest": weights, "model": {}, "path": place})
    run = run_of(place, *words)
    return run.own_results(chosen, [place / word for word in words if word.endswith(".png")], rows=["network"],
                           metrics=["entropy"])


def fill(found, item):
    path = found.image_path(item, "network")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"picture")
    found.add(item, {"network": ({"entropy": 1.0}, path)})
    found.finish([item])
    return path


def test_earlier_results_stay_beside_later_ones(place):
    first = fill(own_results(place, "--input", "A/1.png"), "1")
    second = fill(own_results(place, "--input", "B/1.png"), "1")
    third = own_results(place, "--input", "A/1.png", weights="others")
    assert (first.parts[-4], second.parts[-4], third.set_name) == ("input", "input-2", "input-3")
    assert first.exists() and second.exists()
    again = own_results(place, "--input", "B/1.png")
    assert again.set_name == "input-2" and again.has("1")
    Image.open("A/1.png").resize((9, 9)).save("B/1.png")
    assert not own_results(place, "--input", "B/1.png").has("1"), "the file has changed"


def test_where_all_failed_there_is_no_table(tmp_path):
    found = TestResults(tmp_path, "set", weights="w", settings={}, data="d", rows=["network"], metrics=["psnr"])
    found.expect_some()
    for item in ("1", "2"):
        found.fail(item, "unreadable")
    with pytest.raises(Negative, match="not one of 2 could be done: 1: unreadable; 2: unreadable"):
        found.expect_some()
    found.add("2", {"network": ({"psnr": 1.0}, None)})
    found.expect_some()


@pytest.mark.parametrize("word", ["w=600.jpg", "-night.jpg"])
def test_a_file_that_looks_like_a_setting_gets_a_hint(place, word):
    with pytest.raises(UserError, match=f"at least one argument.*say ./{word}.*--help"):
        run_of(place, "--input", word)
    with pytest.raises(UserError, match=r"unknown setting 'w'.*say ./w=600.jpg"):
        resolve("msrnet", ["w=600.jpg"])
    with pytest.raises(UserError) as problem:
        resolve("msrnet", ["train.batchsize=4"])
    assert "./" not in str(problem.value)


@pytest.mark.parametrize(("words", "expected"), [
    ([], "about 10 minutes on one core"), (["preset=denoise"], "about 25 minutes on one core"),
    (["preset=dilated"], "not measured for preset=dilated"), (["--demo"], "under a minute"),
    (["train.steps=5", "test.strength=1", "workers=0"], "as configured; you changed train.steps$")])
def test_the_expected_time_is_that_of_the_settings_at_hand(place, words, expected):
    found = Run("msrnet", "train", ["--name", "x", "--device", "cpu", *words]).expected_time()
    assert re.search(expected, found), found


@pytest.mark.skipif(sys.platform == "win32", reason="the fonts of the console")
def test_opencv_says_nothing_of_tags(place, capfd):
    with video.writing(place / "b.webm", 10, (64, 48)) as write:
        write(np.zeros((48, 64, 3), np.uint8))
    assert capfd.readouterr().err == "" and cv2.VideoCapture(str(place / "b.webm")).isOpened()


@pytest.mark.parametrize(("case", "words", "left"), [
    ("kind", [], "B2.1_networks.png"), ("msrnet", [], "B1.1_network.png"),
    ("view_free_stitch", [f"test.root={build('stereo')}"], "parallax.png")])
def test_figures_ask_only_for_data_that_they_need(place, monkeypatch, capsys, case, words, left):
    """Without the data what needs none is drawn, and the setting is named; a folder that was typed must be there."""
    (place / "nowhere.yaml").write_text(f"data: {{root: {place / 'nowhere'}}}\n")
    module = importlib.import_module(f"cases.{case}.figures")
    monkeypatch.setattr(module, "draw_panoramas", lambda *_: None, raising=False)      # drawn in tests/test_cases.py
    draw = module.main
    usual = ["--name", "own", "--weights", "release", "--device", "cpu", *words]
    draw([*usual, "--config", "nowhere.yaml"])
    assert re.search(r"figures of test pictures are left out: .*nowhere.* set data.root", capsys.readouterr().out)
    assert (place / "results" / case / "own" / "figures" / left).exists()
    with pytest.raises(UserError, match=r"nowhere.* set (test.root or )?data.root"):
        draw([*usual, f"data.root={place / 'nowhere'}"])
