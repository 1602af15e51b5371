"""The faults that strangers' files brought out, with the files themselves: ../shared/cases."""
import csv
import importlib
import json
import shutil

import cv2
import pytest

from common.base import paths
from common.base.errors import start
from common.metrics import METRICS


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """run(case, words) -> (exit status, stdout, stderr) of its test.py with release weights; results go to tmp_path."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")

    def run(case, *words):
        main = importlib.import_module(f"cases.{case}.test").main
        try:
            status = start(main, ["--device", "cpu", "--weights", "release", *map(str, words)])
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()
    return run


def test_a_box_larger_than_its_frame_is_refused(shared, run, tmp_path):
    frames = shared("cases/box_larger_than_frame") / "frames"
    status, _, said = run("siamfc", "--input", frames, "--box", "1,1,5000,5000", "--output", tmp_path / "out.webm")
    assert status == 2 and "no larger than the frame of 320 x 240" in said and said.count("\n") == 1


def test_one_damaged_frame_is_passed_over(shared, run, tmp_path):
    status, out, said = run("siamfc", "--input", shared("cases/damaged_frame_in_folder") / "frames", "--box",
                            "129,80,64,78", "--output", tmp_path / "out.webm")
    assert status == 0 and "19 frames" in out and (tmp_path / "out.webm").exists()
    assert "passed over" in out + said and "0010.jpg" in out + said


def test_a_first_frame_without_its_target_is_said_and_never_trusted(shared, run, tmp_path):
    frames = shared("cases/confidence_without_target") / "black1"
    status, _, said = run("siamfc", "--input", frames, "--box", "129,80,64,78", "--output", tmp_path / "out.webm")
    with open(tmp_path / "out.boxes.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert status == 0 and "the target is flat" in said
    assert len(lines) == 10 and all(line["lost"] == "1" for line in lines[1:])


def test_earlier_results_stay(shared, run, tmp_path):
    for name in ("base.png", "hot.png"):
        assert run("msrnet", "--input", shared("cases/default_run_deletes") / name)[0] == 0
    made = {path.name for path in (tmp_path / "results/msrnet/default/test").rglob("images/network/*")}
    assert made == {"base.png", "hot.png"}


def test_no_result_overwrites_another_input(shared, run, tmp_path):
    for name in "AB":
        shutil.copytree(shared("cases/overwrites_other_input") / name, tmp_path / name)
    before = (tmp_path / "B/1.png").read_bytes()
    status, _, said = run("kind", "--input", tmp_path / "A", tmp_path / "B", "--output", tmp_path / "B")
    assert status == 2 and "B/1.png" in said and (tmp_path / "B/1.png").read_bytes() == before


def test_a_name_with_an_equals_sign_gets_the_hint(shared, run, monkeypatch):
    monkeypatch.chdir(shared("cases/equals_in_name"))
    status, _, said = run("msrnet", "--input", "w=600.jpg")
    assert status == 2 and "./w=600.jpg" in said


def test_every_metric_of_siamfc_has_its_direction(shared):
    content = json.loads((shared("cases/siamfc_frames_unknown") / "metrics.json").read_text())
    for row in content.values():
        for name in set(row) - {"by", "left_out", "count"}:
            assert METRICS[name].direction in ("higher", "lower"), name


@pytest.mark.parametrize("compose", ["multiband", "network"])
def test_a_label_is_shown_whole(shared, run, tmp_path, compose):
    """Two photographs of a bridge with a label at different places of the overlap: one of both is there, uncut."""
    photographs = sorted(shared("cases/udis_cuts_object").glob("*.jpg"))
    status, *_ = run("udis", "--input", *photographs, "--output", tmp_path / "joined", f"test.compose={compose}")
    assert status == 0 and cv2.QRCodeDetector().detect(cv2.imread(str(tmp_path / "joined" / "panorama.png")))[0]
