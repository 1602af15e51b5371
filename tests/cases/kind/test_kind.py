"""KinD as a case: stretched pairs, light ratios, protocols on LOL, own pictures, tiles, other data sets, mistakes."""
import csv
import json
import os
import shutil

import cv2
import numpy as np
import pytest
import torch
from pictures import brighten_large, lol_like
from PIL import Image
from tolerances import near

from cases.kind import data, enhance, test
from cases.kind.extras import convert
from cases.kind.model import AutomaticRatio, KinD, light_ratio
from cases.kind.ratios import Measured
from common.base import paths
from common.base.errors import Negative, UserError
from common.data.images import open_picture, read_image, read_pixels, to_bytes, write_image
from common.experiment import checkpoints
from common.experiment.settings import resolve
from common.lowlight import unpaired
from common.metrics import fidelity


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """results/ of a test of its own."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    return tmp_path


@pytest.fixture
def small(tmp_path):
    """A weights file of a narrow KinD with drawn weights: quick, and no picture to look at."""
    torch.manual_seed(0)
    model = KinD(channels=2)
    settings = {"restoration": "unet", "channels": 2, "stretch": "minmax"}
    checkpoints.save(tmp_path / "small.pt", {"case": "kind", "model": settings, "weights": model.state_dict()})
    return tmp_path / "small.pt"


@pytest.fixture
def official(tmp_path, shared):
    folder = shared("weights/kind")
    convert.main([str(folder / "decomposition.npz"), str(folder / "adjustment.npz"), "-o",
                  str(tmp_path / "official.pt")])
    return tmp_path / "official.pt"


def settings(*words):
    return resolve("kind", list(words)).config


def metrics_of(folders, name, set_name="eval15"):
    return json.loads((folders / "results/kind" / name / "test" / set_name / "metrics.json").read_text())


def items_of(folders, name, set_name):
    with open(folders / "results/kind" / name / "test" / set_name / "items.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ---- data ------------------------------------------------------------------------------------------------------------

def test_patches_are_stretched_by_the_whole_picture(tmp_path):
    root = lol_like(tmp_path, 12)
    for name in range(1, 13):                                   # one bright corner, which few patches have
        path = root / f"our485/low/{name}.png"
        low = read_image(path)
        low[:, 0, 0] = 0.7
        write_image(path, low)
    pairs, _ = data.training_sets(settings(f"data.root={root}"))
    whole = pairs[0, 3]
    assert whole.low.amin() == 0 and whole.low.amax() == 1 and whole.high.amax() == 1
    patches = [pairs.in_patches(16)[epoch, 3].low for epoch in range(8)]
    assert patches[0].shape == (3, 16, 16) and min(patch.amax() for patch in patches) < 0.3
    expected = read_pixels(pairs.paths(3)[0])
    least, largest = int(expected.min()), int(expected.max())
    assert pairs.bounds_of(3)[:2] == (least, largest)
    levels = (patches[0] * (largest - least) + least).round().int()
    assert set(np.unique(levels)) <= set(np.unique(expected)), "stretched levels are levels of the picture"


def test_given_bounds_are_used_and_missing_ones_named(tmp_path):
    root = lol_like(tmp_path / "set", 12)
    table = tmp_path / "bounds.csv"
    lines = ["name,low_min,low_max,high_min,high_max"] + [f"{number}.png,0,255,0,255" for number in range(1, 13)]
    table.write_text("\n".join(lines))
    plain, _ = data.training_sets(settings(f"data.root={root}", "model.stretch=none"))
    given, _ = data.training_sets(settings(f"data.root={root}", f"data.stretch={table}"))
    assert near(plain[0, 2].low, given[0, 2].low, "formula")
    table.write_text("\n".join(lines[:5]))
    with pytest.raises(UserError, match="no stretch bounds for"):
        data.training_sets(settings(f"data.root={root}", f"data.stretch={table}"))
    table.write_text("name,low_min\n1.png,3\n")
    with pytest.raises(UserError, match="columns name, low_min"):
        data.training_sets(settings(f"data.root={root}", f"data.stretch={table}"))


def test_the_published_bounds_are_those_of_whole_pictures(shared):
    bounds = data.read_bounds(shared("data/kind") / "stretch.csv")
    folder = shared("data/LOL") / "our485_full"
    for path in (folder / "low").iterdir():
        low, high = read_pixels(path), read_pixels(folder / "high" / path.name)
        assert bounds[path.name] == (low.min(), low.max(), high.min(), high.max())


def test_crops_without_bounds_are_said(shared):
    said = []
    data.training_sets(settings(f"data.root={shared('data/LOL')}"), said.append)
    assert len(said) == 1 and "data.stretch" in said[0]
    said.clear()
    bounds = shared("data/kind") / "stretch.csv"
    training, validation = data.training_sets(settings(f"data.root={shared('data/LOL')}", f"data.stretch={bounds}"),
                                              said.append)
    assert not said and len(training) == 430 and len(validation) == 26
    assert not set(training.names) & set(validation.names)


def test_directions_alternate_over_a_batch():
    from cases.kind.losses import alternately
    a, b = torch.zeros(5, 1, 4, 4), torch.ones(5, 1, 4, 4)
    source, ratio = alternately((a, torch.full((5,), 2.0)), (b, torch.full((5,), 0.5)))
    assert source[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 0] and ratio.tolist() == [2.0, 0.5, 2.0, 0.5, 2.0]


# ---- light ratios ----------------------------------------------------------------------------------------------------

def test_ratios_by_hand():
    low, high = torch.tensor([0.1, 0.4]).reshape(1, 1, 1, 2), torch.tensor([0.5, 0.8]).reshape(1, 1, 1, 2)
    assert light_ratio(low, high).item() == pytest.approx((0.5 / 0.1001 + 0.8 / 0.4001) / 2)
    measured = Measured(["a.png"])
    up, down = measured.ratios(["a.png"], low, high, "patch")
    assert down.item() == pytest.approx((0.1 / 0.5001 + 0.4 / 0.8001) / 2)
    assert up.item() == pytest.approx(1 / down.item() + 1e-4)
    measured.up[0], measured.down[0] = 3.0, 0.25
    assert [value.item() for value in measured.ratios(["a.png"], None, None, "picture")] == [3.0, 0.25]


def test_permuted_colours_are_the_same_in_both_pictures(tmp_path):
    """Every order occurs, pairs stay pairs, whole pictures stay as they are; the same place gives the same patch."""
    for kind, factor in (("low", 0.25), ("high", 1.0)):
        colour = torch.tensor([0.9, 0.6, 0.3])[:, None, None] * torch.linspace(0.2, 1, 64)
        write_image(tmp_path / f"our485/{kind}/1.png", (factor * colour).expand(3, 64, 64))
    whole = data.StretchedPairs(tmp_path, "our485", stretched=False, permute=1.0)
    pairs = whole.in_patches(32)
    orders = {tuple(pairs[epoch, 0].high.mean((1, 2)).argsort().tolist()) for epoch in range(60)}
    assert len(orders) == 6
    for epoch in range(10):
        pair = pairs[epoch, 0]
        assert torch.equal(pair.low.mean((1, 2)).argsort(), pair.high.mean((1, 2)).argsort())
        assert torch.equal(pair.high, pairs[epoch, 0].high)
    assert whole[5, 0].high.mean((1, 2)).argsort().tolist() == [2, 1, 0]


def test_before_a_fit_the_guess_is_the_published_line():
    model, illumination = AutomaticRatio(), torch.full((1, 1, 20, 20), 0.2)
    expected = np.exp(-0.906 * np.log(0.2) - 0.255)
    features = model.features(torch.rand(1, 3, 20, 20), illumination, torch.tensor([[0, 0.3]]))
    assert (model.scale == 1).all() and model(features).item() == pytest.approx(expected, rel=1e-5)


def test_a_fitted_guess_finds_the_rule():
    """Ratios that are a power of the mean illumination: the fit predicts those of pictures that it has not seen."""
    torch.manual_seed(0)
    model = AutomaticRatio()
    pictures = torch.rand(80, 1, 24, 24) * torch.linspace(0.05, 0.6, 80)[torch.randperm(80)][:, None, None, None]
    stretched = (pictures * 1.5).expand(-1, 3, -1, -1)
    features = model.features(stretched, pictures, torch.tensor([[0.0, 1.0]]).expand(80, 2))
    ratios = 0.9 * pictures.mean((1, 2, 3)) ** -0.8
    model.fit(features[:60], ratios[:60])
    assert (model.scale != 1).any()
    assert (model(features[60:]).log() - ratios[60:].log()).abs().max() < 0.1


def test_the_fit_stays_on_its_device():
    """`meta` stands in for CUDA: like it, it refuses tensors of another device."""
    AutomaticRatio().to("meta").fit(torch.ones(5, 22, device="meta"), torch.ones(5, device="meta"))


# ---- the benchmark ---------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_official_weights_on_lol(shared, folders, official):
    """The two lines that are known of them: 18.330 / .6050 by the reference's ratio, 16.649 / .5520 at 5."""
    root = shared("data/LOL")
    with pytest.raises(UserError, match="no restoration network.*model.restoration=none"):
        test.main(["--name", "x", "--weights", str(official), f"data.root={root}"])
    words = ["--weights", str(official), "model.restoration=none", "test.output=truncate", "test.baselines=false",
             f"data.root={root}"]
    test.main(["--name", "official", *words])
    test.main(["--name", "five", *words, "--ratio", "5"])
    found, five = metrics_of(folders, "official"), metrics_of(folders, "five")
    assert list(found) == ["gt_ratio", "gt_free", "gt_mean"]
    for values, psnr, ssim in ((found["gt_ratio"], 18.330, 0.6050), (five["gt_free"], 16.649, 0.5520),
                               (found["gt_free"], 17.188, 0.5919)):
        assert values["psnr"] == pytest.approx(psnr, abs=2e-3) and values["count"] == 15
        assert values["ssim"] == pytest.approx(ssim, abs=2e-4)
    assert five["gt_mean"]["psnr"] == pytest.approx(20.960, abs=0.01) and five["gt_ratio"] == found["gt_ratio"]
    ratios = {line["light_ratio"] for line in items_of(folders, "five", "eval15") if line["row"] == "gt_free"}
    assert ratios == {"5.000000"}


def test_every_row_of_the_benchmark(folders, small):
    root = lol_like(folders / "set", 3)
    test.main(["--name", "x", "--weights", str(small), f"data.root={root}"])
    assert list(metrics_of(folders, "x")) == [
        "gt_ratio", "gt_free", "gt_mean", "ratio_3/gt_free", "ratio_5/gt_free", "unrestored/gt_ratio",
        "unrestored/gt_free", "identity/gt_free", "identity/gt_mean", "gamma/gt_free", "gamma/gt_mean",
        "tone_curve/gt_free", "tone_curve/gt_mean"]
    for line in items_of(folders, "x", "eval15"):
        if line["image"]:
            written = read_image(folders / "results/kind/x/test/eval15" / line["image"])
            values = fidelity(to_bytes(written), read_pixels(root / line["reference"]))
            assert values["psnr"] == pytest.approx(float(line["psnr"]), abs=1e-6)


def pictures_in(folder):
    return {path.name: read_pixels(path) for path in folder.iterdir()}


def test_the_guess_needs_no_reference(folders, small):
    """gt_free of the benchmark is what the same dark picture gives without any bright one."""
    root = lol_like(folders / "set", 3)
    test.main(["--name", "x", "--weights", str(small), "test.baselines=false", f"data.root={root}"])
    before = pictures_in(folders / "results/kind/x/test/eval15/images/gt_free")
    shutil.rmtree(root / "eval15/high")
    test.main(["--name", "y", "--weights", str(small), f"data.root={root}"])
    after = pictures_in(folders / "results/kind/y/test/low/images/network")
    assert before.keys() == after.keys() and all(np.array_equal(before[name], after[name]) for name in before)


def test_a_broken_picture_fails_alone(folders, small):
    root = lol_like(folders / "set", 3)
    (root / "eval15/low/2.png").write_bytes((root / "eval15/low/2.png").read_bytes()[:60])
    with pytest.raises(Negative, match="1 picture.*2: "):
        test.main(["--name", "x", "--weights", str(small), "test.baselines=false", f"data.root={root}"])
    assert metrics_of(folders, "x")["gt_ratio"]["count"] == 2


# ---- one picture -----------------------------------------------------------------------------------------------------

def test_photo_fusion_is_the_released_script(shared, official):
    golden = np.load(shared("golden/kind.npz"), allow_pickle=False)
    model = checkpoints.build(KinD, checkpoints.find("kind", "x", str(official)))
    for size in ("even", "odd"):
        low = torch.tensor(golden[f"in/{size}/low_u8"]).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            maps = enhance.decompose(model, low)
            output, ratio = enhance.enhance(model, low, settings("test.fusion=true", "test.ratio=5").test)
        assert ratio == 5
        mask, photo = golden[f"pipeline/{size}/photo_mask"].squeeze(), golden[f"pipeline/{size}/photo_float"]
        assert np.abs(enhance.dark_mask(maps.reflectance)[0, 0].numpy() - mask).max() <= 3e-6
        assert np.abs(output.permute(1, 2, 0).numpy() - np.clip(photo, 0, 1)).max() <= 3e-6


def test_tiles_are_the_whole_picture():
    torch.manual_seed(0)
    model, low = KinD(channels=4).eval(), torch.rand(3, 301, 423) / 5
    with torch.inference_mode():
        whole, _ = enhance.enhance(model, low, settings("test.tile=4096").test)
        parts, _ = enhance.enhance(model, low, settings("test.tile=64").test)
    assert (whole - parts).abs().max() <= 1 / 255 / 100


def test_a_hot_pixel_switches_the_stretch_off_unless_it_is_cut():
    low = torch.rand(3, 40, 50) / 10
    low[:, 3, 4] = 1.0
    torch.manual_seed(0)
    model = KinD(channels=2).eval()
    plain, cut = (enhance.decompose(model, low, hot_pixels=share).stretched for share in (0.0, 1.0))
    assert plain.median() < 0.1 and cut.median() > 0.3 and cut.amax() <= 1


def test_strange_pictures(folders, small):
    source, draw = folders / "in", np.random.default_rng(0)
    source.mkdir()
    rgb = draw.integers(0, 60, (21, 33, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(source / "UPPER.JPG")
    Image.fromarray(rgb).save(source / "old.bmp")
    Image.fromarray(rgb[:1, :1]).save(source / "one.png")
    Image.fromarray(rgb[..., 0]).save(source / "gray.png")
    Image.fromarray(np.zeros_like(rgb)).save(source / "black.png")
    Image.fromarray(np.dstack([rgb, draw.integers(0, 255, (21, 33), dtype=np.uint8)])).save(source / "rgba.png")
    cv2.imwrite(str(source / "deep.png"), draw.integers(0, 9000, (21, 33, 3), dtype=np.uint16))
    test.main(["--name", "own", "--weights", str(small), "--input", str(source), "--output", str(folders / "out")])
    for path in source.iterdir():
        before, after = open_picture(path), open_picture(folders / "out" / path.name)
        assert after.rgb.shape == before.rgb.shape, path.name
        assert (after.gray, after.bits) == (before.gray, before.bits), path.name
    assert torch.equal(open_picture(folders / "out/rgba.png").alpha, open_picture(source / "rgba.png").alpha)
    sheet = read_pixels(folders / "results/kind/own/test/in/contact_sheet.png")
    assert sheet.shape[1] == 2 * (2 * (unpaired.CELL + unpaired.MARGIN) + unpaired.MARGIN)
    manifest = json.loads((folders / "results/kind/own/manifest.json").read_text())
    assert "test/in/contact_sheet.png" in [entry["path"] for entry in manifest["files"]]


@pytest.mark.slow
def test_a_large_picture_in_bounded_memory(tmp_path, small):
    """6 megapixels through test.py as its own process, by a narrow restoration (12, full: cases/kind/benchmark.py)."""
    torch.manual_seed(0)
    checkpoints.save(tmp_path / "full.pt",
                     {"case": "kind", "model": {"channels": 8}, "weights": KinD(channels=8).state_dict()})
    assert brighten_large("kind", tmp_path / "full.pt", tmp_path, 3000, 2000) < 1500


# ---- data sets without references ------------------------------------------------------------------------------------

def test_cross_dataset_by_folders_and_by_names(folders, small, capsys):
    root = folders / "unpaired"
    for name in ("VV/a.png", "MEF/b.jpg", "MEF/c.bmp", "DICM_1.png", "mine-1.png"):
        write_image(root / name, torch.rand(3, 20, 30) / 8)
    counts = {name: len(paths) for name, paths in unpaired.find_sets(root).items()}
    assert counts == {"MEF": 2, "VV": 1, "DICM": 1, "mine": 1}
    test.main(["--name", "x", "--weights", str(small), "test.set=cross-dataset", f"test.unpaired={root}"])
    said = capsys.readouterr().out
    assert "LIME" in said and "not run: put its pictures into the folder LIME" in said
    found = metrics_of(folders, "x", "cross-dataset")["gt_free"]
    assert found["count"] == 5 and found["by"]["dataset"]["MEF"]["count"] == 2
    assert "psnr" not in found and found["loe"] >= 0
    with open(folders / "results/kind/x/test/cross-dataset/table.csv", encoding="utf-8", newline="") as file:
        table = {(line["dataset"], line["row"]): line for line in csv.DictReader(file)}
    assert table["NPE", ""]["status"].startswith("not run") and table["VV", "gt_free"]["status"] == "ok"
    test.main(["--name", "y", "--weights", str(small), "test.set=cross-dataset",
               f"test.unpaired={folders / 'nowhere'}"])
    assert metrics_of(folders, "y", "cross-dataset")["gt_free"]["count"] == 0


# ---- mistakes --------------------------------------------------------------------------------------------------------

def test_mistakes(folders, small):
    for words, expected in [(["model.channels=32"], "channels=2"), ([f"data.root={folders / 'nowhere'}"], "nowhere"),
                            (["--ratio", "0"], "test.ratio"), (["--ratio", "much"], "test.ratio"),
                            (["test.hot_pixels=80"], "test.hot_pixels"),
                            (["--input", str(folders / "none.png")], "no such file"),
                            (["--input", str(folders / "none.mp4")], "no such file")]:
        with pytest.raises(UserError, match=expected):
            test.main(["--name", "x", "--weights", str(small), *words])
    (folders / "text.mp4").write_text("no video")
    with pytest.raises(UserError, match="cannot be read"):
        test.main(["--name", "x", "--weights", str(small), "--input", str(folders / "text.mp4")])


def test_a_late_stage_needs_the_earlier_ones(processes):
    done = processes.run(["cases/kind/train.py", "--demo", "--name", "test-late", "stage=joint"], paths.ROOT,
                         os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 2 and "decomposition" in done.stderr and "--weights" in done.stderr
    assert "Traceback" not in done.stderr
    shutil.rmtree(paths.ROOT / "results/kind/test-late", ignore_errors=True)


# ---- the release -----------------------------------------------------------------------------------------------------

RELEASE = paths.ROOT / "checkpoints" / "kind" / "release.pt"


@pytest.mark.slow
@pytest.mark.skipif(not RELEASE.exists(), reason="checkpoints/kind/release.pt is not in this checkout")
def test_release_on_lol(shared, folders):
    """The numbers that the README states: both protocols, the guess beside fixed ratios and the reference's."""
    test.main(["--name", "check", "--weights", "release", f"data.root={shared('data/LOL')}"])
    found = metrics_of(folders, "check")
    ratio, free = found["gt_ratio"], found["gt_free"]
    assert ratio["psnr"] >= 19.8 and ratio["ssim"] >= 0.79 and ratio["count"] == 15
    assert free["psnr"] >= 17.5 and free["ssim"] >= 0.75
    assert free["psnr"] >= max(found[f"ratio_{fixed}/gt_free"]["psnr"] for fixed in (3, 5)) + 0.4
    # at most 1.5 dB were wished for between the two; the guess loses 2.38, and no better rule was found (README)
    assert free["psnr"] >= ratio["psnr"] - 2.5
    assert ratio["ssim"] > found["unrestored/gt_ratio"]["ssim"] + 0.05, "the restoration restores"
    assert {"psnr", "ssim", "ssim_gray", "count"} <= found["gt_mean"].keys()


@pytest.mark.skipif(not RELEASE.exists(), reason="checkpoints/kind/release.pt is not in this checkout")
def test_the_release_file_is_whole_small_and_listed():
    checkpoints.check_release(RELEASE)
    weights = checkpoints.find("kind", "x", "release")
    model = checkpoints.build(KinD, weights)
    assert RELEASE.stat().st_size <= 17_000_000 and model.restoration is not None
    assert (model.automatic.scale != 1).any(), "fitted"
    assert "kind/release.pt" in (RELEASE.parents[1] / "README.md").read_text(encoding="utf-8")
