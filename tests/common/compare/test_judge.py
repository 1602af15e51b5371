"""The verdicts: every kind of honest and dishonest difference, found and named."""
import csv
import io
import json

import pytest
import torch
from handed_in import copy, edit, enter, make_root, make_run

from common.base.errors import UserError
from common.compare.__main__ import parse_tolerances
from common.compare.judge import Options, judge, judge_mean
from common.compare.pictures import reference_path
from common.compare.submission import Submission
from common.data.images import read_pixels, write_image
from common.experiment.results import summary, write_csv, write_json, write_text


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
    """Within tolerance it is the same; exactly it differs, with metrics named; the changed seed is said either way."""
    usual = verdict_of(*runs[1:], tolerances={"psnr": 1, "ssim": 1, "ssim_gray": 1})
    exact = verdict_of(*runs[1:], exact=True)
    assert usual.verdict == "same" and exact.verdict == "different"
    assert any("psnr" in reason for reason in exact.reasons)
    for judgement in (usual, exact):
        assert any("seed = 1 instead of 0" in note for note in judgement.notes)
        assert any("other weights in figures, test/val, train" in note for note in judgement.notes)
        assert not any("training log" in note for note in judgement.notes)          # the logs are equal
        assert len(judgement.pictures) == 3 and judgement.pictures[0].psnr < 40


def test_settings_of_before_are_known_by_their_names_of_today(runs):
    before = "seed: 0\nmode: fast\ndata:\n  test:\n    count: 3\ntest:\n  floors: true\n"
    today = "seed: 0\nstage: fast\ntest:\n  count: 3\n  baselines: true\n"
    old, new, other = (copy(runs[1], name) for name in ("old", "new", "other"))
    for run, text in ((old, before), (new, today), (other, today.replace("count: 3", "count: 4"))):
        for part in ("train", "test/val"):
            edit(run, f"{part}/config.yaml", "seed: 0\n", text, forge=True)
    judgement = verdict_of(old, new)
    assert judgement.verdict == "same" and not any("setting" in note for note in judgement.notes)
    assert any("test.count = 4 instead of 3" in note for note in verdict_of(old, other).notes)


def test_better_and_worse(runs, tmp_path):
    good, bad = make_run(tmp_path / "good", runs[0], noise=0.01), make_run(tmp_path / "bad", runs[0], noise=0.04)
    assert verdict_of(runs[1], good).verdict == "better"
    judgement = verdict_of(runs[1], bad)
    assert judgement.verdict == "different" and "val, gt_free: psnr" in judgement.reasons[0]
    assert any("training log" in note for note in judgement.notes)
    assert any("training.csv" in note for note in judgement.notes)


@pytest.mark.parametrize(("metric", "mean", "got", "expected"), [
    ("psnr", 20.0, 20.09, "within"), ("psnr", 20.0, 19.89, "worse"), ("psnr", 20.0, 20.11, "better"),
    ("niqe", 4.0, 4.2, "worse"), ("niqe", 4.0, 3.8, "better"),
    ("entropy", 7.0, 7.1, "other"), ("entropy", 7.0, 6.9, "other"),
    ("count", 15, 16, "other"), ("no_such_metric", 1.0, 1.001, "other"),
    ("psnr", None, 30.0, "other"), ("psnr", 30.0, None, "missing"), ("psnr", None, None, "equal")])
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


def with_frames(run, ao):
    """siamfc's numbers over all frames of all sequences, which no line of items.csv tells."""
    path = run / "test/val/metrics.json"
    metrics = json.loads(path.read_text())
    for values in metrics.values():
        values["ao_frames"] = ao
    write_json(path, metrics)
    enter(run, "test/val/metrics.json")
    return run


def test_numbers_that_items_do_not_tell_have_their_tolerance_and_are_always_listed(runs):
    reference = with_frames(copy(runs[1], "frames"), 0.86)
    for ao, verdict in ((0.8605, "same"), (0.8595, "same"), (0.88, "better"), (0.84, "different")):
        judgement = verdict_of(reference, with_frames(copy(runs[1], "other frames"), ao))
        assert judgement.verdict == verdict
        assert any("not computed again" in note and "ao_frames of gt_free; identity/gt_free" in note
                   for note in judgement.notes)
    for metric in ("ao_frames", "psnr", "rmse_4pt_median", "count"):
        assert parse_tolerances([f"{metric}=0.5"], Submission(reference)) == {metric: 0.5}
    foreign = edit(copy(reference, "foreign"), "test/val/metrics.json", "ao_frames", "of_another_tool", forge=True)
    assert parse_tolerances(["of_another_tool=1"], Submission(foreign)) == {"of_another_tool": 1}


def test_recompute_says_what_it_cannot_do(runs):
    judgement = verdict_of(runs[1], copy(runs[1], "honest"), recompute=runs[0])
    assert judgement.verdict == "identical" and "3 lines measured again" in judgement.notes
    assert any("identity/gt_free (3)" in note for note in judgement.notes)
    assert any("entropy" in note for note in judgement.notes)


def test_a_borrowed_reference(runs):
    """Another picture named as the reference: said without data, refuted with them; no way out of the root."""
    run = copy(runs[1], "borrowed")
    edit(run, "test/val/items.csv", "high/1.png", "high/2.png", forge=True)
    assert any("another reference" in reason for reason in verdict_of(runs[1], run, recompute=runs[0]).reasons)
    (runs[0].parent / "secret.png").write_bytes((runs[0] / "high/1.png").read_bytes())
    edit(run, "test/val/items.csv", "high/2.png", "../secret.png", forge=True)
    judgement = verdict_of(runs[1], run, recompute=runs[0])
    assert judgement.verdict == "different" and any("another reference" in reason for reason in judgement.reasons)
    with pytest.raises(UserError, match="leads out of the test root"):
        reference_path(runs[0], "../secret.png")


def change_lines(run, change):
    """Let change(line) alter every line of items.csv; metrics.json and the manifest follow, as a forger's would."""
    path = run / "test/val/items.csv"
    lines = list(csv.DictReader(io.StringIO(path.read_text())))
    for line in lines:
        change(line)
    write_csv(path, list(lines[0]), [list(line.values()) for line in lines])
    given = Submission(run).sets["val"]
    done = [line for line in given.lines if line["status"] == "ok"]
    metrics = {row: summary([line for line in done if line["row"] == row], given.measured, given.classings)
               for row in given.metrics}
    write_json(run / "test/val/metrics.json", metrics)
    enter(run, "test/val/items.csv", "test/val/metrics.json")
    return run


@pytest.mark.parametrize("value", ["", "nan", "inf"])
def test_a_mean_over_fewer_items(runs, value):
    """The worst item's number taken out, by whatever word, so that the mean rises."""
    def change(line):
        if line["item"] == "1" and line["row"] == "gt_free":
            line["psnr"] = value
    run = change_lines(copy(runs[1], "fewer"), change)
    for options in ({}, {"recompute": runs[0]}):
        judgement = verdict_of(runs[1], run, **options)
        assert judgement.verdict in ("different", "tampered")
        assert any("1 (gt_free): psnr" in reason for reason in judgement.reasons)


def test_means_from_nowhere(runs):
    """All numbers taken out of items.csv, the means invented; then the column itself; then a class."""
    def blank(line):
        line["psnr"] = ""

    def without_column(line):
        del line["psnr"]
    for change in (blank, without_column):
        run = change_lines(copy(runs[1], "nowhere"), change)
        edit(run, "test/val/metrics.json", '"ssim":', '"psnr": 60.5, "ssim":', forge=True)
        assert verdict_of(runs[1], run).verdict == "tampered"
    run = change_lines(copy(runs[1], "classless"), lambda line: line.pop("by_light"))
    judgement = verdict_of(runs[1], run)
    assert judgement.verdict == "different" and any("by_light" in reason for reason in judgement.reasons)
    edit(run, "test/val/metrics.json", '"count": 3', '"count": 3, "by": {"light": {"a": {"psnr": 60.0, "count": 3}}}',
         forge=True)
    assert verdict_of(runs[1], run).verdict == "tampered"


def test_one_picture_for_two_rows(runs):
    def change(line):
        if line["item"] == "1" and line["row"] == "gt_free":
            line["image"] = "images/gt_free/2.png"
    judgement = verdict_of(runs[1], change_lines(copy(runs[1], "shared"), change))
    assert judgement.verdict == "different" and any("another picture" in reason for reason in judgement.reasons)


def drop(run, *names):
    """Remove files together with their lines in the manifest."""
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = [entry for entry in manifest["files"] if entry["path"] not in names]
    path.write_text(json.dumps(manifest))
    for name in names:
        (run / name).unlink()
    return run


@pytest.mark.parametrize("name", ["test/val/images/gt_free/2.png", "train/log.jsonl", "train/config.yaml",
                                  "test/val/config.yaml", "test/val/items.csv"])
def test_a_file_removed_together_with_its_line_in_the_manifest(runs, name):
    judgement = verdict_of(runs[1], drop(copy(runs[1], "dropped"), name))
    assert judgement.verdict in ("different", "tampered")
    words = (name, "without picture", "columns of items.csv missing")
    assert any(word in reason for reason in judgement.reasons for word in words)


def test_pictures_of_another_size(runs):
    run = copy(runs[1], "tiny")
    write_image(run / "test/val/images/gt_free/2.png", torch.zeros(3, 1, 1))
    enter(run, "test/val/images/gt_free/2.png")
    judgement = verdict_of(runs[1], run)
    assert judgement.verdict == "different" and any("has 1x1 pixels" in reason for reason in judgement.reasons)


def test_names_as_an_apple_writes_them(tmp_path):
    """Decomposed letters in file names and in items.csv mean the same as composed ones."""
    composed, decomposed = "\u00e9", "e\u0301"
    for name in (composed, decomposed):
        root = make_root(tmp_path / f"data-{len(name)}")
        (root / "high/1.png").rename(root / f"high/{name}.png")
        make_run(tmp_path / f"run-{len(name)}", root)
    judgement = verdict_of(tmp_path / "run-1", tmp_path / "run-2", recompute=tmp_path / "data-2")
    assert judgement.verdict in ("identical", "same") and not judgement.reasons


def test_an_item_that_failed_in_the_reference_decides_nothing(runs, tmp_path):
    def fail(line):
        if line["item"] == "2":
            line.update(status="failed", reason="too dark", image="", reference="", psnr="", ssim="", ssim_gray="",
                        entropy="", by_light="")
    reference = copy(runs[1], "failed reference")
    change_lines(reference, fail)
    again = verdict_of(reference, copy(reference, "failed twin"))
    assert again.verdict == "identical"
    assert not any("items" in reason for reason in verdict_of(reference, runs[1]).reasons)


def test_long_names_make_short_reasons(runs):
    run = copy(runs[1], "long")
    for number in range(60):
        write_text(run / "train" / ("x" * 150 + str(number)), "x")
    metrics = json.loads((run / "test/val/metrics.json").read_text())
    metrics |= {"y" * 190 + str(number): {"count": 5, "psnr": 3} for number in range(60)}
    write_text(run / "test/val/metrics.json", json.dumps(metrics))
    judgement = verdict_of(runs[1], run)
    assert len(judgement.reasons) <= 41 and max(map(len, judgement.reasons)) <= 403


def test_a_missing_file(runs):
    for name, part in [("test/val/images/gt_free/2.png", "2.png"), ("test/val/items.csv", "items.csv"),
                       ("test/val/metrics.json", "test set val"), ("train/log.jsonl", "train/log.jsonl"),
                       ("manifest.json", "manifest.json")]:
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
    """A bomb or rubbish in the place of a picture, entered in the manifest: it is named, the rest is judged."""
    for data, said in [(b"not a picture", "2.png"), (bomb(), "too large")]:
        run = copy(runs[1], "bomb")
        (run / "test/val/images/gt_free/2.png").write_bytes(data)
        enter(run, "test/val/images/gt_free/2.png")
        judgement = verdict_of(runs[1], run)
        assert judgement.verdict == "different"
        assert any(said in reason for reason in judgement.reasons), judgement.reasons
        assert verdict_of(runs[1], run, recompute=runs[0]).verdict == "tampered"


def bomb():
    """A PNG that says it has 60,000 x 60,000 pixels."""
    import struct
    import zlib
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    written = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
               for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def test_the_bomb_is_one(tmp_path):
    (tmp_path / "bomb.png").write_bytes(bomb())
    with pytest.raises(UserError, match="too large"):
        read_pixels(tmp_path / "bomb.png")
