"""MSR-net as a case: splits, darkened photographs, losses, baselines, the benchmark on LOL, own pictures, mistakes."""
import csv
import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from pictures import brighten_large, lol_like
from PIL import Image
from tolerances import near

from cases.msrnet import data, figures, losses, test
from cases.msrnet.model import MSRNet
from common.base import paths
from common.base.errors import Negative, UserError
from common.data import lol, video
from common.data.images import open_picture, read_image, read_pixels, to_bytes, write_image
from common.data.samples import build
from common.experiment import checkpoints
from common.experiment.settings import resolve
from common.lowlight import baselines
from common.metrics import fidelity

RELEASE = paths.ROOT / "checkpoints" / "msrnet"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """results/ and checkpoints/ of a test of its own; the release files stay where they are."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    return tmp_path


def settings(*words):
    return resolve("msrnet", list(words)).config


# ---- data ------------------------------------------------------------------------------------------------------------

def test_scenes_are_the_published_groups(shared):
    with open(shared("data/LOL") / "scenes.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    groups = {}
    for line in lines:
        groups.setdefault(line["scene"], set()).add(int(line["name"].removesuffix(".png")))
    assert sorted(map(sorted, groups.values())) == sorted(map(sorted, lol.scenes()))
    evaluation = {line["name"] for line in lines if line["split"] == "eval15"}
    assert evaluation == {f"{number}.png" for number in lol.EVALUATION}
    assert sum(lol.shares_scene_with_evaluation(line["name"]) for line in lines if line["split"] == "our485") == 24
    assert [n for n in lol.EVALUATION if not lol.shares_scene_with_evaluation(f"{n}.png")] == [179]


def test_validation_is_drawn_by_scene_and_shares_none():
    names = [f"{number}.png" for group in lol.scenes() for number in group if number not in lol.EVALUATION]
    assert lol.is_lol(names) and not lol.is_lol(names[1:])
    held = set(lol.validation_names(names))
    assert len(lol.one_per_scene(lol.validation_names(names))) == 26
    for group in lol.scenes():
        inside = {f"{number}.png" for number in group} & held
        assert not inside or (inside == {f"{number}.png" for number in group} and not set(group) & set(lol.EVALUATION))
    assert lol.validation_names(names) == lol.validation_names(names) != lol.validation_names(names, seed=1)


def test_other_sets_hold_out_every_tenth():
    names = [f"{letter}.png" for letter in "abcdefghijklmnopqrstu"]
    assert len(lol.validation_names(names)) == 3 and len(lol.validation_names(names[:2])) == 1


def test_training_and_validation_are_apart(tmp_path):
    training, validation = data.training_sets(settings(f"data.root={lol_like(tmp_path, 12)}", "data.patch=24"))
    assert not set(training.names) & set(validation.names) and len(training) + len(validation) == 12
    pair = training[3, 0]
    assert pair.low.shape == (3, 24, 24) and pair.thumbnail.shape == (3, 32, 32)
    assert validation[0, 0].low.shape == (3, 40, 48)


def test_exposure_jitter_changes_the_dark_side_only_and_by_place(tmp_path):
    words = [f"data.root={lol_like(tmp_path, 12)}", "data.patch=24"]
    jittered, _ = data.training_sets(settings(*words, "data.jitter=0.3"))
    plain, _ = data.training_sets(settings(*words))
    gains = set()
    for epoch in range(4):
        a, b = jittered[epoch, 1], plain[epoch, 1]
        assert torch.equal(a.high, b.high) and torch.equal(a.low, jittered[epoch, 1].low)
        gain = (a.low.mean() / b.low.mean()).item()
        gains.add(round(gain, 3))
        assert (a.thumbnail.mean() / b.thumbnail.mean()).item() == pytest.approx(gain, rel=1e-3)
    assert len(gains) == 4


def test_synthetic_pairs_from_a_plain_folder(tmp_path):
    for number in range(3):
        write_image(tmp_path / f"{number}.png", torch.rand(3, 50, 60))
    training, validation = data.training_sets(settings("data.kind=synthetic", f"data.root={tmp_path}", "data.patch=32"))
    pair, again, later = training[0, 1], training[0, 1], training[1, 1]
    assert torch.equal(pair.low, again.low) and not torch.equal(pair.low, later.low)
    assert pair.low.mean() < pair.high.mean() / 2 and pair.low.shape == (3, 32, 32)
    assert ((pair.low * 255) - (pair.low * 255).round()).abs().max() < 1e-4, "dark pictures have 8 bits"
    assert len(training) + len(validation) == 3 and validation[0, 0].low.shape == (3, 50, 60)


# ---- losses and baselines --------------------------------------------------------------------------------------------

def test_the_papers_loss_by_hand():
    output, target = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    output[0] = 0.5                                             # 48 values of 0.25 in one picture of two
    assert losses.frobenius(output, target).item() == pytest.approx(48 * 0.25 / 2)
    model = MSRNet()
    by_hand = sum(layer.weight.square().sum().item() for layer in model.modules() if isinstance(layer, torch.nn.Conv2d))
    assert near(losses.weight_penalty(model), by_hand)
    terms = losses.terms(output, target, model, settings("preset=paper").train)
    assert list(terms) == ["frobenius", "penalty"] and terms["penalty"].item() == pytest.approx(1e-6 * by_hand)


def test_our_loss_is_zero_for_equal_pictures_and_has_a_gradient():
    target = torch.rand(2, 3, 24, 24)
    cfg = settings().train
    assert sum(losses.terms(target, target, None, cfg).values()).item() == pytest.approx(0, abs=1e-6)
    output = torch.rand(2, 3, 24, 24, requires_grad=True)
    sum(losses.terms(output, target, None, cfg).values()).backward()
    assert output.grad.abs().sum() > 0


def test_tone_curve_is_the_conditional_mean_and_never_falls():
    low = np.array([[[0, 0, 2], [2, 4, 4]]], np.uint8)
    high = np.array([[[10, 20, 40], [60, 45, 45]]], np.uint8)
    curve = baselines.fit_tone_curve([(low, high)])
    assert curve[[0, 1, 2, 4, 255]].tolist() == [15, 32.5, 50, 50, 50]


def test_baselines_on_lol_equal_the_golden_numbers(shared):
    golden = json.loads((shared("golden/msrnet") / "metrics.json").read_text())["eval15"]
    folder = shared("data/LOL") / "eval15"
    for name in ("1", "179"):
        low, high = read_pixels(folder / "low" / f"{name}.png"), read_pixels(folder / "high" / f"{name}.png")
        for method, key in ((baselines.identity, "identity"), (baselines.gamma, "gamma22")):
            expected, values = golden[f"{name}.png"][key], fidelity(method(low), high)
            for metric, flavour in (("psnr", "psnr"), ("ssim", "ssim_gauss_rgb"), ("ssim_gray", "ssim_gauss_gray")):
                assert values[metric] == pytest.approx(expected[flavour], abs=1e-6), (name, key, metric)


# ---- the benchmark ---------------------------------------------------------------------------------------------------

def metrics_of(folders, name, set_name="eval15"):
    return json.loads((folders / "results/msrnet" / name / "test" / set_name / "metrics.json").read_text())


@pytest.mark.slow
def test_release_on_lol(shared, folders):
    """The numbers that the README states, with every baseline: measured, not remembered."""
    root = shared("data/LOL")
    assert test.main(["--name", "check", "--weights", "release", f"data.root={root}"]) is None
    found = metrics_of(folders, "check")
    assert found["gt_free"]["psnr"] >= 17.9 and found["gt_free"]["ssim"] >= 0.68 and found["gt_free"]["count"] == 15
    assert {"gt_free", "gt_mean", "gamma/gt_free", "tone_curve_bilateral/gt_mean"} <= found.keys()
    expected = {"identity": (7.773, 0.1952), "gamma": (13.280, 0.5935), "equalise": (15.560, 0.3864),
                "msr": (12.565, 0.4702)}
    for name, (psnr, ssim) in expected.items():
        values = found[f"{name}/gt_free"]
        assert values["psnr"] == pytest.approx(psnr, abs=2e-3) and values["ssim"] == pytest.approx(ssim, abs=2e-4), name
    assert found["gamma/gt_mean"]["psnr"] == pytest.approx(22.934, abs=2e-3)
    curve = found["tone_curve/gt_free"]         # the expected numbers are of a curve smoothed a little differently
    assert curve["psnr"] == pytest.approx(17.722, abs=0.02) and curve["ssim"] == pytest.approx(0.6503, abs=1e-3)
    with open(folders / "results/msrnet/check/test/eval15/items.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["by_scene"] for line in lines if line["item"] == "179"} == {"new"}
    line = next(line for line in lines if line["item"] == "22" and line["row"] == "gt_free")
    written = read_image(folders / "results/msrnet/check/test/eval15" / line["image"])
    values = fidelity(to_bytes(written), read_pixels(root / line["reference"]))
    assert values["psnr"] == pytest.approx(float(line["psnr"]), abs=1e-6)


@pytest.mark.slow
def test_release_denoise_on_lol(shared, folders):
    root = shared("data/LOL")
    test.main(["--name", "check", "--weights", "release-denoise", "test.baselines=false", f"data.root={root}"])
    found = metrics_of(folders, "check")
    assert found["gt_free"]["psnr"] >= 20.5 and found["gt_free"]["ssim"] >= 0.82
    assert list(found) == ["gt_free", "gt_mean"]


def test_a_broken_picture_fails_alone_and_is_tried_again(folders):
    root = lol_like(folders / "set", 3)
    (root / "eval15/low/2.png").write_bytes((root / "eval15/low/2.png").read_bytes()[:60])
    words = ["--name", "x", "--weights", "release", "test.baselines=false", f"data.root={root}"]
    with pytest.raises(Negative, match="1 picture.*2: "):
        test.main(words)
    assert metrics_of(folders, "x")["gt_free"]["count"] == 2
    shutil.copy(root / "eval15/high/2.png", root / "eval15/low/2.png")
    test.main(words)
    assert metrics_of(folders, "x")["gt_free"]["count"] == 3


# ---- one's own pictures ----------------------------------------------------------------------------------------------

def own(*words):
    return test.main(["--name", "own", "--weights", "release", *map(str, words)])


def test_own_pictures_of_every_kind(folders):
    source, draw = folders / "in", np.random.default_rng(0)
    source.mkdir()
    rgb = draw.integers(0, 60, (21, 33, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(source / "rgb.png")
    Image.fromarray(rgb[:1, :1]).save(source / "one.png")
    Image.fromarray(rgb[:7, :5]).save(source / "small.png")
    Image.fromarray(rgb[..., 0]).save(source / "gray.png")
    alpha = draw.integers(0, 255, (21, 33), dtype=np.uint8)
    Image.fromarray(np.dstack([rgb, alpha])).save(source / "rgba.png")
    Image.fromarray(rgb).quantize(16).save(source / "palette.png")
    Image.fromarray(rgb).convert("CMYK").save(source / "cmyk.jpg")
    cv2.imwrite(str(source / "deep.png"), draw.integers(0, 9000, (21, 33, 3), dtype=np.uint16))
    cv2.imwrite(str(source / "deep gray.png"), draw.integers(0, 9000, (21, 33), dtype=np.uint16))
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(rgb).save(source / "夜.jpg", exif=exif)
    own("--input", source, "--output", folders / "out")
    for path in source.iterdir():
        before, after = open_picture(path), open_picture(folders / "out" / path.name)
        assert after.rgb.shape == before.rgb.shape and after.gray == before.gray, path.name
        if path.name != "deep gray.png":
            assert after.bits == before.bits, path.name
        if before.rgb.shape[-1] > 7:
            assert after.rgb.mean() > before.rgb.mean() + 0.05, path.name
    assert torch.equal(open_picture(folders / "out/rgba.png").alpha, open_picture(source / "rgba.png").alpha)
    assert open_picture(folders / "out/夜.jpg").rgb.shape == (3, 33, 21), "upright, as it was looked at"


def test_a_page_and_a_well_lit_photograph_are_left_as_they_are(folders, shared, capsys):
    case = shared("cases/darkens_bright_photos")
    test.main(["--name", "day", "--weights", "release-denoise", "--input", str(case), "--output", str(folders / "out")])
    said = capsys.readouterr().out
    for name in ("page.png", "photo.png"):
        assert (read_pixels(folders / "out" / name) == read_pixels(case / name)).all()
        assert f"{name}: left as it was" in said


def test_pictures_of_other_sets_need_no_references(folders):
    for name in ("VV/a.png", "DICM_1.png"):
        write_image(folders / "unpaired" / name, torch.rand(3, 20, 30) / 8)
    test.main(["--name", "x", "--weights", "release", "test.set=cross-dataset",
               f"test.unpaired={folders / 'unpaired'}"])
    found = json.loads((folders / "results/msrnet/x/test/cross-dataset/metrics.json").read_text())
    assert found["gt_free"]["count"] == 2
    figures.main(["--name", "x", "--weights", "release", f"test.unpaired={folders / 'unpaired'}"])
    with open(folders / "results/msrnet/x/figures/elsewhere.csv", encoding="utf-8", newline="") as file:
        assert [line["item"] for line in csv.DictReader(file)] == ["VV/a", "DICM/DICM_1"]


def test_one_file_to_one_file_and_strength(folders):
    Image.fromarray(np.full((20, 30, 3), 20, np.uint8)).save(folders / "a.png")
    own("--input", folders / "a.png", "--output", folders / "b.jpg", "test.protect=off")        # flat pictures stay
    own("--input", folders / "a.png", "--output", folders / "same.png", "test.strength=0", "test.protect=off")
    assert (read_pixels(folders / "same.png") == 20).all() and read_pixels(folders / "b.jpg").mean() > 40
    before = (folders / "a.png").read_bytes()
    with pytest.raises(UserError, match="overwrite the input"):
        own("--input", folders / "a.png", "--output", folders / "a.png")
    assert (folders / "a.png").read_bytes() == before


def test_a_video_is_brightened_frame_by_frame(folders):
    with video.writing(folders / "dark.mp4", 12, (64, 48)) as write:
        for level in (20, 22, 24):                          # a ramp: flat frames would be left as they are
            write(np.tile((np.arange(64) * level // 40).astype(np.uint8)[None, :, None], (48, 1, 3)))
    test.main(["--weights", "release", "--input", str(folders / "dark.mp4"), "--output", str(folders / "bright.mp4")])
    frames = list(video.frames_of(video.open_film(folders / "bright.mp4")))
    assert len(frames) == 3 and frames[0].mean() > 40


def test_bad_pictures_do_not_stop_the_good_ones(folders):
    source = folders / "in"
    write_image(source / "good.png", torch.rand(3, 20, 20) / 8)
    (source / "empty.png").write_bytes(b"")
    (source / "text.png").write_text("this is no picture")
    (source / "cut.png").write_bytes((source / "good.png").read_bytes()[:200])
    with pytest.raises(Negative) as problem:
        own("--input", source)
    assert all(part in str(problem.value) for part in ("empty", "text", "cut", "3 picture(s) failed"))
    with open(folders / "results/msrnet/own/test/in/items.csv", encoding="utf-8", newline="") as file:
        status = {line["item"]: line["status"] for line in csv.DictReader(file)}
    assert status == {"good": "ok", "empty": "failed", "text": "failed", "cut": "failed"}
    assert (folders / "results/msrnet/own/test/in/images/network/good.png").exists()
    with pytest.raises(UserError, match="no such file"):
        own("--input", folders / "nothing.png")


@pytest.mark.slow
def test_a_phone_picture_in_under_three_gigabytes(tmp_path):
    """4000 x 3000 through the whole of test.py, as its own process; the tiles' edges are nowhere to be seen."""
    assert brighten_large("msrnet", "release", tmp_path, 4000, 3000) < 3000


# ---- mistakes --------------------------------------------------------------------------------------------------------

def mistake(*words, expected):
    with pytest.raises(UserError) as problem:
        test.main(["--name", "x", "--weights", "release", *map(str, words)])
    assert all(part in str(problem.value) for part in expected) and "\n" not in str(problem.value), problem.value


def test_mistakes_in_the_data(folders):
    mistake(f"data.root={folders / 'nowhere'}", expected=["nowhere", "eval15"])
    root = lol_like(folders / "set")
    (root / "eval15/high/3.png").unlink()
    mistake(f"data.root={root}", expected=["no partner", "3.png", "copy the missing"])
    write_image(root / "eval15/high/3.png", torch.rand(3, 40, 47))
    mistake(f"data.root={root}", expected=["3.png", "48x40", "47x40"])


def test_weights_of_another_architecture(folders, monkeypatch):
    mistake("model.channels=16", expected=["model.channels=16", "channels=32", "release.pt"])
    content = checkpoints.load(RELEASE / "release.pt")
    content["model"]["channels"] = 16
    checkpoints.save(folders / "other.pt", content)
    with pytest.raises(UserError, match="does not fit MSRNet"):
        test.main(["--name", "x", "--weights", str(folders / "other.pt")])


def test_one_flipped_byte_in_a_release_file(folders, monkeypatch):
    shutil.copytree(RELEASE, folders / "checkpoints/msrnet",
                    ignore=lambda *_: [p.name for p in RELEASE.iterdir() if p.is_dir()])
    shutil.copy(paths.CHECKPOINTS / "SHA256SUMS", folders / "checkpoints")
    monkeypatch.setattr(paths, "CHECKPOINTS", folders / "checkpoints")
    path = folders / "checkpoints/msrnet/release.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    mistake(expected=["SHA256SUMS", "git checkout"])


def test_release_files_are_small_and_listed():
    for path in RELEASE.glob("release*.pt"):
        assert path.stat().st_size <= 1_000_000
        assert path.name in (RELEASE.parent / "README.md").read_text(encoding="utf-8")
        checkpoints.check_release(path)


# ---- training --------------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    """The loss is a mean of per-picture terms: two processes with half a batch each give the same curve."""
    for folder in ("cases", "common", "configs"):
        shutil.copytree(paths.ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(build("LOL"), tmp_path / "datasets/sample/LOL")
    words = ["--demo", "--device", "cpu", "train.steps=8", "train.log_every=1", "train.validate_every=8",
             "train.average=0"]
    script = str(tmp_path / "cases/msrnet/train.py")
    two_processes = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", script]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)}

    def train(command, *more):
        return subprocess.run([sys.executable, *command, *words, *more], env=environment, capture_output=True,
                              text=True)

    for name, command in (("one", [script]), ("two", two_processes)):
        done = train(command, "--name", name)
        assert done.returncode == 0, done.stderr[-2000:]
    logs = [(tmp_path / f"results/msrnet/{name}/train/log.jsonl").read_text().splitlines() for name in ("one", "two")]
    for one, two in zip(*logs, strict=True):
        one, two = json.loads(one), json.loads(two)
        assert one.keys() == two.keys()
        assert one.pop("stage") == two.pop("stage")
        for key, value in one.items():
            assert two[key] == pytest.approx(value, rel=2e-4), (key, one, two)
    states = [checkpoints.load(tmp_path / "checkpoints/msrnet" / name / "last.pt")["weights"]
              for name in ("one", "two")]
    for name in states[0]:
        assert torch.allclose(states[0][name], states[1][name], atol=2e-4), name
    done = train(two_processes, "train.batch_size=3", "--name", "odd")
    assert done.returncode != 0 and done.stderr.count("error: a batch of 3") == 1
