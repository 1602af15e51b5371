"""SiamFC as a case: tests beside other trackers, failed sequences, GOT-10k's zip, own videos, export, calibration, and
the users' mistakes."""
import csv
import json
import pickle
import shutil
import zipfile

import cv2
import numpy as np
import pytest
import torch

from cases.siamfc import test, videos
from cases.siamfc.baselines import trackers
from cases.siamfc.drawing.targets import Seen
from cases.siamfc.extras import both_ways, calibrate, export, own_video
from cases.siamfc.model import SiamFC
from cases.siamfc.sequences import measure
from cases.siamfc.train import optimisation
from common.base import paths
from common.base.errors import Negative, UserError
from common.data.clips import synthetic
from common.data.samples import build, photograph
from common.data.sequences import SequenceFolder
from common.experiment import checkpoints
from common.experiment.settings import resolve

WIDTHS = [8, 16, 16, 16, 8]


@pytest.fixture
def small(tmp_path, monkeypatch):
    """(folder, --weights words): results/ of the test's own, a tiny untrained network as a weights file."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    network = trackers.build_untrained(SiamFC(WIDTHS).backbone, 0)
    checkpoints.save(tmp_path / "small.pt", {"case": "siamfc", "model": {"widths": WIDTHS},
                                             "weights": network.state_dict()})
    return tmp_path, ["--weights", str(tmp_path / "small.pt"), "--device", "cpu", "--name", "t"]


@pytest.fixture
def sequences(tmp_path):
    """A copy of the sample validation set, ten frames of each sequence."""
    shutil.copytree(build("GOT-10k"), tmp_path / "GOT", ignore=shutil.ignore_patterns(".stamp", "train"))
    for folder in (tmp_path / "GOT" / "val").glob("GOT*"):
        for frame in sorted(folder.glob("*.jpg"))[10:]:
            frame.unlink()
        for name in ("groundtruth.txt", "cover.label", "absence.label", "cut_by_image.label"):
            (folder / name).write_text("\n".join((folder / name).read_text().splitlines()[:10]) + "\n")
    return tmp_path / "GOT"


def words(sequences, *more, trackers="siamfc,klt,static,untrained"):
    return [f"test.root={sequences}", f"test.trackers=[{trackers}]", *more]


def items(folder):
    with open(folder / "items.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ---- benchmark -------------------------------------------------------------------------------------------------------

def test_rows_metrics_boxes_and_pictures(small, sequences):
    place, given = small
    test.main([*given, *words(sequences)])
    folder = place / "results" / "siamfc" / "t" / "test" / "val"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics) == ["siamfc", "klt", "static", "untrained"]
    for values in metrics.values():
        assert {"ao", "auc", "precision", "sr50", "sr75", "ao_frames", "count"} <= set(values) and values["count"] == 3
    assert metrics["siamfc"] | {"by": 0} == metrics["untrained"] | {"by": 0}        # the same untrained network
    lines = items(folder)
    assert len(lines) == 12 and lines[0]["reference"] == "GOT-10k_Val_000001/groundtruth.txt"
    assert cv2.imread(str(folder / lines[0]["image"])).shape == (240, 320, 3) and not lines[1]["image"]
    boxes = np.loadtxt(folder / "boxes" / "static" / "GOT-10k_Val_000002.txt", delimiter=",")
    assert boxes.shape == (10, 4) and (boxes == boxes[0]).all()
    manifest = json.loads((place / "results" / "siamfc" / "t" / "manifest.json").read_text())
    assert "test/val/boxes/siamfc/GOT-10k_Val_000001.txt" in {entry["path"] for entry in manifest["files"]}


def test_results_of_other_settings_are_not_reused(small, sequences):
    """The toolkit skips whatever lies there; here other settings of the tracker measure anew, the same again does
    not."""
    place, given = small
    path = place / "results" / "siamfc" / "t" / "test" / "val" / "metrics.json"
    test.main([*given, *words(sequences, trackers="siamfc")])
    boxes = path.parent / "boxes" / "siamfc" / "GOT-10k_Val_000001.txt"
    first, when = path.read_text(), boxes.stat().st_mtime_ns
    test.main([*given, *words(sequences, trackers="siamfc")])
    assert path.read_text() == first and boxes.stat().st_mtime_ns == when
    test.main([*given, *words(sequences, "tracker.scales=1", trackers="siamfc")])
    assert path.read_text() != first


def test_a_damaged_frame_costs_itself_and_a_broken_sequence_does_not_stop_the_others(small, sequences, capsys):
    place, given = small
    damaged = sequences / "val" / "GOT-10k_Val_000002" / "00000004.jpg"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    (sequences / "val" / "GOT-10k_Val_000003" / "00000005.jpg").unlink()
    with pytest.raises(Negative, match="1 sequence"):
        test.main([*given, *words(sequences, trackers="siamfc,static,mil")])
    folder = place / "results" / "siamfc" / "t" / "test" / "val"
    lines = items(folder)
    assert [line["status"] for line in lines] == ["ok"] * 6 + ["failed"] * 3
    assert "9 frames" in lines[6]["reason"]
    said = capsys.readouterr().out
    assert "layout got10k" in said and "1 frames passed over" in said and "00000004.jpg" in said
    boxes = np.loadtxt(folder / "boxes" / "siamfc" / "GOT-10k_Val_000002.txt", delimiter=",")
    truth = SequenceFolder(sequences, split="val")["GOT-10k_Val_000002"]
    whole = measure(truth._replace(boxes=np.delete(truth.boxes, 3, 0), cover=np.delete(truth.cover, 3),
                                   absent=np.delete(truth.absent, 3)), np.delete(boxes, 3, 0))
    assert float(lines[3]["ao"]) == pytest.approx(whole["ao"], abs=1e-4)


def test_a_spawned_loader_is_given_the_videos(sequences):
    videos_here = pickle.loads(pickle.dumps(videos.got10k(sequences, "val")))
    assert videos_here.read(videos_here.names[0])[1].shape == (10, 4)


def test_otb_layout_and_attributes(small, sequences, tmp_path):
    place, given = small
    root = tmp_path / "OTB"
    for name in ("GOT-10k_Val_000001", "GOT-10k_Val_000002"):
        shutil.copytree(sequences / "val" / name, root / name / "img")
        (root / name / "img" / "groundtruth.txt").rename(root / name / "groundtruth_rect.txt")
    (root / "GOT-10k_Val_000001" / "attrs.txt").write_text("SV, DEF\n")
    test.main([*given, *words(root, "test.layout=otb", trackers="siamfc,static")])
    metrics = json.loads((place / "results" / "siamfc" / "t" / "test" / "OTB" / "metrics.json").read_text())
    assert metrics["siamfc"]["by"]["SV"]["with"]["count"] == 1 and "ao_frames" not in metrics["siamfc"]


def test_missing_and_unknown_trackers(small, sequences, capsys):
    place, given = small
    test.main([*given, *words(sequences, trackers="static,csrt")])
    rows = json.loads((place / "results" / "siamfc" / "t" / "test" / "val" / "metrics.json").read_text())
    assert "csrt" in rows or "make trackers" in capsys.readouterr().out
    with pytest.raises(UserError, match="'test.trackers' cannot be"):
        test.main([*given, *words(sequences, trackers="siamfc,sort")])


def test_the_servers_zip(small, sequences):
    """The test split has first boxes only: a zip with a box and a time per frame, no metrics."""
    place, given = small
    (sequences / "val").rename(sequences / "test")
    for path in sequences.glob("test/*/groundtruth.txt"):
        path.write_text(path.read_text().splitlines()[0] + "\n")
    test.main([*given, *words(sequences, "test.split=test")])
    with zipfile.ZipFile(place / "results" / "siamfc" / "t" / "SiamFC.zip") as archive:
        assert len(archive.namelist()) == 6
        boxes = archive.read("GOT-10k_Val_000001/GOT-10k_Val_000001_001.txt").decode().split()
        assert len(boxes) == 10 and all(len(box.split(",")) == 4 for box in boxes)
        assert len(archive.read("GOT-10k_Val_000001/GOT-10k_Val_000001_time.txt").decode().split()) == 10
    assert not (place / "results" / "siamfc" / "t" / "test").exists()


# ---- own video -------------------------------------------------------------------------------------------------------

def test_a_damaged_frame_of_an_own_folder_is_passed_over(small, sequences, tmp_path, capsys):
    """The frames around it keep their numbers; a damaged first frame, in which the box was drawn, is an error."""
    _, given = small
    source = sequences / "val" / "GOT-10k_Val_000001"
    damaged = source / "00000004.jpg"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    words = [*given, "--input", str(source), "--box=20,30,40,40", "--output", str(tmp_path / "out.webm")]
    test.main(words)
    with open(tmp_path / "out.boxes.csv", encoding="utf-8", newline="") as file:
        assert [line["frame"] for line in csv.DictReader(file)] == ["1", "2", "3", "5", "6", "7", "8", "9", "10"]
    said = capsys.readouterr().out
    assert "frames passed over" in said and "00000004.jpg" in said
    (source / "00000001.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="00000001.jpg"):
        test.main(words)


def test_a_box_larger_than_the_frame_is_refused(small, sequences, tmp_path):
    _, given = small
    source = sequences / "val" / "GOT-10k_Val_000001"
    with pytest.raises(UserError, match="no larger than the frame"):
        test.main([*given, "--input", str(source), "--box=1,1,5000,5000", "--output", str(tmp_path / "out.webm")])


def test_a_folder_of_frames_two_targets(small, sequences, tmp_path):
    _, given = small
    source = sequences / "val" / "GOT-10k_Val_000001"
    truth = SequenceFolder(sequences, "auto", "val")[0].boxes[0]
    box = ",".join(f"{value:g}" for value in truth)
    test.main([*given, "--input", str(source), "--box", box, "--box=20,30,40,40", "--output",
               str(tmp_path / "out.webm")])
    with open(tmp_path / "out.boxes.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 20 and {line["target"] for line in lines} == {"1", "2"}
    assert float(lines[0]["x"]) == round(truth[0], 3)
    assert all(0 <= float(line["confidence"]) <= 1 for line in lines)
    capture, count = cv2.VideoCapture(str(tmp_path / "out.webm")), 0
    while capture.read()[0]:
        count += 1
    assert count == 10 and not list(tmp_path.glob("*.part*"))


def test_a_video_file(small, sequences, tmp_path):
    _, given = small
    frames = [cv2.imread(str(path)) for path in sorted((sequences / "val" / "GOT-10k_Val_000001").glob("*.jpg"))]
    writer = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (320, 240))
    for frame in frames:
        writer.write(frame)
    writer.release()
    test.main([*given, "--input", str(tmp_path / "clip.mp4"), "--box", "100,80,50,50", "--output",
               str(tmp_path / "there")])
    assert (tmp_path / "there" / "clip.webm").stat().st_size > 1000
    with pytest.raises(UserError, match="overwrite the input"):
        test.main([*given, "--input", str(tmp_path / "clip.mp4"), "--box", "1,2,30,40", "--output",
                   str(tmp_path / "clip.mp4")])


class Left:
    """A tracker whose box stays for one frame and is then far off."""
    def init(self, image, box):
        self.box, self.updates = box, 0

    def update(self, image):
        self.updates += 1
        return self.box + (100 * (self.updates > 1), 0, 0, 0)


def test_the_way_back_flags_what_it_does_not_confirm():
    """It begins at the last frame that is not lost; frames behind that have no second opinion."""
    box, frame = np.array([10.0, 10.0, 20.0, 20.0]), (1, both_ways.pack(np.zeros((60, 80, 3), np.uint8)))
    forth = [Seen(box, 0.9, False)] * 4 + [Seen(box, 0.1, True)]
    checked = both_ways.compare(forth, [frame] * 5, Left())
    assert np.array_equal([now.agreement for now in checked], [0, 0, 1, 1, np.nan], equal_nan=True)
    assert [now.doubtful for now in checked] == [True, True, False, False, False]


def test_a_second_pass_over_ones_own_clip(small, tmp_path):
    """A target that stands still is followed alike both ways; the table says so for every frame."""
    place, given = small
    frame = photograph("rocket.jpg")[:240, :320].copy()
    frame[100:150, 120:170] = photograph("astronaut.png")[60:110, 90:140]
    (tmp_path / "still").mkdir()
    for number in range(5):
        cv2.imwrite(str(tmp_path / "still" / f"{number}.png"), frame[..., ::-1])
    test.main(["--weights", "release", *given[2:], "--input", str(tmp_path / "still"), "--box", "121,101,50,50",
               "test.backward=true"])
    with open(place / "results/siamfc/t/video/still.boxes.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["doubtful"] for line in lines] == ["0"] * 5 and lines[-1]["agreement"] == "1.0000"
    assert all(float(line["agreement"]) > 0.7 for line in lines)
    assert (place / "results/siamfc/t/video/still.webm").stat().st_size > 1000


def test_the_way_back_is_for_clips(small, sequences):
    _, given = small
    with pytest.raises(UserError, match=r"test\.backward is for --input"):
        test.main([*given, *words(sequences, "test.backward=true")])


@pytest.mark.parametrize(("more", "expected"),
                         [(["--box", "1,2,3"], "is no box"), (["--box", "a,b,c,d"], "is no box"),
                          (["--box"], "is no box"), (["--box", "900,20,30,30"], "touches the frame"),
                          ([], "--box is needed")])
def test_boxes_that_are_none(small, sequences, monkeypatch, more, expected):
    _, given = small
    monkeypatch.delenv("DISPLAY", raising=False)

    def without_display(*arguments):
        raise cv2.error("no display")
    monkeypatch.setattr(cv2, "selectROIs", without_display)
    with pytest.raises(UserError, match=expected):
        test.main([*given, "--input", str(sequences / "val" / "GOT-10k_Val_000001"), *more])


def test_sources_that_are_none(small, tmp_path, capfd):
    _, given = small
    (tmp_path / "page.mp4").write_text("hello\n")              # of which FFMPEG complains by itself
    (tmp_path / "empty").mkdir()
    for source, expected in [("page.mp4", "cannot be read"), ("nothing.mp4", "no such file"),
                             ("empty", "no pictures")]:
        with pytest.raises(UserError, match=expected):
            test.main([*given, "--input", str(tmp_path / source), "--box", "1,2,30,40"])
    assert capfd.readouterr().err == ""
    with pytest.raises(UserError, match="--box is for --input"):
        test.main([*given, "--box", "1,2,30,40"])
    assert own_video.split_boxes(["--name", "x", "--box=1,2,3,4"])[1] == ["--name", "x"]


# ---- weights, export, calibration, training --------------------------------------------------------------------------

def test_a_ports_file_is_read_by_test_py(small, sequences, tmp_path):
    place, given = small
    state = trackers.build_untrained(SiamFC(WIDTHS).backbone, 0).state_dict()
    torch.save({"module." + key: value for key, value in state.items()}, tmp_path / "port.pth")
    given = ["--weights", str(tmp_path / "port.pth"), *given[2:]]
    test.main([*given, *words(sequences, trackers="siamfc")])
    manifest = json.loads((place / "results" / "siamfc" / "t" / "manifest.json").read_text())
    assert manifest["weights"]["test/val"] == checkpoints.digest(state)


def test_onnx_graphs(tmp_path):
    pytest.importorskip("onnx")
    network = trackers.build_untrained(SiamFC(WIDTHS).backbone, 0)
    paths = export.export(network, tmp_path / "onnx")
    assert all(path.stat().st_size > 1000 for path in paths)
    difference = export.largest_difference(network, paths)
    assert difference is None or difference < 1e-4


def test_calibration_finds_the_curve():
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (4000, 2))
    right = rng.random(4000) < 1 / (1 + np.exp(-(0.5 + 2 * features[:, 0] + features[:, 1])))
    assert np.allclose(calibrate.fit(features, right), [0.5, 2, 1], atol=0.2)
    assert calibrate.fit(features * (1, -1), right)[2] == 0                     # a clearer peak never means doubt
    assert calibrate.roc_area(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])) == 0.75
    assert calibrate.roc_area(np.ones(4), np.array([False, False, True, True])) == 0.5
    chance, right = np.array([0.1, 0.2, 0.8, 0.9] * 10), np.array([False, False, True, True] * 10)
    limit = calibrate.balanced_threshold(chance, right)
    assert 0.2 < limit <= 0.8 and ((chance < limit) == ~right).all()
    chance = rng.random(4000)                                                   # half of them right, each by its chance
    right = rng.random(4000) < chance
    called = chance < calibrate.balanced_threshold(chance, right)
    hit, false = called[~right].mean(), called[right].mean()
    assert abs(0.2 * hit + 0.8 * false - 0.2) < 0.02                            # as many called as wrong ones


def test_what_calibration_shows_the_tracker():
    """Every clip three times, in each of which the target is gone for a while: cut away at the end, cut away after the
    first frame, painted over; half of the clips never fit what calls the others lost."""
    patch = photograph("astronaut.png")[60:120, 90:140]
    clips = [synthetic(np.random.default_rng(seed), photograph("rocket.jpg"), patch, 16, (160, 120))
             for seed in range(3)]
    takes = calibrate.make_takes(clips, np.random.default_rng(0))
    gone = [np.isnan(take.boxes).all(axis=1) for take in takes]
    assert [take.source for take in takes] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert gone[0].tolist() == [False] * 16 + [True] * 6 and gone[1].tolist() == [False] + [True] * 6
    assert gone[2].sum() == 6 and not gone[2][:2].any()
    frame = photograph("coffee.png")[:120, :160]
    changed = (calibrate.hide(frame, np.array([61.0, 41.0, 40.0, 30.0])) != frame).any(axis=2)
    assert changed[40:70, 60:100].mean() > 0.8 and changed.sum() < 1.6 * 40 * 30
    features = np.column_stack([np.tile([0.0, -2.0], 40), np.zeros(80)])
    right, source = np.tile([True, False], 40), np.arange(80) // 8
    called, _ = calibrate.crossed(features, right, source)
    assert np.array_equal(called, ~right) and calibrate.rates(called, ~right) == "precision 1.000, recall 1.000"


def test_the_papers_rates():
    """sgd: rate 2 for biases of convolutions and gains, no decay on these and on shifts, a thousandth of the rate in
    the end."""
    settings = resolve("siamfc", ["preset=paper"]).config.train
    model = SiamFC(WIDTHS, bias=True)
    optimizer, schedule = optimisation(model, settings)
    by_rate = {(group["lr"], group["weight_decay"]): len(group["params"]) for group in optimizer.param_groups}
    assert by_rate == {(1e-2, 5e-4): 5, (2e-2, 0.0): 5 + 4 + 1, (1e-2, 0.0): 4}
    assert np.isclose(schedule.lr_lambdas[0](settings.steps), 1e-3)
    count = sum(len(group["params"]) for group in optimisation(model, resolve("siamfc").config.train)[0].param_groups)
    assert count == len(list(model.parameters()))
