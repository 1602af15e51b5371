"""The verdicts: every kind of honest and dishonest difference, found and named."""
import json

import pytest

from common.errors import UserError
from common.images import read_bytes
from common.judge import Options, judge, judge_mean
from common.results import write_text
from common.submission import Submission
from handed_in import copy, edit, enter, make_root, make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(test root, reference run, run of another seed)."""
    folder = tmp_path_factory.mktemp("runs")
    root = make_root(folder / "data")
    return root, make_run(folder / "reference", root), make_run(folder / "seed", root, seed=1)


def verdict_of(reference, submission, **options):
    return judge(Submission(reference), Submission(submission), Options(**options))


def test_equal_bytes_are_identical(runs):
    judgement = verdict_of(runs[1], copy(runs[1], "twin"), exact=True, recompute=runs[0])
    assert (judgement.verdict, judgement.reasons) == ("identical", [])
    assert all(value.judged == "equal" for value in judgement.values) and len(judgement.values) == 8


def test_another_seed(runs):
    """Within tolerance it is the same; exactly it differs, with metrics named; the seed is among the changed settings in any case."""
    usual, exact = verdict_of(*runs[1:], tolerances={"psnr": 1, "ssim": 1, "ssim_gray": 1}), verdict_of(*runs[1:], exact=True)
    assert usual.verdict == "same" and exact.verdict == "different"
    assert any("psnr" in reason for reason in exact.reasons)
    for judgement in (usual, exact):
        assert any("seed = 1 instead of 0" in note for note in judgement.notes)
        assert any("other weights in figures, test/val, train" in note for note in judgement.notes)
        assert not any("training log" in note for note in judgement.notes)          # the logs are equal
        assert len(judgement.pictures) == 3 and judgement.pictures[0].psnr < 40


def test_better_and_worse(runs, tmp_path):
    good, bad = make_run(tmp_path / "good", runs[0], noise=0.01), make_run(tmp_path / "bad", runs[0], noise=0.04)
    assert verdict_of(runs[1], good).verdict == "better"
    judgement = verdict_of(runs[1], bad)
    assert judgement.verdict == "different" and "val, gt_free: psnr" in judgement.reasons[0]
    assert any("training log" in note for note in judgement.notes) and any("training.csv" in note for note in judgement.notes)


@pytest.mark.parametrize(("metric", "mean", "got", "expected"), [
    ("psnr", 20.0, 20.09, "within"), ("psnr", 20.0, 19.89, "worse"), ("psnr", 20.0, 20.11, "better"), ("niqe", 4.0, 4.2, "worse"),
    ("niqe", 4.0, 3.8, "better"), ("entropy", 7.0, 7.1, "other"), ("entropy", 7.0, 6.9, "other"), ("count", 15, 16, "other"),
    ("no_such_metric", 1.0, 1.001, "other"), ("psnr", None, 30.0, "other"), ("psnr", 30.0, None, "missing"), ("psnr", None, None, "equal")])
def test_direction_and_tolerance(metric, mean, got, expected):
    assert judge_mean(metric, mean, got, Options()) == expected


def test_a_changed_byte_in_a_picture(runs):
    run = copy(runs[1], "byte")
    picture = run / "test/val/images/gt_free/2.png"
    data = bytearray(picture.read_bytes())
    data[len(data) // 2] ^= 1
    picture.write_bytes(data)
    judgement = verdict_of(runs[1], run)
    assert judgement.verdict == "tampered" and "test/val/images/gt_free/2.png" in judgement.reasons[0]


def test_a_changed_number(runs):
    psnr = json.loads((runs[1] / "test/val/metrics.json").read_text())["gt_free"]["psnr"]
    run = edit(copy(runs[1], "number"), "test/val/metrics.json", str(psnr), str(psnr + 3))
    judgement = verdict_of(runs[1], run)
    assert judgement.verdict == "tampered" and "test/val/metrics.json" in judgement.reasons[0]
    enter(run, "test/val/metrics.json")
    judgement = verdict_of(runs[1], run)
    assert judgement.verdict == "tampered" and f"{psnr}" in judgement.reasons[0] and "items.csv" in judgement.reasons[0]


def forged_throughout(runs, name):
    """A run whose items.csv, metrics.json and manifest all agree on a PSNR that the pictures do not have."""
    run = copy(runs[1], name)
    lines = (run / "test/val/items.csv").read_text().splitlines()
    psnr = lines[1].split(",")[6]
    edit(run, "test/val/items.csv", psnr, f"{float(psnr) + 9:.6f}", forge=True)
    metrics = json.loads((run / "test/val/metrics.json").read_text())
    metrics["gt_free"]["psnr"] = round(metrics["gt_free"]["psnr"] + 3, 6)
    metrics["gt_free"]["by"]["light"]["a"]["psnr"] = round(metrics["gt_free"]["by"]["light"]["a"]["psnr"] + 9, 6)
    write_text(run / "test/val/metrics.json", json.dumps(metrics))
    enter(run, "test/val/metrics.json")
    return run


def test_a_forger_who_thought_of_everything(runs):
    """Only measuring again finds it."""
    run = forged_throughout(runs, "forged")
    assert verdict_of(runs[1], run).verdict == "better"
    judgement = verdict_of(runs[1], run, recompute=runs[0])
    assert judgement.verdict == "tampered" and "1 (gt_free): psnr is" in judgement.reasons[0]


def test_recompute_says_what_it_cannot_do(runs):
    judgement = verdict_of(runs[1], copy(runs[1], "honest"), recompute=runs[0])
    assert judgement.verdict == "identical" and "3 lines measured again" in judgement.notes
    assert any("identity/gt_free (3)" in note for note in judgement.notes) and any("entropy" in note for note in judgement.notes)


def test_a_borrowed_reference(runs):
    """Another picture named as the reference: said without data, refuted with them; a way out of the root is refused."""
    run = copy(runs[1], "borrowed")
    edit(run, "test/val/items.csv", "high/1.png", "high/2.png", forge=True)
    assert any("another reference" in reason for reason in verdict_of(runs[1], run).reasons)
    assert verdict_of(runs[1], run, recompute=runs[0]).verdict == "tampered"
    edit(run, "test/val/items.csv", "high/2.png", "../../secret.png", forge=True)
    assert any("leads out of the test root" in reason for reason in verdict_of(runs[1], run, recompute=runs[0]).reasons)


def test_a_missing_file(runs):
    for name, part in [("test/val/images/gt_free/2.png", "2.png"), ("test/val/items.csv", "items.csv"), ("test/val/metrics.json", "test set val"),
                       ("train/log.jsonl", "train/log.jsonl"), ("manifest.json", "manifest.json")]:
        run = copy(runs[1], "missing")
        (run / name).unlink()
        judgement = verdict_of(runs[1], run)
        assert judgement.verdict in ("different", "tampered"), name
        assert any(part in reason for reason in judgement.reasons), (name, judgement.reasons)


def test_missing_row_and_item(runs):
    run = copy(runs[1], "row")
    metrics = json.loads((run / "test/val/metrics.json").read_text())
    del metrics["identity/gt_free"]
    write_text(run / "test/val/metrics.json", json.dumps(metrics))
    enter(run, "test/val/metrics.json")
    assert any("row identity/gt_free is missing" in reason for reason in verdict_of(runs[1], run).reasons)
    run = copy(runs[1], "item")
    text = (run / "test/val/items.csv").read_text().splitlines()
    write_text(run / "test/val/items.csv", "\n".join(line for line in text if not line.startswith("3,")) + "\n")
    assert any("items missing: 3 (gt_free)" in reason for reason in verdict_of(runs[1], run).reasons)


def test_an_added_file_and_class(runs):
    run = copy(runs[1], "added")
    (run / "test/val/images/gt_free/9.png").write_bytes(b"x")
    assert any("9.png" in reason and "not entered" in reason for reason in verdict_of(runs[1], run).reasons)
    run = edit(copy(runs[1], "class"), "test/val/metrics.json", '"count": 1', '"count": 2', forge=True)
    assert verdict_of(runs[1], run).verdict == "tampered"


def test_a_failed_item(runs):
    run = copy(runs[1], "failed")
    lines = (run / "test/val/items.csv").read_text().splitlines()
    lines[3] = "2,gt_free,failed,out of memory" + "," * (lines[3].count(",") - 3)
    write_text(run / "test/val/items.csv", "\n".join(lines) + "\n")
    assert any("items failed: 2 (gt_free): out of memory" in reason for reason in verdict_of(runs[1], run).reasons)


def test_pictures_that_are_none(runs):
    """A bomb or rubbish in the place of a picture, entered in the manifest: the picture is named, the rest is judged."""
    for data, said in [(b"not a picture", "2.png"), (bomb(), "too large")]:
        run = copy(runs[1], "bomb")
        (run / "test/val/images/gt_free/2.png").write_bytes(data)
        enter(run, "test/val/images/gt_free/2.png")
        judgement = verdict_of(runs[1], run)
        assert judgement.verdict == "different" and any(said in reason for reason in judgement.reasons), judgement.reasons
        assert verdict_of(runs[1], run, recompute=runs[0]).verdict == "tampered"


def bomb():
    """A PNG that says it has 60,000 x 60,000 pixels."""
    import struct
    import zlib
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
                                           for kind, data in chunks)


def test_the_bomb_is_one(tmp_path):
    (tmp_path / "bomb.png").write_bytes(bomb())
    with pytest.raises(UserError, match="too large"):
        read_bytes(tmp_path / "bomb.png")
